import { useEffect, useState } from "react";
import { getRanks } from "./api.js";
import { HOUR } from "./past.js";
import { useToken } from "./useToken.js";

/** How often ranks are asked for. */
const RANKS_EVERY = 60_000;

/**
 * The ranks that the best players of a board had an hour ago, as far as they are known.
 *
 * @param {string} id      of the board
 * @param {number} count   how many players are shown
 * @param {number} ahead   milliseconds from the server's clock to this one
 * @returns {Map<string, number>}
 */
export function useRanksBefore(id, count, ahead) {
  const [ranks, setRanks] = useState(new Map());
  const held = useToken();
  useEffect(() => {
    setRanks(new Map());
    if (!id || !count) return undefined;
    const gone = new AbortController();
    const ask = () => {
      if (document.hidden) return;
      getRanks(id, count, Math.floor(Date.now() - ahead - HOUR), gone.signal).then(setRanks, () => {});
    };
    ask();
    const timer = setInterval(ask, RANKS_EVERY);
    return () => {
      gone.abort();
      clearInterval(timer);
    };
  }, [id, count, ahead, held]);
  return ranks;
}
