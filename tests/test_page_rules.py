"""What the page makes of a stream, sent to a real browser byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import tornado.web
import ujson
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from tornado_board.web.built_page import PAGE, PageNotBuilt

from .chromium import Chromium, executable
from .page_tabs import LIVE, SHOWN, scores_are


def _can_run() -> bool:
    try:
        PAGE.page()
    except PageNotBuilt:
        return False
    return executable() is not None


pytestmark = pytest.mark.skipif(not _can_run(), reason="no Chromium, or the page is not built")


def block(score: int, event_id: str, reset: str = "") -> str:
    """An event as the server sends it: its id last, and empty where it has none."""
    players = [{"id": "ada", "name": "Ada", "score": score}, {"id": "b", "name": "B", "score": 1}]
    data = ujson.dumps({"id": "b", "name": "Board", "players": players})
    before = f'event: reset\ndata: {{"reason": "{reset}"}}\n\n' if reset else ""
    return f"{before}event: update\ndata: {data}\nid: {event_id}\n\n"


class Stream(tornado.web.RequestHandler):
    """Streams of the board that the test writes, and polls that find nothing."""

    opened: asyncio.Queue[Stream]

    async def get(self) -> None:
        if "text/event-stream" not in self.request.headers["Accept"]:
            since = self.get_query_argument("since", None)
            self.finish({"events": [], "last_event_id": since})
            return
        self.ended = asyncio.Event()
        self.set_header("Content-Type", "text/event-stream")
        await self.flush()
        self.opened.put_nowait(self)
        await self.ended.wait()

    async def send(self, text: str) -> None:
        self.write(text)
        await self.flush()

    def on_connection_close(self) -> None:
        if hasattr(self, "ended"):
            self.ended.set()


class Page(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish(PAGE.page().main.html())


class Asset(tornado.web.RequestHandler):
    def get(self, name: str) -> None:
        asset = PAGE.page().assets[name]
        self.set_header("Content-Type", asset.content_type)
        self.finish(asset.body)


class Boards(tornado.web.RequestHandler):
    def get(self) -> None:
        self.finish({"boards": [{"id": "b", "name": "Board"}]})


@pytest.fixture
def chromium() -> Iterator[Chromium]:
    browser = Chromium("--lang=en-US")
    yield browser
    browser.close()


@pytest.fixture
def url(io_loop: Any) -> Iterator[str]:
    Stream.opened = asyncio.Queue()
    routes = [("/", Page), ("/static/(.*)", Asset), ("/boards/", Boards)]
    application = tornado.web.Application([*routes, ("/boards/b/events/", Stream)])
    sock, port = bind_unused_port()
    server = HTTPServer(application)
    server.add_sockets([sock])
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.mark.gen_test
async def test_resets_and_events_without_ids_leave_the_board_where_it_is(
    chromium: Chromium, url: str
) -> None:
    tab = await chromium.open(f"{url}/?board=b")
    stream = await asyncio.wait_for(Stream.opened.get(), 30)
    clock, n = 1_795_279_177_639, 9_007_199_254_740_000
    await stream.send(block(10, f"{clock}-{n}"))
    await tab.until(LIVE)
    await tab.until(scores_are({"ada": 10}))
    await tab.run(
        """
        window.least = Infinity;
        window.states = new Set();
        const look = () => {
          window.least = Math.min(window.least, document.querySelectorAll(".rows .row").length);
          window.states.add(document.querySelector(".state").dataset.state);
        };
        look();
        new MutationObserver(look).observe(document.querySelector("#page"), {
          subtree: true, childList: true, attributes: true, characterData: true,
        });
        """
    )
    await stream.send(block(11, f"{clock + 1000}-{n + 7}", reset="a gap"))
    await tab.until(scores_are({"ada": 11}))
    for score in (12, 13):
        await stream.send(block(score, "", reset="the log is away"))
        await tab.until(scores_are({"ada": score}))
    assert await tab.run(SHOWN) == [["ada", 13], ["b", 1]]
    assert await tab.run("window.least") == 2
    assert await tab.run("[...window.states]") == ["live"]

    stream.ended.set()  # and the next stream is one of a server that has an older log
    again = await asyncio.wait_for(Stream.opened.get(), 30)
    assert again.request.query == ""
    assert "Last-Event-ID" not in again.request.headers
    await again.send(block(14, f"{clock + 2000}-{n + 9}"))
    await tab.until(scores_are({"ada": 14}))
    await tab.until(LIVE)
    again.ended.set()
    third = await asyncio.wait_for(Stream.opened.get(), 30)
    assert third.request.query == f"lastEventId={clock + 2000}-{n + 9}"
    third.ended.set()
    assert await tab.run("window.least") == 2
    await tab.close()
