import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { BoardStream } from "../src/board-stream.js";
import { FetchEventSource, fetchStreams } from "../src/fetch-event-source.js";

let server;
let url;
let answer;
let requests;

before(async () => {
  server = createServer((request, response) => answer(request, response));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${server.address().port}/boards/b/events/`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

/** Reads a stream to its end: what it told, and how it ended. */
function read(init) {
  requests = [];
  const source = new FetchEventSource(url, init);
  const told = [];
  source.addEventListener("open", () => told.push("open"));
  source.addEventListener("update", ({ data, lastEventId }) => told.push([data, lastEventId]));
  return new Promise((resolve) => {
    source.addEventListener("error", () => {
      resolve({ told, refused: source.readyState === source.CLOSED });
    });
  });
}

const stream = (text) => (request, response) => {
  requests.push(request);
  response.writeHead(200, { "Content-Type": "text/event-stream; charset=utf-8" });
  response.end(text);
};

test("there is one in Node", () => assert.equal(fetchStreams(), true));

test("reads events, with headers of its own, and says when the stream has ended", async () => {
  answer = stream("event: update\ndata: ü\nid: 1\n\nevent: update\ndata: 2\n\nevent: update\ndata: cut");
  const { told, refused } = await read({ headers: { Authorization: "Bearer t" } });
  assert.deepEqual(told, ["open", ["ü", "1"], ["2", "1"]]);
  assert.equal(refused, false);
  assert.equal(requests[0].headers.authorization, "Bearer t");
  assert.equal(requests[0].headers.accept, "text/event-stream");
});

test("what is no event stream is refused", async () => {
  answer = (_, response) => response.writeHead(404).end("{}");
  assert.deepEqual(await read(), { told: [], refused: true });
  answer = (_, response) => response.writeHead(200, { "Content-Type": "text/html" }).end("data: 1\n\n");
  assert.deepEqual(await read(), { told: [], refused: true });
});

test("a server that is not there may be there later", async () => {
  answer = (request) => request.socket.destroy();
  assert.deepEqual(await read(), { told: [], refused: false });
});

test("a listener that closes it hears nothing more", async () => {
  answer = stream("event: update\ndata: 1\n\nevent: update\ndata: 2\n\n");
  requests = [];
  const source = new FetchEventSource(url);
  const told = [];
  await new Promise((resolve) => {
    source.addEventListener("error", () => told.push("error"));
    source.addEventListener("update", ({ data }) => {
      told.push(data);
      source.close();
      setTimeout(resolve, 50);
    });
  });
  assert.deepEqual(told, ["1"]);
});

test("BoardStream listens with it where there is no EventSource, its token in a header", async () => {
  const tokens = [];
  answer = (request, response) => {
    tokens.push(request.headers.authorization);
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write('event: update\ndata: {"id":"b","name":"B","players":[]}\nid: 5-1\n\n');
  };
  const listening = new BoardStream(url, { token: "secret", EventSource: FetchEventSource });
  const id = await new Promise((resolve) => {
    listening.addEventListener("update", ({ detail }) => resolve(detail.id));
  });
  assert.equal(listening.state, "live");
  listening.close();
  assert.equal(id, "5-1");
  assert.deepEqual(tokens, ["Bearer secret"]);
});
