import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { PlayerStream } from "../src/player-stream.js";
import { advance } from "./fake-server.js";

let server;
let stream;
let told;

/** The place of one player: a state without ids, as the server tells it. */
class FakePlaces {
  constructor() {
    this.streams = "open"; // "held": nothing comes through
    this.place = { id: "me", name: "Me", score: 1, rank: 9, of: 10, to_next: 2 };
    this.sources = new Set();
    this.polls = [];
    this.waiting = new Set();
    const server = this;
    this.EventSource = class extends EventTarget {
      CLOSED = 2;
      readyState = 0;
      constructor(url) {
        super();
        this.url = url;
        setTimeout(() => this.#connect(), 10);
      }
      #connect() {
        if (this.readyState === this.CLOSED || server.streams === "held") return;
        if (!server.place) return this.fail(true);
        this.readyState = 1;
        server.sources.add(this);
        this.dispatchEvent(new Event("open"));
        this.bring("rank", server.place);
      }
      bring(type, data) {
        this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data) }));
      }
      fail(forGood) {
        server.sources.delete(this);
        if (this.readyState === this.CLOSED) return;
        this.readyState = forGood ? this.CLOSED : 0;
        this.dispatchEvent(new Event("error"));
      }
      close() {
        this.readyState = this.CLOSED;
        server.sources.delete(this);
      }
    };
    this.fetch = (url, options) => this.#poll(new URL(url), options);
  }

  get tag() {
    return `tag-${JSON.stringify(this.place).length}-${this.place.rank}`;
  }

  move(rank) {
    this.place = { ...this.place, rank };
    for (const source of this.sources) source.bring("rank", this.place);
    for (const wake of [...this.waiting]) wake();
  }

  remove() {
    this.place = null;
    for (const source of [...this.sources]) {
      source.bring("gone", { id: "me" });
      source.fail(false);
    }
  }

  async #poll({ searchParams }, { signal }) {
    this.polls.push(Object.fromEntries(searchParams));
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (!this.place) return { ok: false, status: 404, headers: new Headers() };
    if (searchParams.get("since") === this.tag) {
      await new Promise((resolve) => {
        const wake = () => {
          this.waiting.delete(wake);
          resolve();
        };
        this.waiting.add(wake);
        setTimeout(wake, Number(searchParams.get("wait")) * 1_000);
        signal.addEventListener("abort", wake);
      });
    }
    if (signal.aborted) throw new DOMException("aborted", "AbortError");
    const news = searchParams.get("since") !== this.tag;
    const events = news ? [{ id: null, event: "rank", data: this.place }] : [];
    const answer = { events, last_event_id: this.tag };
    return { ok: true, status: 200, json: async () => answer };
  }
}

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  server = new FakePlaces();
});

afterEach(() => {
  stream.close();
  mock.timers.reset();
});

function listen(options = {}) {
  const { EventSource, fetch } = server;
  stream = new PlayerStream("http://b.test/boards/b/players/me/events/", {
    EventSource,
    fetch,
    random: () => 0.5,
    slots: null,
    ...options,
  });
  told = { ranks: [], gone: [], states: [stream.state] };
  stream.addEventListener("rank", ({ detail }) => told.ranks.push(detail.rank));
  stream.addEventListener("gone", ({ detail }) => told.gone.push(detail.id));
  stream.addEventListener("state", () => told.states.push(stream.state));
}

test("tells the place at once, then each change", async () => {
  listen();
  await advance(100);
  server.move(8);
  await advance(100);
  assert.deepEqual(told.ranks, [9, 8]);
  assert.deepEqual(told.states, ["connecting", "live"]);
});

test("a quiet stream is no held one, and is told nothing twice", async () => {
  listen();
  await advance(10 * 60_000, 500);
  assert.deepEqual(told.ranks, [9]);
  assert.deepEqual(told.states, ["connecting", "live"]);
  assert.ok(server.polls.length <= 11);
});

test("a check that knows a place before the stream, by its second, is no sign", async () => {
  listen();
  await advance(59_000);
  const [source] = server.sources;
  server.sources.clear();
  server.move(8);
  while (server.polls.length === 0) await advance(5, 5);
  await advance(1_000);
  source.bring("rank", server.place);
  await advance(3_000);
  assert.deepEqual(told.ranks, [9, 8]);
  assert.equal(stream.state, "live");
});

for (const kind of ["held", "none"]) {
  test(`polls where streams are ${kind}, and does not poll in a busy loop`, async () => {
    server.streams = "held";
    listen(kind === "none" ? { EventSource: null } : {});
    await advance(10_000);
    assert.equal(stream.state, "polling");
    const before = server.polls.length;
    server.move(3);
    await advance(500);
    server.move(2);
    await advance(500);
    assert.deepEqual(told.ranks, [9, 3, 2]);
    await advance(60_000, 250);
    assert.ok(server.polls.length - before < 12, `${server.polls.length - before} polls`);
    assert.deepEqual(told.ranks, [9, 3, 2]);
  });
}

test("a player that is gone is told once, and again when it is back", async () => {
  listen();
  await advance(100);
  server.remove();
  await advance(10_000);
  assert.deepEqual(told.gone, ["me"]);
  assert.equal(stream.state, "missing");
  server.place = { id: "me", name: "Me", score: 5, rank: 1, of: 1, to_next: null };
  await advance(60_000, 250);
  assert.deepEqual(told.ranks, [9, 1]);
  assert.equal(stream.state, "live");
});
