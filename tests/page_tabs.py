"""The page in Chromium: its tabs, what they show, and what changes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import ujson
from tornado.httpclient import AsyncHTTPClient

from tornado_board.web.built_page import PAGE, PageNotBuilt

from .chromium import Chromium, Tab, executable
from .server_process import ServerProcess


def _why_not() -> str:
    """Why these tests cannot run; an empty string if they can."""
    if executable() is None:
        return "Chromium is not installed"
    try:
        PAGE.page()
    except PageNotBuilt:
        return "the page is not built: python static/build_page.py"
    return ""


needs_page = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "it can run")

STATE = "document.querySelector('.state')?.dataset.state"
LIVE = f"{STATE} === 'live'"
#: What the page shows: [[id, score], ...], best first.
SHOWN = """
[...document.querySelectorAll(".rows .row")].map((row) => [
  row.dataset.id,
  Number(row.querySelector(".score .spoken").textContent.replaceAll(",", "")),
])
"""
SAID = "document.querySelector('[role=status]').textContent"

#: A name for the same server that browsers take for another machine, without HTTPS.
INSECURE_HOST = "board.test"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    browser = Chromium("--lang=en-US", f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1")
    yield browser
    browser.close()


@pytest.fixture
def open_tab(chromium: Chromium, io_loop: Any) -> Iterator[Callable[..., Awaitable[Tab]]]:
    """Opens tabs of one browser; closes them after the test."""
    tabs: list[Tab] = []

    async def open_tab(url: str, **metrics: Any) -> Tab:
        tab = await chromium.open()
        tabs.append(tab)
        if metrics:
            defaults = {"width": 1280, "height": 720, "deviceScaleFactor": 1, "mobile": False}
            await tab.send("Emulation.setDeviceMetricsOverride", **{**defaults, **metrics})
        await tab.go(url)
        return tab

    yield open_tab

    async def close() -> None:
        for tab in tabs:
            await tab.close()

    io_loop.run_sync(close)


Start = Callable[..., ServerProcess]
OpenTab = Callable[..., Awaitable[Tab]]


async def call(server: ServerProcess, path: str, **body: object) -> Any:
    """POST a JSON body; the answer."""
    client = AsyncHTTPClient(force_instance=True, max_clients=10)
    answer = await client.fetch(
        f"{server.url}{path}",
        method="POST",
        headers={"Content-Type": "application/json"},
        body=ujson.dumps(body),
    )
    client.close()
    return ujson.loads(answer.body)


async def add(server: ServerProcess, player: str, amount: int = 1, board: str = "demo") -> int:
    """The player's score after the addition."""
    path = f"/boards/{board}/players/{player}/score-add/"
    score: int = (await call(server, path, amount=amount))["score"]
    return score


def scores_are(scores: dict[str, int]) -> str:
    """A JavaScript expression: the page shows these scores."""
    wanted = ujson.dumps(scores)
    return f"(() => {{ const s = Object.fromEntries({SHOWN}); const w = {wanted};" + (
        "return Object.keys(w).every((id) => s[id] === w[id]); })()"
    )


async def board_of(server: ServerProcess, board: str = "demo") -> list[list[Any]]:
    answer = await AsyncHTTPClient().fetch(f"{server.url}/boards/{board}/")
    return [[player["id"], player["score"]] for player in ujson.loads(answer.body)["players"]]
