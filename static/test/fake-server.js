/** A board's server, and what may lie before it, in memory and by a clock that tests move. */

import { mock } from "node:test";

/** Lets everything that is due happen, then moves the clock on, in small steps. */
export async function advance(milliseconds, step = 50) {
  for (let passed = 0; passed < milliseconds; passed += step) {
    await settle();
    mock.timers.tick(Math.min(step, milliseconds - passed));
  }
  await settle();
}

async function settle() {
  for (let i = 0; i < 20; i += 1) await Promise.resolve();
  await new Promise((resolve) => setImmediate(resolve));
}

/** How long anything takes to come or go. */
const DELAY = 10;

export class FakeServer {
  constructor() {
    /** "open"; "held": nothing comes through; "mute": only headers do; "down"; or a status. */
    this.streams = "open";
    /** "open", "down", or a status. */
    this.polls = "open";
    this.retryAfter = "";
    /** The tokens that are good, if any are asked for; and the tickets that were given for them. */
    this.tokens = null;
    this.tickets = new Set();
    this.log = [];
    this.counter = 0;
    /** Whether events get ids. While they don't, the server can prove nothing. */
    this.logged = true;
    this.current = null;
    /** The streams that are connected now, and all requests so far. */
    this.sources = new Set();
    this.waiting = new Set();
    this.requests = [];
    /** How many polls are under way, and how many there ever were at once. */
    this.polling = this.mostPolling = 0;
    this.change(0);
    const server = this;
    this.EventSource = class extends FakeEventSource {
      constructor(url) {
        super(server, url);
      }
    };
    this.fetch = (url, options) => this.#poll(new URL(url), options);
  }

  /** The score of the only player becomes `score`; its event. */
  change(score) {
    this.counter += 1;
    const board = { id: "b", name: "B", players: [{ id: "p", name: "P", score }] };
    const id = this.logged ? `${1_000 + this.counter}-${this.counter}` : "";
    const event = { id, event: "update", data: JSON.stringify(board) };
    this.current = event;
    if (id) this.log.push(event);
    for (const source of this.sources) source.bring(event);
    for (const wake of [...this.waiting]) wake();
    return event;
  }

  /** What a client that was last told `id` is told. */
  after(id) {
    if (!id) return [this.current];
    const at = this.log.findIndex((event) => event.id === id);
    if (at >= 0 && this.current.id) return this.log.slice(at + 1);
    return [{ id: "", event: "reset", data: '{"reason": "gone"}' }, this.current];
  }

  /** Nothing gets through, and what was open breaks. */
  stop() {
    this.streams = this.polls = "down";
    for (const source of this.sources) source.fail(false);
    for (const wake of [...this.waiting]) wake();
  }

  start() {
    this.streams = this.polls = "open";
  }

  count(kind) {
    return this.requests.filter((request) => request.kind === kind).length;
  }

  /** Whether a request may come in, with the `Authorization` and the ticket that it has. */
  admits(authorization, ticket) {
    if (!this.tokens || this.tokens.has(authorization?.replace("Bearer ", ""))) return true;
    return this.tickets.delete(ticket);
  }

  /** The token runs out that somebody's streams were opened with. */
  expire(token) {
    this.tokens.delete(token);
    for (const source of [...this.sources]) {
      source.dispatchEvent(new MessageEvent("expired", { data: '{"reason": "late"}' }));
      source.fail(false);
    }
  }

  async #ticket(authorization) {
    this.requests.push({ kind: "ticket", authorization, at: Date.now() });
    await sleep(DELAY);
    if (this.polls === "down") throw new TypeError("fetch failed");
    if (!authorization || !this.admits(authorization)) {
      return { ok: false, status: 401, headers: new Headers() };
    }
    const ticket = `ticket-${this.requests.length}`;
    this.tickets.add(ticket);
    return { ok: true, status: 201, json: async () => ({ ticket, expires_in: 30 }) };
  }

  async #poll(url, { method, headers = {}, signal }) {
    const { searchParams, pathname } = url;
    if (method === "POST" && pathname === "/tickets/") return this.#ticket(headers.Authorization);
    const since = searchParams.get("since");
    const wait = Number(searchParams.get("wait")) * 1_000;
    const authorization = headers.Authorization;
    this.requests.push({ kind: "poll", since, wait, authorization, url: url.href, at: Date.now() });
    if (!this.admits(authorization, searchParams.get("ticket"))) {
      await sleep(DELAY);
      return { ok: false, status: 401, headers: new Headers() };
    }
    this.polling += 1;
    this.mostPolling = Math.max(this.mostPolling, this.polling);
    try {
      return await this.#answer(since, wait, signal);
    } finally {
      this.polling -= 1;
    }
  }

  async #answer(since, wait, signal) {
    await sleep(DELAY);
    if (this.polls === "open" && since && !this.current.id) {
      await this.#change(Math.min(wait, 1_000), signal);
    } else if (this.polls === "open" && this.after(since).length === 0) {
      await this.#change(wait, signal);
    }
    if (signal.aborted) throw new DOMException("aborted", "AbortError");
    if (this.polls === "down") throw new TypeError("fetch failed");
    if (this.polls !== "open") {
      const headers = new Headers(this.retryAfter ? { "Retry-After": this.retryAfter } : {});
      return { ok: false, status: this.polls, headers };
    }
    const events = this.after(since).map((event) => ({ ...event, data: JSON.parse(event.data) }));
    const last = events.length === 0 ? since : events.at(-1).id || "0-0";
    return { ok: true, status: 200, json: async () => ({ events, last_event_id: last }) };
  }

  /** Waits for `wait` milliseconds, a change, or `signal`. */
  #change(wait, signal) {
    return new Promise((resolve) => {
      const wake = () => {
        this.waiting.delete(wake);
        resolve();
      };
      this.waiting.add(wake);
      setTimeout(wake, wait);
      signal.addEventListener("abort", wake);
    });
  }
}

class FakeEventSource extends EventTarget {
  CONNECTING = 0;
  OPEN = 1;
  CLOSED = 2;

  constructor(server, address) {
    super();
    this.server = server;
    this.readyState = this.CONNECTING;
    const { searchParams } = new URL(address);
    const since = searchParams.get("lastEventId");
    server.requests.push({ kind: "stream", since, url: address, at: Date.now() });
    setTimeout(() => this.#connect(since, searchParams.get("ticket")), DELAY);
  }

  #connect(since, ticket) {
    const { server } = this;
    if (!server.admits("", ticket)) return this.fail(true);
    if (this.readyState === this.CLOSED || server.streams === "held") return;
    if (server.streams === "down") return this.fail(false);
    if (server.streams !== "open" && server.streams !== "mute") return this.fail(true);
    this.readyState = this.OPEN;
    this.dispatchEvent(new Event("open"));
    if (server.streams === "mute") return;
    server.sources.add(this);
    for (const event of server.after(since)) this.bring(event);
  }

  bring({ id, event, data }) {
    if (this.readyState !== this.OPEN) return;
    this.dispatchEvent(new MessageEvent(event, { data, lastEventId: id }));
  }

  fail(forGood) {
    this.server.sources.delete(this);
    if (this.readyState === this.CLOSED) return;
    this.readyState = forGood ? this.CLOSED : this.CONNECTING;
    this.dispatchEvent(new Event("error"));
  }

  close() {
    this.readyState = this.CLOSED;
    this.server.sources.delete(this);
  }
}

const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));

/** Stands in for the window, the document and the navigator of a page. */
export class FakePage {
  constructor() {
    this.window = new EventTarget();
    this.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
    this.navigator = { onLine: true };
  }

  /** Makes this the page that code under test finds; gives back how to undo it. */
  install() {
    const parts = {
      document: this.document,
      navigator: this.navigator,
      location: { href: "http://board.test/" },
      addEventListener: this.window.addEventListener.bind(this.window),
      removeEventListener: this.window.removeEventListener.bind(this.window),
    };
    const before = Object.keys(parts).map((name) => [
      name,
      Object.getOwnPropertyDescriptor(globalThis, name),
    ]);
    for (const [name, value] of Object.entries(parts)) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
    return () => {
      for (const [name, property] of before) {
        if (property) Object.defineProperty(globalThis, name, property);
        else delete globalThis[name];
      }
    };
  }

  show(visible) {
    this.document.visibilityState = visible ? "visible" : "hidden";
    this.document.dispatchEvent(new Event("visibilitychange"));
  }

  network(onLine) {
    this.navigator.onLine = onLine;
    this.window.dispatchEvent(new Event(onLine ? "online" : "offline"));
  }
}
