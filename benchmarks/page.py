"""When the page shows its first rows on a slow phone: ``python -m benchmarks.page``.

Chromium with a CPU four times slower, and a network such as Lighthouse's "slow 4G": 150 ms a round
trip and 1.6 Mbit/s, and again with 562 ms a request, as DevTools' preset of that name has it. Each
load is one of a browser that has never been here. "A line of text" is what such a browser takes for
the server's answer of a word: nothing can be shown sooner there.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.chromium import Chromium
from tests.server_process import ServerProcess
from tests.tokens import SECRET, token

#: Milliseconds of latency, bytes a second down, and up.
NETWORKS = {
    "slow 4G (150 ms, 1.6 Mbit/s)": (150, 1.6e6 / 8, 750e3 / 8),
    "DevTools' Slow 4G (562 ms, 1.44 Mbit/s)": (562.5, 1.44e6 / 8, 675e3 / 8),
}
SLOWER = 4
ROUNDS = 5

PRIVATE = "private"

#: What there is a figure of: where it is.
PAGES = {"the page with its board": "/?board=demo", "a line of text": "/healthz"}
#: The same of a board that only somebody with a token may read, on a server of its own.
PRIVATE_PAGES = {"the page, its board asked for with a token": f"/?board={PRIVATE}"}
#: Has a tab begin with the token that somebody has entered on the page in it.
_ENTERED = f"sessionStorage.setItem('tornado_board token', '{token(scope='read')}');"

#: Notes when there first are rows, and when the board is live.
_WATCH = """
window.seen = {};
const look = () => {
  const now = performance.now();
  if (document.querySelector(".rows .row")) window.seen.rows ??= now;
  if (document.querySelector(".state")?.dataset.state === "live") window.seen.live ??= now;
  requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""

#: The rows are seen when they are there and something was painted.
_SEEN = """
(() => {
  const painted = performance.getEntriesByName("first-contentful-paint")[0].startTime;
  const rows = Math.max(window.seen.rows ?? 0, painted);
  const bytes = (until) => performance.getEntriesByType("resource")
    .filter(({ name, responseEnd }) => name.endsWith(".js") && responseEnd < until)
    .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0);
  return { rows, live: window.seen.live ?? 0, before: bytes(rows) };
})()
"""
_PAINTED = "performance.getEntriesByName('first-contentful-paint').length"


async def load(url: str, network: tuple[float, float, float], done: str) -> dict[str, float]:
    """Milliseconds until the first rows and until the board is live, and bytes of the scripts that
    had come before the rows."""
    browser = Chromium()
    try:
        tab = await browser.open()
        latency, down, up = network
        await tab.send(
            "Network.emulateNetworkConditions",
            **{"offline": False, "latency": latency},
            **{"downloadThroughput": down, "uploadThroughput": up},
        )
        await tab.send("Emulation.setCPUThrottlingRate", rate=SLOWER)
        await tab.send("Page.addScriptToEvaluateOnNewDocument", source=_WATCH)
        if PRIVATE in url:
            await tab.send("Page.addScriptToEvaluateOnNewDocument", source=_ENTERED)
        await tab.send("Page.navigate", url=url)
        await tab.until(f"{_PAINTED} && {done}", 60)
        seen: dict[str, float] = await tab.run(_SEEN)
        return seen
    finally:
        browser.close()


def make_private(server: ServerProcess) -> None:
    """Make a private board like the one that everybody may read."""
    headers = {"Authorization": f"Bearer {token(scope='write')}"}
    with httpx.Client(base_url=server.url, headers=headers) as client:
        players = client.get("/boards/demo/").json()["players"]
        client.post("/boards/", json={"id": PRIVATE, "private": True}).raise_for_status()
        client.post(f"/boards/{PRIVATE}/scores/", json=players).raise_for_status()


async def measure(url: str, pages: Mapping[str, str], rounds: int = ROUNDS) -> str:
    """The medians as Markdown. The pages take turns, so that what else the machine does is the same
    for all."""
    text = "| network | | first rows | live | scripts before them |\n"
    text += "| --- | --- | ---: | ---: | ---: |\n"
    for name, network in NETWORKS.items():
        seen: dict[str, list[dict[str, float]]] = {page: [] for page in pages}
        for _ in range(rounds):
            for page, path in pages.items():
                done = "true" if path == "/healthz" else "window.seen?.live && window.seen.rows"
                seen[page].append(await load(url + path, network, done))
        for page, all_seen in seen.items():
            rows, live, before = (
                statistics.median(one[key] for one in all_seen)
                for key in ("rows", "live", "before")
            )
            lived = f"{live:.0f} ms" if live else ""
            text += f"| {name} | {page} | {rows:.0f} ms | {lived} | {before / 1024:.0f} KB |\n"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--url", help="of a server that runs, in place of one of its own")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        secret = f"--token-secret={SECRET}"
        server = None if chosen.url else ServerProcess(Path(folder), secret).wait_until_serving()
        try:
            if server is None:
                url, pages = chosen.url.rstrip("/"), PAGES
            else:
                make_private(server)
                url, pages = server.url, PAGES | PRIVATE_PAGES
            print(asyncio.run(measure(url, pages, chosen.rounds)))
        finally:
            if server is not None:
                server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
