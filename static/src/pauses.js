/**
 * How long to wait before something is tried again.
 *
 * @typedef {{retryMin: number, retryMax: number, random: () => number}} Pauses  in milliseconds, and
 *   what draws the jitter, from 0 to 1
 */

/**
 * The pause before attempt number `n`, from 1: between once and three times `retryMin`, then more.
 *
 * @param {number} n
 * @param {Pauses} pauses
 * @param {number} [draw]  a random number that others have drawn, too
 */
export function backoff(n, pauses, draw) {
  const { retryMin, retryMax, random } = pauses;
  if (n <= 1) return retryMin * (1 + 2 * (draw ?? random())); // as the server's own `retry:` is drawn
  return jitter(Math.min(retryMax, retryMin * 2 ** n), pauses);
}

/** Half of `time` to all of it. @param {number} time @param {Pick<Pauses, "random">} pauses */
export const jitter = (time, { random }) => time * (0.5 + 0.5 * random());

/** @param {number} time @returns {Promise<void>} */
export const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

/**
 * Waits for `time`, to be woken, or until `signal`.
 *
 * @param {number} time
 * @param {AbortSignal} signal
 * @param {(wake: () => void) => void} wakeable  gets what ends the wait, and at its end what does
 *   nothing
 * @returns {Promise<void>}
 */
export function pause(time, signal, wakeable) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      wakeable(() => {});
      resolve();
    };
    const timer = setTimeout(end, time);
    signal.addEventListener("abort", end);
    wakeable(end);
  });
}
