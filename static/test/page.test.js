import assert from "node:assert/strict";
import { test } from "node:test";
import { COLOURS, assignColours } from "../src/colours.js";
import { GRAIN, MOST_SCORES, SPAN, merge, record, timeOf } from "../src/page/history.js";
import { isolate, limited, shorten } from "../src/page/names.js";
import { ago, risen } from "../src/page/past.js";
import { axisLabels, runs, spread, ticks } from "../src/page/plot.js";
import { pointAdder } from "../src/page/points.js";
import { ranked } from "../src/page/ranked.js";
import { rowTemplate } from "../src/page/rowTemplate.js";
import { shares } from "../src/page/shares.js";

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

test("of a board with many players there are fewer snapshots, so that all together have a bound", () => {
  const many = Array.from({ length: 100 }, (_, i) => ({ id: `p${i}`, score: i }));
  let history = [];
  for (let time = 1; time < 3 * SPAN; time += 200) {
    history = record(history, time, many);
    assert.ok(history.length * many.length <= 1.1 * MOST_SCORES);
  }
  assert.ok(history.length > 100);
  assert.ok(history.at(-1).time - history[0].time >= SPAN - 10_000);
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

test("labels of an axis say what is there, as short as can be", () => {
  for (const [values, labels] of [
    [[99_960, 99_980, 100_000], ["99,960", "99,980", "100,000"]],
    [[0, 50_000, 100_000], ["0", "50K", "100K"]],
    [[1_000, 1_500, 2_000], ["1K", "1.5K", "2K"]],
    [[1_250_000, 1_260_000], ["1.25M", "1.26M"]],
    [[-40, -20, 0], ["-40", "-20", "0"]],
    [[0.1, 0.2, 3 * 0.1], ["0.1", "0.2", "0.3"]],
    [[9_007_199_254_740_980, 9_007_199_254_740_990], ["9,007,199,254,740,980", "9,007,199,254,740,990"]],
    [[], []],
  ]) {
    assert.deepEqual(axisLabels(values, "en"), labels);
  }
  for (let low = 1; low < 1e15; low *= 7) {
    for (let range = 1; range <= low; range *= 10) {
      for (const locale of ["en", "ja", "en-IN", "de", "ar"]) {
        const labels = axisLabels(ticks(low, low + range, 4), locale);
        assert.equal(new Set(labels).size, labels.length, `${labels}`);
      }
    }
  }
});

test("a name is cut between the characters that people see", () => {
  assert.equal(shorten("Albatrosses", 11), "Albatrosses");
  assert.equal(shorten("Albatross ltd", 11), "Albatross …");
  const family = "\u{1F468}\u200D\u{1F469}\u200D\u{1F467}"; // one character of five code points
  assert.equal(shorten(family.repeat(5), 11), family.repeat(5));
  assert.equal(shorten(family.repeat(6), 11), `${family.repeat(5)}…`);
  assert.equal(shorten("e\u0301".repeat(12), 11), `${"e\u0301".repeat(10)}…`);
  assert.equal(shorten("王".repeat(6), 11), `${"王".repeat(5)}…`);
  assert.equal(isolate("سلمى"), "\u2068سلمى\u2069");
});

test("what is typed as a name is cut between characters, too", () => {
  const family = "\u{1F468}\u200D\u{1F469}\u200D\u{1F467}";
  assert.equal(limited("Ada <b>"), "Ada <b>");
  assert.equal(limited("x".repeat(70)), "x".repeat(60));
  assert.equal(limited(family.repeat(9)), family.repeat(9));
  assert.equal(limited(family.repeat(41)), family.repeat(40)); // 200 code points
  assert.equal(limited(`x${"\u0301".repeat(300)}`), "");
});

test("a player has the same colour whoever was seen first", () => {
  const ids = ["mars", "venus", "earth", "jupiter", "mercury"];
  const colours = assignColours(ids);
  assert.equal(new Set(colours.values()).size, ids.length);
  assert.deepEqual([...assignColours(ids.toReversed())].toSorted(), [...colours].toSorted());
  const first = (id) => assignColours([id]).get(id);
  const free = ids.filter((id) => ids.filter((other) => first(other) === first(id)).length === 1);
  assert.ok(free.filter((id) => colours.get(id) === first(id)).length > 0); // as if it were alone
});

test("those in sight differ as long as there are colours, and mostly keep theirs", () => {
  let kept = 0;
  let sight = [];
  for (let i = 0; i < 500; i += 1) {
    const before = assignColours(sight);
    sight = [`player-${i}`, ...sight].slice(0, 5); // one comes, one goes
    const colours = assignColours(sight);
    assert.equal(new Set(colours.values()).size, sight.length);
    kept += sight.filter((id) => before.get(id) === colours.get(id)).length;
  }
  assert.ok(kept > 0.9 * 4 * 500, `${kept} of 2,000`);
  const all = Array.from({ length: COLOURS }, (_, i) => `p${i}`);
  assert.equal(new Set(assignColours(all).values()).size, COLOURS);
  const many = assignColours(Array.from({ length: 100 }, (_, i) => `p${i}`));
  const counts = new Map();
  for (const colour of many.values()) counts.set(colour, (counts.get(colour) ?? 0) + 1);
  assert.ok(Math.max(...counts.values()) <= Math.ceil(100 / COLOURS));
});

test("colours are spread evenly over ids", () => {
  const counts = Array(COLOURS).fill(0);
  for (let i = 0; i < 10_000; i += 1) counts[assignColours([`${i}`]).get(`${i}`)] += 1;
  for (const count of counts) assert.ok(count > 500 && count < 750, `${counts}`);
});

test("every board has bars", () => {
  assert.deepEqual(shares([100, 50, 0]), [1, 0.5, 0.01]);
  assert.deepEqual(shares([0, 0, 0]), [1, 1, 1]);
  assert.deepEqual(shares([-5, -10, -50]), [1, 0.5, 0.1]);
  assert.deepEqual(shares([10, 0, -10]), [1, 0.5, 0.01]);
  assert.deepEqual(shares([0, -10]), [1, 0.01]);
  assert.deepEqual(shares([7]), [1]);
  // Where the least wins, the best has the longest all the same.
  assert.deepEqual(shares([10, 20, 40]), [1, 0.5, 0.25]);
  assert.deepEqual(shares([-50, -10, -5]), [1, 0.2, 0.1]);
  assert.deepEqual(shares([-10, 0, 10]), [1, 0.5, 0.01]);
  assert.deepEqual(shares([0, 5]), [1, 0.01]);
});

test("rows say how far it is to the next, whichever scores are better", () => {
  const gaps = (...scores) =>
    ranked(scores.map((score, i) => ({ id: `${i}`, name: "", score }))).map(({ place, gap }) => `${place} ${gap}`);
  assert.deepEqual(gaps(30, 20, 20), ["1 leads by 10", "2 10 to catch up", "2 level"]);
  assert.deepEqual(gaps(20, 30.5, 40), ["1 leads by 10.5", "2 10.5 to catch up", "3 9.5 to catch up"]);
  assert.deepEqual(gaps(7), ["1 "]);
});

test("the template of a row has a place for everything, and no style", () => {
  const template = rowTemplate();
  assert.deepEqual([...new Set(template.match(/\$\{\w+\}/g))].sort(), [
    "${gap}", "${id}", "${name}", "${place}", "${rankWord}", "${rank}", "${score}", "${size}",
  ]);
  assert.doesNotMatch(template, /style|undefined|object/);
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

test("how long ago something was is said shortly", () => {
  const said = [0, 400, 1_000, 59_400, 60_000, 61_000, 599_000, 601_000, 3_600_000].map(ago);
  assert.deepEqual(said, [
    "now",
    "now",
    "1 s ago",
    "59 s ago",
    "1 min ago",
    "1 min 1 s ago",
    "9 min 59 s ago",
    "10 min ago",
    "60 min ago",
  ]);
});

test("places are won and lost only where the rank before is known", () => {
  assert.deepEqual(
    [risen(1, 3), risen(3, 1), risen(2, 2), risen(2, null), risen(2, undefined)],
    [2, -2, 0, 0, 0],
  );
});
