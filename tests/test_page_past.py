"""What the page shows of a board's past, in a real browser against the real server."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time

import pytest

from .page_tabs import LIVE, SHOWN, OpenTab, Start, add, chromium, needs_page, open_tab, scores_are
from .server_process import ServerProcess

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page

#: Moves the scrubber to so many milliseconds before now, as a hand does.
MOVE = """
((to) => {
  const input = document.querySelector(".scrubber input");
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, to);
  input.dispatchEvent(new Event("input", { bubbles: true }));
})(%d)
"""
TOLD = "document.querySelector('.scrubber output').textContent"
HOUR = 3_600_000


def put_past(server: ServerProcess, *pasts: tuple[int, dict[str, int]]) -> None:
    """Have the demo board's track hold what it was, so many ms ago, while the server is stopped."""
    now = int(time.time() * 1000)
    path = server.folder / "tornado_board.sqlite3"
    with contextlib.closing(sqlite3.connect(path)) as c, c:
        track = c.execute("INSERT INTO tracks (board, step) VALUES ('demo', 60000)").lastrowid
        for n, (age, scores) in enumerate(pasts, 1):
            players = [{"id": id, "name": id.title(), "score": s} for id, s in scores.items()]
            data = json.dumps({"id": "demo", "name": "Demo board", "players": players})
            c.execute("INSERT INTO track_events VALUES (?, ?, ?, ?)", (track, now - age, n, data))


@pytest.mark.gen_test
async def test_the_last_hour_can_be_moved_in_and_played(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    server.stop()
    put_past(
        server,
        (2 * HOUR, {"mercury": 9, "mars": 8, "venus": 7}),
        (HOUR // 2, {"pluto": 3, "mercury": 2}),
    )
    server.restart()
    tab = await open_tab(server.url)
    await tab.until(LIVE)
    # An hour ago Mercury was first, and Mars second: now they are fifth and fourth.
    await tab.until("document.querySelectorAll('.moved').length === 3")
    moved = "document.querySelector('[data-id=%s] .moved')?.innerText ?? ''"
    for player, arrow in {"mercury": "▼4", "mars": "▼2", "venus": "▲2"}.items():
        await tab.until(f"({moved % player}).includes('{arrow}')")
    assert await tab.run(moved % "earth") == "", "nobody knows its rank of then"
    now = await tab.run(SHOWN)
    assert await tab.run(TOLD) == "now"
    # To the middle, to the beginning, and back.
    await tab.run(MOVE % -(HOUR // 3))
    await tab.until(f'JSON.stringify({SHOWN}) === \'[["pluto",3],["mercury",2]]\'')
    assert await tab.run(TOLD) == "20 min ago"
    assert await tab.run("document.querySelectorAll('.standings .point').length") == 0
    await tab.run(MOVE % -HOUR)
    await tab.until(scores_are({"mercury": 9, "mars": 8, "venus": 7}))
    assert await tab.run(TOLD) == "60 min ago"
    # What happens meanwhile does not show there, and does when it is now again.
    score = await add(server, "earth", 30)
    assert await tab.run(scores_are({"earth": score})) is False
    await tab.run("document.querySelector('.scrubber .icon').click()")
    await tab.until(f"{TOLD} !== '60 min ago'")
    await tab.run("[...document.querySelectorAll('.scrubber button')].at(-1).click()")
    await tab.until(scores_are({"earth": score}))
    assert await tab.run(TOLD) == "now"
    assert {id for id, _ in await tab.run(SHOWN)} == {id for id, _ in now}
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_nothing_is_made_up_of_what_is_not_known(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process("--history-retention=0")
    tab = await open_tab(server.url)
    await tab.until(LIVE)
    await tab.run(MOVE % -HOUR)
    await tab.until("document.body.innerText.includes('Nothing is known of what the board was')")
    assert await tab.run(TOLD) == "60 min ago"
    assert await tab.run(SHOWN) == []
    await tab.run("[...document.querySelectorAll('.scrubber button')].at(-1).click()")
    await tab.until(f"{SHOWN}.length === 5")
    assert await tab.run("document.querySelectorAll('.moved').length") == 0
