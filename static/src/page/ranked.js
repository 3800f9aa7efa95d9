import { shares } from "./shares.js";
import { sizeOf } from "./row.js";
import { number, text } from "./texts.js";

/**
 * What the rows of a board show of its players.
 *
 * @param {import("../board-stream.js").Player[]} players  best first
 */
export function ranked(players) {
  const lengths = shares(players.map(({ score }) => score));
  let rank = 0;
  return players.map(({ id, name, score }, i) => {
    // Equal scores share a rank: one more than the number of players with a better score.
    if (score !== players[i - 1]?.score) rank = i + 1;
    const written = number(score);
    return {
      id,
      name,
      value: score,
      place: String(rank),
      rank: number(rank),
      rankWord: text("rank"),
      score: written,
      size: sizeOf(written),
      gap: gapOf(score, players[i - 1]?.score, players[i + 1]?.score),
      share: lengths[i],
    };
  });
}

/**
 * How a player stands to the next ones, who may not be there. Which scores are better, the board
 * says; what is missing is never below zero.
 *
 * @param {number} score
 * @param {number | undefined} ahead
 * @param {number | undefined} behind
 */
function gapOf(score, ahead, behind) {
  const next = ahead ?? behind;
  if (next === undefined) return "";
  const points = Math.abs(next - score);
  if (points === 0) return text("level");
  return text(ahead === undefined ? "leads" : "behind", { points });
}
