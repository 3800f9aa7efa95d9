import { text } from "./texts.js";

/** What the page shows of a board's past: the last hour, and the ranks before it. */

/** How far back the scrubber goes, and how long ago the ranks are of that rows are compared with. */
export const HOUR = 3_600_000;
/** How fast the past is played: the hour in a minute. */
export const SPEED = 60;

/** How long ago `ms` is, for people. */
export function ago(ms) {
  const seconds = Math.round(ms / 1_000);
  if (seconds < 1) return text("now");
  if (seconds < 60) return text("seconds_ago", { count: seconds });
  const minutes = Math.floor(seconds / 60);
  const rest = seconds % 60;
  return rest && minutes < 10
    ? text("minutes_seconds_ago", { count: minutes, seconds: rest })
    : text("minutes_ago", { count: minutes });
}

/**
 * How many places `rank` is better than `before`; 0 where nobody knows that it is another one.
 *
 * @param {number} rank
 * @param {number | null | undefined} before
 * @returns {number}
 */
export function risen(rank, before) {
  return typeof before === "number" ? before - rank : 0;
}
