"""The token that is entered on the page opens private boards there, too."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tornado_board.auth.claims import LEEWAY
from tornado_board.web.built_page import PAGE

from .chromium import Tab
from .page_tabs import LIVE, SHOWN, STATE, OpenTab, Start, chromium, needs_page, open_tab
from .server_process import ServerProcess
from .test_page_admin import enter, manage, press
from .tokens import SECRET, token
from .waiting import PATIENCE

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page

KEY = "tornado_board token"
ROWS = "document.querySelectorAll('.rows .row').length"


def make(server: ServerProcess, board: str) -> None:
    headers = {"Authorization": f"Bearer {token(scope='write')}"}
    body = {"id": board, "name": board}
    address = f"{server.url}/boards/"
    httpx.post(address, json=body, headers=headers, timeout=PATIENCE).raise_for_status()


async def use(tab: Tab, text: str) -> None:
    """Enter a token, and close what it was entered in."""
    await manage(tab)
    await enter(tab, "Token", text)
    await press(tab, "Use it")
    await tab.until("document.querySelector('.token').textContent.includes('in use')")
    await tab.run("document.querySelector('.admin').close()")


async def held(tab: Tab, text: str) -> None:
    """Have a tab begin with a token."""
    source = f"sessionStorage.setItem({json.dumps(KEY)}, {json.dumps(text)});"
    await tab.send("Page.addScriptToEvaluateOnNewDocument", source=source)


@pytest.mark.gen_test
async def test_it_opens_private_boards_and_closes_them_again(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process("--private", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    make(server, "closed")
    tab = await open_tab(f"{server.url}/?board=demo")
    await tab.until(f"{STATE} === 'refused'")
    await tab.run("document.querySelector('.private button').click()")
    await tab.until("document.querySelector('.admin[open]')")
    given = token(scope="write", boards=["demo"])
    await use(tab, given)
    await tab.until(f"{LIVE} && {ROWS} === 5")
    # Everything else on the page has it, too: writes, ranks, the past, one's place and the search.
    last = await tab.run(f"{SHOWN}.at(-1)")
    await tab.run("[...document.querySelectorAll('.row .point')].at(-1).click()")
    await tab.until(f"{SHOWN}.at(-1)[1] === {last[1] + 1}")
    await tab.until("document.querySelector('.find input')")
    await tab.run("document.querySelector('.find input').focus()")
    await tab.send("Input.insertText", text="mars")
    await tab.run("document.querySelector('.find [type=submit]').click()")
    await tab.until("document.querySelectorAll('.hit').length === 1")
    await tab.run("document.querySelector('.found button:not(.hit)').click()")
    await tab.until("document.querySelector('.my-place strong')")
    assert not [url for url in tab.requests if given[:20] in url], "in no address"
    # Not for what it does not allow.
    await tab.go(f"{server.url}/?board=closed")
    await tab.until(f"{STATE} === 'refused'")
    await tab.go(f"{server.url}/?board=demo")
    await tab.until(f"{LIVE} && {ROWS} === 5")
    await manage(tab)
    await press(tab, "Forget it")
    await tab.until(f"{STATE} === 'refused' && {ROWS} === 0")


@pytest.mark.parametrize("keys", [True, False])
@pytest.mark.gen_test
async def test_one_that_is_no_good_keeps_nobody_from_what_is_for_everybody(
    server_process: Start, open_tab: OpenTab, keys: bool
) -> None:
    server = server_process(**({"TORNADO_BOARD_TOKEN_SECRET": SECRET} if keys else {}))
    tab = await open_tab("about:blank")
    await held(tab, "nonsense")
    await tab.go(f"{server.url}/?board=demo")
    await tab.until(f"{LIVE} && {ROWS} === 5")
    await tab.until("document.querySelector('.scrubber input')")


@pytest.mark.gen_test
async def test_one_that_expires_closes_the_board_and_says_so(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process("--private", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    tab = await open_tab("about:blank")
    await held(tab, token(scope="read", exp=time.time() - LEEWAY + 6))
    await tab.go(f"{server.url}/?board=demo")
    await tab.until(LIVE)
    await tab.until(f"{STATE} === 'refused'")
    await tab.until("document.querySelector('.private').textContent.includes('needs a token')")


async def first_rows(tab: Tab, server: ServerProcess, query: str) -> list[Any]:
    await tab.send("Network.enable")
    later = PAGE.page().main.later
    await tab.send("Network.setBlockedURLs", urls=[f"*{name}" for name in later])
    await tab.go(f"{server.url}/{query}")
    await tab.until(f"{ROWS} === 5")
    assert not await tab.run("document.querySelector('.state') !== null")
    scripts: list[Any] = await tab.run(
        "performance.getEntriesByType('resource')"
        ".filter(({ name, responseStatus }) => name.endsWith('.js') && responseStatus === 200)"
        ".map(({ encodedBodySize }) => encodedBodySize)"
    )
    return scripts


@pytest.mark.parametrize("query", ["?board=demo", "", "?wall=1&boards=demo,demo"])
@pytest.mark.gen_test
async def test_the_first_rows_that_have_to_be_asked_for_need_one_small_script(
    server_process: Start, open_tab: OpenTab, query: str
) -> None:
    server = server_process("--private", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    tab = await open_tab("about:blank")
    await held(tab, token(scope="read"))
    scripts = await first_rows(tab, server, query)
    assert len(scripts) == 1
    assert sum(scripts) < 10_000
    assert await tab.run("document.querySelector('h1').textContent") == "Demo board"
    await tab.send("Network.setBlockedURLs", urls=[])
    await tab.go(f"{server.url}/{query}")
    await tab.until(f"{LIVE} && {ROWS} === 5")
