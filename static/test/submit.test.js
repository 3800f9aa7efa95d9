import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Boards } from "../src/boards.js";
import { RequestError, newKey } from "../src/requests.js";
import { submit } from "../src/submit.js";
import { advance } from "./fake-server.js";

const URL_OF_SCORE = "http://board.test/boards/race/players/me/score/";
const DONE = { id: "me", name: "me", score: 1, rank: 1, of: 1, changed: true, previous: null };

let asked;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  asked = [];
});
afterEach(() => mock.timers.reset());

/** A server that gives these answers, one after the other, and the last one for ever. */
function answering(...answers) {
  return async (url, init) => {
    asked.push({ url, at: Date.now(), ...init });
    const answer = answers[Math.min(asked.length, answers.length) - 1];
    if (answer === "lost") throw new TypeError("fetch failed");
    if (answer === "hangs") {
      return new Promise((_, reject) => {
        init.signal.addEventListener("abort", () => reject(new DOMException("late", "AbortError")));
      });
    }
    const { status = 200, headers = {}, body = DONE } = answer;
    return new Response(typeof body === "string" ? body : JSON.stringify(body), { status, headers });
  };
}

/** Submits, and moves the clock on until it is done. */
async function run(fetch, options = {}, seconds = 120) {
  let outcome;
  submit(URL_OF_SCORE, { score: 1 }, { fetch, random: () => 0.5, ...options }).then(
    (value) => (outcome = { value }),
    (error) => (outcome = { error }),
  );
  for (let passed = 0; !outcome && passed < seconds * 10; passed += 1) await advance(100, 50);
  return outcome ?? {};
}

const keys = () => new Set(asked.map(({ headers }) => headers["Idempotency-Key"]));

test("submits once, with a key", async () => {
  assert.deepEqual((await run(answering({}))).value, DONE);
  assert.equal(asked.length, 1);
  const [{ method, url, headers, body }] = asked;
  assert.equal(method, "POST");
  assert.equal(url, URL_OF_SCORE);
  assert.equal(headers["Content-Type"], "application/json");
  assert.equal(headers.Authorization, undefined);
  assert.deepEqual(JSON.parse(body), { score: 1 });
  assert.match([...keys()][0], /^[!-~]{16,128}$/);
});

for (const passing of ["lost", "hangs", { status: 503 }, { status: 429 }, { status: 502, body: "<p>" }]) {
  test(`sends it again with the same key after ${JSON.stringify(passing)}`, async () => {
    assert.deepEqual((await run(answering(passing, passing, {}))).value, DONE);
    assert.equal(asked.length, 3);
    assert.equal(keys().size, 1);
  });
}

for (const status of [400, 403, 404, 422, 500]) {
  test(`does not repeat what is answered with ${status}`, async () => {
    const { error } = await run(answering({ status, body: { detail: "no such thing" } }));
    assert.ok(error instanceof RequestError);
    assert.equal(error.status, status);
    assert.equal(error.message, "no such thing");
    assert.equal(asked.length, 1);
  });
}

test("waits as long as Retry-After says", async () => {
  const busy = { status: 503, headers: { "Retry-After": "7" } };
  await run(answering(busy, {}));
  assert.ok(asked[1].at - asked[0].at >= 7_000);
});

test("does not wait longer than it may", async () => {
  const busy = { status: 429, headers: { "Retry-After": "61" } };
  const { error } = await run(answering(busy, {}), {}, 5);
  assert.equal(error.status, 429);
  assert.equal(error.retryAfter, 61_000);
  assert.equal(asked.length, 1);
});

test("pauses double, with jitter, and come to an end", async () => {
  const { error } = await run(answering("lost"), { random: Math.random });
  assert.ok(error instanceof TypeError);
  assert.equal(asked.length, 6);
  const pauses = asked.slice(1).map(({ at }, i) => at - asked[i].at);
  pauses.forEach((pause, i) => {
    const most = 500 * 2 ** i;
    assert.ok(pause >= most / 2 && pause <= most + 60, `${i}: ${pause}`);
  });
});

test("the first one is under way still: it is asked for again", async () => {
  const { value } = await run(answering("lost", { status: 409 }, {}));
  assert.deepEqual(value, DONE);
  const { error } = await run(answering({ status: 409 }));
  assert.equal(error.status, 409);
});

test("a token that is refused is renewed, once and at once", async () => {
  const renewals = [];
  const token = async ({ renew }) => {
    renewals.push(renew);
    return renew ? "new" : "old";
  };
  const { value } = await run(answering({ status: 401 }, {}), { token });
  assert.deepEqual(value, DONE);
  assert.deepEqual(
    asked.map(({ headers }) => headers.Authorization),
    ["Bearer old", "Bearer new"],
  );
  assert.deepEqual(renewals, [false, true]);
  asked = [];
  assert.equal((await run(answering({ status: 401 }), { token })).error.status, 401);
  assert.equal(asked.length, 2);
  asked = [];
  assert.equal((await run(answering({ status: 401 }), { token: "text" })).error.status, 401);
  assert.equal(asked.length, 1);
});

test("a signal ends it, also during a pause", async () => {
  const ended = new AbortController();
  const outcome = submit(URL_OF_SCORE, { score: 1 }, { fetch: answering("lost"), signal: ended.signal });
  const rejected = assert.rejects(outcome, { message: "enough" });
  await advance(50);
  ended.abort(new Error("enough"));
  await rejected;
  await advance(60_000, 1_000);
  assert.equal(asked.length, 1);
});

test("a key of the caller's own is kept to", async () => {
  await run(answering("lost", {}), { idempotencyKey: "mine-1" });
  assert.deepEqual([...keys()], ["mine-1"]);
});

test("keys differ, with and without the browser's own way to make them", () => {
  const before = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  try {
    for (const crypto of [globalThis.crypto, { getRandomValues: (a) => a.fill(7) }, undefined]) {
      Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
      assert.match(newKey(), /^[0-9a-f-]{32,36}$/);
    }
    assert.notEqual(newKey(), newKey());
  } finally {
    Object.defineProperty(globalThis, "crypto", before);
  }
});

test("boards have addresses, and ids that are no steps of a path", async () => {
  const boards = new Boards("https://b.test/lb/", { fetch: answering({}), token: "t" });
  assert.equal(boards.playerAddress("a~b", "c d"), "https://b.test/lb/boards/a~b/players/c%20d/");
  assert.deepEqual(await boards.submit("race", "me", 3), DONE);
  assert.equal(asked[0].url, "https://b.test/lb/boards/race/players/me/score/");
  assert.equal(asked[0].headers.Authorization, "Bearer t");
  for (const id of ["", ".", ".."]) assert.throws(() => boards.boardAddress(id), TypeError);
  assert.throws(() => new Boards("/lb/"), TypeError);
});

test("pages follow the links of the answers", async () => {
  const link = (query, relation) => `</boards/race/players/?${query}>; rel="${relation}"`;
  const first = { count: 3, players: [{ id: "a" }, { id: "b" }] };
  const last = { count: 3, players: [{ id: "c" }] };
  const fetch = answering(
    { body: first, headers: { Link: link("limit=2&after=x%2Cy", "next") } },
    { body: last, headers: { Link: `${link("before=z", "prev")}` } },
  );
  const boards = new Boards("http://b.test", { fetch });
  const pages = [];
  for await (const page of boards.pages("race", { limit: 2, ids: ["a", "b"] })) pages.push(page);
  assert.deepEqual(pages.map(({ players }) => players.map(({ id }) => id)), [["a", "b"], ["c"]]);
  assert.equal(asked[0].url, "http://b.test/boards/race/players/?limit=2&ids=a%2Cb");
  assert.equal(asked[1].url, "http://b.test/boards/race/players/?limit=2&after=x%2Cy");
  assert.equal(pages[1].prev, "http://b.test/boards/race/players/?before=z");
  assert.equal(asked.length, 2);
});
