/** Requests that are sent again where that may help, and count once all the same. */

import { secretOf } from "./credentials.js";

/**
 * @typedef {import("./credentials.js").Credential} Credential
 *
 * @typedef {object} RequestOptions  Times are in milliseconds.
 * @property {string | Credential} [token]  what the request carries in `Authorization`, or what gets it
 * @property {AbortSignal} [signal]   ends it, pauses included
 * @property {number} [retries]       how often it is sent again at most. 5.
 * @property {number} [retryMin]      the first pause is half of this to all of it; pauses double. 500.
 * @property {number} [retryMax]      and are no longer than this, unless the server asks for it. 15,000.
 * @property {number} [within]        no pause is begun that would end later than this. 60,000.
 * @property {number} [timeout]       how long one answer may take. 10,000.
 * @property {boolean} [withCredentials]  send cookies to another origin, too. false.
 * @property {() => number} [random]  draws the jitter, from 0 to 1
 * @property {typeof globalThis.fetch} [fetch]
 *
 * @typedef {object} Asked
 * @property {string} method
 * @property {Record<string, string>} [headers]
 * @property {unknown} [body]  sent as JSON
 */

/** Answers after which the same request may succeed. */
const PASSING = new Set([408, 429, 502, 503, 504]);
/** The longest `Retry-After` that is believed. */
const MOST_PATIENCE = 3_600_000;

/** An answer that is no success; `message` is what the server says of it. */
export class RequestError extends Error {
  /** @param {number} status @param {string} message @param {number} [retryAfter] */
  constructor(status, message, retryAfter = 0) {
    super(message);
    this.name = "RequestError";
    /** The HTTP status. */
    this.status = status;
    /** After how many milliseconds the server would be asked again; 0 if it named no time. */
    this.retryAfter = retryAfter;
  }
}

/** A key that nobody has used before: 128 random bits. @returns {string} */
export function newKey() {
  const crypto = globalThis.crypto;
  if (crypto?.randomUUID) return crypto.randomUUID(); // only where the page came over HTTPS
  const bytes = new Uint8Array(16);
  if (crypto?.getRandomValues) crypto.getRandomValues(bytes);
  else bytes.forEach((_, i) => (bytes[i] = Math.floor(Math.random() * 256)));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Sends a request until it is answered for good: again where there was no answer, or one that will
 * pass, after pauses with jitter that are no shorter than the server asks for. What changes
 * something has to have an `Idempotency-Key` among its headers.
 *
 * @param {string} url  a whole address
 * @param {Asked} asked
 * @param {RequestOptions} [options]
 * @returns {Promise<Whole>} a success
 * @throws {RequestError} for any other answer, the last one there was
 * @throws {TypeError} or what else `fetch` throws, where the last try had none; what `signal` was
 *   aborted with
 */
export async function send(url, { method, headers = {}, body }, options = {}) {
  const { signal, retries = 5, retryMin = 500, retryMax = 15_000, within = 60_000 } = options;
  const { random = Math.random } = options;
  const text = body === undefined ? undefined : JSON.stringify(body);
  const deadline = Date.now() + within;
  let renewed = false;
  let tried = 0;
  for (;;) {
    try {
      const token = await secretOf(options.token, { renew: renewed });
      const answer = await once(url, method, { ...headers, ...bearer(token) }, text, options);
      if (answer.ok) return answer;
      throw errorOf(answer);
    } catch (error) {
      if (signal?.aborted) throw signal.reason ?? error;
      const status = error instanceof RequestError ? error.status : 0;
      if (status === 401 && typeof options.token === "function" && !renewed) {
        renewed = true; // at once, and once
        continue;
      }
      tried += 1;
      // 409 after the first try: that one is still under way.
      const passes = status === 0 || PASSING.has(status) || (status === 409 && tried > 1);
      const backoff = Math.min(retryMax, retryMin * 2 ** (tried - 1)) * (0.5 + 0.5 * random());
      const pause = Math.max(backoff, error instanceof RequestError ? error.retryAfter : 0);
      if (!passes || tried > retries || Date.now() + pause > deadline) throw error;
      await sleep(pause, signal);
    }
  }
}

/** @param {string} token @returns {Record<string, string>} */
const bearer = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/**
 * @param {string} url
 * @param {string} method
 * @param {Record<string, string>} headers
 * @param {string | undefined} body
 * @param {RequestOptions} options
 */
async function once(url, method, headers, body, options) {
  const { signal, timeout = 10_000, withCredentials, fetch = globalThis.fetch } = options;
  const ended = new AbortController();
  const end = () => ended.abort();
  if (signal?.aborted) end();
  signal?.addEventListener("abort", end);
  const timer = setTimeout(end, timeout);
  try {
    const answer = await fetch(url, {
      method,
      cache: "no-store",
      ...(withCredentials && { credentials: "include" }),
      headers: {
        Accept: "application/json",
        ...(body !== undefined && { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body !== undefined && { body }),
      signal: ended.signal,
    });
    // Read here, so that an answer that is cut off is none, and `timeout` holds for all of it.
    const text = await answer.text();
    return new Whole(answer, text);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  }
}

/** As much of a `Response` as is used, with its body. */
export class Whole {
  #text;

  /** @param {Response} answer @param {string} text */
  constructor({ ok, status, headers }, text) {
    this.ok = ok;
    this.status = status;
    this.headers = headers;
    this.#text = text;
  }

  /** @returns {any} */
  json() {
    return JSON.parse(this.#text);
  }
}

/** @param {Whole} answer */
function errorOf(answer) {
  let detail;
  try {
    detail = answer.json().detail;
  } catch {
    // A proxy may say it in HTML.
  }
  const seconds = Number(answer.headers.get("Retry-After"));
  const retryAfter = seconds > 0 ? Math.min(seconds * 1_000, MOST_PATIENCE) : 0;
  return new RequestError(answer.status, detail || `The server answered ${answer.status}.`, retryAfter);
}

/** @param {number} time @param {AbortSignal} [signal] @returns {Promise<void>} */
function sleep(time, signal) {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      if (signal?.aborted) reject(signal.reason ?? new Error("aborted"));
      else resolve();
    };
    const timer = setTimeout(end, time);
    signal?.addEventListener("abort", end);
  });
}
