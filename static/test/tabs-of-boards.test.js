import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { SharedBoardStream } from "../src/shared-board-stream.js";
import { FakePage, advance } from "./fake-server.js";
import { FakeLocks, fakeChannels } from "./fake-tabs.js";
import { ManyBoards } from "./many-boards.js";

let page;
let uninstall;
let shared;
let open;
let server;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  page = new FakePage();
  uninstall = page.install();
  const locks = new FakeLocks();
  shared = { locks, BroadcastChannel: fakeChannels() };
  open = [];
  server = new ManyBoards(["a", "b", "c", "d", "e"]);
});

afterEach(async () => {
  for (const { stream } of open) stream.close();
  await advance(100);
  uninstall();
  mock.timers.reset();
});

/** A tab that shows a board, with the scores that it showed. */
async function tab(board, options = {}) {
  // One class a tab, since boards of a page share streams by it.
  const EventSource = class extends server.EventSource {};
  const { fetch } = server;
  const stream = new SharedBoardStream(`/boards/${board}/events/`, {
    ...{ EventSource, fetch, slots: null },
    ...shared,
    ...options,
  });
  const told = { stream, board, scores: [], resets: 0 };
  stream.addEventListener("update", ({ detail }) => {
    assert.equal(detail.board.id, board);
    told.scores.push(detail.board.players[0].score);
  });
  stream.addEventListener("reset", () => (told.resets += 1));
  open.push(told);
  await advance(300);
  return told;
}

test("tabs of different boards share one connection, and each sees every change of its own", async () => {
  const tabs = [];
  for (const board of ["a", "b", "c", "d", "e", "a"]) tabs.push(await tab(board));
  assert.equal(server.sources.size, 1);
  server.change("a", 1);
  server.change("e", 2);
  server.change("e", 3);
  await advance(100);
  assert.deepEqual(tabs.map(({ scores }) => scores), [[0, 1], [0], [0], [0], [0, 2, 3], [0, 1]]);
  assert.deepEqual([...new Set(tabs.map(({ stream }) => stream.state))], ["live"]);
  assert.equal(tabs.filter(({ stream }) => stream.leads).length, 1);
});

test("whoever goes on for all goes on after the last event of each board", async () => {
  const [first, ...others] = [await tab("a"), await tab("b"), await tab("c"), await tab("b")];
  server.change("b", 1);
  await advance(100);
  first.stream.close();
  server.change("b", 2);
  server.change("c", 3);
  await advance(1_000);
  server.change("b", 4);
  await advance(1_000);
  assert.deepEqual(others.map(({ scores }) => scores), [[0, 1, 2, 4], [0, 3], [0, 1, 2, 4]]);
  assert.deepEqual(others.map(({ resets }) => resets), [0, 0, 0]);
  assert.equal(server.sources.size, 1);
});

test("a tab that has missed something gets the newest, and the others nothing twice", async () => {
  const [first, , awake] = [await tab("a"), await tab("b"), await tab("b")];
  const channel = [...shared.BroadcastChannel.all][1];
  channel.deaf = true;
  server.change("b", 1);
  await advance(100);
  channel.deaf = false;
  first.stream.close(); // the tab that was deaf is the next to listen
  await advance(1_000);
  server.change("b", 2);
  await advance(1_000);
  assert.deepEqual(open[1].scores, [0, 1, 2]);
  assert.deepEqual(awake.scores, [0, 1, 2]);
});

test("a board that no tab shows any more is not listened to", async () => {
  const first = await tab("a");
  const second = await tab("b");
  assert.match(server.addresses.at(-1), /board=a&board=b/);
  second.stream.close();
  await advance(60_000, 250);
  server.stop();
  server.down = false;
  await advance(5_000);
  assert.equal(server.addresses.at(-1).split("?")[0], "/boards/a/events/");
  server.change("a", 1);
  await advance(100);
  assert.deepEqual(first.scores, [0, 1]);
});

test("a board that is gone is missing in its tabs alone", async () => {
  const [first, second] = [await tab("a"), await tab("b")];
  server.delete("b");
  await advance(3_000);
  assert.equal(second.stream.state, "missing");
  assert.equal(first.stream.state, "live");
});

test("tabs with a token share with those of the same board only", async () => {
  const token = () => "t";
  const [first, second] = [await tab("a", { token }), await tab("b", { token })];
  assert.ok(first.stream.leads && second.stream.leads);
});
