/**
 * The scores of the last minutes, for the chart: snapshots `{time, scores}` in the order of time,
 * `scores` a Map from player id to score. Times are in milliseconds, by the server's clock.
 */

/** How far back the chart goes, and how far at least, though there be nothing to show yet. */
export const SPAN = 5 * 60_000;
export const LEAST_SPAN = 60_000;

/**
 * Of three snapshots within this the middle one goes, which bounds how many there are:
 * 2 * SPAN / GRAIN, and one from before.
 */
export const GRAIN = 500;

/**
 * The most scores of all snapshots together, about: of a board that shows many players there are
 * fewer snapshots.
 */
export const MOST_SCORES = 20_000;

/** The time in an event id, `{ms}-{n}`; null if there is none, as in `0-0`. */
export function timeOf(id) {
  const match = /^([1-9]\d{0,14})-\d+$/.exec(id ?? "");
  return match ? Number(match[1]) : null;
}

/** `snapshots` and one of `players` at `time`, without what has become too old to be seen. */
export function record(snapshots, time, players) {
  const last = snapshots.at(-1);
  if (last && time < last.time) return snapshots; // older than what is known already
  const scores = new Map(players.map(({ id, score }) => [id, score]));
  const before = snapshots.at(-2);
  const grain = Math.max(GRAIN, (2 * SPAN * players.length) / MOST_SCORES);
  const merges = before && time - before.time < grain;
  const kept = [...(merges ? snapshots.slice(0, -1) : snapshots), { time, scores }];
  let first = 0;
  while (first + 1 < kept.length && kept[first + 1].time <= time - SPAN) first += 1;
  return kept.slice(first);
}

/** What `logged`, the snapshots of the replay log, and `seen`, those of this page, tell together. */
export function merge(logged, seen) {
  const all = [...logged, ...seen].toSorted((a, b) => a.time - b.time); // stable: seen after logged
  let snapshots = [];
  for (const { time, scores } of all) {
    const players = [...scores].map(([id, score]) => ({ id, score }));
    if (snapshots.at(-1)?.time === time) snapshots = snapshots.slice(0, -1); // one event, told twice
    snapshots = record(snapshots, time, players);
  }
  return snapshots;
}
