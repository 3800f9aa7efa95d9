/**
 * One EventSource for all the boards of a page that one host has.
 *
 * A browser opens six connections to a host, and a stream holds one. The server brings several
 * boards on one (`/events/?board=a&board=b`), with the positions in all of them as each event's id.
 * Here boards join such a stream and leave it: each has a `Member` that looks like an EventSource of
 * its own. A page with one board has a stream of that board alone, and so has every board where the
 * server, or something on the way, refuses streams of several.
 */

import { Event, EventTarget, MessageEvent } from "./events.js";

/** The most boards of one stream. */
export const MOST = 50;
/** Boards that join within this time join together, in milliseconds. */
export const SETTLE = 50;
/** For how long no stream of several boards is tried where one was refused. */
const REFUSED = 600_000;

/**
 * @typedef {import("./slots.js").Release} Release
 * @typedef {typeof globalThis.EventSource} Source
 */

/** @type {WeakMap<Source, Map<string, Host>>} */
const hosts = new WeakMap();

/**
 * The board whose events are at `url`, and where several boards of its server are; null where the
 * address is another one than usual.
 *
 * @param {URL} url
 * @returns {{address: string, board: string} | null}
 */
export function addressOf(url) {
  const match = /^(.*)\/boards\/([\w.~-]{1,64})\/(?:events\/?)?$/.exec(url.pathname);
  if (!match || url.search) return null;
  const [, prefix, board] = match;
  return { address: new URL(`${prefix}/events/`, url).href, board };
}

/**
 * Where the board at `url` can join others; null where its address is another one than usual.
 *
 * @param {string | URL} url  of its events, a whole address
 * @param {Source} EventSource
 * @returns {{host: Host, board: string} | null}
 */
export function placeOf(url, EventSource) {
  const found = addressOf(new URL(url));
  if (!found) return null;
  const { address, board } = found;
  let known = hosts.get(EventSource);
  if (!known) hosts.set(EventSource, (known = new Map()));
  let host = known.get(address);
  if (!host) known.set(address, (host = new Host(address, EventSource)));
  return { host, board };
}

/** The boards that share a stream. */
export class Host {
  #address;
  #EventSource;
  /** Boards that have a place here, whether they listen just now or not. @type {Set<string>} */
  #boards = new Set();
  /** @type {Map<string, Member>} */
  #members = new Map();
  /** @type {EventSource | null} */
  #source = null;
  /** Whether the last stream was one of several boards. */
  #several = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #refusedUntil = 0;
  #holders = 0;
  /** The connection that all share. @type {{got: Promise<Release | null>, end: AbortController} | null} */
  #slot = null;
  /** A random number that all draw who were cut off together, so that they come back together. */
  draw = 0;

  /** @param {string} address @param {Source} EventSource */
  constructor(address, EventSource) {
    this.#address = address;
    this.#EventSource = EventSource;
  }

  /** Whether a stream of several boards was refused lately. */
  get refuses() {
    return Date.now() < this.#refusedUntil;
  }

  /** Gives the board a place, if there is one. @param {string} board */
  enter(board) {
    if (this.refuses || this.#boards.has(board) || this.#boards.size >= MOST) return false;
    this.#boards.add(board);
    return true;
  }

  /** @param {string} board */
  leave(board) {
    this.#boards.delete(board);
  }

  /**
   * Waits for the connection that all share, which `take` gives.
   *
   * @param {AbortSignal} signal  ends the wait
   * @param {(signal: AbortSignal) => Promise<Release | null>} take
   * @returns {Promise<Release | null>} null if `signal` came first
   */
  async hold(signal, take) {
    this.#holders += 1;
    if (!this.#slot) {
      const end = new AbortController();
      this.#slot = { got: take(end.signal), end };
    }
    const slot = this.#slot;
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      this.#holders -= 1;
      if (this.#holders > 0) return;
      this.#slot = null;
      slot.end.abort();
      void slot.got.then((free) => free?.());
    };
    signal.addEventListener("abort", release, { once: true });
    const got = await slot.got;
    signal.removeEventListener("abort", release);
    if (!held || !got) {
      release();
      return null;
    }
    return release;
  }

  /**
   * Listens to the board, too.
   *
   * @param {string} board
   * @param {(query: Record<string, string>) => string} address  of its own stream
   * @param {string} lastEventId
   */
  listen(board, address, lastEventId) {
    const member = new Member(this, board, address, lastEventId);
    this.#members.set(board, member);
    if (this.#source || this.#several) this.#soon();
    else this.#open();
    return member;
  }

  /** @param {Member} member  has closed */
  drop(member) {
    if (this.#members.get(member.board) !== member) return;
    this.#members.delete(member.board);
    if (this.#members.size > 0) return; // what comes for it until others join is not told
    this.#close();
    this.#several = false;
  }

  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), SETTLE);
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #open() {
    this.#close();
    const members = [...this.#members.values()].sort((a, b) => (a.board < b.board ? -1 : 1));
    if (members.length === 0) return;
    const several = (this.#several = members.length > 1);
    const [first] = members;
    const address = several ? this.#addressOf(members) : first.address({ lastEventId: first.lastEventId });
    const source = (this.#source = new this.#EventSource(address));
    let opened = false;
    source.addEventListener("open", () => {
      opened = true;
      for (const member of members) member.open();
    });
    for (const type of ["update", "reset", "gone"]) {
      source.addEventListener(type, (event) => {
        const { data, lastEventId } = /** @type {MessageEvent} */ (event);
        const board = several ? boardOf(data) : first.board;
        const member = this.#members.get(board);
        if (this.#source !== source || !member) return;
        if (type === "gone") member.fail(true);
        else member.take(type, data, several ? positionOf(lastEventId, board) : lastEventId);
      });
    }
    source.addEventListener("expired", (event) => {
      if (this.#source !== source) return;
      this.#close();
      const { data } = /** @type {MessageEvent} */ (event);
      const ended = [...this.#members.values()];
      this.#members.clear();
      for (const member of ended) member.take("expired", data, "");
    });
    source.addEventListener("error", () => {
      if (this.#source !== source) return;
      const refused = source.readyState === source.CLOSED;
      if (refused && several && !opened) this.#refusedUntil = Date.now() + REFUSED;
      this.draw = Math.random();
      this.#close();
      const cut = [...this.#members.values()];
      this.#members.clear();
      for (const member of cut) member.fail(refused);
    });
  }

  /** @param {Member[]} members */
  #addressOf(members) {
    const url = new URL(this.#address);
    for (const { board } of members) url.searchParams.append("board", board);
    const positions = members.filter(({ lastEventId }) => lastEventId);
    const text = positions.map(({ board, lastEventId }) => `${board}:${lastEventId}`).join(",");
    if (text) url.searchParams.set("lastEventId", text);
    return url.href;
  }
}

/** What one board sees of the stream: as much of an EventSource as `BoardStream` uses. */
export class Member extends EventTarget {
  CONNECTING = 0;
  OPEN = 1;
  CLOSED = 2;
  readyState = 0;
  #host;

  /**
   * @param {Host} host
   * @param {string} board
   * @param {(query: Record<string, string>) => string} address
   * @param {string} lastEventId
   */
  constructor(host, board, address, lastEventId) {
    super();
    this.#host = host;
    this.board = board;
    this.address = address;
    this.lastEventId = lastEventId;
  }

  close() {
    this.readyState = this.CLOSED;
    this.#host.drop(this);
  }

  open() {
    if (this.readyState === this.CLOSED) return;
    this.readyState = this.OPEN;
    this.dispatchEvent(new Event("open"));
  }

  /** @param {string} type @param {string} data @param {string} lastEventId */
  take(type, data, lastEventId) {
    if (this.readyState === this.CLOSED) return;
    if (type === "update") this.lastEventId = lastEventId;
    this.dispatchEvent(new MessageEvent(type, { data, lastEventId }));
  }

  /** @param {boolean} forGood */
  fail(forGood) {
    if (this.readyState === this.CLOSED) return;
    this.readyState = forGood ? this.CLOSED : this.CONNECTING;
    this.#host.drop(this);
    this.dispatchEvent(new Event("error"));
  }
}

/** @param {string} data @returns {string} the id of the board that an event tells of */
function boardOf(data) {
  try {
    return JSON.parse(data).id;
  } catch {
    return ""; // cut off by something on the way
  }
}

/** @param {string} positions @param {string} board @returns {string} */
function positionOf(positions, board) {
  const found = positions.split(",").find((position) => position.startsWith(`${board}:`));
  return found?.slice(board.length + 1) ?? "";
}
