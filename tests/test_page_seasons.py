"""Seasons on the page, in a real browser against the real server."""

from __future__ import annotations

import httpx
import pytest

from .node import node_modules
from .page_tabs import LIVE, OpenTab, Start, chromium, needs_page, open_tab
from .server_process import ServerProcess
from .test_page_me import picture, submit
from .waiting import PATIENCE

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page

#: The ranking of a season that is over: [[rank, by how many places it is better, name], ...].
ROWS = """
[...document.querySelectorAll(".seasons-dialog ol li")].map((row) => [
  Number(row.querySelector(".place").textContent),
  row.querySelector(".moved")?.firstChild.textContent ?? "",
  row.querySelector(".who").textContent,
])
"""
CHOSEN = "document.querySelector('.seasons-dialog nav [aria-current] strong')?.textContent"
NO_SCORE = "document.querySelector('.me').innerText.includes('No score yet in this season')"
TOLD = "document.querySelector('.seasons [role=status]').innerText"


def click(text: str) -> str:
    """Clicks the button that shows this."""
    return (
        "[...document.querySelectorAll('.seasons button, .seasons-dialog button')]"
        f".find((button) => button.innerText.includes({text!r})).click()"
    )


def end(server: ServerProcess) -> None:
    httpx.post(f"{server.url}/boards/cup/seasons/", timeout=PATIENCE).raise_for_status()


def make_seasons(server: ServerProcess) -> None:
    """A board in its third season; in the second one there were 60 players."""
    plan = {"id": "cup", "name": "The cup", "season": {"every": "week"}}
    httpx.post(f"{server.url}/boards/", json=plan, timeout=PATIENCE).raise_for_status()
    for player, score in (("ann", 9), ("bob", 7), ("cy", 7)):
        submit(server, "cup", player, score)
    end(server)
    many = [{"id": f"p{i}", "score": i} for i in range(57)]
    many += [{"id": "ann", "score": 90}, {"id": "bob", "score": 80}, {"id": "cy", "score": 99}]
    httpx.post(f"{server.url}/boards/cup/scores/", json=many, timeout=PATIENCE).raise_for_status()
    end(server)
    submit(server, "cup", "bob", 3)


@pytest.mark.gen_test
async def test_a_season_that_is_over_is_chosen_and_read_to_its_end(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    make_seasons(server)
    tab = await open_tab(f"{server.url}/?board=cup&me=p0", width=1280, height=900)
    await tab.until(LIVE)
    # Who plays no more has no place, and no rank is made up.
    await tab.until(NO_SCORE)
    assert "Season 3 until" in await tab.run("document.querySelector('.seasons').innerText")
    await tab.run(click("Season 3"))
    await tab.until(f"{ROWS}.length === 50")
    assert await tab.run(CHOSEN) is None or await tab.run(CHOSEN) == "Season 2"
    rows = await tab.run(ROWS)
    assert rows[:4] == [[1, "▲1", "cy"], [2, "▼1", "ann"], [3, "▼1", "bob"], [4, "new", "p56"]]
    assert "60 players" in await tab.run("document.querySelector('.seasons-dialog h3').innerText")
    await picture(tab, "page-seasons")
    await tab.run((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8") + "\n;undefined")
    found = await tab.run(
        "axe.run().then(({ violations }) => violations.map(({ id, nodes }) =>"
        " [id, nodes.map(({ html }) => html)]))"
    )
    assert found == []
    await tab.run(click("Next page"))
    await tab.until(f"{ROWS}.length === 10")
    assert (await tab.run(ROWS))[-1] == [60, "new", "p0"]
    await tab.run(click("Page before"))
    await tab.until(f"{ROWS}[0][2] === 'cy'")
    await tab.run(click("Me"))
    await tab.until(f"{ROWS}.length === 50 && {ROWS}[49][2] === 'p0'")
    await tab.run(click("Season 1"))
    await tab.until(f"{CHOSEN} === 'Season 1' && {ROWS}.length === 3")
    # There is none before it to compare with.
    assert await tab.run(ROWS) == [[1, "", "ann"], [2, "", "bob"], [2, "", "cy"]]
    assert await tab.run("new URLSearchParams(location.search).get('season')") == "1"
    await tab.go(await tab.run("location.href"))
    await tab.until(f"{CHOSEN} === 'Season 1' && {ROWS}.length === 3")
    await tab.run(click("Close"))
    await tab.until("!document.querySelector('.seasons-dialog')")
    assert await tab.run("location.search.includes('season')") is False
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_who_watches_sees_a_season_end(server_process: Start, open_tab: OpenTab) -> None:
    server = server_process()
    make_seasons(server)
    tab = await open_tab(f"{server.url}/?board=cup&me=bob", width=400, height=800)
    await tab.until(LIVE)
    await tab.until("document.querySelector('.my-place')")
    assert await tab.run(TOLD) == ""
    end(server)
    await tab.until(f"{TOLD}.startsWith('Season 3 is over.')")
    await tab.until(NO_SCORE)
    assert await tab.run("document.querySelectorAll('.standings .row').length") == 0
    await tab.run(click("Its final ranks"))
    await tab.until(f"{ROWS}.length === 1")
    assert await tab.run(ROWS) == [[1, "▲2", "bob"]]
    await tab.until(f"{CHOSEN} === 'Season 3'")
    await picture(tab, "page-seasons-narrow")
    await tab.run(click("Close"))
    submit(server, "cup", "ann", 5)
    await tab.until("document.querySelectorAll('.standings .row').length === 1")
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_a_board_without_seasons_shows_none(server_process: Start, open_tab: OpenTab) -> None:
    tab = await open_tab(f"{server_process().url}/?board=demo&season=1")
    await tab.until(LIVE)
    assert await tab.run("document.querySelector('.seasons, .seasons-dialog')") is None
    assert tab.complaints == []
