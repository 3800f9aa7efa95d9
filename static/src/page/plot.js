/** Where things stand in the chart: lines, the ticks of its axis and their labels. */

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
export function ticks(low, high, count) {
  if (low === high) return [low];
  const raw = (high - low) / count;
  const magnitude = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((n) => n * magnitude >= raw) * magnitude;
  const first = Math.ceil(low / step);
  const found = Array.from({ length: 2 * count }, (_, i) => (first + i) * step);
  // Near 2^53 a step may be too small to move a number.
  return [...new Set(found)].filter((tick) => tick >= low && tick <= high);
}

/** Longer labels of an axis are written shorter, if that says the same. */
const FULL_LABEL = 7;

/**
 * What to write beside `values`: the shortest of 1K, 1.5K, 1,520 that says each of them exactly, so
 * that those of a close race differ.
 *
 * @param {number[]} values
 * @param {string} [locale]
 * @returns {string[]}
 */
export function axisLabels(values, locale) {
  const written = (options) => {
    const format = new Intl.NumberFormat(locale, options);
    return values.map((value) => format.format(value));
  };
  const compact = (digits) => written({ notation: "compact", maximumFractionDigits: digits });
  const full = written({ maximumFractionDigits: 12 });
  const exact = compact(12);
  for (const digits of [0, 1, 2, 3]) {
    if (digits > 1 && full.every((label) => label.length <= FULL_LABEL)) break;
    const labels = compact(digits);
    if (labels.every((label, i) => label === exact[i])) return labels;
  }
  return full;
}

/** `wanted` positions in ascending order, moved apart to be `gap` from each other up to `last`. */
export function spread(wanted, gap, last) {
  const placed = [];
  for (const position of wanted) {
    placed.push(Math.max(position, (placed.at(-1) ?? -Infinity) + gap));
  }
  let limit = last;
  for (let i = placed.length - 1; i >= 0; i -= 1) {
    placed[i] = Math.min(placed[i], limit);
    limit = placed[i] - gap;
  }
  return placed;
}
