"""The states that the page can be in, and how to bring a tab to each: for tests of all of them, and
for their pictures in the docs."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx

from tornado_board.web.built_page import PAGE

from .chromium import Tab
from .server_process import ServerProcess
from .tokens import SECRET
from .waiting import PATIENCE

BOARD = "regatta"
BOATS = ("Albatross", "Petrel", "Gannet", "Fulmar", "Skua", "Tern", "Kittiwake")
SCORES = (184, 171, 168, 152, 150, 133, 121)
#: How many players there are besides.
OTHERS = 400

_LIVE = "document.querySelector('.state')?.dataset.state === 'live'"


class State(NamedTuple):
    """A state of the page: its address, what is done there, and what is true then."""

    name: str
    query: str
    done: str = _LIVE
    #: Clicks, one after the other, each as soon as it finds what it needs.
    steps: tuple[str, ...] = ()


def _click(selector: str) -> str:
    return f"document.querySelector({selector!r}).click()"


def _open(icon: str) -> str:
    return f"document.querySelector('[data-icon={icon}]').closest('button').click()"


_DRAWN = "document.querySelector('.chart svg path') && document.querySelector('.scrubber input')"

#: Moves the scrubber a second into the past, as a hand does.
_MOVED = """
void ((input) => {
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, -1000);
  input.dispatchEvent(new Event("input", { bubbles: true }));
})(document.querySelector(".scrubber input"))
"""

STATES = (
    State("default", f"?board={BOARD}", f"{_LIVE} && {_DRAWN}"),
    State("me", f"?board={BOARD}&me=b4", f"{_LIVE} && document.querySelector('.my-place')"),
    State(
        "found",
        f"?board={BOARD}&q=skiff",
        "document.querySelectorAll('.hit').length === 10",
        ("document.querySelector('.hit') && void document.querySelector('.me').scrollIntoView()",),
    ),
    State(
        "whole-board",
        f"?board={BOARD}&me=s200",
        "document.querySelector('.whole .mine')",
        ("document.querySelector('.my-place') && " + _click(".me-buttons button"),),
    ),
    State(
        "past",
        f"?board={BOARD}",
        "document.querySelector('[data-past] .rows') && document.querySelector('.scrubber .plain')",
        (_DRAWN + " && " + _MOVED,),
    ),
    State(
        "season",
        f"?board={BOARD}&season=1",
        "document.querySelectorAll('.seasons-dialog ol li').length > 3",
    ),
    State(
        "share",
        f"?board={BOARD}",
        "document.querySelector('.share .code path')",
        (_open("share"),),
    ),
    State(
        "manage-settings",
        f"?board={BOARD}",
        "document.querySelector('.admin .settings')",
        (_open("manage"),),
    ),
    State(
        "manage-players",
        f"?board={BOARD}",
        "document.querySelector('.admin .edit')",
        (
            _open("manage"),
            _click("#admin-tab-players"),
            _click(".admin-list li:nth-child(2) button"),
        ),
    ),
    State(
        "manage-seasons",
        f"?board={BOARD}",
        "document.querySelectorAll('.admin-list li').length === 2",
        (_open("manage"), _click("#admin-tab-seasons")),
    ),
    State(
        "manage-hidden",
        f"?board={BOARD}",
        "document.querySelectorAll('.admin-list li').length === 1",
        (_open("manage"), _click("#admin-tab-hidden")),
    ),
    State(
        "manage-new",
        f"?board={BOARD}",
        "document.querySelector('.admin .settings')",
        (_open("manage"), _click("#admin-tab-new")),
    ),
    State(
        "manage-import",
        f"?board={BOARD}",
        "document.querySelector('.admin [type=file]')",
        (_open("manage"), _click("#admin-tab-import")),
    ),
    State(
        "wall",
        f"?wall=1&boards={BOARD}&qr=1",
        f"{_LIVE} && document.querySelector('.wall-code path')",
    ),
    State(
        "german", f"?board={BOARD}&lang=de&me=b4", f"{_LIVE} && document.querySelector('.my-place')"
    ),
    State("read-only", f"?board={BOARD}&readonly", "document.querySelector('.read-only')"),
    State("empty", "?board=empty", "document.querySelector('.standings .empty')"),
    State(
        "missing", "?board=nowhere", "document.querySelector('.state')?.dataset.state === 'missing'"
    ),
)

#: After this one there is no server any more.
OFFLINE = State("offline", f"?board={BOARD}&me=b4", "document.querySelector('.as-of')")

#: On a server that is private (`private_flags`).
PRIVATE = State("private", "?board=demo", "document.querySelector('.private button')")

#: As it is until React takes over.
FIRST = State("first-rows", f"?board={BOARD}", "document.querySelectorAll('.row').length === 5")

#: A network as fast as it can be.
UNLIMITED = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


def private_flags() -> tuple[str, ...]:
    """The flags of a server whose boards need a token."""
    return ("--private=true", f"--token-secret={SECRET}")


async def bring_before_react(tab: Tab, server: ServerProcess) -> None:
    """Bring a tab to the state `FIRST`."""
    later = [f"*{name}" for name in PAGE.page().main.later]
    await tab.send("Network.enable")
    await tab.send("Network.setBlockedURLs", urls=later)
    await tab.go(f"{server.url}/{FIRST.query}")
    await tab.until(f"{FIRST.done} && document.querySelector('.row .bar').style.length > 0")
    await tab.send("Network.setBlockedURLs", urls=[])


def prepare(server: ServerProcess) -> None:
    """Make what the states show."""

    def post(path: str, body: Any) -> None:
        httpx.post(f"{server.url}{path}", json=body, timeout=30).raise_for_status()

    def submissions(factor: float) -> list[dict[str, Any]]:
        boats = zip(BOATS, SCORES, strict=True)
        found = [
            {"id": f"b{i}", "name": name, "score": round(score * factor)}
            for i, (name, score) in enumerate(boats)
        ]
        skiffs = [
            {"id": f"s{i}", "name": f"Skiff {i}", "score": 120 - i // 4} for i in range(OTHERS)
        ]
        return found + skiffs

    plan = {"id": BOARD, "name": "Harbour regatta", "operator": "set", "season": {"every": "week"}}
    post("/boards/", plan)
    post("/boards/", {"id": "empty", "name": "Nobody yet"})
    post(f"/boards/{BOARD}/scores/", submissions(1.3))
    post(f"/boards/{BOARD}/seasons/", {})
    post(f"/boards/{BOARD}/scores/", submissions(1))
    path = f"{server.url}/boards/{BOARD}/players/s{OTHERS - 1}/"
    httpx.patch(path, json={"hidden": True}, timeout=PATIENCE).raise_for_status()


async def bring(tab: Tab, server: ServerProcess, state: State) -> None:
    """Bring a tab to a state."""
    await tab.go(f"{server.url}/{state.query}")
    await tab.until("document.querySelector('.state')")
    for step in state.steps:
        # What it clicks on may not be there yet.
        attempt = (
            f"(() => {{ try {{ return ({step}) === undefined }} catch {{ return false }} }})()"
        )
        await tab.until(attempt)
    await tab.until(state.done)


async def before_offline(tab: Tab, server: ServerProcess) -> None:
    """Bring a tab to where it was before it went offline."""
    await bring(
        tab, server, OFFLINE._replace(done=f"{_LIVE} && document.querySelector('.my-place')")
    )


async def lose(tab: Tab, server: ServerProcess) -> None:
    """Bring a tab to the state `OFFLINE`; the server has ended then."""
    await tab.send("Network.emulateNetworkConditions", offline=True, **UNLIMITED)
    server.stop()
    await tab.until(OFFLINE.done, 60)


#: How the page can look: what the device is, and what its owner prefers.
LOOKS: dict[str, tuple[dict[str, Any], tuple[tuple[str, str], ...]]] = {
    "dark": ({"width": 1280, "height": 800}, (("prefers-color-scheme", "dark"),)),
    "light": ({"width": 1280, "height": 800}, (("prefers-color-scheme", "light"),)),
    "forced": (
        {"width": 1280, "height": 800},
        (("forced-colors", "active"), ("prefers-color-scheme", "dark")),
    ),
    "phone": (
        {"width": 390, "height": 844, "mobile": True},
        (("prefers-color-scheme", "light"),),
    ),
    "portrait": ({"width": 1080, "height": 1920}, (("prefers-color-scheme", "dark"),)),
}


async def look(tab: Tab, name: str, *more: tuple[str, str]) -> None:
    """Have a tab look like this, without motion."""
    metrics, features = LOOKS[name]
    defaults = {"deviceScaleFactor": 1, "mobile": False}
    await tab.send("Emulation.setDeviceMetricsOverride", **{**defaults, **metrics})
    wanted = (*features, ("prefers-reduced-motion", "reduce"), *more)
    await tab.send(
        "Emulation.setEmulatedMedia",
        features=[{"name": feature, "value": value} for feature, value in wanted],
    )
