/** What tabs of a browser share, in memory: locks and channels. */

/** Web Locks as far as needed: one holder for each name, a queue, `signal` and `steal`. */
export class FakeLocks {
  queue = [];
  /** The holders, by the names of their locks. */
  holders = new Map();

  request(name, { signal, steal }, callback) {
    return new Promise((resolve, reject) => {
      const asking = { name, callback, resolve, reject };
      if (steal) {
        this.holders.get(name)?.reject(new DOMException("stolen", "AbortError"));
        this.#grant(asking);
        return;
      }
      if (signal?.aborted) return reject(new DOMException("aborted", "AbortError"));
      this.queue.push(asking);
      signal?.addEventListener("abort", () => {
        if (this.holders.get(name) === asking) return; // too late: it has been granted
        this.queue = this.queue.filter((other) => other !== asking);
        reject(new DOMException("aborted", "AbortError"));
      });
      queueMicrotask(() => this.#next(name)); // as in browsers, never before `request` returns
    });
  }

  async query() {
    return { pending: this.queue.map(({ name }) => ({ name })) };
  }

  #next(name) {
    if (this.holders.has(name)) return;
    const asking = this.queue.find((one) => one.name === name);
    if (!asking) return;
    this.queue = this.queue.filter((other) => other !== asking);
    this.#grant(asking);
  }

  #grant(asking) {
    const { name } = asking;
    this.holders.set(name, asking);
    const end = (settle) => (value) => {
      settle(value);
      if (this.holders.get(name) === asking) {
        this.holders.delete(name);
        this.#next(name);
      }
    };
    (async () => asking.callback())().then(end(asking.resolve), end(asking.reject));
  }
}

/** Channels of one name, which a test can make deaf, as those of a frozen tab are. */
export function fakeChannels() {
  const all = new Set();
  return class FakeChannel {
    deaf = false;

    constructor() {
      all.add(this);
    }

    static all = all;

    postMessage(data) {
      if (this.deaf) return;
      const copy = structuredClone(data);
      for (const other of all) {
        if (other !== this && !other.deaf) {
          setTimeout(() => all.has(other) && other.onmessage({ data: copy }), 1);
        }
      }
    }

    close() {
      all.delete(this);
    }
  };
}
