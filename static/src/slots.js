/**
 * Who may hold a connection to a host for long, among all boards and tabs of a browser.
 *
 * A browser opens at most six HTTP/1.1 connections to a host, for all its tabs together, and a
 * stream holds one for good: seven boards would leave nothing for the seventh, and nothing for a
 * POST. So `SLOTS` of them may be held; whoever has no slot polls, one at a time, and for a moment
 * only. That makes five connections at the most, and the sixth is free for everything else.
 *
 * Web Locks say whose turn it is. They need HTTPS or localhost; elsewhere tabs agree over a
 * BroadcastChannel. Over HTTP/2 and 3 there is nothing to share out.
 */

/** How many connections to a host may be held for long. */
export const SLOTS = 4;
/** In about this time, in milliseconds, each of those without a slot has polled once. */
const ROUND = 1_000;

/** How long a claim waits for tabs that may object to it, in milliseconds. */
const OBJECTION = 100;
/** How often a tab tells the others that it is still there, and how long one counts without. */
const HEARTBEAT = 2_000;
const FORGET = 3 * HEARTBEAT;

/**
 * @typedef {() => void} Release
 *
 * @typedef {object} Locks  what is used of a `LockManager`
 * @property {(name: string, options: {signal?: AbortSignal}, use: () => any) => Promise<any>} request
 * @property {() => Promise<{pending?: {name?: string}[]}>} query
 *
 * @typedef {{name: string, at: number, n: number, held: boolean}} Claim
 * @typedef {Claim & {open: boolean, grant: () => void}} OwnClaim
 */

/** The connections to one host. */
export class Slots {
  #name;
  #locks;
  #count;

  /**
   * @param {string} origin  of the host
   * @param {Locks} locks    those that all its tabs share
   * @param {number} [count] how many connections may be held
   */
  constructor(origin, locks, count = SLOTS) {
    this.#name = `board-stream ${origin}`;
    this.#locks = locks;
    this.#count = count;
  }

  /**
   * Waits for a slot. It is the caller's until `release` is called, or the page goes.
   *
   * @param {AbortSignal} signal  ends the wait
   * @returns {Promise<Release | null>} null if `signal` came first
   */
  take(signal) {
    return new Promise((resolve) => {
      const found = new AbortController();
      const abort = () => {
        found.abort();
        resolve(null);
      };
      if (signal.aborted) return abort();
      signal.addEventListener("abort", abort, { once: true });
      for (let i = 0; i < this.#count; i += 1) {
        const hold = () => {
          if (found.signal.aborted) return undefined; // one is enough
          found.abort();
          signal.removeEventListener("abort", abort);
          return new Promise((release) => resolve(() => release(undefined)));
        };
        this.#locks
          .request(`${this.#name} slot ${i}`, { signal: found.signal }, hold)
          .catch(() => {}); // the wait has ended
      }
    });
  }

  /**
   * Calls `use` with how long it may take, in milliseconds, when it is its turn.
   *
   * @template T
   * @param {AbortSignal} signal  ends the wait; the promise is then rejected
   * @param {(time: number) => Promise<T>} use
   * @returns {Promise<T>}
   */
  turn(signal, use) {
    const name = `${this.#name} turn`;
    return this.#locks.request(name, { signal }, async () => {
      const { pending = [] } = await this.#locks.query();
      const others = pending.filter((request) => request.name === name).length;
      return use(Math.round(ROUND / (1 + others)));
    });
  }
}

/** @type {ChannelLocks | undefined} */
let channelLocks;

/**
 * The connections to the host of `url`; null where there is no need to share them out, or no way.
 *
 * @param {{origin: string}} url
 * @returns {Slots | null}
 */
export function slotsOf({ origin }) {
  // Node has Web Locks, too, but no six connections.
  if (!globalThis.document && !("WorkerGlobalScope" in globalThis)) return null;
  if (multiplexes(origin)) return null;
  if (globalThis.navigator?.locks) return new Slots(origin, globalThis.navigator.locks);
  if (!globalThis.BroadcastChannel || !globalThis.document) return null;
  channelLocks ??= new ChannelLocks(new BroadcastChannel("board-stream slots"));
  return new Slots(origin, channelLocks);
}

/** Whether the browser is known to send all requests to `origin` over one connection. @param {string} origin */
function multiplexes(origin) {
  const known = ["navigation", "resource"].flatMap((type) =>
    /** @type {PerformanceResourceTiming[]} */ (globalThis.performance?.getEntriesByType(type) ?? []),
  );
  return known.some(
    ({ name, nextHopProtocol }) =>
      name.startsWith(`${origin}/`) && /^h[23]/.test(nextHopProtocol ?? ""),
  );
}

/**
 * As much of Web Locks as `Slots` uses, for tabs that have none: exclusive locks, first come first
 * served. Each tab tells the others over `channel` what it claims, and by the age of the claims
 * all come to the same conclusion. A tab that was too busy to object may find its lock in two
 * hands for a while; a connection too many is all that comes of it.
 */
export class ChannelLocks {
  #page = Math.random().toString(36).slice(2);
  #channel;
  #count = 0;
  /** @type {Set<OwnClaim>} */
  #own = new Set();
  /** What other tabs claim, and when they were last heard. @type {Map<string, {claims: Claim[], heard: number}>} */
  #others = new Map();
  #beats = false;

  /**
   * @param {InstanceType<typeof globalThis.BroadcastChannel>} channel  shared by all tabs, and by
   *   nothing else
   */
  constructor(channel) {
    this.#channel = channel;
    channel.onmessage = ({ data }) => this.#hear(data);
    globalThis.addEventListener?.("pagehide", () => this.#post([], false));
    globalThis.addEventListener?.("pageshow", () => this.#tell(true));
  }

  /**
   * @param {string} name
   * @param {{signal?: AbortSignal}} options
   * @param {() => any} use
   * @returns {Promise<any>}
   */
  request(name, { signal }, use) {
    return new Promise((resolve, reject) => {
      const drop = () => {
        signal?.removeEventListener("abort", abort);
        this.#own.delete(claim);
        this.#tell(false);
        this.#grant();
      };
      const abort = () => {
        if (claim.held) return;
        drop();
        reject(new DOMException("The wait was ended.", "AbortError"));
      };
      const grant = () => {
        claim.held = true;
        this.#tell(false);
        resolve(Promise.resolve().then(use).finally(drop));
      };
      /** @type {OwnClaim} */
      const claim = { name, at: Date.now(), n: (this.#count += 1), held: false, open: false, grant };
      if (signal?.aborted) return abort();
      signal?.addEventListener("abort", abort);
      this.#own.add(claim);
      this.#tell(true);
      setTimeout(() => {
        claim.open = true;
        this.#grant();
      }, OBJECTION);
      if (!this.#beats) this.#beat();
    });
  }

  async query() {
    return { pending: this.#all().filter(({ claim }) => !claim.held).map(({ claim }) => claim) };
  }

  #all() {
    const own = [...this.#own].map((claim) => ({ page: this.#page, claim: /** @type {Claim} */ (claim) }));
    const others = [...this.#others].flatMap(([page, { claims }]) =>
      claims.map((claim) => ({ page, claim })),
    );
    return [...own, ...others];
  }

  #grant() {
    for (const [page, { heard }] of this.#others) {
      if (Date.now() - heard > FORGET) this.#others.delete(page);
    }
    for (const claim of this.#own) {
      if (claim.held || !claim.open) continue;
      const first = this.#all().every(
        ({ page, claim: other }) =>
          other === claim ||
          other.name !== claim.name ||
          (!other.held && isBefore(claim, this.#page, other, page)),
      );
      if (first) claim.grant();
    }
  }

  #beat() {
    this.#beats = this.#own.size > 0;
    if (!this.#beats) return;
    this.#tell(false);
    this.#grant();
    setTimeout(() => this.#beat(), HEARTBEAT);
  }

  /** @param {boolean} ask  whether the others are to tell, too */
  #tell(ask) {
    this.#post([...this.#own].map(({ name, at, n, held }) => ({ name, at, n, held })), ask);
  }

  /** @param {Claim[]} claims @param {boolean} ask */
  #post(claims, ask) {
    this.#channel.postMessage({ page: this.#page, claims, ask });
  }

  /** @param {{page: string, claims: Claim[], ask: boolean}} message */
  #hear({ page, claims, ask }) {
    if (claims.length > 0) this.#others.set(page, { claims, heard: Date.now() });
    else this.#others.delete(page);
    if (ask && this.#own.size > 0) this.#tell(false);
    this.#grant();
  }
}

/** @param {Claim} a @param {string} pageOfA @param {Claim} b @param {string} pageOfB */
function isBefore(a, pageOfA, b, pageOfB) {
  if (a.at !== b.at) return a.at < b.at;
  return pageOfA === pageOfB ? a.n < b.n : pageOfA < pageOfB;
}
