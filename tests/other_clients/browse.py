"""Follows a board with what browsers have.

    python -m tests.other_clients.browse BROWSER KIND ADDRESS [LAST-EVENT-ID]

`KIND` is EventSource, fetch or WebSocket. It prints what `follow.py` does.
"""

from __future__ import annotations

import asyncio
import json
import sys

import tornado.web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from ..chromium import Chromium
from ..firefox import Firefox

PAGE = """<!doctype html><link rel="icon" href="data:,"><script type="module">
const [kind, address, last] = %s;
/** One after the other: requests at the same time arrive in any order. */
let telling = Promise.resolve();
const told = (line) => {
  telling = telling.then(() => fetch("/told", { method: "POST", body: JSON.stringify(line) }));
};
const tell = (event, id) => ["update", "reset"].includes(event) && told([event, id]);

const KINDS = {
  async EventSource() {
    const source = new EventSource(last ? `${address}?lastEventId=${last}` : address);
    for (const type of ["update", "reset"]) {
      source.addEventListener(type, ({ lastEventId }) => tell(type, lastEventId));
    }
    await new Promise(() => {});
  },
  async fetch() {
    const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
    const { body } = await fetch(address, { headers });
    let rest = "";
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece; !(piece = await reader.read()).done; ) {
      const blocks = (rest + piece.value).split("\\n\\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const fields = Object.fromEntries(block.split("\\n").map((line) => line.split(": ")));
        tell(fields.event, fields.id);
      }
    }
  },
  async WebSocket() {
    const socket = new WebSocket(`${address.replace("http", "ws")}${last ? `?since=${last}` : ""}`);
    socket.addEventListener("message", ({ data }) => {
      const { event, id } = JSON.parse(data);
      tell(event, id);
    });
    await new Promise((end) => socket.addEventListener("close", end));
  },
};
KINDS[kind]().finally(() => told(null));
</script>"""


async def main() -> None:
    browser_name, kind, address, *rest = sys.argv[1:]
    ended = asyncio.Event()

    class Page(tornado.web.RequestHandler):
        def get(self) -> None:
            self.finish(PAGE % json.dumps([kind, address, rest[0] if rest else ""]))

        def post(self) -> None:
            line = json.loads(self.request.body)
            if line is None:
                ended.set()
            else:
                print(json.dumps(line), flush=True)

    sock, port = bind_unused_port(address="127.0.0.1")
    site = HTTPServer(tornado.web.Application([("/.*", Page)]))
    site.add_socket(sock)
    url = f"http://127.0.0.1:{port}/"
    if browser_name == "chromium":
        chromium = Chromium()
        await chromium.open(url)
        close = chromium.close
    else:
        firefox = Firefox()
        await firefox.go(url)
        close = firefox.close
    try:
        await ended.wait()
    finally:
        close()


if __name__ == "__main__":
    asyncio.run(main())
