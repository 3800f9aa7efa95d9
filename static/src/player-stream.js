/**
 * Listens to where one player stands, whatever lies between (`live-stream.js`).
 *
 *     const stream = new PlayerStream("/boards/sample/players/me/events/");
 *     stream.addEventListener("rank", ({ detail }) => show(detail.rank, detail.of, detail.to_next));
 *     stream.addEventListener("gone", () => showNobody());
 *     ...
 *     stream.close();
 */

import { LiveStream } from "./live-stream.js";

/**
 * @typedef {object} Anybody
 * @property {string} id
 * @property {string} name
 * @property {number} of     how many players the board has
 * @property {number | null} to_next  what is missing to the next better score; null for the first
 *
 * @typedef {Anybody & {score: number, rank: number}} Ranked  `rank`: 1 for the best; those with the
 *   same score share it
 * @typedef {Anybody & {score: null, rank: null}} Unranked  who has no score yet in the board's
 *   present season
 * @typedef {Ranked | Unranked} Place
 *
 * @typedef {object} PlayerEvents
 * @property {CustomEvent<Place>} rank
 * @property {CustomEvent<{id: string}>} gone
 * @property {Event} state
 */

/** @type {import("./stream-options.js").Kind} */
const PLACE = {
  event: "rank",
  detail: (_, place) => place,
  others: ["gone"],
  numbered: false,
  together: false,
  grace: 2_500, // a place is told at most once a second, and looked up by each poll
};

/**
 * Dispatches
 * - `rank`: `event.detail` is the player's place, `{id, name, score, rank, of, to_next}`, at once
 *   and then whenever something in it has changed; in a season in which the player has no score yet
 *   `score` and `rank` are null;
 * - `gone`: the player, or the board, was deleted; `rank` follows if it is made again;
 * - `state`: `stream.state` has changed.
 */
export class PlayerStream extends LiveStream {
  /**
   * Starts to listen at once.
   *
   * @param {string | URL} url  of the player's events, e.g. `/boards/sample/players/me/events/`
   * @param {import("./stream-options.js").Options} [options]
   */
  constructor(url, options = {}) {
    super(url, options, PLACE);
  }

  /**
   * @template {keyof PlayerEvents} T
   * @param {T} type
   * @param {((event: PlayerEvents[T]) => void) | {handleEvent: (event: PlayerEvents[T]) => void} | null} listener
   * @param {boolean | import("./stream-options.js").ListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }
}
