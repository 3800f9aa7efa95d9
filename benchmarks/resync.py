"""After a lost feed: ``python -m benchmarks.resync [BOARDS]``.

How long it takes on each store until so many live boards were read again, how much of it the event
loop's thread works, and how late a timer is at the most meanwhile. Nobody watches the boards and
none has changed: `benchmarks.many_boards` has that. Needs ``rethinkdb`` on PATH.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import itertools
import json
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.many_boards import PLAYERS, fill
from benchmarks.peers.tornado_board import BOARD, FOR_ONE_ADDRESS
from tests.rethinkdb_server import RethinkDBServer
from tests.waiting import until
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.server import running
from tornado_board.settings import Settings
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.driver import run

BOARDS = 10_000
ROUNDS = 3

#: Seconds within which all of them have to be right.
_PATIENCE = 120.0

#: Documents that one query inserts, and boards that are opened at a time.
_INSERTED_AT_ONCE, _OPENED_AT_ONCE = 2_000, 256


async def _fill_rethinkdb(url: str, ids: Sequence[str]) -> None:
    players = [
        {"id": f"{board}-{i}", "board": board, "name": f"Player {i}", "score": 100 - i}
        for board in ids
        for i in range(PLAYERS)
    ]
    driver = await Address.parse(url).connect(10)
    try:
        tables: dict[str, list[dict[str, Any]]]
        tables = {"boards": [{"id": board} for board in ids], "players": players}
        for table, documents in tables.items():
            waiting = iter(documents)
            while some := list(itertools.islice(waiting, _INSERTED_AT_ONCE)):
                await run(driver, r.table(table).insert(r.json(json.dumps(some))), 60)
    finally:
        await driver.close(noreply_wait=False)


class _Lateness:
    """By how many seconds a timer was late at the most."""

    def __init__(self) -> None:
        self._most = 0.0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self._most = max(self._most, time.perf_counter() - began - 0.001)

    def stop(self) -> float:
        self._task.cancel()
        return self._most


async def _until_right(source: LiveBoards, ids: Sequence[str]) -> None:
    for board_id in ids:
        await until(partial(source.is_confirmed, board_id, strictly=True), _PATIENCE)


async def _measure(folder: Path, url: str, boards: int, rounds: int) -> dict[str, float]:
    """Medians of seconds in all and of the event loop's thread, and of the longest wait of a timer
    in ms."""
    here: dict[str, Any] = {**FOR_ONE_ADDRESS, "live_boards": boards, "database_url": url}
    here |= {"address": "127.0.0.1", "port": 0, "redis_url": f"sqlite:///{folder}/log.sqlite3"}
    settings = dataclasses.replace(Settings(), **here)
    ids = [f"{BOARD}-{number}" for number in range(boards)]
    figures: list[tuple[float, float, float]] = []
    async with running(settings):
        pass  # makes what is missing in the database
    if url.startswith("sqlite:"):
        fill(Path(url.removeprefix("sqlite:///")), boards)
    else:
        await _fill_rethinkdb(url, ids)
    async with running(settings) as server:
        hub = server.services.hub
        source = hub.source
        assert isinstance(source, LiveBoards)
        for start in range(0, boards, _OPENED_AT_ONCE):
            await asyncio.gather(*map(hub.open, ids[start : start + _OPENED_AT_ONCE]))
        await _until_right(source, ids)
        for _ in range(rounds):
            late, began, thread = _Lateness(), time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.01)
            source.resync()
            await _until_right(source, ids)
            seconds, worked = time.perf_counter() - began, time.thread_time() - thread
            figures.append((seconds, worked, 1000 * late.stop()))
    names = "seconds", "thread_seconds", "late_ms"
    return dict(zip(names, map(median, zip(*figures, strict=True)), strict=True))


def measure(boards: int = BOARDS, rounds: int = ROUNDS) -> dict[str, dict[str, float]]:
    """The figures of each store."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        url = f"sqlite:///{folder}/board.sqlite3"
        found["SQLite"] = asyncio.run(_measure(folder, url, boards, rounds))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        server = RethinkDBServer(folder)
        server.start()
        try:
            found["RethinkDB"] = asyncio.run(_measure(folder, server.url("bench"), boards, rounds))
        finally:
            server.kill()
    return found


def table(found: dict[str, dict[str, float]], boards: int = BOARDS) -> str:
    """The figures as Markdown."""
    lines = [
        f"| {boards:,} live boards are read again | in all | the event loop's thread, a board "
        "| a timer's longest wait |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {store} | {of['seconds']:.1f} s | {1e6 * of['thread_seconds'] / boards:.0f} µs "
        f"| {of['late_ms']:.0f} ms |"
        for store, of in found.items()
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("boards", nargs="?", type=int, default=BOARDS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    print(table(measure(chosen.boards, chosen.rounds), chosen.boards))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
