// Takes away what React Native does not have, before the package is loaded: EventSource, streaming
// bodies, the DOM's events, and the parts of addresses. What is left has to do.
const { fetch: whole, URL: WholeURL } = globalThis;
const gone = ["EventSource", "EventTarget", "Event", "CustomEvent", "MessageEvent", "ReadableStream"];
gone.push("TextDecoder", "TextEncoder", "URLSearchParams", "BroadcastChannel", "navigator", "crypto");
gone.push("DOMException", "WebSocket");
const kept = Object.fromEntries(gone.map((name) => [name, globalThis[name]]));

globalThis.URL = class {
  #text;
  constructor(text, base) {
    this.#text = base ? base + text : text;
  }
  toString() {
    return this.#text;
  }
};
for (const name of Object.getOwnPropertyNames(WholeURL.prototype)) {
  if (["constructor", "toString"].includes(name)) continue;
  Object.defineProperty(globalThis.URL.prototype, name, {
    get() {
      throw new Error(`URL.${name} is not implemented`);
    },
  });
}
globalThis.performance = { now: () => Date.now() };
delete globalThis.Response;
globalThis.fetch = async (url, { signal, ...init }) => {
  // The real one needs what was taken away, and gives a signal of its own.
  Object.assign(globalThis, kept, { URL: WholeURL });
  const ended = new AbortController();
  signal?.addEventListener("abort", () => ended.abort());
  if (signal?.aborted) ended.abort();
  const { ok, status, headers, ...answer } = await whole(url, { ...init, signal: ended.signal })
    .then(async (response) => {
      const text = await response.text();
      const { ok, status, headers } = response;
      return { ok, status, headers, text: async () => text, json: async () => JSON.parse(text) };
    });
  return { ok, status, headers, ...answer };
};
for (const name of gone) {
  Object.defineProperty(globalThis, name, { value: undefined, configurable: true, writable: true });
}
await import("./follow.js");
