import { memo, useEffect } from "react";
import { HOUR, ago } from "./past.js";
import { text } from "./texts.js";
import { usePast } from "./usePast.js";

const SECOND = 1_000;

/**
 * Moves in the last hour of a board, or plays it. `onPast` is told what to show in place of the
 * present: `{board, failed}`, `board` null where it is not known; null for the present.
 */
export default memo(Scrubber);

function Scrubber({ board, ahead, onPast }) {
  const past = usePast(board, ahead);
  const { isPast, isUnknown, failed, playing, position } = past;
  const was = past.frame?.board ?? null;
  useEffect(() => {
    onPast(was || isUnknown ? { board: was, failed } : null);
  }, [onPast, was, isUnknown, failed]);
  useEffect(() => () => onPast(null), [onPast]);
  const told = isPast ? ago(position) : text("now");
  return (
    <div className="scrubber" data-past={isPast || undefined}>
      <button type="button" className="icon" onClick={past.toggle}>
        <span className="spoken">{text(playing ? "past_pause" : "past_play")}</span>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d={playing ? "M8 5v14M16 5v14" : "M8 5l11 7-11 7z"} />
        </svg>
      </button>
      <input
        type="range"
        min={-HOUR}
        max={0}
        step={SECOND}
        value={isPast ? -position : 0}
        onChange={({ target }) => past.seek(-target.valueAsNumber)}
        aria-label={text("past_hour")}
        aria-valuetext={told}
      />
      <output>{told}</output>
      {isPast && (
        <button type="button" className="plain" onClick={past.live}>
          {text("past_back")}
        </button>
      )}
    </div>
  );
}
