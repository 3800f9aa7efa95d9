/**
 * Listens to one board of tornado_board, whatever lies between (`live-stream.js`).
 *
 *     const stream = new BoardStream("/boards/sample/events/");
 *     stream.addEventListener("update", (event) => show(event.detail.board));
 *     stream.addEventListener("state", () => showState(stream.state));
 *     ...
 *     stream.close();
 *
 * Where reading needs a token, give it, or a function that gets one. That is asked for each
 * connection and each poll, and told to renew what the server does not take any more:
 *
 *     new BoardStream(url, { token: ({ renew }) => session.token(renew) });
 *
 * No token ever stands in an address: an EventSource of a browser, which can set no header, gets a
 * ticket for it.
 */

import { LiveStream } from "./live-stream.js";
import { PollError } from "./stream-requests.js";
import { Replay } from "./replay.js";

export { PollError };

/**
 * @typedef {{id: string, name: string, score: number, meta?: Record<string, unknown>}} Player  `meta`
 *   where the board shows it
 * @typedef {{number: number, started: string, ends: string | null}} Season  the present one; `ends`:
 *   when, null: when somebody ends it
 * @typedef {{id: string, name: string, season?: Season, players: Player[]}} Board  best player first
 * @typedef {import("./stream-options.js").State} State
 * @typedef {import("./stream-options.js").Options} Options
 *
 * @typedef {object} BoardEvents
 * @property {CustomEvent<{id: string, board: Board}>} update
 * @property {CustomEvent<Omit<Board, "season"> & {season: {number: number, started: string, ended: string}}>} season
 * @property {CustomEvent<{reason: string}>} reset
 * @property {Event} state
 */

/** @type {import("./stream-options.js").Kind} */
const BOARD = {
  event: "update",
  detail: (id, board) => ({ id, board }),
  others: ["reset", "season"],
  numbered: true,
  together: true,
  grace: 500,
};

/**
 * Dispatches
 * - `update`: `event.detail` is `{id, board}`, the board as it stands after event `id`;
 * - `season`: `event.detail` is the final board of a season that is over; the new one's `update`
 *   follows;
 * - `reset`: `event.detail` is `{reason}`: events were missed for good; the board follows;
 * - `state`: `stream.state` has changed.
 */
export class BoardStream extends LiveStream {
  #url;
  #options;

  /**
   * Starts to listen at once.
   *
   * @param {string | URL} url  of the board's events, e.g. `/boards/sample/events/`
   * @param {Options} [options]
   */
  constructor(url, options = {}) {
    super(url, options, BOARD);
    this.#url = String(url);
    this.#options = options;
  }

  /**
   * Plays what the board was, at any speed; `update` events of what this returns tell it. This
   * stream goes on meanwhile.
   *
   *     const replay = stream.replay({ from: Date.now() - 600_000, speed: 20 });
   *     replay.addEventListener("update", ({ detail }) => show(detail.board, detail.time));
   *
   * @param {import("./replay.js").ReplayOptions} [options]
   * @returns {Replay}
   */
  replay(options = {}) {
    const url = this.#url.replace(/(\/boards\/[^/?#]+)\/.*$/s, "$1/history/");
    const { token, fetch, withCredentials } = this.#options;
    return new Replay(url, { token, fetch, withCredentials, ...options });
  }

  /**
   * @template {keyof BoardEvents} T
   * @param {T} type
   * @param {((event: BoardEvents[T]) => void) | {handleEvent: (event: BoardEvents[T]) => void} | null} listener
   * @param {boolean | import("./stream-options.js").ListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }
}
