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

import { absolute, originOf, pathOf, withQuery } from "./addresses.js";
import { secretOf } from "./credentials.js";
import { CustomEvent, Event, EventTarget } from "./events.js";
import { FetchEventSource, fetchStreams } from "./fetch-event-source.js";
import { placeOf } from "./several-boards.js";
import { slotsOf } from "./slots.js";

/**
 * @typedef {"connecting"    // nothing has come yet
 *   | "live"                // the stream is open
 *   | "polling"             // events come by long-polling
 *   | "reconnecting"        // the server did not answer; trying again
 *   | "offline"             // the same, and the browser says it has no network
 *   | "missing"             // the server has no such board or player; asking again now and then
 *   | "refused"             // reading needs a token, or another one; asking again now and then
 *   | "paused"              // the page has been hidden for long; goes on when it is shown
 *   | "closed"              // close() was called
 * } State
 *
 * @typedef {object} Options  Times are in milliseconds.
 * @property {string} [lastEventId]  go on after this event; without it the board as it is comes first
 * @property {number} [silence]      a stream that brought nothing for this long is checked by a
 *   poll; if that has something newer, the stream is held back somewhere. 4,000.
 * @property {number} [checkEvery]   a stream that is quiet is checked at most this often, which also
 *   finds a connection that died without a word. 60,000.
 * @property {number} [failures]     broken streams in a row before it goes over to polling. 3.
 * @property {number} [stableAfter]  a stream that held this long did not break "again". 20,000.
 * @property {number} [retryMin]     the first pause before trying again, at least. 1,000.
 * @property {number} [retryMax]     pauses double up to this. 30,000.
 * @property {number} [wait]         how long a poll may wait for something newer. 25,000.
 * @property {number} [tryStreamEvery]  how often the stream is tried while polling; doubles up to
 *   ten times this. 60,000.
 * @property {number} [hiddenAfter]  a page hidden for this long stops listening; `Infinity`: never.
 *   60,000.
 * @property {string | Credential} [token]  the token that polls, streams by `fetch` and requests for
 *   tickets carry, or what gets it
 * @property {Credential} [ticket]   gets a ticket, where only somebody else has the token: another
 *   one each time, since each is good once
 * @property {string | URL} [tickets]  where a ticket is given for a token; by default `tickets/`
 *   beside the `boards/` of the board's address
 * @property {boolean} [withCredentials]  send cookies to another origin, too. false.
 * @property {boolean} [together]  the boards of a page that one host has share a stream, but for
 *   those with a `token`, a `ticket` or `withCredentials`. true.
 * @property {() => number} [random] draws the jitter, from 0 to 1
 * @property {typeof globalThis.fetch} [fetch]
 * @property {typeof globalThis.EventSource | null} [EventSource]  null: poll only. By default the
 *   one that there is, or else one made of `fetch`
 * @property {import("./slots.js").Slots | null} [slots]  who gives out connections to the host;
 *   null: nobody has to be asked
 *
 * @typedef {import("./credentials.js").Credential} Credential
 *
 * @typedef {{once?: boolean, capture?: boolean, passive?: boolean, signal?: AbortSignal}} ListenerOptions
 *   spelled out, since only the types of the DOM have a name for it, and those of Node don't
 *
 * @typedef {{query: Record<string, string>, headers: Record<string, string>}} Pass  what lets in
 *
 * @typedef {NonNullable<ReturnType<typeof placeOf>>} Place  where a board shares a stream with others
 *
 * @typedef {{id: string | null, event: string, data: unknown}} LoggedEvent
 * @typedef {{events: LoggedEvent[], last_event_id: string | null}} Answer  of a poll
 *
 * @typedef {object} Kind  what the streams of a kind have
 * @property {string} event   the type of the event that says how things stand
 * @property {(id: string, data: any) => unknown} detail  what is dispatched of it
 * @property {string[]} others  the types of further events, which are dispatched with their data
 * @property {boolean} numbered  whether events have ids; where they don't, what is known is not told
 *   again
 * @property {boolean} together  whether several can share a connection
 * @property {number} grace   how much later than a poll a stream may bring the same event without
 *   being called held back, in milliseconds
 */

const DEFAULTS = {
  lastEventId: "",
  silence: 4_000,
  checkEvery: 60_000,
  failures: 3,
  stableAfter: 20_000,
  retryMin: 1_000,
  retryMax: 30_000,
  wait: 25_000,
  tryStreamEvery: 60_000,
  hiddenAfter: 60_000,
  withCredentials: false,
  together: true,
  random: Math.random,
};

/** @type {Pass} */
const NO_PASS = { query: {}, headers: {} };

/** Whoever is given a slot within this does not poll for one moment first. */
const SLOT_GRACE = 250;
/** How much longer than asked for a poll may take before it counts as lost. */
const POLL_GRACE = 10_000;
/** The least time between two polls, so that a busy board does not become a busy loop. */
const POLL_PAUSE = 100;
/** The same after an empty answer that came too early: something ignores `wait`. */
const EMPTY_PAUSE = 2_000;
/** An answer with a board that is known already took this long if it was waited for. */
const WAITED = 500;

/** @param {number} time @returns {Promise<void>} */
const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** An answer that is no success. `retryAfter` is in milliseconds, 0 if the server named no time. */
export class PollError extends Error {
  /** @param {number} status @param {number} retryAfter */
  constructor(status, retryAfter = 0) {
    super(`the server answered ${status}`);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** Dispatches what its kind has, and `state`: `stream.state` has changed. */
export class LiveStream extends EventTarget {
  /** @type {State} */
  #state = "connecting";
  #kind;
  /** @type {string} */
  #url;
  #options;
  #lastEventId;
  /** What the last event said, as JSON, if that had no id: then it is known by nothing else. */
  #unnumbered = "";
  /** @type {import("./slots.js").Slots | null} */
  #slots;
  /** Whether what let the last request in is no longer good. */
  #renew = false;
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
    this.#url = absolute(url);
    this.#options = {
      ...DEFAULTS,
      fetch: globalThis.fetch.bind(globalThis),
      EventSource: globalThis.EventSource ?? (fetchStreams() ? FetchEventSource : null),
      ...options,
    };
    this.#lastEventId = this.#options.lastEventId;
    this.#slots =
      options.slots === undefined ? slotsOf({ origin: originOf(this.#url) }) : options.slots;
    const { EventSource, together } = this.#options;
    // What lets one board in may not let in the others.
    const alone = !kind.together || this.#needsPass || this.#options.withCredentials;
    this.#place = together && !alone && EventSource ? placeOf(this.#url, EventSource) : null;
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
    return this.#lastEventId;
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
          await this.#pause(this.#backoff(broken, together?.host.draw), signal);
          continue;
        }
      }
      // Broken too often, refused or held back: a poll finds out what the matter is. Mostly the
      // server was away, and the stream may be tried as soon as a poll gets through; but not over
      // and over where streams break and polls do not.
      const unreliable = end === "held back" || this.#tryStreamIn > tryStreamEvery;
      await this.#poll(signal, unreliable ? this.#jitter(this.#tryStreamIn) : 0);
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
   * @returns {Promise<"broken" | "refused" | "held back" | "expired">}
   */
  async #stream(signal, EventSource, together) {
    let pass = NO_PASS;
    if (this.#needsPass) {
      try {
        pass = await this.#pass(signal, EventSource);
      } catch {
        return "refused"; // a poll finds out what the matter is
      }
      if (signal.aborted) return "broken";
    }
    return new Promise((resolve) => {
      // EventSource would come back by itself, but neither with our back-off nor after an HTTP
      // error, nor can it be told where to go on; so each one lives for one connection.
      const last = this.#lastEventId;
      const source = together
        ? together.host.listen(together.board, (query) => this.#address(query), last)
        : this.#source(EventSource, { lastEventId: last, ...pass.query }, pass.headers);
      let open = false;
      let heard = 0; // events
      let ended = false;
      let quiet = this.#options.silence;
      let checking = false;
      /** @type {ReturnType<typeof setTimeout>} */
      let timer;

      /** @param {"broken" | "refused" | "held back" | "expired"} how */
      const end = (how) => {
        ended = true;
        clearTimeout(timer);
        source.close();
        signal.removeEventListener("abort", abort);
        this.#wake = () => {};
        resolve(how);
      };
      const abort = () => end("broken");
      const check = async () => {
        clearTimeout(timer);
        if (checking) return;
        checking = true;
        const heardBefore = heard;
        try {
          const answer = await this.#turn(signal, () => this.#ask(0, signal));
          const newer = answer.events.length > 0 && !this.#sameAsBefore(answer);
          if (newer) await sleep(this.#kind.grace); // the stream may bring them this instant
          if (ended) return;
          if (heard === heardBefore && (newer || !open)) {
            end("held back");
            this.#deliverAnswer(answer);
            return;
          }
        } catch {
          if (!ended) end("broken");
          return;
        } finally {
          checking = false;
        }
        quiet = Math.min(2 * quiet, this.#options.checkEvery);
        timer = setTimeout(check, quiet);
      };
      /** @param {string} event @returns {(message: MessageEvent) => void} */
      const take = (event) => (message) => {
        if (ended) return;
        heard += 1;
        quiet = this.#options.checkEvery;
        clearTimeout(timer);
        timer = setTimeout(check, quiet);
        this.#renew = false;
        this.#setState("live");
        this.#deliver([{ id: message.lastEventId, event, data: message.data }]);
      };

      signal.addEventListener("abort", abort);
      // A stream that has not spoken yet is checked soon enough as it is.
      this.#wake = () => void (heard > 0 && check());
      /** @param {string} type @param {(message: MessageEvent) => void} listener */
      const hear = (type, listener) =>
        source.addEventListener(type, /** @type {EventListener} */ (/** @type {unknown} */ (listener)));
      for (const type of [this.#kind.event, ...this.#kind.others]) hear(type, take(type));
      hear("expired", () => {
        this.#renew = true;
        if (!ended) end("expired");
      });
      source.addEventListener("open", () => {
        open = true;
        // Who goes on after an id may have missed nothing, and then nothing comes for a while.
        if (this.#lastEventId) this.#setState("live");
      });
      source.addEventListener("error", () => {
        if (!ended) end(source.readyState === source.CLOSED ? "refused" : "broken");
      });
      timer = setTimeout(check, quiet);
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
        this.#streamWorks(EventSource, done.signal),
      ).catch(() => false);
      if (works) {
        done.abort();
      } else {
        tryAt = Date.now() + this.#jitter(this.#tryStreamIn);
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
          return this.#ask(longest, done.signal);
        };
        const answer = await (byTurns ? this.#turn(done.signal, ask) : ask(Infinity));
        if (done.signal.aborted) break;
        const nothing = answer.events.length === 0 || this.#sameAsBefore(answer);
        const waited = answer.events.length > 0 ? WAITED : longest / 10;
        this.#renew = false;
        this.#setState("polling");
        this.#deliverAnswer(answer);
        // A server that was away and is back may well stream again.
        if (failed || Date.now() >= tryAt) void tryStream();
        failed = 0;
        const early = !first && nothing && Date.now() - asked < waited;
        pause = early ? EMPTY_PAUSE : POLL_PAUSE;
      } catch (error) {
        if (done.signal.aborted) break;
        failed += 1;
        pause = this.#backoff(failed);
        if (error instanceof PollError) {
          pause = Math.max(pause, error.retryAfter);
          if (error.status === 400 && this.#lastEventId) {
            this.#lastEventId = ""; // an id this server cannot read: begin anew
            this.#dispatch("reset", { reason: "the server did not know the last event id" });
          }
        }
        if (error instanceof PollError && (error.status === 401 || error.status === 403)) {
          // What expired a moment ago is renewed at once; what is refused then is no good.
          if (this.#needsPass && !this.#renew && error.status === 401) pause = POLL_PAUSE;
          else this.#setState("refused");
          this.#renew = true;
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
   * Whether an event gets through a stream within `silence`: asked without an id, the server sends
   * the board as it is at once.
   *
   * @param {typeof globalThis.EventSource} EventSource
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>}
   */
  async #streamWorks(EventSource, signal) {
    const pass = this.#needsPass ? await this.#pass(signal, EventSource) : NO_PASS;
    if (signal.aborted) return false;
    return new Promise((resolve) => {
      const source = this.#source(EventSource, pass.query, pass.headers);
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
      source.addEventListener(this.#kind.event, () => end(true));
      source.addEventListener("error", abort);
    });
  }

  /**
   * One long-poll after the last event id.
   *
   * @param {number} wait  in milliseconds
   * @param {AbortSignal} signal
   * @returns {Promise<Answer>}
   * @throws {PollError} if the answer is no success; what `fetch` throws, if there was none
   */
  async #ask(wait, signal) {
    const timeout = new AbortController();
    const abort = () => timeout.abort();
    const timer = setTimeout(abort, wait + POLL_GRACE);
    signal.addEventListener("abort", abort);
    try {
      const { query, headers } = this.#needsPass ? await this.#pass(timeout.signal) : NO_PASS;
      const answer = await this.#fetch(
        this.#address({ since: this.#lastEventId, wait: String(wait / 1_000), ...query }),
        { headers: { Accept: "application/json", ...headers }, signal: timeout.signal },
      );
      return await answer.json();
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
    }
  }

  /** Whether somebody has to be asked for what lets requests in. */
  get #needsPass() {
    return Boolean(this.#options.token || this.#options.ticket);
  }

  /**
   * What lets one request in.
   *
   * @param {AbortSignal} signal
   * @param {typeof globalThis.EventSource} [streaming]  what is to stream, if it is no poll
   * @returns {Promise<Pass>}
   * @throws {PollError} if the server gives no ticket; what the page's own function throws
   */
  async #pass(signal, streaming) {
    const { token, ticket } = this.#options;
    const asked = { renew: this.#renew };
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
      if (error instanceof PollError && error.status === 401) this.#renew = true;
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
   * @param {typeof globalThis.EventSource} EventSource
   * @param {Record<string, string>} query
   * @param {Record<string, string>} headers  for one that takes them
   */
  #source(EventSource, query, headers) {
    const { withCredentials, fetch } = this.#options;
    const init = "takesHeaders" in EventSource ? { withCredentials, headers, fetch } : { withCredentials };
    return new EventSource(this.#address(query), init);
  }

  /** @param {Record<string, string>} query @returns {string} */
  #address(query) {
    return withQuery(this.#url, query);
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

  /**
   * Whether `answer` has nothing but the board that is known already, from an event without an id.
   * While the server's log is away there are no ids, and each poll is answered with the board as
   * it is, after a reset; a player's place never has one.
   *
   * @param {Answer} answer
   */
  #sameAsBefore({ events }) {
    const last = events.at(-1);
    return Boolean(this.#unnumbered) && JSON.stringify(last?.data) === this.#unnumbered;
  }

  /** @param {Answer} answer */
  #deliverAnswer(answer) {
    if (!this.#sameAsBefore(answer)) this.#deliver(answer.events);
    // Also "0-0", which the server gives where it has no id; it knows what to do with it.
    if (typeof answer.last_event_id === "string") this.#lastEventId = answer.last_event_id;
  }

  /** @param {LoggedEvent[]} events */
  #deliver(events) {
    for (const { id, event, data } of events) {
      let detail;
      try {
        detail = typeof data === "string" ? JSON.parse(data) : data;
      } catch {
        continue; // cut off by something on the way; the next event is the whole board again
      }
      if (event === this.#kind.event) {
        const unnumbered = id ? "" : JSON.stringify(detail);
        if (!this.#kind.numbered && unnumbered === this.#unnumbered) continue;
        // An event without an id is newer than the last one with an id; whoever went on after that
        // would be told again what is older.
        this.#lastEventId = id ?? "";
        this.#unnumbered = unnumbered;
        this.#dispatch(event, this.#kind.detail(this.#lastEventId, detail));
      } else if (this.#kind.others.includes(event)) {
        if (!this.#kind.numbered) this.#unnumbered = "";
        // The end of a season is an event of the log like the board that follows it.
        if (event === "season" && id) this.#lastEventId = id;
        this.#dispatch(event, detail);
      }
    }
  }

  /** @param {string} type @param {unknown} detail */
  #dispatch(type, detail) {
    if (this.#running) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** The pause before attempt number `n`, from 1: between once and three times `retryMin`, then more.
   * @param {number} n @param {number} [draw]  a random number that others have drawn, too */
  #backoff(n, draw) {
    const { retryMin, retryMax, random } = this.#options;
    if (n <= 1) return retryMin * (1 + 2 * (draw ?? random())); // as the server's own `retry:` is drawn
    return this.#jitter(Math.min(retryMax, retryMin * 2 ** n));
  }

  /** Half of `time` to all of it. @param {number} time */
  #jitter(time) {
    return time * (0.5 + 0.5 * this.#options.random());
  }

  /** Waits for `time`, to be woken, or until `signal`. @param {number} time @param {AbortSignal} signal */
  #pause(time, signal) {
    if (signal.aborted) return Promise.resolve();
    return /** @type {Promise<void>} */ (
      new Promise((resolve) => {
        const end = () => {
          clearTimeout(timer);
          signal.removeEventListener("abort", end);
          this.#wake = () => {};
          resolve();
        };
        const timer = setTimeout(end, time);
        signal.addEventListener("abort", end);
        this.#wake = end;
      })
    );
  }
}
