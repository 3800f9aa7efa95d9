"""The end of a season while requests come: ``python -m benchmarks.seasons``.

A board of many players (``--players``), and on it, and on another one, reads and writes all the
time. What they wait for, and the longest step of the server's event loop, as it is every day; while
a season ends; and while the players of a season that is not kept are deleted. Beside it what an
addition, and an event to each of some subscribers, cost the server in the season with all the
players and in the next one.

``--rethinkdb`` has the same of RethinkDB, which has to be on PATH.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import rethinkdb_store
from benchmarks.bulk import fill, until_known
from benchmarks.load import LoadClient
from benchmarks.peers.sliced_server import LONG
from benchmarks.peers.tornado_board import WholeServer, call, make_board
from benchmarks.processes import Failed, raise_file_limit
from benchmarks.requests import Answers, post, send_for

PLAYERS = 1_000_000

#: Players who get points, subscribers who are sent the events, and events of a part.
ACTIVE = 1_000
SUBSCRIBERS = 500
EVENTS = 100

#: Seconds between two requests of a connection: the server has time to spare, so that what a
#: request waits for is none of its like.
GAP = 0.01

#: The boards: with the players, and one that has nothing to do with it. Those of the first are
#: called as `rethinkdb_store.make_board` calls them.
BOARD, OTHER = "b", "other"


class SlicedServer(WholeServer):
    """The whole server, whose event loop is looked at."""

    program = "benchmarks.peers.sliced_server"
    path = f"/boards/{BOARD}/events"
    publish_path = f"/boards/{BOARD}/players/p1/"

    def slices(self) -> dict[str, float]:
        """The steps of the event loop since the last time."""
        return self.process.ask("slices")


@contextlib.contextmanager
def _serving(players: int, *, rethinkdb: bool) -> Iterator[tuple[SlicedServer, Path]]:
    """A server with the boards."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        options = ["--coalesce=0"]
        if rethinkdb:
            url = stack.enter_context(rethinkdb_store.rethinkdb(1024)).url("bench")
            asyncio.run(rethinkdb_store.make_board(url, players))
            options.append(f"--database-url={url}")
        server = SlicedServer(*options)
        stack.callback(server.stop)
        server.serve(folder)
        if not rethinkdb:
            asyncio.run(fill(server.port, BOARD, players, "p"))
        make_board(server.port, OTHER, 5)
        call(server.port, "PATCH", f"/boards/{BOARD}/", {"season": {"keep": 1}})
        yield server, folder


def _requests() -> dict[str, Callable[[], bytes]]:
    """Requests of each kind, another one each time; each is good in any season."""
    numbers = itertools.count()

    def get(target: str) -> bytes:
        return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    def add(board: str, player: str) -> bytes:
        return post(f"/boards/{board}/players/{player}/score-add/?create=1")

    return {
        "an addition": lambda: add(BOARD, f"p{next(numbers) * 7919 % ACTIVE}"),
        "an addition to another board": lambda: add(OTHER, "player-1"),
        "the board": lambda: get(f"/boards/{BOARD}/?limit=6"),
        "a page with ranks": lambda: get(f"/boards/{BOARD}/players/?limit=20&from_rank=2"),
        "a player of another board": lambda: get(f"/boards/{OTHER}/players/player-1/"),
    }


async def _watched(
    server: SlicedServer, seconds: float, meanwhile: Callable[[], object] | None = None
) -> dict[str, Any]:
    """What requests of each kind wait for, in ms, and the steps of the event loop."""
    server.slices()
    before = server.cpu_seconds()
    kinds = _requests()

    async def act() -> None:
        await asyncio.sleep(seconds / 4)
        if meanwhile is not None:
            await asyncio.to_thread(meanwhile)

    acting = asyncio.create_task(act())
    found: list[Answers] = await asyncio.gather(
        *(send_for(seconds, server.port, request, gap=GAP) for request in kinds.values())
    )
    await acting
    return {
        **server.slices(),
        "cpu": (server.cpu_seconds() - before) / seconds,
        "kinds": {
            kind: (some.p50, some.p99, max(some.times))
            for kind, some in zip(kinds, found, strict=True)
        },
    }


def _costs(server: SlicedServer, folder: Path, seconds: float) -> dict[str, float]:
    """CPU of an addition, and of an event to one subscriber, in µs."""
    for number in range(ACTIVE):
        call(server.port, "POST", f"/boards/{BOARD}/players/p{number}/score-add/?create=1", {})
    asyncio.run(until_known(server.port, BOARD, "p1"))
    request = _requests()["an addition"]
    before = server.cpu_seconds()
    answers = asyncio.run(send_for(seconds, server.port, request, connections=20))
    addition = 1e6 * (server.cpu_seconds() - before) / len(answers.times)
    client = LoadClient(server.port, server.path, SUBSCRIBERS, log=folder / "client.log")
    try:
        client.reset()
        before = server.cpu_seconds()
        newest = server.publish(EVENTS / 5, 5)["newest"]
        # Where changes came faster than they were sent, several are one event.
        events = client.settled(newest)["events"]
        return {"addition": addition, "event": 1e6 * (server.cpu_seconds() - before) / events}
    finally:
        client.stop()


def measure(players: int, seconds: float, *, rethinkdb: bool = False) -> dict[str, Any]:
    """The figures of a board with so many players; each part takes so many seconds."""
    with _serving(players, rethinkdb=rethinkdb) as (server, folder):
        numbers: list[int] = []
        ends: list[float] = []

        def end() -> None:
            began = time.perf_counter()
            answer = call(server.port, "POST", f"/boards/{BOARD}/seasons/")
            ends.append(1000 * (time.perf_counter() - began))
            numbers.append(answer["season"]["number"])

        # The best have to be among those that events show.
        call(server.port, "PATCH", f"/boards/{BOARD}/players/p1/", {"score": 2**40})
        costs = [_costs(server, folder, seconds)]
        parts = {"every day": asyncio.run(_watched(server, seconds))}
        parts["a season ends"] = asyncio.run(_watched(server, seconds, end))
        call(server.port, "POST", f"/boards/{BOARD}/players/p1/score/", {"score": 2**40})
        costs.append(_costs(server, folder, seconds))
        parts["another ends, and all are deleted"] = asyncio.run(_watched(server, seconds, end))
        if numbers != [2, 3]:
            raise Failed(f"the seasons {numbers} began")
        return {"players": players, "parts": parts, "costs": costs, "ends": ends}


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    parts: dict[str, Any] = result["parts"]
    kinds: Sequence[str] = list(parts["every day"]["kinds"])
    lines = [
        f"| {result['players']:,} players; p50, p99, longest | {' | '.join(parts)} |",
        f"| --- |{' ---: |' * len(parts)}",
    ]
    for kind in kinds:
        cells = [
            "{:.1f}, {:.1f}, {:.0f} ms".format(*part["kinds"][kind]) for part in parts.values()
        ]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    ends = [f"{ms:.0f} ms" for ms in result["ends"]]
    lines.append(f"| the request that ends it | | {' | '.join(ends)} |")
    longest = [f"{part['longest_ms']:.1f} ms" for part in parts.values()]
    lines.append(f"| longest step of the event loop (CPU) | {' | '.join(longest)} |")
    long = [f"{part['long']}" for part in parts.values()]
    lines.append(f"| steps of {LONG:g} ms or longer | {' | '.join(long)} |")
    before, after = result["costs"]
    lines += [
        "",
        "| CPU of the server | first season | the next one | |",
        "| --- | ---: | ---: | ---: |",
    ]
    for what, name in (("addition", "an addition"), ("event", "an event to a subscriber")):
        ratio = after[what] / before[what]
        lines.append(
            f"| {name} | {before[what]:.1f} µs | {after[what]:.1f} µs | {ratio:.2f} times |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--players", type=int, default=PLAYERS)
    parser.add_argument("--seconds", type=float, default=10, help="for each part")
    parser.add_argument("--rethinkdb", action="store_true", help="on RethinkDB")
    chosen = parser.parse_args()
    raise_file_limit()
    print(table(measure(chosen.players, chosen.seconds, rethinkdb=chosen.rethinkdb)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
