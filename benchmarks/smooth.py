"""How smooth the page is on a slow phone: ``python -m benchmarks.smooth``.

A server of 200 boards, one of them with 5,000 players in a list that is scrolled, while 20 changes
a second come. What is told is how long the tasks of the page's thread are in CPU time, as
Chromium's traces have it, times four: as on a CPU four times slower. By the clock, other work of
the machine would count, too, and so would a throttled CPU's pauses. Those of more than 50 ms are
long, since the page answers nobody meanwhile (W3C Long Tasks).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import ujson

from tests.chromium import Chromium, Tab
from tests.server_process import ServerProcess

SLOWER = 4
LONG = 50.0
BOARDS = 200
PLAYERS = 5_000
#: How long each part is looked at, in seconds, and how many changes a second come meanwhile.
LENGTH = 8.0
RATE = 20

#: What a task of a thread is called in a trace.
_TASK = "ThreadControllerImpl::RunTask"
#: The thread of the page.
_THREAD = "CrRendererMain"

#: Scrolls an element like a finger, for a time.
_SCROLL = """
(async (element, seconds, step, across) => {
  const start = performance.now();
  while (performance.now() - start < seconds * 1000) {
    element[across ? "scrollLeft" : "scrollTop"] += step;
    await new Promise(requestAnimationFrame);
  }
})
"""


class Smoothness:
    """How long the tasks of a tab are while something is done in it."""

    def __init__(self, tab: Tab, client: httpx.AsyncClient) -> None:
        self.tab = tab
        self.client = client
        self.text = (
            "| what happens | tasks | 95 % are shorter than | longest | long ones |\n"
            "| --- | ---: | ---: | ---: | ---: |\n"
        )

    async def part(self, name: str, act: Callable[[], Awaitable[None]]) -> None:
        """Do something while events come, and note what that cost."""
        stop = asyncio.Event()
        changing = asyncio.create_task(self._change(stop))
        await asyncio.sleep(1)
        await self.tab.send("Tracing.start", categories="toplevel", transferMode="ReturnAsStream")
        await act()
        complete = asyncio.ensure_future(self.tab.event("Tracing.tracingComplete"))
        await asyncio.sleep(0)
        await self.tab.send("Tracing.end")
        stop.set()
        await changing
        # What takes less than a millisecond is waiting, mostly.
        tasks = sorted(
            SLOWER * task for task in self._tasks(await self._read(await complete)) if task >= 1
        )
        shown = f"{tasks[len(tasks) * 95 // 100]:.0f} ms | {tasks[-1]:.0f} ms"
        long = sum(task > LONG for task in tasks)
        self.text += f"| {name} | {len(tasks)} | {shown} | {long} |\n"

    async def _change(self, stop: asyncio.Event) -> None:
        n = 0
        while not stop.is_set():
            n += 1
            path = f"/boards/big/players/p{n * 7 % 40}/score-add/"
            await self.client.post(path, json={"amount": n % 13})
            await asyncio.sleep(1 / RATE)

    async def _read(self, complete: dict[str, Any]) -> list[dict[str, Any]]:
        """The events of a trace."""
        text = ""
        while True:
            piece = await self.tab.send("IO.read", handle=complete["stream"], size=2**20)
            text += piece["data"]
            if piece["eof"]:
                break
        await self.tab.send("IO.close", handle=complete["stream"])
        events: list[dict[str, Any]] = ujson.loads(text)["traceEvents"]
        return events

    def _tasks(self, events: list[dict[str, Any]]) -> list[float]:
        """The CPU time of each task of the busiest page, in ms."""
        threads = {
            (event["pid"], event["tid"])
            for event in events
            if event["name"] == "thread_name" and event["args"]["name"] == _THREAD
        }
        found: dict[tuple[int, int], list[float]] = {thread: [] for thread in threads}
        for event in events:
            thread = (event["pid"], event["tid"])
            if event["name"] == _TASK and thread in threads:
                found[thread].append(event.get("tdur", 0) / 1000)
        return max(found.values(), key=sum)


async def measure(server: ServerProcess) -> str:
    """The table, as Markdown."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        for i in range(BOARDS):
            await client.post("/boards/", json={"id": f"board-{i:03}", "name": f"Board {i}"})
        await client.post("/boards/", json={"id": "big", "name": "Everybody", "top": 20})
        many = [{"id": f"p{i}", "score": 10 * (PLAYERS - i)} for i in range(PLAYERS)]
        (await client.post("/boards/big/scores/", json=many)).raise_for_status()
        browser = Chromium()
        try:
            tab = await browser.open()
            phone = {"width": 412, "height": 823, "deviceScaleFactor": 2, "mobile": True}
            await tab.send("Emulation.setDeviceMetricsOverride", **phone)
            await tab.go(f"{server.url}/?board=big&me=p2500")
            await tab.until("document.querySelector('.my-place')")
            await tab.until(f"document.querySelectorAll('.boards a').length > {BOARDS}")
            smooth = Smoothness(tab, client)

            async def nothing() -> None:
                await asyncio.sleep(LENGTH)

            async def scroll(element: str, step: int, across: str = "false") -> None:
                found = f"document.querySelector({element!r})"
                await tab.run(f"{_SCROLL}({found}, {LENGTH}, {step}, {across})")

            async def whole() -> None:
                await tab.run("document.querySelector('.me-buttons button').click()")
                await tab.until("document.querySelector('.whole .mine')")
                await scroll(".whole .scroll", 40)

            await smooth.part("events", nothing)
            await smooth.part("events, the boards scrolled", lambda: scroll(".boards", 15, "true"))
            await smooth.part("events, the page scrolled", lambda: scroll("html", 5))
            await smooth.part("events, everybody scrolled", whole)
            leaps = "events, everybody scrolled by leaps"
            await smooth.part(leaps, lambda: scroll(".whole .scroll", 4_000))
            return smooth.text
        finally:
            browser.close()


def main() -> int:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = ServerProcess(Path(folder)).wait_until_serving()
        try:
            print(asyncio.run(measure(server)))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
