import { useEffect, useRef, useState } from "react";
import { wallIn } from "./wall.js";

/**
 * Shows one board after the other where the address asks for it.
 *
 * @param {string} shown  the board that is shown
 * @param {(board: string) => void} choose
 */
export function useWall(shown, choose) {
  const [{ on, boards, every }] = useState(() => wallIn(location.search));
  const latest = useRef({ shown, choose });
  latest.current = { shown, choose };
  useEffect(() => {
    if (!on || boards.length < 2) return undefined;
    const timer = setInterval(() => {
      const at = boards.indexOf(latest.current.shown);
      latest.current.choose(boards[(at + 1) % boards.length]);
    }, every * 1_000);
    return () => clearInterval(timer);
  }, [on, boards, every]);
}
