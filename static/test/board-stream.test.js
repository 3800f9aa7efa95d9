import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { BoardStream } from "../src/board-stream.js";
import { FakePage, FakeServer, advance } from "./fake-server.js";

let server;
let page;
let uninstall;
let open;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  server = new FakeServer();
  page = new FakePage();
  uninstall = page.install();
  open = [];
});

afterEach(() => {
  for (const stream of open) stream.close();
  uninstall();
  mock.timers.reset();
});

/** A stream, with the scores, resets and states that it told of. */
function listen(options = {}) {
  const { EventSource, fetch } = server;
  const stream = new BoardStream("/boards/b/events/", {
    EventSource,
    fetch,
    random: () => 0.5,
    slots: null,
    ...options,
  });
  open.push(stream);
  const told = { stream, scores: [], resets: [], states: [stream.state] };
  stream.addEventListener("update", ({ detail }) => told.scores.push(detail.board.players[0].score));
  stream.addEventListener("reset", ({ detail }) => told.resets.push(detail.reason));
  stream.addEventListener("state", () => told.states.push(stream.state));
  return told;
}

test("brings the board as it is, then each change", async () => {
  const told = listen();
  await advance(100);
  server.change(1);
  server.change(2);
  await advance(100);
  assert.deepEqual(told.scores, [0, 1, 2]);
  assert.deepEqual(told.states, ["connecting", "live"]);
  assert.equal(told.stream.lastEventId, "1003-3");
  assert.equal(server.count("poll"), 0);
});

for (const streams of ["held", "mute"]) {
  test(`polls where streams are ${streams}, and misses nothing`, async () => {
    server.streams = streams;
    const told = listen();
    await advance(6_000);
    assert.deepEqual(told.states, ["connecting", "polling"]);
    for (let score = 1; score <= 20; score += 1) {
      server.change(score);
      await advance(score % 3 ? 30 : 400);
    }
    await advance(1_000);
    assert.deepEqual(told.scores, Array.from({ length: 21 }, (_, score) => score));
    assert.equal(server.sources.size, 0);
  });
}

test("finds out that a stream is held back after it was live", async () => {
  const told = listen();
  await advance(100);
  for (const source of server.sources) server.sources.delete(source); // it hangs, without a word
  server.streams = "held";
  server.change(1);
  await advance(62_000);
  assert.deepEqual(told.scores, [0, 1]);
  assert.equal(told.stream.state, "polling");
});

test("goes back to the stream once it gets through, without a gap", async () => {
  server.streams = "held";
  const told = listen();
  await advance(6_000);
  server.streams = "open";
  for (let score = 1; score <= 300; score += 1) {
    server.change(score);
    await advance(500);
  }
  assert.equal(told.stream.state, "live");
  assert.deepEqual(told.scores, Array.from({ length: 301 }, (_, score) => score));
  assert.equal(server.sources.size, 1);
});

test("a quiet stream is no held one", async () => {
  const told = listen();
  await advance(10 * 60_000, 500);
  assert.deepEqual(told.states, ["connecting", "live"]);
  assert.ok(server.count("poll") <= 11, `${server.count("poll")} polls in 10 minutes`);
});

for (const late of [0, 200]) {
  test(`an event that a check brings, and the stream ${late} ms later, is told once`, async () => {
    const told = listen();
    await advance(59_000); // the check is due after a minute
    const [source] = server.sources;
    server.sources.clear();
    const event = server.change(1);
    while (server.count("poll") === 0) await advance(5, 5);
    await advance(late, 5);
    server.sources.add(source);
    source.bring(event);
    await advance(2_000);
    assert.deepEqual(told.scores, [0, 1]);
    assert.equal(told.stream.state, "live");
  });
}

test("comes back after a restart where it was", async () => {
  const told = listen();
  await advance(30_000);
  server.stop();
  server.change(1);
  server.change(2);
  await advance(5_000);
  assert.equal(told.stream.state, "reconnecting");
  server.start();
  await advance(20_000);
  server.change(3);
  await advance(100);
  assert.deepEqual(told.scores, [0, 1, 2, 3]);
  assert.deepEqual(told.resets, []);
  assert.equal(told.stream.state, "live");
});

test("is live again soon after a long time without a server", async () => {
  const told = listen();
  await advance(30_000);
  server.stop();
  await advance(10 * 60_000, 250);
  const tries = server.requests.length;
  assert.ok(tries < 45, `${tries} requests in ten minutes`);
  server.start();
  await advance(40_000);
  assert.equal(told.stream.state, "live");
});

test("pauses grow, with jitter", async () => {
  server.stop();
  listen({ EventSource: null, random: Math.random });
  await advance(10 * 60_000, 10);
  const times = server.requests.map(({ at }) => at);
  const pauses = times.slice(1).map((time, i) => time - times[i]);
  assert.ok(pauses[0] >= 1_000 && pauses[0] <= 3_100, `first ${pauses[0]}`);
  for (const pause of pauses.slice(5)) assert.ok(pause >= 15_000 && pause <= 30_100, `${pause}`);
  assert.ok(new Set(pauses.slice(5)).size > 5, "all pauses are the same");
});

test("polls where there is no EventSource", async () => {
  const told = listen({ EventSource: null });
  await advance(100);
  server.change(1);
  await advance(200);
  assert.deepEqual(told.scores, [0, 1]);
  assert.deepEqual(told.states, ["connecting", "polling"]);
  await advance(5 * 60_000, 250);
  assert.equal(server.count("stream"), 0);
  assert.ok(server.count("poll") < 20, `${server.count("poll")} polls of a quiet board`);
});

test("something that answers polls at once does not make a busy loop", async () => {
  const told = listen({
    EventSource: null,
    fetch: async () => {
      server.requests.push({ kind: "poll" });
      return { ok: true, status: 200, json: async () => ({ events: [] }) };
    },
  });
  await advance(60_000);
  assert.equal(told.stream.state, "polling");
  assert.ok(server.count("poll") < 40, `${server.count("poll")} polls a minute`);
});

test("goes over to polling where streams break again and again, and tries them ever less", async () => {
  const told = listen();
  const end = Date.now() + 30 * 60_000;
  let score = 0;
  while (Date.now() < end) {
    if (Date.now() % 10_000 === 0) server.change((score += 1));
    for (const source of [...server.sources]) source.fail(false);
    await advance(500, 500);
  }
  await advance(1_000);
  assert.equal(told.stream.state, "polling");
  assert.equal(told.scores.at(-1), score);
  assert.ok(server.count("stream") < 40, `${server.count("stream")} streams in half an hour`);
});

test("tells of a board that is not there, and finds it when it is", async () => {
  server.streams = 404;
  server.polls = 404;
  const told = listen();
  await advance(1_000);
  assert.deepEqual(told.states, ["connecting", "missing"]);
  server.start();
  await advance(40_000);
  assert.equal(told.stream.state, "live");
});

test("waits as long as a server that is too busy asks for", async () => {
  server.streams = 503;
  server.polls = 503;
  server.retryAfter = "20";
  listen();
  await advance(15_000);
  assert.equal(server.count("poll"), 1);
  await advance(10_000);
  assert.equal(server.count("poll"), 2);
});

test("a reset is told before the board that follows it", async () => {
  const order = [];
  const told = listen({ lastEventId: "999-77" });
  told.stream.addEventListener("reset", () => order.push("reset"));
  told.stream.addEventListener("update", () => order.push("update"));
  await advance(100);
  assert.deepEqual(order, ["reset", "update"]);
  assert.deepEqual(told.resets, ["gone"]);
});

test("begins anew where the server cannot read its id", async () => {
  const { fetch } = server;
  const told = listen({
    EventSource: null,
    lastEventId: "nonsense",
    fetch: (url, options) =>
      String(url).includes("nonsense")
        ? Promise.resolve({ ok: false, status: 400, headers: new Headers() })
        : fetch(url, options),
  });
  await advance(5_000);
  assert.equal(told.resets.length, 1);
  assert.deepEqual(told.scores, [0]);
});

test("an event that cannot be read does no harm", async () => {
  const told = listen();
  await advance(100);
  for (const source of server.sources) {
    source.bring({ id: "1002-2", event: "update", data: '{"players": [{"sco' });
  }
  server.change(5);
  assert.deepEqual(told.scores, [0, 5]);
});

test("goes on without an id after an event that has none", async () => {
  const told = listen();
  await advance(100);
  server.change(1);
  server.logged = false;
  server.change(2);
  assert.equal(told.stream.lastEventId, "");
  const streams = server.count("stream");
  for (const source of [...server.sources]) source.fail(false); // another process has the log
  server.logged = true;
  server.change(3);
  await advance(4_000);
  assert.equal(server.count("stream"), streams + 1);
  assert.equal(server.requests.at(-1).since, null);
  assert.deepEqual(told.scores, [0, 1, 2, 3]);
  assert.deepEqual(told.resets, []);
  assert.equal(told.stream.lastEventId, "1004-4");
});

test("a quiet stream whose last event had no id is no held one", async () => {
  const told = listen();
  await advance(100);
  server.logged = false;
  server.change(1);
  await advance(5 * 60_000, 500);
  server.logged = true; // the log is back, and the same board has an id
  server.current = { ...server.current, id: "1002-2" };
  server.log.push(server.current);
  await advance(5 * 60_000, 500);
  assert.deepEqual(told.states, ["connecting", "live"]);
  assert.deepEqual(told.scores, [0, 1]);
  assert.equal(server.count("stream"), 1);
});

test("polls without ids as often as the server lets it, and tells each board once", async () => {
  const told = listen({ EventSource: null });
  await advance(200);
  server.logged = false;
  for (let score = 1; score <= 5; score += 1) {
    server.change(score);
    await advance(200);
  }
  const resets = told.resets.length;
  const polls = server.count("poll");
  await advance(30_000);
  assert.ok(server.count("poll") - polls <= 30, `${server.count("poll") - polls} polls in 30 s`);
  assert.equal(server.requests.at(-1).since, "0-0");
  assert.deepEqual(told.scores, [0, 1, 2, 3, 4, 5]);
  assert.equal(told.resets.length, resets);
  server.logged = true;
  server.change(6);
  await advance(200);
  assert.equal(told.scores.at(-1), 6);
  assert.equal(told.stream.lastEventId, `${1_000 + server.counter}-${server.counter}`);
});

test("counters as large as the clock are ids like others", async () => {
  server.counter = 9_007_199_254_740_000;
  server.change(1);
  const told = listen();
  await advance(100);
  for (const source of [...server.sources]) {
    source.bring({ id: source.since, event: "reset", data: '{"reason": "a gap"}' });
    server.change(2);
  }
  assert.deepEqual(told.scores, [1, 2]);
  assert.equal(told.resets.length, 1);
  assert.equal(told.stream.lastEventId, server.current.id);
});

test("stops while the page is hidden for long, and catches up when it is shown", async () => {
  const told = listen();
  await advance(100);
  page.show(false);
  await advance(50_000);
  server.change(1);
  assert.equal(told.stream.state, "live");
  await advance(20_000);
  assert.equal(told.stream.state, "paused");
  assert.equal(server.sources.size, 0);
  const before = server.requests.length;
  server.change(2);
  server.change(3);
  await advance(10 * 60_000, 500);
  assert.equal(server.requests.length, before);
  page.show(true);
  await advance(1_000);
  assert.equal(told.stream.state, "live");
  assert.deepEqual(told.scores, [0, 1, 2, 3]);
});

test("a page that is hidden for a moment goes on", async () => {
  const told = listen();
  await advance(100);
  page.show(false);
  await advance(30_000);
  page.show(true);
  await advance(60_000);
  assert.deepEqual(told.states, ["connecting", "live"]);
});

test("a page that was opened in the background stops, too", async () => {
  page.show(false);
  const told = listen();
  await advance(70_000);
  assert.equal(told.stream.state, "paused");
});

test("says that the network is gone, and is back as soon as it is", async () => {
  const told = listen();
  await advance(10_000);
  server.stop();
  page.network(false);
  server.change(1);
  await advance(60_000);
  assert.equal(told.stream.state, "offline");
  server.start();
  page.network(true);
  await advance(1_000);
  assert.equal(told.stream.state, "live");
  assert.deepEqual(told.scores, [0, 1]);
});

test("a network that the browser calls gone may work all the same", async () => {
  const told = listen();
  await advance(10_000);
  page.network(false); // a server on this very machine
  server.change(1);
  await advance(5_000);
  assert.deepEqual(told.states, ["connecting", "live"]);
  assert.deepEqual(told.scores, [0, 1]);
});

for (const [state, prepare] of Object.entries({
  live: () => {},
  polling: () => (server.streams = "held"),
  reconnecting: () => server.stop(),
})) {
  test(`does nothing any more once it is closed while ${state}`, async () => {
    prepare();
    const told = listen();
    await advance(12_000);
    assert.equal(told.stream.state, state);
    told.stream.close();
    const requests = server.requests.length;
    const scores = told.scores.length;
    server.start();
    server.change(1);
    page.show(false);
    page.show(true);
    page.network(true);
    await advance(5 * 60_000, 500);
    assert.equal(server.requests.length, requests);
    assert.equal(told.scores.length, scores);
    assert.equal(told.stream.state, "closed");
    assert.equal(server.sources.size, 0);
  });
}

// Where reading needs a token

test("gets a ticket for each stream, and polls with the token", async () => {
  server.tokens = new Set(["t1"]);
  const asked = [];
  const told = listen({
    token: async (how) => {
      asked.push(how);
      return "t1";
    },
  });
  await advance(100);
  server.change(1);
  await advance(61_000); // a quiet stream is checked by a poll
  assert.deepEqual(told.scores, [0, 1]);
  assert.deepEqual(told.states, ["connecting", "live"]);
  assert.equal(server.count("ticket"), 1);
  assert.ok(server.count("poll") >= 1);
  assert.ok(asked.every(({ renew }) => !renew));
  for (const request of server.requests) {
    if (request.kind !== "stream") assert.equal(request.authorization, "Bearer t1");
    assert.ok(!request.url?.includes("t1"), "no token stands in an address");
  }
});

test("a stream whose token runs out goes on with a new one, and misses nothing", async () => {
  server.tokens = new Set(["t1"]);
  let token = "t1";
  const asked = [];
  const told = listen({
    token: ({ renew }) => {
      asked.push(renew);
      if (renew) server.tokens.add((token = "t2"));
      return token;
    },
  });
  await advance(5_000);
  server.change(1);
  await advance(100);
  server.expire("t1");
  server.change(2);
  await advance(300);
  server.change(3);
  await advance(100);
  assert.deepEqual(told.scores, [0, 1, 2, 3]);
  assert.deepEqual(told.resets, []);
  assert.deepEqual(told.states, ["connecting", "live"], "it is no failure");
  assert.deepEqual(asked, [false, true]);
});

test("a poll that is refused is sent again at once with a new token", async () => {
  server.tokens = new Set(["t1"]);
  let token = "t1";
  const told = listen({
    EventSource: null,
    token: ({ renew }) => {
      if (renew) server.tokens.add((token = "t2"));
      return token;
    },
  });
  await advance(200);
  server.tokens.delete("t1");
  server.change(1);
  await advance(1_000);
  assert.deepEqual(told.scores, [0, 1]);
  assert.deepEqual(told.states, ["connecting", "polling"]);
});

test("says that it is refused, and asks again in growing pauses", async () => {
  server.tokens = new Set(["t1"]);
  const told = listen({ token: () => "bad" });
  await advance(10 * 60_000, 500);
  assert.deepEqual(told.states, ["connecting", "refused"]);
  assert.ok(server.requests.length < 100, `${server.requests.length} requests in 10 minutes`);
  server.tokens.add("bad");
  await advance(60_000, 500);
  assert.deepEqual(told.scores, [0]);
  assert.equal(told.stream.state, "live");
});

test("is refused without a token as well, as where a cookie has run out", async () => {
  server.tokens = new Set(["t1"]);
  const told = listen();
  await advance(5_000);
  assert.deepEqual(told.states, ["connecting", "refused"]);
});

test("somebody else's tickets let in streams and polls, each once", async () => {
  server.tokens = new Set();
  let given = 0;
  const told = listen({
    ticket: async () => {
      given += 1;
      server.tickets.add(`x${given}`);
      return `x${given}`;
    },
  });
  await advance(61_000);
  server.stop();
  server.change(1);
  await advance(3_000);
  server.start();
  await advance(30_000);
  assert.deepEqual(told.scores, [0, 1]);
  assert.equal(told.stream.state, "live");
  assert.ok(given >= 3);
  assert.equal(server.count("ticket"), 0);
});

test("a function that fails is a failure like any other", async () => {
  server.tokens = new Set(["t1"]);
  let works = false;
  const told = listen({
    token: async () => {
      if (!works) throw new Error("not logged in yet");
      return "t1";
    },
  });
  await advance(10_000);
  assert.deepEqual(told.states, ["connecting", "reconnecting"]);
  works = true;
  await advance(60_000);
  assert.equal(told.stream.state, "live");
  assert.deepEqual(told.scores, [0]);
});

test("tokens that are at their end already are no endless loop", async () => {
  server.tokens = new Set(["t1"]);
  const told = listen({ token: () => "t1" });
  for (let i = 0; i < 60; i += 1) {
    await advance(500);
    for (const source of [...server.sources]) {
      source.dispatchEvent(new MessageEvent("expired", { data: "{}" }));
      source.fail(false);
    }
  }
  assert.ok(server.requests.length < 60, `${server.requests.length} requests in 30 s`);
  told.stream.close();
});

test("finds where tickets are given", async () => {
  server.tokens = new Set(["t1"]);
  const urls = [];
  const fetch = (url, init) => {
    urls.push(String(url));
    return server.fetch(url, init);
  };
  const { EventSource } = server;
  for (const [url, tickets] of [
    ["/boards/b/events/", undefined],
    ["/below/boards/b/", undefined],
    ["/boards/b/", "https://tickets.test/t"],
  ]) {
    const stream = new BoardStream(url, { EventSource, fetch, tickets, slots: null, token: () => "t1" });
    await advance(20);
    stream.close();
  }
  assert.deepEqual(urls, [
    "http://board.test/tickets/",
    "http://board.test/below/tickets/",
    "https://tickets.test/t",
  ]);
});
