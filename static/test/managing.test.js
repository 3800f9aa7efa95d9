import assert from "node:assert/strict";
import { test } from "node:test";
import { BATCH, MOST_SHOWN, importFile } from "../src/page/admin/importing.js";
import { NoRows, formatOf, rowsOf } from "../src/page/admin/rows.js";
import { changesOf, formOf } from "../src/page/admin/settings.js";

async function* pieces(text, size = text.length || 1) {
  for (let at = 0; at < text.length; at += size) yield text.slice(at, at + size);
}

/** All rows of a file, whatever the pieces that it comes in. */
async function read(text, format, operator) {
  let found;
  for (const size of [text.length || 1, 7, 1]) {
    const rows = [];
    for await (const row of rowsOf(pieces(text, size), format, operator)) rows.push(row);
    if (found) assert.deepEqual(rows, found);
    found = rows;
  }
  return found;
}

test("a file's name says what it has", () => {
  for (const [name, format] of [["a.csv", "csv"], ["A.TSV", "csv"], ["b.ndjson", "ndjson"], ["b.x.jsonl", "ndjson"], ["c.json", null], ["csv", null]]) {
    assert.equal(formatOf(name), format, name);
  }
});

test("CSV is read as RFC 4180 has it, with commas, semicolons and tabs", async () => {
  for (const delimiter of [",", ";", "\t"]) {
    const text = ["\uFEFFid,Name,score,rank", 'a,"Ann ""A"" , x",1.5,1', 'b,"two\nlines",-2e3,2', "", "c,,0,3"].join("\r\n").replaceAll(",", delimiter);
    assert.deepEqual(await read(`${text}\r\n`, "csv"), [
      { line: 2, row: { id: "a", score: 1.5, name: `Ann "A" ${delimiter} x` } },
      { line: 3, row: { id: "b", score: -2000, name: "two\nlines" } },
      { line: 6, row: { id: "c", score: 0 } },
    ]);
  }
  assert.deepEqual(await read('id,score,meta,operator\na,1,"{""x"":1}",add\nb,2,,', "csv", "set"), [
    { line: 2, row: { id: "a", score: 1, meta: { x: 1 }, operator: "add" } },
    { line: 3, row: { id: "b", score: 2, operator: "set" } },
  ]);
});

test("a row that is wrong says why, and leaves the others as they are", async () => {
  const csv = 'id,score,meta\na,1\nb,x,\nc,0x10,\nd,1,{\ne,"1"2,\nf,5,\ng,"6';
  assert.deepEqual(
    (await read(csv, "csv")).map(({ line, row, wrong }) => [line, row?.id ?? wrong.key]),
    [[2, "columns"], [3, "not_a_number"], [4, "not_a_number"], [5, "not_json"], [6, "quotes"], [7, "f"], [8, "quotes"]],
  );
  const ndjson = '{"id":"a","score":1,"rank":7}\n\n{"id":\n[1]\nnull\n{"id":"b"}';
  assert.deepEqual(await read(ndjson, "ndjson"), [
    { line: 1, row: { id: "a", score: 1 } },
    { line: 3, wrong: { key: "not_json" } },
    { line: 4, wrong: { key: "no_object" } },
    { line: 5, wrong: { key: "no_object" } },
    { line: 6, row: { id: "b" } },
  ]);
});

test("what is no file of scores says so", async () => {
  for (const [text, format, key] of [
    ["", "csv", "header_missing"],
    ["a,b\n1,2\n", "csv", "header_missing"],
    ["id,score,id\n", "csv", "header_unknown"],
    ["id,score,colour\n", "csv", "header_unknown"],
    ["x".repeat(70_000), "ndjson", "long"],
    [`id,score\n"${"x\n".repeat(40_000)}`, "csv", "long"],
  ]) {
    await assert.rejects(
      async () => {
        for await (const _ of rowsOf(pieces(text, 1_000), format)) void _;
      },
      (error) => error instanceof NoRows && error.key === key,
      key,
    );
  }
});

const file = (text) => new Blob([text]);

test("a file is handed in batch by batch, and each result is counted", async () => {
  const rows = Array.from({ length: 2 * BATCH + 5 }, (_, i) => JSON.stringify({ id: `p${i}`, score: i }));
  rows[3] = "{";
  const batches = [];
  const told = [];
  const submit = async (batch) => {
    batches.push(batch.length);
    return batch.map(({ id, score }) => {
      assert.equal(id, `p${score}`);
      if (score % 100 === 99) return { status: 422, detail: "too much" };
      if (score % 2) return { status: 201, changed: true };
      return { status: 200, changed: score % 4 === 0 };
    });
  };
  const blob = file(rows.join("\n"));
  const done = await importFile(blob, "ndjson", "", submit, (progress) => told.push(progress), new AbortController().signal);
  assert.deepEqual(batches, [BATCH, BATCH, 4]);
  const refused = rows.length / 100;
  assert.equal(done.refused, Math.floor(refused) + 1);
  assert.equal(done.made + done.changed + done.same + done.refused, rows.length);
  assert.equal(done.read, blob.size);
  assert.deepEqual(done.refusals.slice(0, 2), [{ line: 4, why: { key: "not_json" } }, { line: 100, why: "too much" }]);
  assert.equal(told.length, 3);
  assert.ok(told.every((progress, i) => i === 0 || progress.read >= told[i - 1].read));
});

test("of very many refusals some are kept, and a stop ends it between batches", async () => {
  const bad = file(Array(3 * MOST_SHOWN).fill("x").join("\n"));
  const none = async () => assert.fail("there is nothing to send");
  const done = await importFile(bad, "ndjson", "", none, () => {}, new AbortController().signal);
  assert.deepEqual([done.refused, done.refusals.length], [3 * MOST_SHOWN, MOST_SHOWN]);
  const stop = new AbortController();
  let sent = 0;
  const submit = async (batch) => {
    sent += batch.length;
    stop.abort();
    return batch.map(() => ({ status: 201 }));
  };
  const many = file(Array.from({ length: 3 * BATCH }, (_, i) => `{"id":"p${i}","score":1}`).join("\n"));
  await assert.rejects(importFile(many, "ndjson", "", submit, () => {}, stop.signal), { name: "AbortError" });
  assert.equal(sent, BATCH);
});

test("what a form leaves as it was is not sent", () => {
  const board = {
    id: "b", name: "B", order: "asc", ties: "first", operator: "add", top: 7, min: 0, max: null,
    meta: { unit: "s", old: 1, deep: { a: 1 } }, show: ["meta"], private: true,
    season: { number: 2, started: "x", ends: null, every: "0 6 * * 1", timezone: "Europe/Berlin", keep: 3 },
  };
  const before = formOf(board);
  assert.deepEqual(changesOf(before, before), {});
  const changed = { ...before, name: " New ", top: "x", min: "", max: "1e3", show: false, private: false, keep: "4",
    meta: '{"unit": "m", "deep": {"b": 2}}' };
  assert.deepEqual(changesOf(changed, before), {
    name: "New", top: "x", min: null, max: 1000, show: [], private: false,
    season: { every: "0 6 * * 1", timezone: "Europe/Berlin", keep: 4 },
    meta: { unit: "m", old: null, deep: { a: null, b: 2 } },
  });
  assert.deepEqual(changesOf({ ...before, every: "hand" }, before).season.every, null);
  assert.deepEqual(changesOf({ ...before, every: "none" }, before), { season: null });
  assert.throws(() => changesOf({ ...before, meta: "{" }, before), SyntaxError);
});

test("a new board is sent with what is not the default", () => {
  assert.deepEqual(changesOf(formOf()), {});
  const form = { ...formOf(), id: "cup", name: "Cup", every: "week", timezone: "UTC" };
  assert.deepEqual(changesOf(form), { id: "cup", name: "Cup", season: { every: "week", timezone: "UTC", keep: 12 } });
});
