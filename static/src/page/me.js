import { useCallback, useEffect, useState } from "react";
import { Boards } from "../boards.js";

/** Where it is remembered who is looking. */
const KEY = "tornado_board me";
/** What may be the id of a player. */
const ID = /^(?!\.{1,2}$)[\w.~-]{1,64}$/;

/** The boards of the server that the page is from. */
export const boards = new Boards(
  new URL(document.documentElement.dataset.base ?? "/", location.href),
);

/** @param {string | null} text @returns {string} an id, or "" */
const idIn = (text) => (text !== null && ID.test(text) ? text : "");

function known() {
  const asked = idIn(new URLSearchParams(location.search).get("me"));
  if (asked) return asked;
  try {
    return idIn(localStorage.getItem(KEY));
  } catch {
    return ""; // storage may be forbidden
  }
}

/**
 * The id of the player who is looking, "" for none, and how to say who it is. The address has it,
 * so that it can be passed on, and the browser remembers it.
 *
 * @returns {[string, (id: string) => void]}
 */
export function useMe() {
  const [me, setMe] = useState(known);
  const tell = useCallback((/** @type {string} */ id) => {
    const query = new URLSearchParams(location.search);
    if (id) query.set("me", id);
    else query.delete("me");
    history.replaceState(null, "", `?${query}`);
    try {
      if (id) localStorage.setItem(KEY, id);
      else localStorage.removeItem(KEY);
    } catch {
      // as above
    }
    setMe(id);
  }, []);
  return [me, tell];
}

/**
 * Where a player stands, live.
 *
 * @param {string} board
 * @param {string} player  "" for none
 * @returns {import("../player-stream.js").Place | "nobody" | null} null while it is not known
 */
export function usePlace(board, player) {
  const [place, setPlace] = useState(null);
  useEffect(() => {
    setPlace(null);
    if (!board || !player) return undefined;
    const stream = boards.watchPlayer(board, player);
    stream.addEventListener("rank", ({ detail }) => {
      setPlace(detail.rank === null ? "nobody" : detail); // no score yet in a new season
    });
    stream.addEventListener("gone", () => setPlace("nobody"));
    stream.addEventListener("state", () => {
      if (stream.state === "missing") setPlace("nobody");
    });
    return () => stream.close();
  }, [board, player]);
  return place;
}
