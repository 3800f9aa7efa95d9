import assert from "node:assert/strict";
import { test } from "node:test";
import { EventParser, MOST_CHARACTERS } from "../src/event-parser.js";

const TEXT =
  ": a comment\nretry: 1000\nevent: update\ndata: {\"a\": 1}\nid: 5-1\n\n" +
  "data\r\ndata:two\rdata:  three\r\n\r\nevent: nothing\n\nid:\ndata: ü🙂\n\n";
const EVENTS = [
  { type: "update", data: '{"a": 1}', id: "5-1" },
  { type: "message", data: "\ntwo\n three", id: "5-1" },
  { type: "message", data: "ü🙂", id: "" },
];

function parse(pieces) {
  const parser = new EventParser();
  return pieces.flatMap((piece) => parser.feed(piece));
}

test("reads an event whole", () => assert.deepEqual(parse([TEXT]), EVENTS));

test("reads an event in pieces of any size", () => {
  for (let size = 1; size < TEXT.length; size += 1) {
    const pieces = [];
    for (let at = 0; at < TEXT.length; at += size) pieces.push(TEXT.slice(at, at + size));
    assert.deepEqual(parse(pieces), EVENTS, `pieces of ${size}`);
  }
});

test("cut anywhere, with nothing in between, it is the same", () => {
  for (let at = 0; at <= TEXT.length; at += 1) {
    assert.deepEqual(parse([TEXT.slice(0, at), "", TEXT.slice(at)]), EVENTS, `cut at ${at}`);
  }
});

test("an event that was cut off is none", () => {
  assert.deepEqual(parse(["event: update\ndata: 1\nid: 7"]), []);
});

test("an id with a null, and fields that nobody knows, are passed over", () => {
  assert.deepEqual(parse(["id: 1\nid: a\0b\nfoo: bar\nfoo\ndata: x\n\n"]), [
    { type: "message", data: "x", id: "1" },
  ]);
});

test("a line that goes on and on is refused, and costs what it is long", () => {
  const parser = new EventParser();
  const piece = "x".repeat(1_000);
  assert.throws(() => {
    for (let size = 0; size <= MOST_CHARACTERS; size += piece.length) parser.feed(piece);
  }, RangeError);
});

test("many lines of data that go on and on are refused", () => {
  const parser = new EventParser();
  const piece = `data: ${"x".repeat(10_000)}\n`;
  assert.throws(() => {
    for (let size = 0; size <= MOST_CHARACTERS; size += 10_000) parser.feed(piece);
  }, RangeError);
});
