import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { BoardStream } from "../src/board-stream.js";
import { Boards } from "../src/boards.js";
import { Replay } from "../src/replay.js";
import { advance } from "./fake-server.js";

const START = Date.parse("2026-11-25T02:00:00Z");
const HISTORY = "http://board.test/boards/race/history/";
const SECOND = 1_000;

let asked;
let replay;
let told;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: START + 7_200 * SECOND });
  asked = [];
  told = [];
});
afterEach(() => {
  replay?.close();
  mock.timers.reset();
});

/** A board that changes each `every` ms from `START` on, as a server tells of it. */
function server({ every = SECOND, fail = [] } = {}) {
  return async (url, init) => {
    const { searchParams, pathname } = new URL(url);
    const [from, to, points] = ["from", "to", "points"].map((name) => Number(searchParams.get(name)));
    asked.push({ pathname, from, to, points, token: init.headers.Authorization });
    const status = fail.shift();
    if (status) return new Response('{"detail": "no"}', { status });
    const boards = [];
    for (let i = 0; i < points; i += 1) {
      const time = from + ((to - from) * i) / (points - 1);
      const n = Math.floor((time - START) / every);
      if (n < 0 || boards.at(-1)?.data.n === n) continue;
      const since = START + n * every;
      boards.push({ id: `${since}-${n}`, time: new Date(since).toISOString(), data: { id: "race", n } });
    }
    return new Response(JSON.stringify({ from, to, boards }), { status: 200 });
  };
}

/** Plays the board from second 100 on. */
function play(options, fetch = server()) {
  replay = new Replay(HISTORY, {
    from: START + 100 * SECOND,
    to: START + 200 * SECOND,
    fetch,
    ...options,
  });
  replay.addEventListener("update", ({ detail }) => told.push(detail.board.n));
  return replay;
}

const second = () => (replay.position - START) / SECOND;
const upTo = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

test("plays what was, as fast as it was", async () => {
  play();
  assert.equal(replay.state, "loading");
  await advance(10, 10);
  assert.equal(replay.state, "playing");
  assert.deepEqual(told, [100]);
  await advance(5_000, 10);
  assert.deepEqual(told, upTo(100, 105));
  assert.ok(Math.abs(second() - 105) < 0.1, `${second()}`);
});

test("plays at any speed, tells each event once, and ends", async () => {
  play({ speed: 10 });
  const times = [];
  replay.addEventListener("update", ({ detail }) => times.push(detail.time));
  await advance(10_500, 10);
  assert.equal(replay.state, "ended");
  assert.deepEqual(told, upTo(100, 200));
  assert.deepEqual(times, told.map((n) => START + n * SECOND));
  assert.equal(second(), 200);
  // And once more.
  replay.play();
  await advance(1_000, 10);
  assert.deepEqual(told.slice(101, 105), upTo(100, 103));
});

test("asks for no more than can be shown, and for what is next while it plays", async () => {
  play({ from: START, to: START + 7_000 * SECOND, speed: 100 });
  await advance(50, 10);
  assert.equal(asked.length, 2); // the piece that is shown, and the one behind it
  assert.deepEqual(asked[0], {
    pathname: "/boards/race/history/",
    from: START,
    to: START + 1_600 * SECOND,
    points: 200,
    token: undefined,
  });
  assert.equal(asked[1].from, asked[0].to);
  const states = [];
  replay.addEventListener("state", () => states.push(replay.state));
  await advance(71_000, 50);
  assert.deepEqual(states, ["ended"], "it never has to wait for the server");
  assert.equal(asked.length, 5);
  assert.equal(told.at(-1), 7_000);
  assert.ok(told.length > 700 && told.length <= 1_000, `${told.length}`);
});

test("pauses, seeks and goes on", async () => {
  play({ paused: true });
  await advance(1_000, 10);
  assert.equal(replay.state, "paused");
  assert.deepEqual(told, [100]);
  assert.equal(second(), 100);
  replay.seek(START + 150.5 * SECOND);
  await advance(100, 10);
  assert.equal(replay.state, "paused");
  assert.deepEqual(told, [100, 150]);
  replay.play();
  await advance(2_000, 10);
  assert.deepEqual(told, [100, 150, 151, 152]);
  replay.pause();
  const at = second();
  await advance(5_000, 10);
  assert.equal(second(), at);
  replay.seek(new Date(START + 120 * SECOND));
  await advance(100, 10);
  assert.equal(told.at(-1), 120);
  // Beyond either end there is nothing.
  replay.seek(0);
  await advance(100, 10);
  assert.equal(second(), 100);
  replay.seek(START + 1e9);
  await advance(100, 10);
  assert.deepEqual([second(), told.at(-1), replay.state], [200, 200, "paused"]);
});

test("changes its speed on the way", async () => {
  play({ speed: 10 });
  await advance(1_010, 10);
  const at = second();
  replay.speed = 1;
  assert.ok(Math.abs(second() - at) < 0.01);
  told.length = 0;
  await advance(3_000, 10);
  assert.ok(Math.abs(second() - at - 3) < 0.2, `${second()} ${at}`);
  assert.equal(told.length, 3);
});

test("does not begin before what there is, nor tell what there is not", async () => {
  play({ from: START - 100 * SECOND, to: START + 100 * SECOND, speed: 50 });
  await advance(1_000, 10);
  assert.deepEqual(told, []);
  assert.equal(replay.frame, null);
  await advance(1_500, 10);
  assert.equal(told[0], 0);
  assert.equal(replay.frame.board.n, told.at(-1));
  replay.pause();
  replay.seek(START - SECOND);
  await advance(100, 10);
  assert.equal(replay.frame, null);
  replay.seek(START + 20 * SECOND);
  await advance(100, 10);
  assert.equal(told.at(-1), 20);
});

test("a server that is away is asked again, and one that refuses is not", async () => {
  play({ speed: 10 }, server({ fail: [503] }));
  await advance(700, 10);
  assert.equal(replay.state, "playing");
  replay.close();
  told.length = 0;
  play({}, server({ fail: [410] }));
  await advance(100, 10);
  assert.equal(replay.state, "failed");
  assert.equal(replay.error.status, 410);
  replay.play();
  await advance(100, 10);
  assert.equal(replay.state, "playing");
});

test("nothing comes after close()", async () => {
  play();
  await advance(2_000, 10);
  replay.close();
  const before = told.length;
  await advance(5_000, 10);
  replay.play();
  await advance(5_000, 10);
  assert.equal(told.length, before);
  assert.equal(replay.state, "closed");
});

test("an answer that is cut goes on elsewhere", async () => {
  const whole = server();
  let cut = true;
  play({}, async (url, init) => {
    const answer = await whole(url, init);
    if (!cut) return answer;
    cut = false;
    const body = await answer.json();
    const [first, ...rest] = body.boards;
    const middle = rest[4];
    const link = `</boards/race/history/?from=${Date.parse(middle.time)}&to=${body.to}&points=9>; rel="next"`;
    const boards = [first, ...rest.slice(0, 4)];
    return new Response(JSON.stringify({ ...body, boards }), { status: 200, headers: { Link: link } });
  });
  await advance(12_000, 10);
  assert.equal(asked[1].points, 9);
  assert.deepEqual(told.slice(0, 6), upTo(100, 105));
});

test("times and speeds that make no sense are refused", () => {
  const fetch = server();
  for (const wrong of [{ speed: 0 }, { speed: -1 }, { speed: NaN }, { from: START + 300 * SECOND }]) {
    assert.throws(() => play({ ...wrong, fetch }), RangeError);
  }
  play({ paused: true });
  assert.throws(() => replay.seek("yesterday"), RangeError);
  assert.throws(() => (replay.speed = 0), RangeError);
});

test("a BoardStream, and the boards of a server, replay with what lets them in", async () => {
  const fetch = server();
  for (const url of ["http://board.test/boards/race/events/", "http://board.test/boards/race/events?x=1"]) {
    const stream = new BoardStream(url, { fetch, token: "t", EventSource: null, slots: null });
    replay = stream.replay({ from: START, to: START + SECOND });
    await advance(50, 10);
    stream.close();
    replay.close();
    const { pathname, token } = asked.filter(({ points }) => points).at(-1);
    assert.deepEqual([pathname, token], ["/boards/race/history/", "Bearer t"]);
  }
  asked.length = 0;
  replay = new Boards("http://board.test/x", { fetch, token: "t" }).replay("race", {
    to: START + SECOND,
  });
  await advance(50, 10);
  assert.equal(asked[0].pathname, "/x/boards/race/history/");
  assert.equal(asked[0].from, START + SECOND - 3_600_000);
});

test("a page can have the ranks of then", async () => {
  const page = { count: 0, since: null, players: [] };
  const fetch = async (url) => {
    asked.push({ search: new URL(url).search });
    return new Response(JSON.stringify(page), { status: 200 });
  };
  const boards = new Boards("http://board.test", { fetch });
  for (const since of [new Date(START), START, "2026-11-25"]) {
    assert.deepEqual(await boards.page("race", { since }), page);
  }
  assert.deepEqual(
    asked.map(({ search }) => search),
    [`?since=${START}`, `?since=${START}`, "?since=2026-11-25"],
  );
});
