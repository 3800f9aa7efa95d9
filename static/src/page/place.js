import { useEffect, useState } from "react";
import { Boards } from "../boards.js";
import { readingToken, streamToken } from "./token.js";
import { useToken } from "./useToken.js";

/** The boards of the server that the page is from. */
export const boards = new Boards(
  new URL(document.documentElement.dataset.base ?? "/", location.href),
  { token: readingToken },
);

/**
 * Where a player stands, live.
 *
 * @param {string} board
 * @param {string} player  "" for none
 * @returns {import("../player-stream.js").Place | "nobody" | null} null while it is not known
 */
export function usePlace(board, player) {
  const [place, setPlace] = useState(null);
  const held = useToken();
  useEffect(() => {
    setPlace(null);
    if (!board || !player) return undefined;
    const stream = boards.watchPlayer(board, player, { token: undefined, ...streamToken() });
    stream.addEventListener("rank", ({ detail }) => setPlace(detail));
    stream.addEventListener("gone", () => setPlace("nobody"));
    stream.addEventListener("state", () => {
      if (stream.state === "missing") setPlace("nobody");
    });
    return () => stream.close();
  }, [board, player, held]);
  return place;
}
