/** No bar is shorter than this, so that each row shows its colour. */
const LEAST = 0.01;

/**
 * How long the bars of `scores`, best first, are, from 0 to 1: in proportion to the scores where
 * these are above zero, and to how close they are to zero where all are below it. Where there are
 * both, from the worst to the best.
 *
 * @param {number[]} scores
 * @returns {number[]}
 */
export function shares(scores) {
  const [best, worst] = [scores[0], scores.at(-1)];
  const share = (score) => {
    if (score === best) return 1;
    if (worst >= 0) return score / best;
    if (best < 0) return best / score;
    return (score - worst) / (best - worst);
  };
  return scores.map((score) => Math.max(LEAST, share(score)));
}
