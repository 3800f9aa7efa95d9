/** No bar is shorter than this, so that each row shows its colour. */
const LEAST = 0.01;

/**
 * How long the bars of `scores`, best first, are, from 0 to 1: in proportion to the scores where
 * these are on one side of zero, turned round where the best is the one that is closest to it. Where
 * there are scores on both sides, from the worst to the best.
 *
 * @param {number[]} scores
 * @returns {number[]}
 */
export function shares(scores) {
  const [best, worst] = [scores[0], scores.at(-1)];
  /** @param {number} score */
  const share = (score) => {
    if (score === best) return 1;
    if (Math.min(best, worst) < 0 && Math.max(best, worst) > 0) return (score - worst) / (best - worst);
    return Math.abs(best) > Math.abs(worst) ? score / best : best / score;
  };
  return scores.map((score) => Math.max(LEAST, share(score)));
}
