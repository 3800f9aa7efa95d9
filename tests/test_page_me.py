"""One's own place on the page, the whole board, and walls, in a real browser."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .chromium import Tab
from .node import node_modules
from .page_tabs import LIVE, SAID, OpenTab, chromium, needs_page, open_tab
from .server_process import ServerProcess
from .waiting import PATIENCE

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page

Start = Callable[..., ServerProcess]

#: Where pictures of what the tests have seen are put, for people to look at; nowhere by default.
PICTURES = os.environ.get("TEST_PICTURES")

PLAYERS = 5_000
PLACE = "document.querySelector('.my-place')?.innerText.replace(/\\s+/g, ' ')"
#: Who was found: [[rank, name], ...].
FOUND = """
[...document.querySelectorAll(".hit")].map((hit) => [
  hit.querySelector(".place").lastChild.textContent,
  hit.querySelector(".who").textContent,
])
"""
#: What is drawn of the whole board: [[rank, name], ...].
DRAWN = """
[...document.querySelectorAll(".whole li")].map((row) => [
  Number(row.querySelector(".place").textContent.replaceAll(",", "")),
  row.querySelector(".who").textContent,
])
"""


def keep(name: str, picture: bytes) -> None:
    if PICTURES:
        Path(PICTURES, f"{name}.png").write_bytes(picture)


async def picture(tab: Tab, name: str) -> None:
    shot = await tab.send("Page.captureScreenshot", format="png")
    keep(name, base64.b64decode(shot["data"]))


def make(server: ServerProcess, board: str) -> None:
    body = {"id": board, "name": f"Board {board}"}
    httpx.post(f"{server.url}/boards/", json=body, timeout=PATIENCE).raise_for_status()


def submit(server: ServerProcess, board: str, player: str, score: float, **more: object) -> None:
    path = f"{server.url}/boards/{board}/players/{player}/score/"
    httpx.post(path, json={"score": score, **more}, timeout=PATIENCE).raise_for_status()


async def seek(tab: Tab, words: str) -> None:
    """Type into the field, and send the form."""
    await tab.run("document.querySelector('.me input').focus()")
    await tab.run("document.querySelector('.me input').select()")
    if words:
        await tab.send("Input.insertText", text=words)
        await tab.run("document.querySelector('.me form').requestSubmit()")
    else:
        await tab.run("document.execCommand('delete')")


def fill(server: ServerProcess) -> None:
    """A board on which player `p17` has rank 18."""
    many = [{"id": f"p{i}", "score": PLAYERS - i} for i in range(PLAYERS)]
    make(server, "big")
    httpx.post(f"{server.url}/boards/big/scores/", json=many, timeout=60).raise_for_status()


@pytest.mark.gen_test
async def test_one_finds_oneself_and_the_page_remembers(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    tab = await open_tab(f"{server.url}/?board=demo")
    await tab.until(LIVE)
    await seek(tab, "nobody")
    await tab.until(
        "document.querySelector('.found')?.textContent.includes('Nobody here has that id')"
    )
    assert await tab.run("new URLSearchParams(location.search).get('q')") == "nobody"
    await seek(tab, "mErcÜ")  # part of a name, as people type
    await tab.until(f"{FOUND}.length === 1 && {FOUND}[0][1] === 'Mercury'")
    await tab.run("document.querySelector('.found li button:last-child').click()")
    await tab.until(f"{PLACE} === '5 of 5 Mercury 12, 7 to the next'")
    assert await tab.run("new URLSearchParams(location.search).get('me')") == "mercury"
    submit(server, "demo", "mercury", 30)
    await tab.until(f"{PLACE} === '2 of 5 Mercury 30, 1 to the next'")
    await picture(tab, "page-me")
    await tab.go(server.url)  # without it in the address
    await tab.until(f"{PLACE} === '2 of 5 Mercury 30, 1 to the next'")
    await tab.run("[...document.querySelectorAll('.me-buttons button')].at(-1).click()")
    await tab.until("!document.querySelector('.my-place')")
    assert await tab.run("location.search.includes('me=')") is False
    await tab.go(f"{server.url}/?me=..%2Fboards")
    await tab.until("document.querySelector('.me input')")
    assert await tab.run("document.querySelector('.my-place')") is None
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_who_is_far_down_is_found_by_id_and_further_down_by_name(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    fill(server)
    submit(server, "big", "last", -5, name="Ángel <b>")
    tab = await open_tab(f"{server.url}/?board=big&q=p4998")  # the address has it
    await tab.until(f"{FOUND}.length === 1 && {FOUND}[0][0] === '4,999'")
    await seek(tab, "angel")
    await tab.until("document.querySelector('.found p')?.textContent.includes('the best 1,000')")
    further = "document.querySelector('.found > button')"
    for looked_at in ("2,000", "3,000", "4,000", "5,000"):
        await tab.run(f"{further}.click()")
        await tab.until(f"document.querySelector('.found p')?.textContent.includes('{looked_at}')")
    assert await tab.run(f"{FOUND}.length") == 0
    await tab.run(f"{further}.click()")
    await tab.until(f"{FOUND}.length === 1 && {FOUND}[0][1] === 'Ángel <b>'")
    assert await tab.run(further) is None
    await tab.until(f"{SAID} === '1 player found.'")
    await tab.run("document.querySelector('.hit').click()")  # among all
    await tab.until(f"{DRAWN}.some(([rank, name]) => rank === 5001 && name === 'Ángel <b>')")
    assert await tab.run("document.querySelector('.whole .sought .who').textContent") == "Ángel <b>"
    await tab.run("document.querySelector('.whole header button').click()")
    await seek(tab, "")
    await tab.until("!document.querySelector('.found')")
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_everybody_is_in_a_list_that_draws_what_is_in_sight(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    fill(server)
    tab = await open_tab(f"{server.url}/?board=big&me=p2500", width=1280, height=800)
    await tab.until(f"{PLACE}?.startsWith('2,501 of 5,000')")
    await tab.run("document.querySelector('.me-buttons button').click()")
    await tab.until(f"{DRAWN}.some(([rank]) => rank === 2501)")
    mine = "document.querySelector('.whole .mine').getBoundingClientRect()"
    box = "document.querySelector('.whole .scroll').getBoundingClientRect()"
    await tab.until(f"Math.abs({mine}.top - {box}.top - {box}.height / 2) < 60")
    await picture(tab, "page-whole-board")
    scroll = "document.querySelector('.whole .scroll').scrollTop = {}"
    for rank in (5_000, 1, 4_000, 3_990, 20):
        await tab.run(scroll.format((rank - 1) * 44))
        await tab.until(f"{DRAWN}.some(([at, name]) => at === {rank} && name === 'p{rank - 1}')")
        drawn = await tab.run(DRAWN)
        assert len(drawn) < 60
        assert drawn == [[at, f"p{at - 1}"] for at in range(drawn[0][0], drawn[-1][0] + 1)]
    await tab.run((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8") + "\n;undefined")
    found = await tab.run(
        "axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>"
        " [id, nodes.map(({ html }) => html)]))"
    )
    assert found == []
    await tab.run("document.querySelector('.whole header button').click()")
    await tab.until("!document.querySelector('.whole')")
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_a_wall_shows_one_board_after_the_other(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    for board in ("a", "b"):
        make(server, board)
        submit(server, board, "x", 7)
    tab = await open_tab(f"{server.url}/?wall=1&boards=a,b&every=5", width=1080, height=1920)
    name = "document.querySelector('h1').textContent"
    await tab.until(f"{name} === 'Board a' && {LIVE}")
    before = await tab.run("history.length")
    visible = "[...document.querySelectorAll('.point, .join, .me')].filter((e) => e.offsetHeight)"
    assert await tab.run(f"{visible}.length") == 0
    await picture(tab, "page-wall")
    await tab.until(f"{name} === 'Board b' && {LIVE}")
    await tab.until(f"{name} === 'Board a' && {LIVE}")
    assert await tab.run("history.length") == before
    assert tab.complaints == []
