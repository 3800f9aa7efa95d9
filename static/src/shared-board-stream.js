/**
 * One connection for all the tabs of a browser, whichever boards of a server they show.
 *
 * A browser opens at most six HTTP/1.1 connections to a host, and a stream holds one for good: the
 * seventh tab would get nothing. Here the tabs agree, by a Web Lock, on one that listens for all and
 * tells the others over a BroadcastChannel. Each says now and then which board it shows; the one
 * that listens has a `BoardStream` for each of these boards, and they share a connection
 * (`several-boards.js`). When it goes, the lock goes to the next one, which goes on after the last
 * event of each board. A tab that does not answer although it holds the lock (the browser froze it)
 * has it taken away.
 *
 * Tabs that have a token or a ticket share with those of the same board only: another tab's may not
 * be good for their board.
 */

import { BoardStream } from "./board-stream.js";
import { addressOf } from "./several-boards.js";

/**
 * @typedef {import("./board-stream.js").State} State
 * @typedef {import("./board-stream.js").Options} Options
 * @typedef {import("./board-stream.js").Board} Board
 *
 * @typedef {{id: string, board: Board}} Update
 *
 * @typedef {{type: "here", url: string, state: State, update: Update | null}  // this is how it stands
 *   | {type: "state", url: string, state: State}
 *   | {type: "update", url: string, detail: Update}
 *   | {type: "season", url: string, detail: unknown}
 *   | {type: "reset", url: string, detail: unknown}} Told  of the board with events at `url`
 *
 * @typedef {Told
 *   | {type: "begin"}                                                 // another tab listens now
 *   | {type: "hello", url: string, update: Update | null}} Message    // this is shown here
 *
 * @typedef {{stream: BoardStream, update: Update | null, heard: number}} Led  a board that this tab
 *   listens to; when a tab was heard that shows it
 *
 * @typedef {object} Sharing  Times are in milliseconds.
 * @property {number} [askEvery]     a tab says this often that it shows its board, and one of which
 *   nothing was heard for three times as long is not listened for any more. 10,000.
 * @property {number} [answerWithin] and takes over when nobody answers within this. 3,000.
 * @property {LockManager} [locks]
 * @property {typeof globalThis.BroadcastChannel} [BroadcastChannel]
 */

/**
 * Listens to a board, sharing the stream with other tabs where the browser can do that (Web Locks
 * need HTTPS or localhost). Elsewhere each tab has a stream of its own while it is shown.
 *
 * @param {string | URL} url
 * @param {Options & Sharing} [options]
 * @returns {BoardStream | SharedBoardStream}
 */
export function listen(url, options = {}) {
  const able = globalThis.navigator?.locks && globalThis.BroadcastChannel;
  return able ? new SharedBoardStream(url, options) : new BoardStream(url, options);
}

/**
 * Looks like a `BoardStream` from outside: the same events, `state`, `lastEventId` and `close()`.
 * A tab that joins, or comes back after a pause, gets the newest board but not those before it.
 */
export class SharedBoardStream extends EventTarget {
  #url;
  #options;
  #name;
  #locks;
  #BroadcastChannel;
  #askEvery;
  #answerWithin;
  #hiddenAfter;
  /** @type {State} */
  #state = "connecting";
  /** @type {Update | null} */
  #update = null;
  /** The boards by the addresses of their events, in the tab that listens. @type {Map<string, Led> | null} */
  #led = null;
  /** Open while this tab takes part. @type {BroadcastChannel | null} */
  #channel = null;
  /** Gives up the lock, or the wait for it. @type {AbortController | null} */
  #part = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** Whether it has asked, and heard nothing yet. */
  #asks = false;
  /** Whether the next board may be older than the one that is shown. */
  #anew = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiddenTimer;

  /** @param {string | URL} url @param {Options & Sharing} [options] */
  constructor(url, options = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    const alone = options.token || options.ticket || options.withCredentials;
    this.#name = `board-stream ${(!alone && addressOf(this.#url)?.address) || this.#url.href}`;
    const { locks, BroadcastChannel, askEvery, answerWithin, hiddenAfter, ...rest } = options;
    this.#locks = locks ?? globalThis.navigator.locks;
    this.#BroadcastChannel = BroadcastChannel ?? globalThis.BroadcastChannel;
    this.#askEvery = askEvery ?? 10_000;
    this.#answerWithin = answerWithin ?? 3_000;
    this.#hiddenAfter = hiddenAfter ?? 60_000;
    this.#options = { ...rest, hiddenAfter: Infinity };
    globalThis.document?.addEventListener("visibilitychange", this.#onVisibility);
    globalThis.addEventListener?.("pagehide", this.#pause);
    globalThis.addEventListener?.("pageshow", this.#onVisibility);
    this.#join();
    if (globalThis.document?.visibilityState === "hidden") this.#onVisibility();
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  get lastEventId() {
    return this.#update?.id ?? "";
  }

  /** Whether this tab is the one that listens for all. */
  get leads() {
    return this.#led !== null;
  }

  /** Leaves for good; another tab takes over if this one listened. */
  close() {
    globalThis.document?.removeEventListener("visibilitychange", this.#onVisibility);
    globalThis.removeEventListener?.("pagehide", this.#pause);
    globalThis.removeEventListener?.("pageshow", this.#onVisibility);
    clearTimeout(this.#hiddenTimer);
    this.#leave();
    this.#setState("closed");
  }

  #pause = () => {
    clearTimeout(this.#hiddenTimer);
    this.#leave();
    this.#setState("paused");
  };

  #onVisibility = () => {
    clearTimeout(this.#hiddenTimer);
    if (globalThis.document?.visibilityState === "hidden") {
      if (this.#hiddenAfter !== Infinity) {
        this.#hiddenTimer = setTimeout(this.#pause, this.#hiddenAfter);
      }
    } else if (this.#state === "paused") {
      this.#setState("connecting");
      this.#join();
    } else {
      this.#ask();
    }
  };

  #join() {
    this.#channel = new this.#BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#requestLock();
    this.#ask();
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#part?.abort();
    this.#part = null;
    this.#channel?.close();
    this.#channel = null;
  }

  /** Listens for all as soon as no other tab does; with `steal`, at once. @param {boolean} [steal] */
  #requestLock(steal = false) {
    this.#part?.abort();
    const part = new AbortController();
    this.#part = part;
    // `steal` and `signal` exclude each other; a stolen lock is granted without a wait.
    this.#locks
      .request(this.#name, steal ? { steal } : { signal: part.signal }, () => this.#lead(part.signal))
      .catch(() => {
        // Given up by ourselves, or taken away by a tab that had no answer from this one.
        if (this.#part === part) {
          part.abort();
          this.#requestLock();
          this.#ask();
        }
      });
  }

  /** Holds the lock until `signal`, or until it is stolen. @param {AbortSignal} signal */
  #lead(signal) {
    if (signal.aborted) return undefined;
    clearTimeout(this.#timer);
    this.#led = new Map();
    this.#want(this.#url.href, this.#update);
    this.#tell({ type: "begin" }); // those who show other boards say so
    this.#sweep();
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          clearTimeout(this.#timer);
          const led = this.#led;
          this.#led = null;
          for (const { stream } of led?.values() ?? []) stream.close();
          resolve();
        });
      })
    );
  }

  /**
   * Listens to the board whose events are at `url`, which is shown in some tab.
   *
   * @param {string} url
   * @param {Update | null} update  what that tab shows
   */
  #want(url, update) {
    const led = this.#led;
    if (!led) return;
    const known = led.get(url);
    if (known) {
      known.heard = Date.now();
      return;
    }
    const stream = new BoardStream(url, { ...this.#options, lastEventId: update?.id ?? "" });
    /** @type {Led} */
    const one = { stream, update, heard: Date.now() };
    led.set(url, one);
    const leads = () => this.#led === led && led.get(url) === one;
    stream.addEventListener("state", () => {
      if (leads()) this.#say({ type: "state", url, state: stream.state });
    });
    for (const type of /** @type {const} */ (["update", "season", "reset"])) {
      stream.addEventListener(type, (event) => {
        if (!leads()) return;
        const { detail } = /** @type {CustomEvent} */ (event);
        if (type === "update") one.update = detail;
        this.#say({ type, url, detail });
      });
    }
  }

  /** Stops listening, now and then, to boards that no tab has shown for a while. */
  #sweep() {
    this.#timer = setTimeout(() => {
      for (const [url, { stream, heard }] of this.#led ?? []) {
        if (url === this.#url.href || Date.now() - heard < 3 * this.#askEvery) continue;
        this.#led?.delete(url);
        stream.close();
      }
      this.#sweep();
    }, this.#askEvery);
  }

  /** @param {Message} message */
  #hear(message) {
    if (message.type === "hello") {
      const { url, update } = message;
      this.#want(url, update);
      const one = this.#led?.get(url);
      if (one) this.#tell({ type: "here", url, state: one.stream.state, update: one.update });
    } else if (this.#led) {
      // Another tab has taken the lock away. This one will hear of it.
    } else if (message.type === "begin") {
      this.#ask();
    } else {
      this.#answered();
      if (message.url === this.#url.href) this.#take(message);
    }
  }

  /** Says what is shown here, and takes over if nobody listens. */
  #ask() {
    if (this.#led || !this.#channel) return;
    this.#asks = true;
    this.#tell({ type: "hello", url: this.#url.href, update: this.#update });
    clearTimeout(this.#timer);
    // Tabs that miss the same answer should not all take over in the same moment.
    const within = this.#answerWithin * (1 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#requestLock(true), within);
  }

  /** Some tab listens. */
  #answered() {
    if (!this.#asks) return;
    this.#asks = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(), this.#askEvery);
  }

  /** @param {Message} message */
  #tell(message) {
    this.#channel?.postMessage(message);
  }

  /** Tells those that show the board, of which this tab may be one. @param {Told} told */
  #say(told) {
    this.#tell(told);
    if (told.url === this.#url.href) this.#take(told);
  }

  /** @param {Told} told */
  #take(told) {
    if (told.type === "state" || told.type === "here") {
      if (told.type === "here" && told.update) this.#show(told.update);
      // Whoever has just begun to listen has nothing to say yet.
      if (told.state !== "connecting") this.#setState(told.state);
    } else if (told.type === "update") {
      this.#show(told.detail);
    } else if (told.type === "season") {
      this.dispatchEvent(new CustomEvent("season", { detail: told.detail }));
    } else {
      this.#anew = true;
      this.dispatchEvent(new CustomEvent("reset", { detail: told.detail }));
    }
  }

  /** @param {Update} update */
  #show(update) {
    // Who listens may have begun where another tab was.
    if (this.#update && !this.#anew && !isNewer(update, this.#update)) return;
    this.#update = update;
    this.#anew = false;
    this.dispatchEvent(new CustomEvent("update", { detail: update }));
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.#state || this.#state === "closed") return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }
}

/**
 * Whether `update` is not what is shown, or older. Events of a server whose log is away have no ids
 * to tell them apart by.
 *
 * @param {Update} update
 * @param {Update} shown
 */
function isNewer(update, shown) {
  if (!update.id || !shown.id) {
    return update.id !== shown.id || JSON.stringify(update.board) !== JSON.stringify(shown.board);
  }
  const [ms, n] = update.id.split("-").map(Number);
  const [shownMs, shownN] = shown.id.split("-").map(Number);
  return ms > shownMs || (ms === shownMs && n > shownN);
}
