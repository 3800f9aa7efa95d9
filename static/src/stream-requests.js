/** The requests for the events of one address: streams, polls, and what lets them in. */

import { absolute, originOf, pathOf, withQuery } from "./addresses.js";
import { secretOf } from "./credentials.js";

/**
 * @typedef {import("./stream-options.js").Answer} Answer
 * @typedef {typeof import("./stream-options.js").DEFAULTS & {fetch: typeof globalThis.fetch} &
 *   import("./stream-options.js").Options} Settled  options with what holds where nothing else is said
 *
 * @typedef {{query: Record<string, string>, headers: Record<string, string>}} Pass  what lets in
 */

/** Of who needs none. @type {Pass} */
export const NO_PASS = { query: {}, headers: {} };

/** How much longer than asked for a poll may take before it counts as lost. */
const POLL_GRACE = 10_000;

/** An answer that is no success. `retryAfter` is in milliseconds, 0 if the server named no time. */
export class PollError extends Error {
  /** @param {number} status @param {number} retryAfter */
  constructor(status, retryAfter = 0) {
    super(`the server answered ${status}`);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Makes the requests of one stream; several at a time. */
export class StreamRequests {
  #url;
  #options;
  /** Whether what let the last request in is no longer good. */
  renew = false;

  /** @param {string} url  of the events @param {Settled} options */
  constructor(url, options) {
    this.#url = url;
    this.#options = options;
  }

  /**
   * Whether an event gets through a stream within `silence`: asked without an id, the server sends
   * the board as it is at once.
   *
   * @param {typeof globalThis.EventSource} EventSource
   * @param {string} event  the type of the one that says how things stand
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>}
   */
  async works(EventSource, event, signal) {
    const pass = await this.pass(signal, EventSource);
    if (signal.aborted) return false;
    return new Promise((resolve) => {
      const source = this.open(EventSource, pass.query, pass.headers);
      /** @param {boolean} works */
      const end = (works) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
        source.close();
        resolve(works);
      };
      const abort = () => end(false);
      const timer = setTimeout(abort, this.#options.silence);
      signal.addEventListener("abort", abort);
      source.addEventListener(event, () => end(true));
      source.addEventListener("error", abort);
    });
  }

  /**
   * One long-poll.
   *
   * @param {string} since  the last event id, "" for none
   * @param {number} wait   in milliseconds
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   * @throws {PollError} if the answer is no success; what `fetch` throws, if there was none
   */
  async ask(since, wait, signal) {
    const timeout = new AbortController();
    const abort = () => timeout.abort();
    const timer = setTimeout(abort, wait + POLL_GRACE);
    signal.addEventListener("abort", abort);
    try {
      const { query, headers } = await this.pass(timeout.signal);
      const answer = await this.#fetch(
        this.address({ since, wait: String(wait / 1_000), ...query }),
        { headers: { Accept: "application/json", ...headers }, signal: timeout.signal },
      );
      return await answer.json();
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Whether somebody has to be asked for what lets requests in. */
  get needsPass() {
    return Boolean(this.#options.token || this.#options.ticket);
  }

  /**
   * What lets one request in; nothing where everybody is let in.
   *
   * @param {AbortSignal} signal
   * @param {typeof globalThis.EventSource} [streaming]  what is to stream, if it is no poll
   * @returns {Promise<Pass>}
   * @throws {PollError} if the server gives no ticket; what the page's own function throws
   */
  async pass(signal, streaming) {
    if (!this.needsPass) return NO_PASS;
    const { token, ticket } = this.#options;
    const asked = { renew: this.renew };
    if (ticket) return { query: { ticket: await ticket(asked) }, headers: {} };
    const text = await secretOf(token, asked);
    if (!text) return NO_PASS;
    const headers = { Authorization: `Bearer ${text}` };
    // An EventSource of the browser can set no header.
    if (!streaming || "takesHeaders" in streaming) return { query: {}, headers };
    try {
      const answer = await this.#fetch(this.#tickets(), { method: "POST", headers, signal });
      return { query: { ticket: (await answer.json()).ticket }, headers: {} };
    } catch (error) {
      if (error instanceof PollError && error.status === 401) this.renew = true;
      throw error;
    }
  }

  /** Where tickets are given. @returns {string} */
  #tickets() {
    const { tickets } = this.#options;
    if (tickets) return absolute(tickets, this.#url);
    const path = pathOf(this.#url);
    const end = path.lastIndexOf("/boards/");
    return `${originOf(this.#url)}${path.slice(0, Math.max(end, 0))}/tickets/`;
  }

  /**
   * An answer that is a success.
   *
   * @param {string} url
   * @param {RequestInit} init
   * @throws {PollError} if it is none; what `fetch` throws, if there was none
   */
  async #fetch(url, init) {
    const { fetch, withCredentials } = this.#options;
    const answer = await fetch(url, {
      cache: "no-store",
      ...(withCredentials && { credentials: "include" }),
      ...init,
    });
    if (!answer.ok) {
      const seconds = Number(answer.headers.get("Retry-After"));
      throw new PollError(answer.status, seconds > 0 ? Math.min(seconds, 3_600) * 1_000 : 0);
    }
    return answer;
  }

  /**
   * Opens a stream.
   *
   * @param {typeof globalThis.EventSource} EventSource
   * @param {Record<string, string>} query
   * @param {Record<string, string>} headers  for one that takes them
   */
  open(EventSource, query, headers) {
    const { withCredentials, fetch } = this.#options;
    const init = "takesHeaders" in EventSource ? { withCredentials, headers, fetch } : { withCredentials };
    return new EventSource(this.address(query), init);
  }

  /** Where the events are, with a query. @param {Record<string, string>} query @returns {string} */
  address(query) {
    return withQuery(this.#url, query);
  }
}
