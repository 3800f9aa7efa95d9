/**
 * Listens to what a server of boards tells as it happens, whatever lies between: what `BoardStream`
 * and `PlayerStream` have in common.
 *
 * Events come over EventSource. Where none gets through (a proxy that holds streams back), where
 * the stream breaks again and again, or where there is no EventSource and `fetch` gives no body
 * piece by piece (React Native), they come by long-polling with the same event ids, and the stream
 * is tried again now and then. Nothing is lost on the way from one to the other: each goes on after
 * the last event id of the one before.
 *
 * A browser opens six connections to a host, and a stream holds one. So the boards of a page that
 * one host has share a stream (`several-boards.js`), and all tabs together hold four at the most; who
 * comes too late for one polls, by turns with the others, until one is free (`slots.js`). A POST
 * always finds a connection.
 */

import { absolute, originOf } from "./addresses.js";
import { untilItEnds } from "./connection.js";
import { CustomEvent, Event, EventTarget } from "./events.js";
import { FetchEventSource, fetchStreams } from "./fetch-event-source.js";
import { backoff, jitter, pause, sleep } from "./pauses.js";
import { Position } from "./position.js";
import { placeOf } from "./several-boards.js";
import { slotsOf } from "./slots.js";
import { DEFAULTS } from "./stream-options.js";
import { NO_PASS, PollError, StreamRequests } from "./stream-requests.js";

/**
 * @typedef {import("./stream-options.js").State} State
 * @typedef {import("./stream-options.js").Options} Options
 * @typedef {import("./stream-options.js").Kind} Kind
 * @typedef {import("./stream-options.js").Place} Place
 */

/** Whoever is given a slot within this does not poll for one moment first. */
const SLOT_GRACE = 250;
/** The least time between two polls, so that a busy board does not become a busy loop. */
const POLL_PAUSE = 100;
/** The same after an empty answer that came too early: something ignores `wait`. */
const EMPTY_PAUSE = 2_000;
/** An answer with a board that is known already took this long if it was waited for. */
const WAITED = 500;

/** Dispatches what its kind has, and `state`: `stream.state` has changed. */
export class LiveStream extends EventTarget {
  /** @type {State} */
  #state = "connecting";
  #kind;
  #options;
  #requests;
  #position;
  /** @type {import("./slots.js").Slots | null} */
  #slots;
  /** Where it can share a stream with other boards. @type {Place | null} */
  #place;
  /** How long polling goes on before the stream is tried; grows while streams prove unreliable. */
  #tryStreamIn;
  /** Aborted when listening stops; null while it is stopped. @type {AbortController | null} */
  #running = null;
  /** Cuts the pause, or checks the stream, that is under way. */
  #wake = () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #hiddenTimer;

  /**
   * Starts to listen at once.
   *
   * @param {string | URL} url  of the events
   * @param {Options} options
   * @param {Kind} kind
   */
  constructor(url, options, kind) {
    super();
    this.#kind = kind;
    const address = absolute(url);
    this.#options = {
      ...DEFAULTS,
      fetch: globalThis.fetch.bind(globalThis),
      EventSource: globalThis.EventSource ?? (fetchStreams() ? FetchEventSource : null),
      ...options,
    };
    this.#requests = new StreamRequests(address, this.#options);
    this.#position = new Position(kind, this.#options.lastEventId);
    this.#slots =
      options.slots === undefined ? slotsOf({ origin: originOf(address) }) : options.slots;
    const { EventSource, together } = this.#options;
    // What lets one board in may not let in the others.
    const alone = !kind.together || this.#requests.needsPass || this.#options.withCredentials;
    this.#place = together && !alone && EventSource ? placeOf(address, EventSource) : null;
    this.#tryStreamIn = this.#options.tryStreamEvery;
    globalThis.addEventListener?.("online", this.#onNetwork);
    globalThis.addEventListener?.("offline", this.#onNetwork);
    globalThis.document?.addEventListener("visibilitychange", this.#onVisibility);
    this.#start();
    if (globalThis.document?.visibilityState === "hidden") this.#onVisibility();
  }

  /** @returns {State} */
  get state() {
    return this.#state;
  }

  /**
   * The id of the last event that was dispatched, `""` before the first and where that had none.
   */
  get lastEventId() {
    return this.#position.lastEventId;
  }

  /** Stops for good. */
  close() {
    globalThis.removeEventListener?.("online", this.#onNetwork);
    globalThis.removeEventListener?.("offline", this.#onNetwork);
    globalThis.document?.removeEventListener("visibilitychange", this.#onVisibility);
    clearTimeout(this.#hiddenTimer);
    this.#stop("closed");
  }

  #onNetwork = () => this.#wake();

  #onVisibility = () => {
    clearTimeout(this.#hiddenTimer);
    if (globalThis.document?.visibilityState !== "hidden") {
      if (this.#state === "paused") this.#start();
      else this.#wake(); // a laptop that wakes up finds out at once what is left of its stream
    } else if (this.#options.hiddenAfter !== Infinity) {
      this.#hiddenTimer = setTimeout(() => this.#stop("paused"), this.#options.hiddenAfter);
    }
  };

  #start() {
    this.#setState("connecting");
    this.#running = new AbortController();
    this.#run(this.#running.signal);
  }

  /** @param {State} state */
  #stop(state) {
    this.#running?.abort();
    this.#running = null;
    this.#setState(state);
  }

  /** @param {State} state */
  #setState(state) {
    if (state === this.#state || this.#state === "closed") return;
    this.#state = state;
    this.dispatchEvent(new Event("state"));
  }

  #setLost() {
    this.#setState(globalThis.navigator?.onLine === false ? "offline" : "reconnecting");
  }

  /** Listens until `signal` says stop, by turns with others until there is a slot. @param {AbortSignal} signal */
  async #run(signal) {
    while (!signal.aborted) {
      const place = this.#place;
      const together = place?.host.enter(place.board) ? place : null;
      const slot = await this.#slot(signal, together);
      try {
        if (!signal.aborted) await this.#listen(signal, together);
      } finally {
        slot();
        together?.host.leave(together.board);
      }
    }
  }

  /** Gives back how to release the slot. @param {AbortSignal} signal @param {Place | null} together @returns {Promise<() => void>} */
  async #slot(signal, together) {
    const slots = this.#slots;
    if (!slots) return () => {};
    const granted = new AbortController();
    const take = together
      ? together.host.hold(signal, (end) => slots.take(end))
      : slots.take(signal);
    const slot = take.finally(() => granted.abort());
    await Promise.race([slot, sleep(SLOT_GRACE)]);
    if (!granted.signal.aborted) await this.#poll(granted.signal, Infinity, true);
    return (await slot) ?? (() => {});
  }

  /**
   * Streams and polls in turn until `signal` says stop, or there can be no stream `together` with
   * other boards.
   *
   * @param {AbortSignal} signal
   * @param {Place | null} together
   */
  async #listen(signal, together) {
    const { EventSource, failures, stableAfter, tryStreamEvery, retryMin } = this.#options;
    let broken = 0;
    while (!signal.aborted) {
      if (!EventSource) {
        await this.#poll(signal, Infinity);
        return;
      }
      const opened = Date.now();
      const end = await this.#stream(signal, EventSource, together);
      if (signal.aborted || together?.host.refuses) return;
      const lasted = Date.now() - opened;
      if (end === "expired" && lasted >= retryMin) continue; // with a new token it goes on at once
      const stable = end === "broken" && lasted >= stableAfter;
      if (stable) this.#tryStreamIn = tryStreamEvery;
      broken = stable ? 1 : broken + 1;
      if (end === "broken" || end === "expired") {
        this.#setLost();
        if (broken < failures) {
          await this.#pause(backoff(broken, this.#options, together?.host.draw), signal);
          continue;
        }
      }
      // Broken too often, refused or held back: a poll finds out what the matter is. Mostly the
      // server was away, and the stream may be tried as soon as a poll gets through; but not over
      // and over where streams break and polls do not.
      const unreliable = end === "held back" || this.#tryStreamIn > tryStreamEvery;
      await this.#poll(signal, unreliable ? jitter(this.#tryStreamIn, this.#options) : 0);
      this.#tryLater();
      broken = failures - 1; // a stream has just worked; if it breaks again at once, poll again
    }
  }

  #tryLater() {
    this.#tryStreamIn = Math.min(2 * this.#tryStreamIn, 10 * this.#options.tryStreamEvery);
  }

  /**
   * Listens to the stream until it ends.
   *
   * @param {AbortSignal} signal
   * @param {typeof globalThis.EventSource} EventSource
   * @param {Place | null} together
   * @returns {Promise<import("./connection.js").End>}
   */
  async #stream(signal, EventSource, together) {
    let pass = NO_PASS;
    if (this.#requests.needsPass) {
      try {
        pass = await this.#requests.pass(signal, EventSource);
      } catch {
        return "refused"; // a poll finds out what the matter is
      }
      if (signal.aborted) return "broken";
    }
    // EventSource would come back by itself, but neither with our back-off nor after an HTTP error,
    // nor can it be told where to go on; so each one lives for one connection.
    const last = this.#position.lastEventId;
    const source = together
      ? together.host.listen(together.board, (query) => this.#requests.address(query), last)
      : this.#requests.open(EventSource, { lastEventId: last, ...pass.query }, pass.headers);
    return untilItEnds(source, this.#kind, this.#options, signal, {
      check: async () => {
        const ask = () => this.#requests.ask(this.#position.lastEventId, 0, signal);
        const answer = await this.#turn(signal, ask);
        const newer = answer.events.length > 0 && !this.#position.isKnown(answer);
        return { newer, take: () => this.#deliver(this.#position.newsOf(answer)) };
      },
      opened: () => {
        // Who goes on after an id may have missed nothing, and then nothing comes for a while.
        if (this.#position.lastEventId) this.#setState("live");
      },
      heard: (event, { lastEventId: id, data }) => {
        this.#requests.renew = false;
        this.#setState("live");
        this.#deliver(this.#position.news([{ id, event, data }]));
      },
      expired: () => {
        this.#requests.renew = true;
      },
      wakeable: this.#wakeable,
    });
  }

  /**
   * Polls until a stream has been seen to work.
   *
   * @param {AbortSignal} signal
   * @param {number} tryIn  when to try a stream, in milliseconds from now
   * @param {boolean} [byTurns]  others poll, too, and a connection is to be held for a moment only
   */
  async #poll(signal, tryIn, byTurns = false) {
    const { EventSource } = this.#options;
    let { wait } = this.#options;
    let failed = 0;
    let tryAt = Date.now() + tryIn;
    const done = new AbortController(); // stopped, or a stream works
    const abort = () => done.abort();
    signal.addEventListener("abort", abort);

    const tryStream = async () => {
      tryAt = Infinity;
      if (!EventSource) return;
      const works = await this.#turn(done.signal, () =>
        this.#requests.works(EventSource, this.#kind.event, done.signal),
      ).catch(() => false);
      if (works) {
        done.abort();
      } else {
        tryAt = Date.now() + jitter(this.#tryStreamIn, this.#options);
        this.#tryLater();
      }
    };

    while (!done.signal.aborted) {
      let asked = Date.now();
      let pause;
      try {
        // The first one, or the first after a failure, does not wait: all is well as soon as it is.
        const first = this.#state !== "polling";
        let longest = first ? 0 : wait;
        /** @param {number} time */
        const ask = (time) => {
          asked = Date.now();
          longest = Math.min(longest, time);
          return this.#requests.ask(this.#position.lastEventId, longest, done.signal);
        };
        const answer = await (byTurns ? this.#turn(done.signal, ask) : ask(Infinity));
        if (done.signal.aborted) break;
        const nothing = answer.events.length === 0 || this.#position.isKnown(answer);
        const waited = answer.events.length > 0 ? WAITED : longest / 10;
        this.#requests.renew = false;
        this.#setState("polling");
        this.#deliver(this.#position.newsOf(answer));
        // A server that was away and is back may well stream again.
        if (failed || Date.now() >= tryAt) void tryStream();
        failed = 0;
        const early = !first && nothing && Date.now() - asked < waited;
        pause = early ? EMPTY_PAUSE : POLL_PAUSE;
      } catch (error) {
        if (done.signal.aborted) break;
        failed += 1;
        pause = backoff(failed, this.#options);
        if (error instanceof PollError) {
          pause = Math.max(pause, error.retryAfter);
          if (error.status === 400 && this.#position.lastEventId) {
            this.#position.lastEventId = ""; // an id this server cannot read: begin anew
            this.#dispatch("reset", { reason: "the server did not know the last event id" });
          }
        }
        if (error instanceof PollError && (error.status === 401 || error.status === 403)) {
          // What expired a moment ago is renewed at once; what is refused then is no good.
          if (this.#requests.needsPass && !this.#requests.renew && error.status === 401) pause = POLL_PAUSE;
          else this.#setState("refused");
          this.#requests.renew = true;
        } else if (error instanceof PollError && (error.status === 404 || error.status === 410)) {
          this.#setState("missing");
        } else {
          this.#setLost();
        }
        // Something on the way may not bear requests that take as long.
        if (Date.now() - asked > 5_000) wait = Math.max(1_000, wait / 2);
      }
      await this.#pause(pause, done.signal);
    }
    signal.removeEventListener("abort", abort);
  }

  /**
   * Calls `use` at once, or when it is the turn of this board.
   *
   * @template T
   * @param {AbortSignal} signal
   * @param {(time: number) => Promise<T>} use
   * @returns {Promise<T>}
   */
  #turn(signal, use) {
    return this.#slots ? this.#slots.turn(signal, use) : use(Infinity);
  }

  /** @param {Iterable<{type: string, detail: unknown}>} news */
  #deliver(news) {
    for (const { type, detail } of news) this.#dispatch(type, detail);
  }

  /** @param {string} type @param {unknown} detail */
  #dispatch(type, detail) {
    if (this.#running) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** @param {number} time @param {AbortSignal} signal */
  #pause(time, signal) {
    return pause(time, signal, this.#wakeable);
  }

  /** @param {() => void} wake */
  #wakeable = (wake) => {
    this.#wake = wake;
  };
}
