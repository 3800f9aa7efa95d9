"""Follows a board with what browsers have.

    python -m tests.other_clients.browse BROWSER KIND SITE ADDRESS [LAST-EVENT-ID]

`KIND` is EventSource, fetch or WebSocket; `SITE` is ``own``, for a page of the server's own, or
``other``. It prints what `follow.py` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from urllib.parse import urljoin

import tornado.web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from ..chromium import Chromium, Tab
from ..firefox import Firefox

#: A page of the server's own that does nothing by itself.
OWN_PAGE = "/live-board.js"

SCRIPT = """
(() => {
  const [kind, address, last] = %s;
  window.told = [];
  const tell = (event, id) => {
    if (["update", "reset"].includes(event)) told.push([event, id]);
  };
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
      const query = last ? `?since=${last}` : "";
      const socket = new WebSocket(`${address.replace("http", "ws")}${query}`);
      socket.addEventListener("message", ({ data }) => {
        const { event, id } = JSON.parse(data);
        tell(event, id);
      });
      await new Promise((end) => socket.addEventListener("close", end));
    },
  };
  KINDS[kind]().catch(() => {}).finally(() => told.push(null));
  return true;
})()
"""


class Page(tornado.web.RequestHandler):
    """A page of another site."""

    def get(self) -> None:
        self.finish("<!doctype html><link rel=icon href='data:,'><title>another site</title>")


async def main() -> None:
    browser_name, kind, site, address, *rest = sys.argv[1:]
    page = urljoin(address, OWN_PAGE)
    if site == "other":
        sock, port = bind_unused_port(address="127.0.0.1")
        HTTPServer(tornado.web.Application([("/", Page)])).add_socket(sock)
        page = f"http://127.0.0.1:{port}/"
    browser = Chromium() if browser_name == "chromium" else Firefox()
    with contextlib.closing(browser):
        tab: Tab | Firefox
        if isinstance(browser, Chromium):
            tab = await browser.open(page)
        else:
            await browser.go(page)
            tab = browser
        await tab.run(SCRIPT % json.dumps([kind, address, rest[0] if rest else ""]))
        while True:
            for line in await tab.run("told.splice(0)"):
                if line is None:
                    return
                print(json.dumps(line), flush=True)
            await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main())
