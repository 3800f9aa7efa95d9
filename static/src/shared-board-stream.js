/**
 * One stream for all the tabs of a browser that show the same board.
 *
 * A browser opens at most six HTTP/1.1 connections to a host, and a stream holds one for good: the
 * seventh tab would get nothing. Here the tabs agree, by a Web Lock, on one that listens and tells
 * the others over a BroadcastChannel. When it goes, the lock goes to the next one, which goes on
 * after the last event it was told. A tab that does not answer although it holds the lock (the
 * browser froze it) has it taken away.
 */

import { BoardStream } from "./board-stream.js";

/**
 * @typedef {import("./board-stream.js").State} State
 * @typedef {import("./board-stream.js").Options} Options
 * @typedef {import("./board-stream.js").Board} Board
 *
 * @typedef {{id: string, board: Board}} Update
 * @typedef {{type: "hello"}                                        // is anybody listening?
 *   | {type: "here", state: State, update: Update | null}          // yes, and this is how it stands
 *   | {type: "state", state: State}
 *   | {type: "update", detail: Update}
 *   | {type: "reset", detail: unknown}} Message
 *
 * @typedef {object} Sharing  Times are in milliseconds.
 * @property {number} [askEvery]     a tab that was told nothing for this long asks. 10,000.
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
  /** The stream itself, in the tab that listens. @type {BoardStream | null} */
  #stream = null;
  /** Open while this tab takes part. @type {BroadcastChannel | null} */
  #channel = null;
  /** Gives up the lock, or the wait for it. @type {AbortController | null} */
  #part = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #watchTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiddenTimer;

  /** @param {string | URL} url @param {Options & Sharing} [options] */
  constructor(url, options = {}) {
    super();
    this.#url = new URL(url, globalThis.location?.href);
    this.#name = `board-stream ${this.#url.href}`;
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
    return this.#stream !== null;
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
    clearTimeout(this.#watchTimer);
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
    clearTimeout(this.#watchTimer);
    const stream = new BoardStream(this.#url, { ...this.#options, lastEventId: this.lastEventId });
    this.#stream = stream;
    stream.addEventListener("state", () => {
      if (this.#stream !== stream) return;
      this.#tell({ type: "state", state: stream.state });
      this.#setState(stream.state);
    });
    for (const type of /** @type {const} */ (["update", "reset"])) {
      stream.addEventListener(type, (event) => {
        const { detail } = /** @type {CustomEvent} */ (event);
        this.#tell({ type, detail });
        this.#take(type, detail);
      });
    }
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        signal.addEventListener("abort", () => {
          this.#stream = null;
          stream.close();
          resolve();
        });
      })
    );
  }

  /** @param {Message} message */
  #hear(message) {
    if (this.#stream) {
      if (message.type === "hello") {
        this.#tell({ type: "here", state: this.#stream.state, update: this.#update });
      }
      return;
    }
    if (message.type === "hello") return; // another tab that does not listen either
    this.#watch();
    if (message.type === "here") {
      if (message.update && !this.#knows(message.update)) this.#take("update", message.update);
      this.#setState(message.state);
    } else if (message.type === "state") {
      this.#setState(message.state);
    } else {
      this.#take(message.type, message.detail);
    }
  }

  /** Events of a server whose log is away have no ids to tell them apart by. @param {Update} update */
  #knows({ id, board }) {
    if (!this.#update || this.#update.id !== id) return false;
    return id !== "" || JSON.stringify(this.#update.board) === JSON.stringify(board);
  }

  /** Asks who listens, and takes over if nobody answers. */
  #ask() {
    if (this.#stream || !this.#channel) return;
    this.#tell({ type: "hello" });
    clearTimeout(this.#watchTimer);
    // Tabs that miss the same answer should not all take over in the same moment.
    const within = this.#answerWithin * (1 + Math.random() / 2);
    this.#watchTimer = setTimeout(() => this.#requestLock(true), within);
  }

  #watch() {
    clearTimeout(this.#watchTimer);
    this.#watchTimer = setTimeout(() => this.#ask(), this.#askEvery);
  }

  /** @param {Message} message */
  #tell(message) {
    this.#channel?.postMessage(message);
  }

  /** @param {"update" | "reset"} type @param {any} detail */
  #take(type, detail) {
    if (type === "update") this.#update = detail;
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.#state || this.#state === "closed") return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }
}
