// Follows a board with a client library of others: node follow.mjs LIBRARY ADDRESS [LAST-EVENT-ID]
//
// Each event is printed as a line of JSON, [type, id]. A library that does not come back by itself
// ends the program when its stream ends.
import http from "node:http";
import process from "node:process";

const [name, address, last = ""] = process.argv.slice(2);
const TYPES = ["update", "reset"];
const SSE = { Accept: "text/event-stream" };
/** Of a program that comes back by itself, with the id that it has. */
const headers = last ? { ...SSE, "Last-Event-ID": last } : SSE;
/** For those that can set no header. */
const resumed = last ? `${address}?lastEventId=${last}` : address;

let seen = last;
function tell(type, id) {
  if (!TYPES.includes(type)) return;
  if (type === "update") seen = id;
  process.stdout.write(`${JSON.stringify([type, id])}\n`);
}

/** Of a library that comes back by itself, and ends when the program does. */
const forEver = new Promise(() => {});
setInterval(() => {}, 60_000); // some don't keep it running while they wait

/** Tells of what an object like the browser's EventSource dispatches. */
function listen(source) {
  for (const type of TYPES) source.addEventListener(type, ({ lastEventId }) => tell(type, lastEventId));
  source.addEventListener("error", () => {}); // Node ends a program that has nobody for an error
  return forEver;
}

/** Tells of the events in the pieces of a stream, as much of the format as the server uses. */
async function read(pieces) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of pieces) {
    const blocks = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: ?(.*)/s)));
      tell(fields.event, fields.id);
    }
  }
}

/** Tells of the frames of an object like the browser's WebSocket. */
function frames(socket) {
  socket.addEventListener("message", ({ data }) => {
    const { event, id } = JSON.parse(data);
    tell(event, id);
  });
}

const socketAddress = () =>
  `${address.replace("http", "ws")}${seen ? `?since=${encodeURIComponent(seen)}` : ""}`;

const LIBRARIES = {
  async "eventsource"() {
    const { EventSource } = await import("eventsource");
    await listen(new EventSource(resumed));
  },
  async "eventsource-client"() {
    const { createEventSource } = await import("eventsource-client");
    createEventSource({
      url: address,
      initialLastEventId: last || undefined,
      onMessage: ({ event, id }) => tell(event, id),
    });
    await forEver;
  },
  async "eventsource-parser"() {
    const { createParser } = await import("eventsource-parser");
    const parser = createParser({ onEvent: ({ event, id }) => tell(event, id) });
    const decoder = new TextDecoder();
    for await (const piece of (await fetch(address, { headers })).body) {
      parser.feed(decoder.decode(piece, { stream: true }));
    }
  },
  async "undici"() {
    const { EventSource } = await import("undici");
    await listen(new EventSource(resumed));
  },
  async "@microsoft/fetch-event-source"() {
    globalThis.window ??= globalThis; // it is made for pages
    const { fetchEventSource } = await import("@microsoft/fetch-event-source");
    await fetchEventSource(address, {
      headers,
      openWhenHidden: true,
      onmessage: ({ event, id }) => tell(event, id),
      onclose() {
        throw new Error("come back"); // as its documentation has it
      },
    });
  },
  async "launchdarkly-eventsource"() {
    const { EventSource } = await import("launchdarkly-eventsource");
    await listen(new EventSource(address, { headers: last ? { "Last-Event-ID": last } : {} }));
  },
  async "extended-eventsource"() {
    const { EventSource } = await import("extended-eventsource");
    await listen(new EventSource(address, { headers: last ? { "Last-Event-ID": last } : {} }));
  },
  async "fetch"() {
    await read((await fetch(address, { headers })).body);
  },
  async "node:http"() {
    await read(await new Promise((take) => http.get(address, { headers }, take)));
  },
  async "node-fetch"() {
    const { default: fetch } = await import("node-fetch");
    await read((await fetch(address, { headers })).body);
  },
  async "got"() {
    const { default: got } = await import("got");
    await read(got.stream(address, { headers }));
  },
  async "axios"() {
    const { default: axios } = await import("axios");
    await read((await axios.get(address, { headers, responseType: "stream" })).data);
  },
  async "ky"() {
    const { default: ky } = await import("ky");
    await read((await ky.get(address, { headers, timeout: false })).body);
  },
  async "WebSocket"() {
    const socket = new WebSocket(socketAddress());
    frames(socket);
    await new Promise((end) => socket.addEventListener("close", end));
  },
  async "ws"() {
    const { WebSocket } = await import("ws");
    const socket = new WebSocket(socketAddress());
    frames(socket);
    await new Promise((end) => socket.addEventListener("close", end));
  },
  async "reconnecting-websocket"() {
    const { default: module } = await import("reconnecting-websocket");
    const Socket = module.default ?? module;
    const { WebSocket } = await import("ws");
    frames(new Socket(socketAddress, [], { WebSocket }));
    await forEver;
  },
  async "partysocket"() {
    const { WebSocket: Socket } = await import("partysocket");
    const { WebSocket } = await import("ws");
    frames(new Socket(socketAddress, [], { WebSocket }));
    await forEver;
  },
};

await LIBRARIES[name]();
process.exit();
