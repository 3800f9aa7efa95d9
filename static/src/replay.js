import { absolute, withQuery } from "./addresses.js";
import { CustomEvent, Event, EventTarget } from "./events.js";
import { send } from "./requests.js";

/**
 * @typedef {import("./board-stream.js").Board} Board
 *
 * @typedef {"loading"   // waits for the server
 *   | "playing"
 *   | "paused"          // by pause(), or not yet begun
 *   | "ended"           // has come to the end
 *   | "failed"          // the server refuses; `replay.error` says why
 *   | "closed"          // close() was called
 * } ReplayState
 *
 * @typedef {object} ReplayOptions  Points in time are dates, or milliseconds since 1970.
 * @property {Date | number} [from]  where it begins; an hour before `to` by default
 * @property {Date | number} [to]    where it ends; now by default
 * @property {number} [speed]        how many times as fast as it was. 1.
 * @property {boolean} [paused]      begin paused. false.
 * @property {import("./requests.js").RequestOptions["token"]} [token]
 * @property {boolean} [withCredentials]
 * @property {typeof globalThis.fetch} [fetch]
 *
 * @typedef {{time: number, id: string, board: Board}} Frame  what the board was from `time` on
 *
 * @typedef {object} Piece  the frames of a part of the time
 * @property {number} from
 * @property {number} to       where the next piece begins
 * @property {number} speed    up to what this is as exact as can be shown
 * @property {Frame[]} frames  in the order of time; the first may be from before `from`
 *
 * @typedef {object} ReplayEvents
 * @property {CustomEvent<Frame>} update
 * @property {Event} state
 */

/** Points that one piece is asked for. */
const POINTS = 200;
/** How long one of them is shown at least, in milliseconds. */
const SHOWN = 80;
/** Pieces that are kept: those that were played last, or sought. */
const KEPT = 8;
/** An hour. */
const USUAL_SPAN = 3_600_000;

/**
 * Plays what a board was, at any speed.
 *
 *     const replay = new Replay("/boards/race/history/", { from: Date.now() - 600_000, speed: 20 });
 *     replay.addEventListener("update", ({ detail }) => show(detail.board, detail.time));
 *     replay.pause();
 *     replay.seek(Date.now() - 300_000);
 *     replay.play();
 *
 * Dispatches
 * - `update`: `event.detail` is `{id, time, board}`, the board from `time` on, as an event told it;
 * - `state`: `replay.state` has changed.
 */
export class Replay extends EventTarget {
  #url;
  #options;
  /** @type {ReplayState} */
  #state = "paused";
  #speed;
  /** Where it was at `#since`, by the clock of this page; from there it moves while it plays. */
  #position;
  #since = Date.now();
  #wantsToPlay;
  /** @type {Piece[]} the newest last */
  #pieces = [];
  /** Where the piece begins that is being loaded. @type {number | null} */
  #loading = null;
  /** @type {Frame | null} */
  #frame = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #closed = new AbortController();

  /**
   * @param {string | URL} url  of the board's history, e.g. `/boards/race/history/`
   * @param {ReplayOptions} [options]
   */
  constructor(url, options = {}) {
    super();
    const { to = Date.now(), speed = 1, paused = false } = options;
    this.#url = absolute(url);
    this.#options = options;
    /** Where it ends, in milliseconds since 1970. */
    this.to = Number(to);
    /** Where it begins. */
    this.from = Number(options.from ?? this.to - USUAL_SPAN);
    if (!(this.from < this.to)) throw new RangeError("from has to be before to");
    /** What went wrong where `state` is `failed`. @type {unknown} */
    this.error = undefined;
    this.#position = this.from;
    this.#speed = checked(speed);
    this.#wantsToPlay = !paused;
    this.#go();
  }

  /**
   * @template {keyof ReplayEvents} T
   * @param {T} type
   * @param {((event: ReplayEvents[T]) => void) | {handleEvent: (event: ReplayEvents[T]) => void} | null} listener
   * @param {boolean | import("./stream-options.js").ListenerOptions} [options]
   * @override
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  get state() {
    return this.#state;
  }

  /** Where it is, in milliseconds since 1970. */
  get position() {
    if (this.#state !== "playing") return this.#position;
    const played = (Date.now() - this.#since) * this.#speed;
    return Math.min(this.#position + played, this.to);
  }

  /** What `update` told last; null where nothing is known of the time that it is at. */
  get frame() {
    return this.#frame;
  }

  /** How many times as fast as it was. */
  get speed() {
    return this.#speed;
  }

  set speed(speed) {
    this.#move(this.position);
    this.#speed = checked(speed);
    this.#pieces = this.#pieces.filter((piece) => piece.speed <= speed); // others are too coarse
    this.#go();
  }

  /** Goes on; from the beginning, if it has ended. */
  play() {
    if (this.#state === "ended") this.#move(this.from);
    if (this.#state === "failed") this.#state = "paused"; // and is tried again
    this.#wantsToPlay = true;
    this.#go();
  }

  pause() {
    this.#move(this.position);
    this.#wantsToPlay = false;
    this.#go();
  }

  /** Goes on, or stays, at another time. @param {Date | number} time */
  seek(time) {
    const wanted = Number(time);
    if (Number.isNaN(wanted)) throw new RangeError(`${time} is no time`);
    this.#move(Math.min(Math.max(wanted, this.from), this.to));
    this.#go();
  }

  /** Ends it for good. */
  close() {
    this.#move(this.position);
    clearTimeout(this.#timer);
    this.#closed.abort();
    this.#become("closed");
  }

  /** @param {number} position */
  #move(position) {
    this.#position = position;
    this.#since = Date.now();
  }

  /** @param {ReplayState} state */
  #become(state) {
    if (this.#state === state) return;
    this.#move(this.position);
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }

  /** Shows what is to be seen, and sees to it that it goes on. */
  #go() {
    clearTimeout(this.#timer);
    if (this.#closed.signal.aborted) return;
    const position = this.position;
    const piece = this.#pieces.find(({ from, to }) => from <= position && position < to);
    if (!piece && position < this.to) {
      this.#load(position, "loading");
      return;
    }
    // At the very end the last piece has what it comes to.
    const last = piece ?? this.#pieces.find(({ to }) => to >= this.to);
    if (!last) {
      this.#load(this.to - 1, "loading");
      return;
    }
    const next = this.#show(last, position);
    // Listeners may have moved it.
    if (this.#closed.signal.aborted) return;
    if (!this.#wantsToPlay) {
      this.#become("paused");
      return;
    }
    if (position >= this.to) {
      this.#move(this.to);
      this.#wantsToPlay = false;
      this.#become("ended");
      return;
    }
    this.#become("playing");
    const until = Math.min(next, last.to, this.to);
    const wait = Math.max((until - this.position) / this.#speed, 0);
    this.#timer = setTimeout(() => this.#go(), Math.min(Math.ceil(wait), 2 ** 31 - 1));
    // What comes behind this piece is there in time.
    const following = last.to;
    if (following < this.to && !this.#pieces.some(({ from }) => from === following)) {
      this.#load(following, null);
    }
  }

  /**
   * Dispatches the newest frame of `position`, unless it was the last one that was.
   *
   * @param {Piece} piece
   * @param {number} position
   * @returns {number} when the next one is
   */
  #show({ frames }, position) {
    let i = frames.findIndex(({ time }) => time > position);
    if (i < 0) i = frames.length;
    const next = frames[i]?.time ?? Infinity;
    const before = this.#frame;
    this.#frame = frames[i - 1] ?? null;
    if (this.#frame && this.#frame.id !== before?.id) {
      this.dispatchEvent(new CustomEvent("update", { detail: this.#frame }));
    }
    return next;
  }

  /**
   * Loads the piece that begins at `from`, one at a time, and goes on then.
   *
   * @param {number} from
   * @param {ReplayState | null} state  what it is meanwhile; null: what it is
   */
  #load(from, state) {
    if (state) this.#become(state);
    if (this.#loading !== null) return;
    this.#loading = from;
    this.#fetch(from).then(
      () => {
        this.#loading = null;
        this.#go();
      },
      (error) => {
        this.#loading = null;
        if (this.#closed.signal.aborted || this.#state !== "loading") return; // not needed yet
        if (this.#position < from) {
          this.#go(); // another piece is needed by now
          return;
        }
        this.error = error;
        this.#wantsToPlay = false;
        this.#become("failed");
      },
    );
  }

  /** @param {number} from */
  async #fetch(from) {
    const { token, fetch, withCredentials } = this.#options;
    const speed = this.#speed;
    const span = Math.ceil(POINTS * Math.max(SHOWN * speed, 1));
    const to = Math.min(from + span, this.to);
    const query = { from: Math.floor(from), to: Math.floor(to), points: POINTS };
    /** @type {Frame[]} */
    const frames = [];
    let address = withQuery(this.#url, query);
    for (;;) {
      const options = { token, fetch, withCredentials, signal: this.#closed.signal };
      const answer = await send(address, { method: "GET" }, options);
      for (const { id, time, data } of answer.json().boards) {
        if (frames.at(-1)?.id !== id) frames.push({ id, time: Date.parse(time), board: data });
      }
      const next = /<([^>]*)>; *rel="next"/.exec(answer.headers.get("Link") ?? "")?.[1];
      if (!next) break;
      address = absolute(next, address);
    }
    this.#pieces = [...this.#pieces.slice(1 - KEPT), { from, to, speed, frames }];
  }
}

/** @param {number} speed */
function checked(speed) {
  if (!(speed > 0 && speed < Infinity)) throw new RangeError(`${speed} is no speed; such as 10`);
  return speed;
}
