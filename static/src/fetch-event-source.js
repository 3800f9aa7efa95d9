/**
 * An EventSource made of `fetch`, for where there is none (Node, some workers). It lives for one
 * connection, as those of `LiveStream` do: when that ends, it says `error` and does not come back.
 * Unlike a browser's it takes headers.
 */

import { Event, EventTarget, MessageEvent } from "./events.js";
import { EventParser } from "./event-parser.js";

/** Whether `fetch` gives the body of an answer piece by piece here. */
export function fetchStreams() {
  return Boolean(
    globalThis.ReadableStream && globalThis.TextDecoder && globalThis.Response &&
      "body" in globalThis.Response.prototype,
  );
}

class OneConnection extends EventTarget {
  /** That the constructor takes `headers` and `fetch`. */
  static takesHeaders = true;
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  CONNECTING = 0;
  OPEN = 1;
  CLOSED = 2;
  readyState = 0;
  #ended = new AbortController();

  /**
   * @param {string | URL} url
   * @param {{withCredentials?: boolean, headers?: Record<string, string>, fetch?: typeof globalThis.fetch}} [init]
   */
  constructor(url, { withCredentials = false, headers = {}, fetch = globalThis.fetch } = {}) {
    super();
    this.url = String(url);
    this.withCredentials = withCredentials;
    void this.#run(headers, fetch);
  }

  close() {
    this.readyState = this.CLOSED;
    this.#ended.abort();
  }

  /** @param {Record<string, string>} headers @param {typeof globalThis.fetch} fetch */
  async #run(headers, fetch) {
    let refused = false;
    try {
      const answer = await fetch(this.url, {
        cache: "no-store",
        ...(this.withCredentials && { credentials: "include" }),
        headers: { Accept: "text/event-stream", ...headers },
        signal: this.#ended.signal,
      });
      const type = answer.headers.get("Content-Type") ?? "";
      refused = !answer.ok || !/^text\/event-stream\b/i.test(type) || !answer.body;
      if (!refused) await this.#read(/** @type {ReadableStream<Uint8Array>} */ (answer.body));
      else void answer.body?.cancel().catch(() => {});
    } catch {
      // There is no connection, or it broke.
    }
    if (this.readyState === this.CLOSED) return;
    this.readyState = refused ? this.CLOSED : this.CONNECTING;
    this.#ended.abort();
    this.dispatchEvent(new Event("error"));
  }

  /** @param {ReadableStream<Uint8Array>} body */
  async #read(body) {
    if (this.readyState === this.CLOSED) return;
    this.readyState = this.OPEN;
    this.dispatchEvent(new Event("open"));
    const parser = new EventParser();
    const decoder = new TextDecoder(); // takes a byte order mark away
    const reader = body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const { type, data, id } of parser.feed(decoder.decode(value, { stream: true }))) {
        // A listener may have closed it.
        if (/** @type {number} */ (this.readyState) === this.CLOSED) return;
        this.dispatchEvent(new MessageEvent(type, { data, lastEventId: id }));
      }
    }
  }
}

/** @type {typeof globalThis.EventSource} */
export const FetchEventSource = /** @type {any} */ (OneConnection);
