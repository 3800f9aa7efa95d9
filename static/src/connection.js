/**
 * One connection of a stream: from when it is opened to when it breaks, is refused, expires or is found
 * to be held back somewhere.
 *
 * @typedef {"broken" | "refused" | "held back" | "expired"} End
 *
 * @typedef {object} Listener  whom the connection is for
 * @property {() => Promise<{newer: boolean, take: () => void}>} check  polls: whether there is
 *   something newer than what has come, and what takes it
 * @property {() => void} opened
 * @property {(event: string, message: MessageEvent) => void} heard
 * @property {() => void} expired  what let it in is no longer good
 * @property {(wake: () => void) => void} wakeable  gets what has the connection checked at once, and at
 *   its end what does nothing
 */

import { sleep } from "./pauses.js";

/**
 * Listens to a stream until it ends, and checks it by a poll where it is quiet.
 *
 * @param {EventTarget & {close: () => void, readyState: number, CLOSED: number}} source
 * @param {import("./stream-options.js").Kind} kind
 * @param {{silence: number, checkEvery: number}} options
 * @param {AbortSignal} signal  closes it
 * @param {Listener} listener
 * @returns {Promise<End>}
 */
export function untilItEnds(source, kind, { silence, checkEvery }, signal, listener) {
  return new Promise((resolve) => {
    let open = false;
    let heard = 0; // events
    let ended = false;
    let quiet = silence;
    let checking = false;
    /** @type {ReturnType<typeof setTimeout>} */
    let timer;

    /** @param {End} how */
    const end = (how) => {
      ended = true;
      clearTimeout(timer);
      source.close();
      signal.removeEventListener("abort", abort);
      listener.wakeable(() => {});
      resolve(how);
    };
    const abort = () => end("broken");
    const check = async () => {
      clearTimeout(timer);
      if (checking) return;
      checking = true;
      const heardBefore = heard;
      try {
        const { newer, take } = await listener.check();
        if (newer) await sleep(kind.grace); // the stream may bring them this instant
        if (ended) return;
        if (heard === heardBefore && (newer || !open)) {
          end("held back");
          take();
          return;
        }
      } catch {
        if (!ended) end("broken");
        return;
      } finally {
        checking = false;
      }
      quiet = Math.min(2 * quiet, checkEvery);
      timer = setTimeout(check, quiet);
    };
    /** @param {string} type @param {(message: MessageEvent) => void} hear */
    const on = (type, hear) =>
      source.addEventListener(type, /** @type {EventListener} */ (/** @type {unknown} */ (hear)));

    signal.addEventListener("abort", abort);
    // A stream that has not spoken yet is checked soon enough as it is.
    listener.wakeable(() => void (heard > 0 && check()));
    for (const type of [kind.event, ...kind.others]) {
      on(type, (message) => {
        if (ended) return;
        heard += 1;
        quiet = checkEvery;
        clearTimeout(timer);
        timer = setTimeout(check, quiet);
        listener.heard(type, message);
      });
    }
    on("expired", () => {
      listener.expired();
      if (!ended) end("expired");
    });
    source.addEventListener("open", () => {
      open = true;
      listener.opened();
    });
    source.addEventListener("error", () => {
      if (!ended) end(source.readyState === source.CLOSED ? "refused" : "broken");
    });
    timer = setTimeout(check, quiet);
  });
}
