import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { BoardStream } from "../src/board-stream.js";
import { MOST, placeOf } from "../src/several-boards.js";
import { SLOTS, Slots } from "../src/slots.js";
import { FakePage, advance } from "./fake-server.js";
import { FakeLocks } from "./fake-tabs.js";
import { ManyBoards } from "./many-boards.js";

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

function listen(server, board, options = {}) {
  const { EventSource, fetch } = server;
  const stream = new BoardStream(`/boards/${board}/events/`, {
    EventSource,
    fetch,
    slots: null,
    ...options,
  });
  const told = { stream, scores: [], ids: [] };
  stream.addEventListener("update", ({ detail }) => {
    assert.equal(detail.board.id, board);
    told.scores.push(detail.board.players[0].score);
    told.ids.push(detail.id);
  });
  open.push(told);
  return told;
}

test("the boards of a page share a stream, each with its own ids", async () => {
  const server = new ManyBoards("abc");
  const boards = [..."abc"].map((id) => listen(server, id));
  await advance(500);
  assert.equal(server.sources.size, 1);
  for (let score = 1; score <= 5; score += 1) {
    for (const id of "cab") server.change(id, score);
    await advance(100);
  }
  for (const { stream, scores, ids } of boards) {
    assert.deepEqual(scores, [0, 1, 2, 3, 4, 5]);
    assert.deepEqual(ids, [1, 2, 3, 4, 5, 6].map((n) => `${1_000 + n}-${n}`));
    assert.equal(stream.state, "live");
  }
});

test("a page with one board has a stream of that one", async () => {
  const server = new ManyBoards("ab");
  listen(server, "a");
  await advance(500);
  assert.deepEqual(server.addresses, ["/boards/a/events/"]);
});

test("boards come and go, and the others miss nothing", async () => {
  const server = new ManyBoards("abcd");
  const a = listen(server, "a");
  await advance(200);
  server.change("a", 1);
  const [b, c] = [listen(server, "b"), listen(server, "c")];
  server.change("a", 2);
  await advance(20);
  server.change("a", 3);
  await advance(300);
  assert.equal(server.sources.size, 1);
  b.stream.close();
  server.change("a", 4);
  server.change("c", 1);
  await advance(200);
  const d = listen(server, "d");
  const again = listen(server, "b");
  await advance(200);
  for (const id of "abcd") server.change(id, 9);
  await advance(200);
  assert.deepEqual(a.scores, [0, 1, 2, 3, 4, 9]);
  assert.deepEqual(c.scores, [0, 1, 9]);
  assert.deepEqual(d.scores, [0, 9]);
  assert.deepEqual(b.scores, [0]);
  assert.deepEqual(again.scores, [0, 9]);
  for (const { stream } of [a, c, d, again]) stream.close();
  await advance(100);
  assert.equal(server.sources.size, 0);
});

test("after a restart they come back together, where each was", async () => {
  const server = new ManyBoards("abcdef");
  const boards = [..."abcdef"].map((id) => listen(server, id));
  await advance(30_000);
  server.stop();
  for (const id of "abcdef") server.change(id, 1);
  await advance(500);
  server.down = false;
  const before = server.addresses.length;
  await advance(5_000);
  assert.equal(server.addresses.length - before, 1);
  for (const id of "abcdef") server.change(id, 2);
  await advance(100);
  for (const { scores } of boards) assert.deepEqual(scores, [0, 1, 2]);
});

test("where streams of several are refused, each board has its own", async () => {
  const server = new ManyBoards("abc");
  server.several = false;
  const boards = [..."abc"].map((id) => listen(server, id));
  await advance(10_000);
  assert.equal(server.sources.size, 3);
  for (const id of "abc") server.change(id, 1);
  await advance(100);
  for (const { stream, scores } of boards) {
    assert.deepEqual(scores, [0, 1]);
    assert.equal(stream.state, "live");
  }
  assert.equal(server.addresses.filter((address) => address.startsWith("/events/")).length, 1);
});

test("and those keep to the connections that there are", async () => {
  const server = new ManyBoards("abcdefg");
  server.several = false;
  const locks = new FakeLocks();
  const slots = () => new Slots("http://board.test", locks);
  const boards = [..."abcdefg"].map((id) => listen(server, id, { slots: slots() }));
  await advance(20_000);
  assert.equal(server.sources.size, SLOTS);
  for (const id of "abcdefg") server.change(id, 1);
  await advance(5_000);
  for (const { scores } of boards) assert.deepEqual(scores, [0, 1]);
});

test("any number of boards take one connection", async () => {
  const ids = Array.from({ length: MOST }, (_, i) => `b${i}`);
  const server = new ManyBoards(ids);
  const locks = new FakeLocks();
  const slots = () => new Slots("http://board.test", locks);
  const boards = ids.map((id) => listen(server, id, { slots: slots() }));
  await advance(2_000);
  assert.equal(server.sources.size, 1);
  assert.ok(boards.every(({ stream, scores }) => stream.state === "live" && scores.length === 1));
  const others = Array.from({ length: SLOTS - 1 }, (_, i) => slots().take(new AbortController().signal, i));
  assert.equal((await Promise.all(others)).length, SLOTS - 1); // the other slots are free
});

test("a board that is gone is missing, and the others go on", async () => {
  const server = new ManyBoards("abc");
  const boards = [..."abc"].map((id) => listen(server, id));
  await advance(500);
  server.delete("b");
  await advance(2_000);
  server.change("a", 1);
  server.change("c", 1);
  await advance(100);
  assert.deepEqual(boards.map(({ stream }) => stream.state), ["live", "missing", "live"]);
  assert.deepEqual(boards.map(({ scores }) => scores), [[0, 1], [0], [0, 1]]);
  // It is made again.
  server.change("b", 7);
  await advance(60_000);
  assert.equal(boards[1].stream.state, "live");
  assert.equal(boards[1].scores.at(-1), 7);
  server.change("a", 2);
  await advance(100);
  assert.deepEqual(boards[0].scores, [0, 1, 2]);
});

test("the same board twice has a stream for each", async () => {
  const server = new ManyBoards("a");
  const twice = [listen(server, "a"), listen(server, "a")];
  await advance(500);
  server.change("a", 1);
  await advance(100);
  for (const { scores } of twice) assert.deepEqual(scores, [0, 1]);
});

test("only boards with usual addresses join others", () => {
  const { EventSource } = new ManyBoards("a");
  const at = (path) => placeOf(new URL(path, "http://board.test"), EventSource);
  assert.equal(at("/boards/a.b~c/events/").board, "a.b~c");
  assert.equal(at("/below/boards/a/").board, "a");
  assert.notEqual(at("/below/boards/a/").host, at("/boards/a/").host);
  assert.equal(at("/boards/a/events").host, at("/boards/b/").host);
  for (const path of ["/boards/a/events/?token=1", "/feeds/a/", "/boards/a/players/b/events/"]) {
    assert.equal(at(path), null);
  }
});

test("boards with what lets them in have streams of their own", async () => {
  const server = new ManyBoards("abcd");
  const ticket = async () => "once";
  listen(server, "a", { ticket });
  listen(server, "b", { ticket });
  listen(server, "c", { withCredentials: true });
  listen(server, "d");
  await advance(500);
  const own = ["a", "b"].map((id) => `/boards/${id}/events/?ticket=once`);
  assert.deepEqual(server.addresses.sort(), [...own, "/boards/c/events/", "/boards/d/events/"]);
});

test("where what lets a shared stream in expires, all its boards go on", async () => {
  const server = new ManyBoards("ab");
  const boards = [..."ab"].map((id) => listen(server, id));
  await advance(2_000);
  for (const source of [...server.sources]) {
    const data = '{"reason":"the token has expired"}';
    source.dispatchEvent(new MessageEvent("expired", { data }));
    source.fail(false);
  }
  for (const id of "ab") server.change(id, 1);
  await advance(500);
  assert.equal(server.sources.size, 1);
  for (const { scores } of boards) assert.deepEqual(scores, [0, 1]);
});
