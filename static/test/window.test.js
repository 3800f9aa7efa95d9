import assert from "node:assert/strict";
import { test } from "node:test";
import { wallIn } from "../src/page/wall.js";
import {
  MOST_HEIGHT,
  MOST_PAGES,
  ROW,
  append,
  heightOf,
  inSight,
  open,
  prepend,
  wanted,
} from "../src/page/window.js";

/** A page of a board on which `count` players have the ranks 1, 1, 3, 3, 5, ... */
function page(from, count, size = 100) {
  const to = Math.min(from + size, count);
  const players = Array.from({ length: to - from }, (_, i) => {
    const index = from + i;
    return { id: `p${index}`, name: "", score: 0, rank: index - (index % 2) + 1 };
  });
  return { count, players, prev: from > 0 ? String(from) : undefined, next: to < count ? String(to) : undefined };
}

const indices = (window, top, height) =>
  inSight(window, top, height).map(({ player, index, top }) => {
    assert.equal(player.id, `p${index}`);
    return [index, top];
  });

/** Scrolls to `top`, reading what is wanted until nothing is. */
function settle(window, top, height, count) {
  for (let i = 0; i < 50; i += 1) {
    const next = wanted(window, top, height);
    if (!next) return window;
    if ("next" in next) window = append(window, page(Number(next.next), count));
    else if ("prev" in next) {
      const end = Number(next.prev);
      window = prepend(window, { ...page(Math.max(0, end - 100), count, Math.min(100, end)) });
    } else {
      const first = next.fromRank - 1 + ((next.fromRank - 1) % 2);
      window = open(page(first, count), top);
    }
  }
  throw new Error("it reads on and on");
}

test("what is in sight is there, and where it belongs, wherever one scrolls to", () => {
  const count = 5_000;
  let window = open(page(0, count));
  for (const row of [0, 10, 95, 400, 4_990, 4_000, 3_900, 2_500, 2_499, 0, 1_234, 999]) {
    const top = Math.min(row * ROW, count * ROW - 600);
    window = settle(window, top, 600, count);
    const shown = indices(window, top, 600);
    for (const [index, place] of shown) assert.equal(place, index * ROW);
    assert.ok(shown[0][1] <= top, `${row}`);
    assert.ok(shown.at(-1)[1] + ROW >= top + 600, `${row}`);
    assert.ok(window.pages.length <= MOST_PAGES);
    assert.equal(heightOf(window), count * ROW);
  }
});

test("scrolling to the end draws the last one, and to the beginning the first", () => {
  const count = 1_050;
  let window = open(page(0, count));
  for (let top = 0; top <= count * ROW - 600; top += 300) window = settle(window, top, 600, count);
  assert.equal(indices(window, count * ROW - 600, 600).at(-1)[0], count - 1);
  for (let top = count * ROW - 600; top >= 0; top -= 300) window = settle(window, top, 600, count);
  assert.deepEqual(indices(window, 0, 600)[0], [0, 0]);
});

test("a board of ten millions is no higher than browsers bear, and whole all the same", () => {
  const count = 10_000_000;
  let window = open(page(0, count));
  assert.equal(heightOf(window), MOST_HEIGHT);
  for (const part of [0.5, 0.25, 0.99]) {
    const top = Math.floor(MOST_HEIGHT * part);
    window = settle(window, top, 600, count);
    const shown = inSight(window, top, 600);
    assert.ok(Math.abs(shown[0].index - part * count) < 1_000, `${shown[0].index}`);
    assert.ok(shown[0].top <= top);
    assert.ok(shown.at(-1).top + ROW >= top + 600);
  }
  window = settle(window, 0, 600, count);
  assert.equal(inSight(window, 0, 600)[0].player.id, "p0");
});

test("a page that begins among those with the same score stands where they do", () => {
  const odd = page(101, 5_000);
  assert.equal(open(odd).first, 101);
  assert.equal(open({ ...page(0, 0), players: [] }).first, 0);
});

test("a wall shows what its address says", () => {
  assert.deepEqual(wallIn(""), { on: false, boards: [], every: 20, code: false });
  assert.deepEqual(wallIn("?wall=0&boards=a").on, false);
  assert.deepEqual(wallIn("?wall=1&boards=a,b,,c&every=30"), { on: true, boards: ["a", "b", "c"], every: 30, code: false });
  assert.equal(wallIn("?wall&qr").code, true);
  assert.equal(wallIn("?wall=0&qr=1").code, false);
  assert.equal(wallIn("?wall&every=0.1").every, 5);
  assert.equal(wallIn("?wall&every=x").every, 20);
  assert.equal(wallIn(`?wall&boards=${"a,".repeat(200)}`).boards.length, 50);
});
