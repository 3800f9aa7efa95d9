"""Boards managed on the page, in a real browser against the real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from .chromium import Tab
from .page_tabs import LIVE, STATE, OpenTab, chromium, needs_page, open_tab, scores_are
from .server_process import ServerProcess
from .test_page_me import make, submit
from .tokens import SECRET, token
from .waiting import PATIENCE

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page

Start = Callable[..., ServerProcess]

NOTE = "document.querySelector('.admin-note')?.textContent"
TROUBLE = "document.querySelector('.admin-trouble')?.textContent"
LISTED = """
[...document.querySelectorAll(".admin-list li")].map((row) =>
  row.querySelector(".who").textContent)
"""


async def manage(tab: Tab, name: str = "") -> None:
    """Open the dialog, and in it a tab."""
    if not await tab.run("Boolean(document.querySelector('.admin'))"):
        await tab.run("document.querySelector('[data-icon=manage]').closest('button').click()")
        await tab.until("document.querySelector('.admin[open] [role=tab]')")
    if name:
        await tab.until(f"document.querySelector('#admin-tab-{name}')")
        await tab.run(f"document.querySelector('#admin-tab-{name}').click()")


def labelled(label: str) -> str:
    """A JavaScript expression: the control with this label, in the dialog."""
    wanted = json.dumps(label)
    return (
        "[...document.querySelectorAll('.admin label')]"
        f".find((one) => one.textContent === {wanted})?.control"
    )


async def enter(tab: Tab, label: str, text: str) -> None:
    """Type into the field with this label, in place of what is there."""
    await tab.until(labelled(label))
    await tab.run(f"({labelled(label)}).focus(), ({labelled(label)}).select()")
    await tab.send("Input.insertText", text=text)


async def choose(tab: Tab, label: str, value: str) -> None:
    await tab.until(labelled(label))
    await tab.run(
        f"""((select) => {{
          Object.getOwnPropertyDescriptor(HTMLSelectElement.prototype, "value")
            .set.call(select, {json.dumps(value)});
          select.dispatchEvent(new Event("change", {{ bubbles: true }}));
        }})({labelled(label)})"""
    )


async def press(tab: Tab, text: str, index: int = 0) -> None:
    """Click the button with this text in the dialog."""
    found = (
        "[...document.querySelectorAll('.admin button')]"
        f".filter((one) => one.textContent === {json.dumps(text)})[{index}]"
    )
    await tab.until(found)
    await tab.run(f"({found}).focus(), ({found}).click()")


def get(server: ServerProcess, path: str, **headers: str) -> Any:
    return (
        httpx.get(f"{server.url}{path}", headers=headers, timeout=PATIENCE)
        .raise_for_status()
        .json()
    )


@pytest.mark.gen_test
async def test_boards_are_made_changed_and_deleted(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    tab = await open_tab(server.url)
    await tab.until(LIVE)
    assert not [name for name in tab.requests if "Admin" in name], "it is loaded when it is wanted"
    await manage(tab, "new")
    await enter(tab, "Id", "..")
    await press(tab, "Make the board")
    await tab.until(f"{TROUBLE}.includes('must be a string of 1 to 64 characters')")
    await enter(tab, "Id", "cup")
    await enter(tab, "Name", "The cup")
    await choose(tab, "Best is", "asc")
    await enter(tab, "Players in the events", "7")
    await choose(tab, "Seasons", "week")
    await enter(tab, "Time zone", "Europe/Berlin")
    await press(tab, "Make the board")
    await tab.until(f"{NOTE} === 'The board cup was made.'")
    made = get(server, "/boards/cup/?fields=settings")
    assert (made["name"], made["order"], made["top"]) == ("The cup", "asc", 7)
    assert made["season"]["timezone"] == "Europe/Berlin"
    await tab.until("document.querySelector('h1').textContent === 'The cup'")  # it is shown
    await enter(tab, "Greatest score", "lots")
    await press(tab, "Save")
    await tab.until(f"{TROUBLE}.startsWith('max: must be')")
    await enter(tab, "Greatest score", "900.5")
    await enter(tab, "Meta (JSON)", '{"unit": "s"}')
    await press(tab, "Save")
    await tab.until(f"{NOTE} === 'Saved.'")
    changed = get(server, "/boards/cup/?fields=settings")
    assert (changed["max"], changed["meta"], changed["order"]) == (900.5, {"unit": "s"}, "asc")
    await enter(tab, "Delete this board", "cu")
    await press(tab, "Delete")
    assert get(server, "/boards/cup/")["id"] == "cup"
    await enter(tab, "Delete this board", "cup")
    await press(tab, "Delete")
    await tab.until(f"{NOTE} === 'The board cup was deleted.'")
    assert [board["id"] for board in get(server, "/boards/")["boards"]] == ["demo"]
    await tab.until("document.querySelector('h1').textContent === 'Demo board'")
    assert [one for one in tab.complaints if "400" not in one and "404" not in one] == []


@pytest.mark.gen_test
async def test_players_are_added_changed_hidden_and_deleted(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    tab = await open_tab(f"{server.url}/?board=demo")
    await tab.until(LIVE)
    await manage(tab, "players")
    await tab.until(f"{LISTED}.length === 5")
    await enter(tab, "Name", "Ceres <b>")
    await enter(tab, "Id", "ceres")
    await enter(tab, "Score", "99")
    await press(tab, "Add")
    await tab.until(f"{LISTED}[0] === 'Ceres <b>'")
    await tab.until(scores_are({"ceres": 99}))
    await press(tab, "Change Ceres <b>")
    fields = "document.querySelectorAll('.edit input')"
    await tab.run(f"{fields}[0].focus(), {fields}[0].select()")
    await tab.send("Input.insertText", text="Ceres")
    await tab.run(f"{fields}[1].focus(), {fields}[1].select()")
    await tab.send("Input.insertText", text="-3.5")
    await press(tab, "Save")
    await tab.until(f"{NOTE} === 'Saved.'")
    shown = get(server, "/boards/demo/players/ceres/")
    assert (shown["name"], shown["score"], shown["rank"]) == ("Ceres", -3.5, 6)
    await press(tab, "Change Ceres")
    await press(tab, "Hide")
    await press(tab, "Really: hide Ceres")
    await tab.until(f"{NOTE} === 'Ceres is hidden.' && {LISTED}.length === 5")
    await manage(tab, "hidden")
    await tab.until(f"{LISTED}.join() === 'Ceres'")
    await press(tab, "Show again")
    await tab.until(f"{NOTE} === 'Ceres is shown again.'")
    await tab.until("document.querySelector('.admin').textContent.includes('Nobody is hidden.')")
    await manage(tab, "players")
    await enter(tab, "Name or id", "CERES")
    await press(tab, "Find")
    await tab.until(f"{LISTED}.join() === 'Ceres'")
    await press(tab, "Change Ceres")
    await press(tab, "Delete")
    assert get(server, "/boards/demo/players/ceres/")["id"] == "ceres", "asked once"
    await press(tab, "Really: delete Ceres")
    await tab.until(f"{NOTE} === 'Ceres was deleted.' && {LISTED}.length === 0")
    assert get(server, "/boards/demo/players/?ids=ceres")["missing"] == ["ceres"]
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_a_season_is_ended_and_a_file_imported(
    server_process: Start, open_tab: OpenTab, tmp_path: Path
) -> None:
    server = server_process()
    make(server, "a")
    submit(server, "a", "x", 7)
    tab = await open_tab(f"{server.url}/?board=a")
    await tab.until(LIVE)
    await manage(tab, "seasons")
    await tab.until("document.querySelector('.admin').textContent.includes('no seasons yet')")
    await manage(tab, "board")
    await choose(tab, "Seasons", "hand")
    await press(tab, "Save")
    await tab.until(f"{NOTE} === 'Saved.'")
    await manage(tab, "seasons")
    end = "End this season"
    await press(tab, end)
    await press(tab, "Really: end season 1")
    await tab.until(f"{NOTE} === 'Season 1 has ended.'")
    await tab.until("document.querySelector('.admin-list strong').textContent === 'Season 2'")
    assert get(server, "/boards/a/players/")["count"] == 0

    file = tmp_path / "scores.csv"
    rows = [f'p{i},"Player, {i}",{i}' for i in range(2500)]
    rows[7] = "p7,Seven,lots"
    rows[9] = "..,Nine,9"
    file.write_text("\n".join(["id,name,score", *rows]) + "\n")
    await manage(tab, "import")
    await tab.until(labelled("File (CSV or NDJSON)"))
    found = await tab.send("Runtime.evaluate", expression=labelled("File (CSV or NDJSON)"))
    await tab.send("DOM.setFileInputFiles", files=[str(file)], objectId=found["result"]["objectId"])
    await press(tab, "Import", 1)  # the first one is the tab
    await tab.until(f"{NOTE}.startsWith('Imported:')", 60)
    assert await tab.run(NOTE) == "Imported: 2,498 made, 0 changed, 0 the same, 2 refused."
    assert get(server, "/boards/a/players/")["count"] == 2498
    refused = "[...document.querySelectorAll('.refusals li')].map((one) => one.textContent)"
    first, second = await tab.run(refused)
    assert first == "Line 9: the score is not a number"
    assert second.startswith("Line 11: id: must be a string of 1 to 64 characters")
    progress = "document.querySelector('.admin progress')"
    assert await tab.run(f"{progress}.value === {progress}.max")
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_with_keys_a_token_opens_what_it_allows_and_goes_nowhere_else(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process(f"--token-secret={SECRET}")
    tab = await open_tab(f"{server.url}/?board=demo")
    await tab.until(LIVE)
    await manage(tab, "players")
    await enter(tab, "Name", "Ceres")
    await press(tab, "Add")
    await tab.until(f"{TROUBLE}.includes('token')")  # the server says what it wants
    given = token(scope="admin", boards=["demo"])
    await enter(tab, "Token", given)
    await press(tab, "Use it")
    await tab.until("document.querySelector('.token').textContent.includes('in use')")
    assert await tab.run(TROUBLE) == ""
    await enter(tab, "Name", "Ceres")
    await enter(tab, "Id", "ceres")
    await press(tab, "Add")
    await tab.until(f"{NOTE} === 'Ceres was added.'")
    assert not [one for one in tab.requests if given[:20] in one]
    assert await tab.run("location.href.includes('eyJ')") is False
    assert await tab.run("Object.values(localStorage).join().includes('eyJ')") is False
    await manage(tab, "new")  # for another board than the token is for
    await enter(tab, "Id", "other")
    await press(tab, "Make the board")
    await tab.until(f"{TROUBLE}.length > 10")
    assert len(get(server, "/boards/")["boards"]) == 1
    # It lasts as long as the tab, and until it is forgotten.
    await tab.go(f"{server.url}/?board=demo")
    await tab.until(LIVE)
    await manage(tab)
    await press(tab, "Forget it")
    await tab.until(labelled("Token"))
    assert await tab.run("sessionStorage.getItem('tornado_board token')") is None
    await manage(tab, "hidden")
    await tab.until(f"{TROUBLE}.includes('token')")


@pytest.mark.gen_test
async def test_a_private_server_is_managed_with_a_token(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process(f"--token-secret={SECRET}", "--private=true")
    tab = await open_tab(server.url)
    await tab.until(f"{STATE} === 'refused'")
    await manage(tab)
    await enter(tab, "Token", token(scope="admin"))
    await press(tab, "Use it")
    await manage(tab, "players")
    await tab.until(f"{LISTED}.length === 5")


@pytest.mark.parametrize("by", ["address", "setting"])
@pytest.mark.gen_test
async def test_a_page_that_only_shows_manages_nothing(
    server_process: Start, open_tab: OpenTab, by: str
) -> None:
    server = server_process(*(["--read-only-page=true"] if by == "setting" else []))
    tab = await open_tab(server.url + ("/?readonly" if by == "address" else "/"))
    await tab.until(LIVE)
    icons = "[...document.querySelectorAll('.display svg')].map((icon) => icon.dataset.icon)"
    assert await tab.run(icons) == ["share", "wall", "auto"]


@pytest.mark.gen_test
async def test_a_board_is_passed_on(server_process: Start, open_tab: OpenTab) -> None:
    server = server_process()
    tab = await open_tab(f"{server.url}/?board=demo&me=mars&lang=en")
    await tab.until(LIVE)
    assert not [name for name in tab.requests if "Code-" in name]
    await tab.run("document.querySelector('[data-icon=share]').closest('button').click()")
    await tab.until("document.querySelector('.share .code path')")
    address = await tab.run("document.querySelector('.share input').value")
    assert address == f"{server.url}/?board=demo"
    label = await tab.run("document.querySelector('.share .code').getAttribute('aria-label')")
    assert label == f"QR code of {address}"
    assert await tab.run("document.querySelector('.share').textContent.includes('this machine')")
    await tab.run("document.querySelector('.share .field button').click()")
    await tab.until("document.querySelector('.share .field button').textContent === 'Copied'")
    await tab.go(f"{server.url}/?wall=1&boards=demo&qr=1")
    await tab.until("document.querySelector('.wall-code .code')")
    assert tab.complaints == []


def make_many(server: ServerProcess, boards: list[str]) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        for board in boards:
            client.post("/boards/", json={"id": board}).raise_for_status()


@pytest.mark.gen_test
async def test_all_boards_can_be_managed_however_many_there_are(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    make_many(server, [f"m{i:03}" for i in range(450)])
    tab = await open_tab(f"{server.url}/?board=demo")
    await tab.until(LIVE)
    await manage(tab)
    listed = "[...document.querySelectorAll('#admin-board option')].map((one) => one.value)"
    for count in (200, 400):
        await tab.until(f"{listed}.length === {count}")
        await press(tab, "More boards")
    await tab.until(f"{listed}.length === 451")
    assert await tab.run(listed) == ["demo", *(f"m{i:03}" for i in range(450))]
    assert "More boards" not in await tab.run("document.querySelector('.admin-board').textContent")
    await choose(tab, "Board", "m449")
    await enter(tab, "Name", "The last one")
    await press(tab, "Save")
    await tab.until(f"{NOTE} === 'Saved.'")
    assert get(server, "/boards/m449/")["name"] == "The last one"
    shown = "document.querySelector('#admin-board').selectedOptions[0].textContent"
    assert await tab.run(shown) == "The last one (m449)"
    assert await tab.run(f"{listed}.length") == 451
