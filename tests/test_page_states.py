"""Every state of the page, however it looks: accessible, within the screen, without motion."""

from __future__ import annotations

from typing import Any

import pytest

from .chromium import Tab
from .node import node_modules
from .page_states import (
    LOOKS,
    PRIVATE,
    STATES,
    UNLIMITED,
    before_offline,
    bring,
    bring_before_react,
    look,
    lose,
    prepare,
    private_flags,
)
from .page_tabs import LIVE, OpenTab, Start, chromium, needs_page, open_tab

__all__ = ["chromium", "open_tab"]  # fixtures

pytestmark = needs_page

_AXE = """
axe.run().then(({ violations, passes }) => ({
  passes: passes.length,
  found: violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html.slice(0, 100))]),
}))
"""
#: Whatever reaches beyond the screen and can't be scrolled to.
_BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def findings(tab: Tab) -> Any:
    """What axe has to say of what a tab shows."""
    # As DevTools' own script, which the page's policy does not hold for.
    await tab.run((node_modules() / "axe-core" / "axe.min.js").read_text("utf-8") + "\n;undefined")
    found = await tab.run(_AXE)
    assert found["passes"] > 10
    return found["found"]


@pytest.mark.parametrize("name", LOOKS)
@pytest.mark.gen_test(timeout=600)
async def test_axe_finds_nothing_in_any_state(
    server_process: Start, open_tab: OpenTab, name: str
) -> None:
    server = server_process()
    prepare(server)
    tab = await open_tab("about:blank")
    await look(tab, name)
    found = {}
    for state in STATES:
        await bring(tab, server, state)
        if findings_here := await findings(tab):
            found[state.name] = findings_here
        if beyond := await tab.run(_BEYOND):
            found[f"{state.name}: beyond the screen"] = beyond
        if moving := await tab.run("document.getAnimations().length"):
            found[f"{state.name}: moves"] = moving
    await bring_before_react(tab, server)
    if findings_here := await findings(tab):
        found["before React"] = findings_here
    await before_offline(tab, server)
    await lose(tab, server)
    if findings_here := await findings(tab):
        found["offline"] = findings_here
    await tab.send("Network.emulateNetworkConditions", offline=False, **UNLIMITED)
    await bring(tab, server_process(*private_flags()), PRIVATE)
    if findings_here := await findings(tab):
        found["private"] = findings_here
    assert found == {}


@pytest.mark.parametrize(
    ("query", "language", "heading", "empty"),
    [
        ("?board=empty&lang=de-AT", "de", "Wo bin ich?", "Noch niemand auf dieser Rangliste."),
        ("?board=empty&lang=es", "es", "¿Dónde estoy?", "Todavía no hay nadie en"),
        ("?board=empty&lang=tlh", "en", "Find me", "Nobody is on this board yet."),
    ],
)
@pytest.mark.gen_test
async def test_it_speaks_the_language_that_is_asked_for(
    server_process: Start, open_tab: OpenTab, query: str, language: str, heading: str, empty: str
) -> None:
    server = server_process()
    prepare(server)
    tab = await open_tab(f"{server.url}/{query}")
    await tab.until(f"{LIVE} && document.querySelector('#me')?.textContent === '{heading}'")
    assert await tab.run("document.documentElement.lang") == language
    assert empty in await tab.run("document.querySelector('.standings').textContent")
    assert tab.complaints == []


@pytest.mark.gen_test
async def test_offline_it_says_of_when_the_board_is_and_tells_once(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    prepare(server)
    tab = await open_tab("about:blank")
    await before_offline(tab, server)
    spoken = "document.querySelector('p.spoken[role=status]')"
    await tab.run(
        f"""
        window.said = [];
        new MutationObserver(() => window.said.push({spoken}.textContent)).observe(
          {spoken}, {{ subtree: true, childList: true, characterData: true }},
        );
        """
    )
    await lose(tab, server)
    shown = await tab.run("document.querySelector('.as-of').innerText")
    assert shown.startswith("As of ")
    assert ", offline since " in shown
    await tab.until("window.said.length > 0")
    await tab.run("new Promise((resolve) => setTimeout(resolve, 4000))")
    said = await tab.run("window.said")
    assert len(said) == 1
    assert "The board is as of " in said[0]
    server.restart()
    await tab.send("Network.emulateNetworkConditions", offline=False, **UNLIMITED)
    await tab.until(f"{LIVE} && !document.querySelector('.as-of')", 60)


@pytest.mark.gen_test
async def test_dialogs_keep_the_keyboard_and_give_it_back(
    server_process: Start, open_tab: OpenTab
) -> None:
    server = server_process()
    prepare(server)
    tab = await open_tab(server.url)
    await tab.until(LIVE)

    async def press(key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            event = {"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code}
            await tab.send("Input.dispatchKeyEvent", **event)

    focused = "document.activeElement"
    for icon, dialog in (("share", ".share"), ("manage", ".admin")):
        button = f"document.querySelector('[data-icon={icon}]').closest('button')"
        await tab.run(f"{button}.focus(), {button}.click()")
        await tab.until(f"document.querySelector('{dialog}[open]')")
        for _ in range(8):
            await press("Tab", 9)
            inside = f"{focused} === document.body || Boolean({focused}.closest('{dialog}'))"
            assert await tab.run(inside)
        if icon == "manage":  # tabs are one stop, and arrows go from one to the next
            await tab.until("document.querySelector('#admin-tab-board')")
            await tab.run("document.querySelector('#admin-tab-board').focus()")
            await press("ArrowRight", 39)
            await tab.until(f"{focused}.id === 'admin-tab-players'", saw=f"{focused}.id")
            await press("End", 35)
            await tab.until(f"{focused}.id === 'admin-tab-new'", saw=f"{focused}.id")
            await press("ArrowRight", 39)
            await tab.until(f"{focused}.getAttribute('aria-selected') === 'true'")
            await tab.until(f"{focused}.id === 'admin-tab-board'", saw=f"{focused}.id")
        await press("Escape", 27)
        await tab.until(f"!document.querySelector('{dialog}')")
        await tab.until(f"{focused} === {button}", saw=f"{focused}.outerHTML")
