import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { BoardStream } from "../src/board-stream.js";
import { SharedBoardStream, listen } from "../src/shared-board-stream.js";
import { FakePage, FakeServer, advance } from "./fake-server.js";
import { FakeLocks, fakeChannels } from "./fake-tabs.js";

let server;
let page;
let uninstall;
let shared;
let open;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  server = new FakeServer();
  page = new FakePage();
  uninstall = page.install();
  shared = { locks: new FakeLocks(), BroadcastChannel: fakeChannels() };
  open = [];
});

afterEach(async () => {
  for (const { stream } of open) stream.close();
  uninstall();
  mock.timers.reset();
});

/** A tab that listens, with what it was told. */
async function tab() {
  const { EventSource, fetch } = server;
  const options = { EventSource, fetch, slots: null, ...shared };
  const stream = new SharedBoardStream("/boards/b/events/", options);
  const told = { stream, scores: [] };
  stream.addEventListener("update", ({ detail }) => told.scores.push(detail.board.players[0].score));
  open.push(told);
  await advance(100);
  return told;
}

test("ten tabs share one stream, and all see every change", async () => {
  const tabs = [];
  for (let i = 0; i < 10; i += 1) tabs.push(await tab());
  server.change(1);
  server.change(2);
  await advance(100);
  assert.equal(server.sources.size, 1);
  for (const { stream, scores } of tabs) {
    assert.deepEqual(scores, [0, 1, 2]);
    assert.equal(stream.state, "live");
  }
  assert.equal(tabs.filter(({ stream }) => stream.leads).length, 1);
});

test("when the tab that listens is closed, another goes on where it was", async () => {
  const [first, second, third] = [await tab(), await tab(), await tab()];
  server.change(1);
  await advance(100);
  first.stream.close();
  server.change(2);
  await advance(100);
  server.change(3);
  await advance(100);
  assert.deepEqual(first.scores, [0, 1]);
  assert.deepEqual(second.scores, [0, 1, 2, 3]);
  assert.deepEqual(third.scores, [0, 1, 2, 3]);
  assert.equal(server.sources.size, 1);
});

test("all tabs tell the same state", async () => {
  const tabs = [await tab(), await tab()];
  server.stop();
  await advance(10_000);
  assert.deepEqual(tabs.map(({ stream }) => stream.state), ["reconnecting", "reconnecting"]);
  server.start();
  await advance(30_000);
  assert.deepEqual(tabs.map(({ stream }) => stream.state), ["live", "live"]);
  const late = await tab();
  assert.equal(late.stream.state, "live");
});

test("a frozen tab loses its part to one that is awake, and may come back", async () => {
  const [frozen, awake] = [await tab(), await tab()];
  const [channel] = shared.BroadcastChannel.all;
  channel.deaf = true;
  server.change(1);
  for (let tries = 0; !awake.stream.leads; tries += 1) {
    assert.ok(tries < 200, "nobody took over");
    await advance(100);
  }
  channel.deaf = false; // it wakes up
  await advance(100);
  assert.ok(!frozen.stream.leads);
  server.change(2);
  await advance(20_000);
  assert.deepEqual(awake.scores, [0, 1, 2]);
  assert.equal(frozen.scores.at(-1), 2);
  assert.equal(server.sources.size, 1);
});

test("tabs agree on a board whose events have no ids", async () => {
  server.logged = false;
  server.change(1);
  const tabs = [await tab(), await tab()];
  server.change(2);
  await advance(100);
  tabs.push(await tab());
  await advance(60_000, 250); // those that are told nothing ask, and are told what they know
  assert.deepEqual(tabs.map(({ scores }) => scores), [[1, 2], [1, 2], [2]]);
  tabs[0].stream.close();
  server.change(3);
  await advance(1_000);
  assert.deepEqual(tabs.slice(1).map(({ scores }) => scores.at(-1)), [3, 3]);
});

test("a quiet board is no reason to take over", async () => {
  const [first] = [await tab(), await tab()];
  await advance(5 * 60_000, 250);
  assert.ok(first.stream.leads);
  assert.equal(server.count("stream"), 1);
});

test("tabs that are hidden for long do not listen; one that is shown does", async () => {
  const tabs = [await tab(), await tab()];
  page.show(false);
  await advance(70_000);
  assert.deepEqual(tabs.map(({ stream }) => stream.state), ["paused", "paused"]);
  assert.equal(server.sources.size, 0);
  server.change(1);
  page.show(true);
  await advance(5_000);
  for (const { stream, scores } of tabs) {
    assert.equal(stream.state, "live");
    assert.deepEqual(scores, [0, 1]);
  }
  assert.equal(server.sources.size, 1);
});

test("a page that goes to the back-forward cache gives up its part, and takes part again", async () => {
  const only = await tab();
  page.window.dispatchEvent(new Event("pagehide"));
  await advance(100);
  assert.equal(server.sources.size, 0);
  assert.equal(shared.locks.holders.size, 0);
  page.window.dispatchEvent(new Event("pageshow"));
  await advance(100);
  assert.equal(only.stream.state, "live");
});

test("without Web Locks each tab has its own stream", async () => {
  const { EventSource, fetch } = server;
  const stream = listen("/boards/b/events/", { EventSource, fetch, slots: null });
  open.push({ stream });
  assert.ok(stream instanceof BoardStream);
});
