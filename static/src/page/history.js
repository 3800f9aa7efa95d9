/**
 * The scores of the last minutes, for the chart: snapshots `{time, scores}` in the order of time,
 * `scores` a Map from player id to score. Times are in milliseconds, by the server's clock.
 */

/** How far back the chart goes. */
export const SPAN = 5 * 60_000;

/**
 * Of three snapshots within this the middle one goes, which bounds how many there are:
 * 2 * SPAN / GRAIN, and one from before.
 */
export const GRAIN = 500;

/** The time in an event id, `{ms}-{n}`; null if there is none. */
export function timeOf(id) {
  const match = /^(\d{1,15})-\d+$/.exec(id ?? "");
  return match ? Number(match[1]) : null;
}

/** `snapshots` and one of `players` at `time`, without what has become too old to be seen. */
export function record(snapshots, time, players) {
  const last = snapshots.at(-1);
  if (last && time < last.time) return snapshots; // older than what is known already
  const scores = new Map(players.map(({ id, score }) => [id, score]));
  const before = snapshots.at(-2);
  const merges = before && time - before.time < GRAIN;
  const kept = [...(merges ? snapshots.slice(0, -1) : snapshots), { time, scores }];
  let first = 0;
  while (first + 1 < kept.length && kept[first + 1].time <= time - SPAN) first += 1;
  return kept.slice(first);
}

/**
 * The lines of `player` from `from` to `now`: runs of `{time, score}`, one run for each stretch in
 * which the player was seen on the board. A score holds until the next snapshot.
 */
export function runs(snapshots, player, from, now) {
  const lines = [];
  let line = null;
  snapshots.forEach(({ time, scores }, i) => {
    const until = Math.min(snapshots[i + 1]?.time ?? now, now);
    if (until < from) return;
    if (!scores.has(player)) {
      line = null;
      return;
    }
    const score = scores.get(player);
    if (!line) lines.push((line = []));
    if (line.at(-1)?.score !== score) line.push({ time: Math.max(time, from), score });
    // The end of the run moves on until the score changes or the player leaves.
    line.end = until;
  });
  return lines;
}

/** About `count` round numbers that cover `low` to `high`. */
export function ticks(low, high, count = 3) {
  if (low === high) return [low];
  const raw = (high - low) / count;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((n) => n * magnitude >= raw) * magnitude;
  const found = [];
  // Counted, not summed: at 2^53 a step may be too small to move a sum.
  const first = Math.ceil(low / step);
  for (let n = first; n * step <= high && found.length <= 2 * count; n += 1) found.push(n * step);
  return found;
}
