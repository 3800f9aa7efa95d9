import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { BoardStream } from "../src/board-stream.js";
import { ChannelLocks, SLOTS, Slots, slotsOf } from "../src/slots.js";
import { FakePage, FakeServer, advance } from "./fake-server.js";
import { FakeLocks, fakeChannels } from "./fake-tabs.js";

const ORIGIN = "http://board.test";

let page;
let uninstall;
let open;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  page = new FakePage();
  uninstall = page.install();
  open = [];
});

afterEach(async () => {
  for (const { stream } of open) stream.close();
  await advance(100);
  uninstall();
  mock.timers.reset();
});

/** Gives each tab its locks: those of the browser, or its own over a channel. */
const KINDS = {
  "Web Locks": () => {
    const locks = new FakeLocks();
    return () => locks;
  },
  "a channel": () => {
    const FakeChannel = fakeChannels();
    return () => new ChannelLocks(new FakeChannel());
  },
};

/** A page with a board of its own on a server that all share. */
function board(server, locks, options = {}) {
  const { EventSource, fetch } = server;
  const stream = new BoardStream("/boards/b/events/", {
    EventSource,
    fetch,
    slots: new Slots(ORIGIN, locks),
    ...options,
  });
  const told = { stream, scores: [] };
  stream.addEventListener("update", ({ detail }) => told.scores.push(detail.board.players[0].score));
  open.push(told);
  return told;
}

for (const [kind, browser] of Object.entries(KINDS)) {
  test(`seven boards hold four streams, and poll one at a time: ${kind}`, async () => {
    const server = new FakeServer();
    const newTab = browser();
    const boards = [];
    for (let i = 0; i < 7; i += 1) {
      boards.push(board(server, newTab()));
      await advance(300);
    }
    await advance(1_000);
    assert.equal(server.sources.size, SLOTS);
    const states = boards.map(({ stream }) => stream.state);
    assert.deepEqual(states.toSorted(), [...Array(4).fill("live"), ...Array(3).fill("polling")]);
    for (let score = 1; score <= 10; score += 1) {
      server.change(score);
      await advance(1_500);
      for (const { scores } of boards) assert.equal(scores.at(-1), score);
    }
    for (const { scores } of boards) {
      assert.deepEqual(scores, [...Array(11).keys()]); // none left out, none twice
    }
    assert.equal(server.mostPolling, 1);
    const before = server.count("poll");
    await advance(60_000);
    const polls = server.count("poll") - before;
    assert.ok(polls < 250, `${polls} polls a minute of three quiet boards`);
  });

  test(`who polls gets the slot of who leaves, and misses nothing: ${kind}`, async () => {
    const server = new FakeServer();
    const newTab = browser();
    const boards = [];
    for (let i = 0; i < 5; i += 1) {
      boards.push(board(server, newTab()));
      await advance(500);
    }
    assert.equal(boards[4].stream.state, "polling");
    server.change(1);
    boards[1].stream.close();
    server.change(2);
    await advance(3_000);
    server.change(3);
    await advance(200);
    assert.equal(boards[4].stream.state, "live");
    assert.deepEqual(boards[4].scores, [0, 1, 2, 3]);
    assert.equal(server.sources.size, SLOTS);
  });

  test(`polls where streams are held back hold no more connections: ${kind}`, async () => {
    const server = new FakeServer();
    server.streams = "held";
    const newTab = browser();
    for (let i = 0; i < 9; i += 1) board(server, newTab());
    await advance(30_000);
    server.mostPolling = 0;
    await advance(60_000);
    assert.ok(server.mostPolling <= SLOTS + 1, `${server.mostPolling} polls at once`);
    for (const { stream } of open) assert.equal(stream.state, "polling");
  });

  test(`who ends a wait is out of the queue: ${kind}`, async () => {
    const newTab = browser();
    const [first, second, third] = [newTab(), newTab(), newTab()].map(
      (locks) => new Slots(ORIGIN, locks, 1),
    );
    const never = new AbortController().signal;
    const taken = first.take(never);
    await advance(300);
    const release = await taken;
    const ended = new AbortController();
    const waits = second.take(ended.signal);
    await advance(300);
    const next = third.take(never);
    await advance(300);
    ended.abort();
    assert.equal(await waits, null);
    release();
    await advance(300);
    (await next)();
    await advance(300);
    const again = second.take(never);
    await advance(300);
    assert.equal(typeof (await again), "function");
  });
}

test("a tab that died is not waited for, nor is one that the browser keeps for later", async () => {
  for (const gone of ["died", "kept"]) {
    const FakeChannel = fakeChannels();
    const dead = new FakeChannel();
    const never = new AbortController().signal;
    void new Slots(ORIGIN, new ChannelLocks(dead), 1).take(never);
    await advance(300);
    const heir = new Slots(ORIGIN, new ChannelLocks(new FakeChannel()), 1).take(never);
    let has = false;
    void heir.then(() => (has = true));
    await advance(1_000);
    assert.equal(has, false);
    if (gone === "kept") page.window.dispatchEvent(new Event("pagehide"));
    dead.deaf = true;
    await advance(gone === "kept" ? 100 : 10_000);
    assert.equal(has, true, gone);
  }
});

test("connections are not shared out where the browser needs one only", (t) => {
  const url = new URL("/boards/b/events/", ORIGIN);
  page.navigator.locks = new FakeLocks();
  const entries = (protocol) => (type) =>
    type === "navigation" ? [{ name: `${ORIGIN}/`, nextHopProtocol: protocol }] : [];
  for (const [protocol, shared] of [["http/1.1", true], ["", true], ["h2", false], ["h3", false]]) {
    t.mock.method(performance, "getEntriesByType", entries(protocol));
    assert.equal(slotsOf(url) !== null, shared, protocol);
    assert.ok(slotsOf(new URL("http://other.test/")), "another host");
  }
});
