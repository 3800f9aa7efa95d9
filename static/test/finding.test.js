import assert from "node:assert/strict";
import { test } from "node:test";
import jsQR from "jsqr";
import { drawn } from "../src/page/qr.js";
import { AMONG, MOST_FOUND, folded, search } from "../src/page/search.js";
import { addressToShare, isLocal } from "../src/page/share.js";

/** Boards of one page after the other, and what was asked of them. */
function fakeBoards(players, size) {
  const asked = [];
  return {
    asked,
    async page(board, which) {
      asked.push(which);
      if (which.ids) return { players: players.filter(({ id }) => which.ids.includes(id)) };
      const from = Number(which.address ?? 0);
      const next = from + size < players.length ? String(from + size) : undefined;
      return { players: players.slice(from, from + size), next };
    },
  };
}
const players = Array.from({ length: 30 }, (_, i) => ({ id: `p${i}`, name: i % 10 ? `Player ${i}` : `Ánn ${i}`, score: -i, rank: i + 1 }));

test("a name is found without case and accents, an id wherever it is", async () => {
  assert.equal(folded("  ÁÉ Straße "), "ae straße");
  const boards = fakeBoards(players, 15);
  let found = await search(boards, "b", "ann");
  assert.deepEqual(found.players.map(({ id }) => id), ["p0", "p10"]);
  assert.deepEqual([found.among, found.total], [15, 2]);
  assert.deepEqual(boards.asked, [{ limit: AMONG }, { ids: ["ann"] }]);
  found = await search(boards, "b", "ann", { from: found });
  assert.deepEqual(found.players.map(({ id }) => id), ["p0", "p10", "p20"]);
  assert.deepEqual([found.among, found.total, found.next], [30, 3, undefined]);
  found = await search(boards, "b", "p29");
  assert.deepEqual(found.players.map(({ id }) => id), ["p29"]);
  found = await search(boards, "b", "player 2"); // no id: it is not asked for
  assert.deepEqual(found.players.map(({ id }) => id), ["p2"]);
  assert.deepEqual(boards.asked.at(-1), { limit: AMONG });
});

test("of very many who are found the best are shown", async () => {
  const found = await search(fakeBoards(players, 30), "b", "player");
  assert.deepEqual([found.players.length, found.total], [MOST_FOUND, 27]);
  assert.equal(found.players[0].id, "p1");
});

test("a QR code is read back as the address", () => {
  const scale = 4;
  for (const address of ["http://a.b/?board=x", `https://boards.example:8443/lb/?board=${"w".repeat(64)}`]) {
    const { size, path } = drawn(address);
    const width = size * scale;
    const pixels = new Uint8ClampedArray(4 * width * width).fill(255);
    for (const [, x, y, length] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
      for (let row = y * scale; row < (+y + 1) * scale; row += 1) {
        const begin = 4 * (row * width + x * scale);
        for (let i = begin; i < begin + 4 * length * scale; i += 4) pixels.fill(0, i, i + 3);
      }
    }
    assert.equal((jsQR.default ?? jsQR)(pixels, width, width)?.data, address);
  }
});

test("what is passed on is the board, not who was looking", () => {
  const here = "https://x.example/lb/?board=a&me=ann&lang=de&wall=1&q=x#y";
  assert.equal(addressToShare("b c", here), "https://x.example/lb/?board=b+c");
  assert.equal(addressToShare("", here), "https://x.example/lb/");
  for (const [address, local] of [["http://localhost:8888/", true], ["http://127.0.0.1/", true], ["http://[::1]:1/", true], ["https://localhost.example/", false], ["http://10.0.0.1/", false]]) {
    assert.equal(isLocal(address), local, address);
  }
});
