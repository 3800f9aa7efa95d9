"""The first rows of the page, as the server writes them, as a script does, and as React does."""

from __future__ import annotations

import json
import re
import subprocess
from itertools import chain
from string import Template
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.web.built_page import PAGE
from tornado_board.web.first_rows import number, rows_of, template_of
from tornado_board.web.languages import TEXTS

from .built_page import PAGE_IS_BUILT
from .node import node
from .page_tabs import LIVE, OpenTab, Start, chromium, needs_page, open_tab
from .server_process import ServerProcess
from .waiting import PATIENCE

__all__ = ["chromium", "open_tab"]  # fixtures

ROW = "<${id}|${name}|${place}|${rank}|${rankWord}|${score}|${size}|${gap}>"
LATER = "*takeOver*"

#: Where each part of each row is, and what it says; digits that roll say more than they show.
_PARTS = """
[...document.querySelectorAll(".rows .row")].map((row) =>
  [".rank", ".name", ".gap", ".score .spoken", ".score .digits", ".point"].map((part) => {
    const found = row.querySelector(part);
    const { x, y, width, height } = found?.getBoundingClientRect() ?? { width: 0 };
    if (width === 0) return [part];
    const said = part.endsWith("digits") ? "" : found.textContent;
    return [part, said, ...[x, y, width, height].map(Math.round)];
  }))
"""
#: Whether there are all rows.
_ROWS = "document.querySelectorAll('.rows .row').length === 5"
#: Whether a script has drawn the rows.
_DRAWN = "document.querySelector('.row .bar')?.style.length > 0"


def shown(*scores: float, lang: str = "en") -> list[list[str]]:
    players = [{"id": f"p{i}", "name": f"<{i}>", "score": score} for i, score in enumerate(scores)]
    ranks = [1 + scores.index(score) for score in scores]
    rows = list(zip(ranks, players, strict=True))
    written = rows_of(template_of(ROW), rows, TEXTS[lang], lang)
    return [row.split("|") for row in re.findall("<(.*?)>", written)]


def test_a_row_says_who_where_and_how_far_behind() -> None:
    assert shown(1200.5, 1200.5, -3) == [
        ["p0", "&lt;0&gt;", "1", "1", "Rank", "1,200.5", "short", "level"],
        ["p1", "&lt;1&gt;", "1", "1", "Rank", "1,200.5", "short", "level"],
        ["p2", "&lt;2&gt;", "3", "3", "Rank", "-3", "short", "1,203.5 to catch up"],
    ]
    assert [row[-1] for row in shown(10, 25, lang="de")] == ["führt mit 15 Vorsprung", "15 zurück"]
    assert shown(10**9, lang="es")[0][5:] == ["1.000.000.000", "huge", ""]
    assert shown() == []


@pytest.mark.parametrize("text", ["", "${id}", ROW + "${more}", ROW.replace("${name}", "")])
def test_the_template_of_a_row_has_to_be_of_what_rows_consist_of(text: str) -> None:
    with pytest.raises(ValueError, match="template"):
        template_of(text)


@given(st.text())
def test_what_is_put_into_a_row_is_text_and_nothing_else(name: str) -> None:
    rows = [(1, {"id": "p", "name": name, "score": 1})]
    written = rows_of(Template("${name}"), rows, TEXTS["en"], "en")
    assert not set(written) & set("<>\"'")


def test_numbers_are_those_of_browsers() -> None:
    values: list[float] = [0, -0.0, 7, -7, 999, 1000, -1000, 9999, 10000, 123456, 2**53, -(2**53)]
    values += [0.5, 0.005, 0.015, 1.005, -0.001, 0.125, 2.675, 1234.5678, 99999.995, 1e21, 1.5e300]
    script = (
        "const { langs, values } = JSON.parse(process.argv[1]);"
        "process.stdout.write(JSON.stringify(langs.map((lang) => values.map((value) =>"
        " new Intl.NumberFormat(lang, { maximumFractionDigits: 2 }).format(value)))));"
    )
    asked = json.dumps({"langs": list(TEXTS), "values": values})
    done = subprocess.run(
        [node(), "-e", script, asked], check=True, capture_output=True, encoding="utf-8"
    )
    assert [[number(value, lang) for value in values] for lang in TEXTS] == json.loads(done.stdout)


@PAGE_IS_BUILT
def test_the_build_has_a_template_of_a_row() -> None:
    row = PAGE.page().main.row.template
    assert row.startswith('<li class="row" data-id="${id}" data-rank="${place}">')
    assert "style=" not in row, "which the page's policy does not allow"


def differences(before: Any, after: Any) -> list[Any]:
    """What says something else, or has moved by more than characters do that stand in boxes of
    their own."""
    found = []
    for old, new in zip(chain(*before), chain(*after), strict=True):
        moved = any(abs(a - b) > 2 for a, b in zip(old[2:], new[2:], strict=False))
        if old[:2] != new[:2] or len(old) != len(new) or moved:
            found.append([old, new])
    return found


def make(server: ServerProcess, **headers: str) -> None:
    with httpx.Client(base_url=server.url, headers=headers, timeout=PATIENCE) as client:
        client.post("/boards/", json={"id": "b", "name": "Bö <b>"}).raise_for_status()
        scores = [1234567.25, 4821.5, 4821.5, 33, -5]
        rows = [{"id": f"p{i}", "name": f"P & {i}", "score": s} for i, s in enumerate(scores)]
        client.post("/boards/b/scores/", json=rows).raise_for_status()


@needs_page
@pytest.mark.parametrize("query", ["", "&lang=de", "&readonly", "&wall=1"])
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.gen_test(timeout=180)
async def test_nothing_moves_when_react_takes_over(
    server_process: Start, open_tab: OpenTab, query: str, width: int
) -> None:
    server = server_process()
    make(server)
    tab = await open_tab("about:blank", width=width, height=800, mobile=width < 500)
    await tab.send("Network.enable")
    reduce = [{"name": "prefers-reduced-motion", "value": "reduce"}]
    await tab.send("Emulation.setEmulatedMedia", features=reduce)
    stages: list[Any] = []
    taken_over = f"{LIVE} && {_DRAWN} && document.querySelector('.boards a')"
    for blocked, done in (("*/static/*.js", "true"), (LATER, _DRAWN), ("", taken_over)):
        await tab.send("Network.setBlockedURLs", urls=[blocked] if blocked else [])
        await tab.go(f"{server.url}/?board=b{query}")
        while not stages and not await tab.run(_ROWS):
            # A server that has no time for it leaves the board to the scripts.
            await tab.go(f"{server.url}/?board=b{query}")
        await tab.until(
            f"{done} && {_ROWS}",
            saw=f"[{LIVE}, {_DRAWN}, document.body.innerHTML]",
        )
        assert await tab.run("Boolean(document.querySelector('.state'))") is not bool(blocked)
        stages.append(await tab.run(_PARTS))
    assert differences(stages[0], stages[1]) == []
    assert differences(stages[1], stages[2]) == []
