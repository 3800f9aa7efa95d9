import assert from "node:assert/strict";
import { test } from "node:test";
import { GRAIN, SPAN, merge, record, runs, spread, ticks, timeOf } from "../src/page/history.js";
import { pointAdder } from "../src/page/points.js";

const players = (scores) => Object.entries(scores).map(([id, score]) => ({ id, score }));

test("an event id has its time in it", () => {
  assert.equal(timeOf("1795279177639-42"), 1795279177639);
  assert.equal(timeOf("1795279177639-9007199254740991"), 1795279177639);
  for (const id of ["", null, undefined, "42", "-1-2", "1-2-3", "abc-1", "0-0"]) {
    assert.equal(timeOf(id), null);
  }
});

test("history keeps one snapshot from before its span and forgets the others", () => {
  let history = [];
  for (let time = 0; time <= 2 * SPAN; time += 60_000) {
    history = record(history, time, players({ a: time }));
  }
  assert.equal(history[0].time, SPAN);
  assert.equal(history.at(-1).time, 2 * SPAN);
});

test("a busy board does not make the history grow without end", () => {
  let history = [];
  for (let time = 0; time <= 2 * SPAN; time += 20) {
    history = record(history, time, players({ a: time }));
    assert.ok(history.length <= (2 * SPAN) / GRAIN + 2);
  }
  assert.equal(history.at(-1).scores.get("a"), 2 * SPAN);
});

test("what is older than the newest is not recorded", () => {
  const history = record([], 1_000, players({ a: 1 }));
  assert.equal(record(history, 999, players({ a: 0 })), history);
});

test("what the log has lost stays in the history", () => {
  const at = (time) => ({ time, scores: new Map([["a", time]]) });
  const times = (snapshots) => snapshots.map(({ time }) => time);
  assert.deepEqual(times(merge([at(5_000), at(6_000)], [at(1_000), at(6_000)])), [1_000, 5_000, 6_000]);
  assert.deepEqual(times(merge([], [at(1_000)])), [1_000]);
});

test("a player's line ends where the player leaves the board, and begins anew", () => {
  let history = [];
  [{ a: 1 }, { a: 1, b: 1 }, { a: 3, b: 1 }, { b: 2 }, { a: 4, b: 2 }].forEach((scores, i) => {
    history = record(history, 1_000 * i, players(scores));
  });
  const drawn = runs(history, "a", 500, 5_000);
  assert.deepEqual(
    drawn.map((run) => [run.map(({ time, score }) => [time, score]), run.end]),
    [
      [[[500, 1], [2_000, 3]], 3_000],
      [[[4_000, 4]], 5_000],
    ],
  );
  assert.deepEqual(runs(history, "nobody", 0, 5_000), []);
});

test("ticks are round numbers within their range", () => {
  assert.deepEqual(ticks(3, 97, 4), [50]);
  assert.deepEqual(ticks(0, 100, 4), [0, 50, 100]);
  assert.deepEqual(ticks(-7, 7, 4), [-5, 0, 5]);
  assert.deepEqual(ticks(5, 5, 4), [5]);
  const large = ticks(2 ** 53 - 1, 2 ** 53, 4);
  assert.ok(large.length <= 8);
  for (const tick of large) assert.ok(tick >= 2 ** 53 - 1 && tick <= 2 ** 53);
});

test("labels are moved apart, and stay above the floor", () => {
  assert.deepEqual(spread([10, 11, 50], 10, 100), [10, 20, 50]);
  assert.deepEqual(spread([80, 95, 96], 10, 100), [80, 90, 100]);
  assert.deepEqual(spread([], 10, 100), []);
});

test("points given while an addition is under way go together in the next", async () => {
  const sent = [];
  const added = [];
  let answer;
  const add = pointAdder("b", { added: (player) => added.push(player), failed: assert.fail }, (...call) => {
    sent.push(call);
    return new Promise((resolve) => (answer = resolve));
  });
  const done = add("p");
  add("p");
  add("p");
  answer("one");
  await new Promise(setImmediate);
  answer("three");
  await done;
  assert.deepEqual(sent, [["b", "p", 1], ["b", "p", 2]]);
  assert.deepEqual(added, ["one", "three"]);
});

test("points of which it is not known whether they counted are not sent again", async () => {
  const failures = [];
  let calls = 0;
  const add = pointAdder("b", { added: () => {}, failed: ({ message }) => failures.push(message) }, async () => {
    calls += 1;
    if (calls === 1) throw new Error("gone");
  });
  await add("p");
  assert.deepEqual([calls, failures], [1, ["gone"]]);
  await add("p");
  assert.equal(calls, 2);
});
