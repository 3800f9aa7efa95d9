"""The board that stands in the page itself."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable

import pytest

from tornado_board.settings import Settings
from tornado_board.web import first_board
from tornado_board.web.first_board import of_json

from .built_page import PAGE_IS_BUILT
from .chromium import Chromium
from .server_process import ServerProcess
from .serving import Served, serving
from .tokens import SECRET, token

Start = Callable[..., ServerProcess]


pytestmark = PAGE_IS_BUILT

NASTY = "</script><script>alert(1)</script><!-- \"'&"


async def make(served: Served, board: str, scores: dict[str, float], **settings: object) -> None:
    body = json.dumps({"id": board, **settings})
    assert (await served.request("POST", "/boards/", body)).status == 201
    for player, score in scores.items():
        path = f"/boards/{board}/players/{player}/score/"
        assert (await served.request("POST", path, json.dumps({"score": score}))).status == 201


def rows(html: str) -> list[tuple[str, str]]:
    return re.findall(r'<li class="row" data-id="(.*?)" data-rank="(\d+)">', html)


@pytest.mark.gen_test
async def test_the_page_has_the_board_that_is_asked_for(settings: Settings) -> None:
    async with serving(settings) as served:
        await make(served, "b", {"x": 3, "y": 9, "z": 3, "w": 1}, name="The race")
        page = (await served.request("GET", "/?board=b")).body.decode()
        assert rows(page) == [("y", "1"), ("x", "2"), ("z", "2"), ("w", "4")]
        assert "<title>The race · tornado_board</title>" in page
        assert '<meta property="og:title" content="The race · tornado_board">' in page
        assert '<meta property="og:description" content="1. y 9, 2. x 3, 2. z 3">' in page
        found = re.search(r'<script type="application/json" id="first-board">(.*?)</script>', page)
        assert found is not None
        assert json.loads(found[1]) == (await served.request("GET", "/boards/b/")).json()
        first = (await served.request("GET", "/")).body.decode()
        assert rows(first) == rows(page), "the first one, unless another is asked for"
        for other in ("none", "..", "%ff", "x" * 5000):
            answer = await served.request("GET", f"/?board={other}")
            assert rows(answer.body.decode(errors="replace")) == []
            assert answer.status in (200, 400)


@pytest.mark.gen_test
async def test_names_are_text_and_nothing_else(settings: Settings) -> None:
    async with serving(settings) as served:
        await make(served, "b", {}, name=NASTY)
        path, body = "/boards/b/players/x/score/", json.dumps({"score": 1, "name": NASTY})
        assert (await served.request("POST", path, body)).status == 201
        page = (await served.request("GET", "/?board=b")).body.decode()
    assert "<script>" not in page
    assert "<!--" not in page
    assert page.count("</script>") == 2, "the module's, and that of the data"
    assert page.count("alert(1)") > 3


@pytest.mark.gen_test
async def test_it_is_shown_to_those_who_may_read_it(settings: Settings) -> None:
    closed = dataclasses.replace(settings, private=True, token_secret=SECRET)
    async with serving(closed) as served:
        writer = {"Authorization": f"Bearer {token(scope='write')}"}
        body = json.dumps({"id": "b", "name": "A secret"})
        assert (await served.request("POST", "/boards/", body, writer)).status == 201
        for headers in ({}, {"Cookie": "tornado_board_token=nonsense"}):
            for path in ("/", "/?board=b"):
                answer = await served.request("GET", path, headers=headers)
                assert answer.status == 200
                assert b"secret" not in answer.body
        cookie = {"Cookie": f"tornado_board_token={token(scope='read', boards=['b'])}"}
        answer = await served.request("GET", "/?board=b", headers=cookie)
        assert b"A secret" in answer.body
        assert answer.headers["Cache-Control"] == "no-cache, private"
        other = {"Cookie": f"tornado_board_token={token(scope='read', boards=['c'])}"}
        assert b"secret" not in (await served.request("GET", "/?board=b", headers=other)).body


@pytest.mark.gen_test
async def test_a_store_that_is_slow_holds_no_page_back(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_board, "PATIENCE", 0.0)
    async with serving(settings) as served:
        answer = await served.request("GET", "/")
    assert answer.status == 200
    assert b"tornado_board</title>" in answer.body
    assert b"first-board" not in answer.body


def test_the_description_names_a_few_and_is_no_longer_than_it_may_be() -> None:
    players = [{"id": f"p{i}", "name": "n" * 200, "score": 10 - i} for i in range(5)]
    first = of_json(json.dumps({"id": "b", "name": "B", "players": players}))
    assert len(first.description) == 300
    empty = of_json('{"id":"b","name":"B","players":[]}')
    assert empty.description == first_board.DESCRIPTION


@pytest.mark.gen_test
async def test_its_rows_need_no_script(server_process: Start, browser: Chromium) -> None:
    server = server_process()
    tab = await browser.open()
    await tab.send("Emulation.setScriptExecutionDisabled", value=True)
    await tab.go(server.url)
    await tab.send("Emulation.setScriptExecutionDisabled", value=False)
    shown = "[...document.querySelectorAll('.rows .row')].map((row) => row.offsetHeight > 20)"
    assert await tab.run(shown) == [True] * 5
    assert await tab.run("document.querySelector('.state')") is None, "no script has run"
    await tab.go(server.url)
    await tab.until("document.querySelector('.state')?.dataset.state === 'live'")
    assert await tab.run(shown) == [True] * 5
    assert tab.complaints == []
