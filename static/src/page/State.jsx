import { text, time } from "./texts.js";

/** What is said of each state by the table that the component has, too, under other names. */
const OWN = { polling: "state_polling", missing: "state_missing", refused: "state_refused" };

/**
 * How the board is listened to, and while nothing comes through, how old it is. Screen readers hear
 * of it from the Announcer.
 */
export function State({ state, updated, lost }) {
  return (
    <div className="connection">
      <p className="state" data-state={state} title={text(`why_${state}`)}>
        <span className="lamp" aria-hidden="true" />
        {text(OWN[state] ?? state)}
      </p>
      {lost !== null && (
        <p className="as-of">
          {updated !== null && <span>{text("as_of", { time: time(updated) })}, </span>}
          <span>{text("offline_since", { time: time(lost) })}</span>
        </p>
      )}
    </div>
  );
}
