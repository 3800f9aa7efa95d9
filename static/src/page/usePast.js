import { useCallback, useEffect, useRef, useState } from "react";
import { Replay } from "../replay.js";
import { historyPath } from "./api.js";
import { HOUR, SPEED } from "./past.js";
import { readingToken } from "./token.js";

/** How often the position is shown while it plays. */
const STEP = 200;

const PRESENT = { frame: null, position: null, playing: false, loading: false, failed: false };

/**
 * The last hour of a board, to be moved in. While nobody does, it is the present.
 *
 * @param {string} id     of the board
 * @param {number} ahead  milliseconds from the server's clock to this one
 */
export function usePast(id, ahead) {
  const replay = useRef(null);
  const [past, setPast] = useState(PRESENT);

  const live = useCallback(() => {
    replay.current?.close();
    replay.current = null;
    setPast(PRESENT);
  }, []);
  useEffect(() => live, [id, live]);

  const begin = useCallback(
    (from) => {
      const to = Math.floor(Date.now() - ahead);
      const hour = { from: to - HOUR, to, speed: SPEED, paused: true };
      const begun = new Replay(historyPath(id), { ...hour, token: readingToken });
      replay.current = begun;
      begun.seek(from === undefined ? begun.from : to - from);
      const show = () => {
        if (replay.current !== begun) return;
        if (begun.state === "ended") {
          live();
          return;
        }
        setPast({
          frame: begun.frame,
          position: begun.to - begun.position,
          playing: begun.state === "playing",
          loading: begun.state === "loading",
          failed: begun.state === "failed",
        });
      };
      begun.addEventListener("update", show);
      begun.addEventListener("state", show);
      return begun;
    },
    [id, ahead, live],
  );

  useEffect(() => {
    if (!past.playing) return undefined;
    const timer = setInterval(() => {
      const { current } = replay;
      if (!current) return;
      const position = current.to - current.position;
      setPast((now) => (now.playing ? { ...now, frame: current.frame, position } : now));
    }, STEP);
    return () => clearInterval(timer);
  }, [past.playing]);

  /** Shows what was `before` ms ago; 0 is the present. */
  const seek = (before) => {
    if (before <= 0) return live();
    const current = replay.current ?? begin(before);
    current.pause();
    current.seek(current.to - before);
    const loading = current.state === "loading";
    setPast((now) => ({ ...now, frame: current.frame, position: before, playing: false, loading }));
  };
  const toggle = () => {
    const current = replay.current ?? begin();
    if (past.playing) current.pause();
    else current.play();
  };
  const isPast = past.position !== null;
  const isUnknown = isPast && !past.frame && !past.loading;
  return { ...past, isPast, isUnknown, seek, toggle, live };
}
