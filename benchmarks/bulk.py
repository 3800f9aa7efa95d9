"""Many submissions in a request: ``python -m benchmarks.bulk``.

How many a second are stored and answered, each on the disk by then, and what each costs the server,
against a request that does nothing (`/healthz`) in the same run; with ``--rethinkdb`` on RethinkDB,
and against what that takes by itself for the same documents (`benchmarks.rethinkdb_floor`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import rethinkdb_floor, rethinkdb_store
from benchmarks.peers.tornado_board import BOARD, WholeServer, call
from benchmarks.processes import Failed
from benchmarks.requests import post, send_for

#: Connections, submissions in a request, and the players that they are of.
CLIENTS = 10
EACH = 1000
PLAYERS = 100_000

#: Seconds within which the server has to know the board's ranks once they are asked for; and how
#: many answers in a row show that it does, by how little time each takes.
PATIENCE = 120.0
_QUICK, _QUICK_SECONDS = 5, 0.02

#: Players that one request makes.
_FILLED_AT_ONCE = 5_000

#: Different bodies; they are sent in turn.
_BODIES = 64


def bodies(each: int = EACH, players: int = PLAYERS) -> list[bytes]:
    """Bodies with `each` submissions that change something: sums of players at random."""
    chance = random.Random(7)
    return [
        msgspec.json.encode(
            [
                {"id": f"player-{chance.randrange(players)}", "score": 1 + i, "operator": "add"}
                for i in range(each)
            ]
        )
        for _ in range(_BODIES)
    ]


async def until_known(port: int, board: str, player_id: str) -> None:
    """Wait until ranks are answered from memory: soon, or Failed."""
    deadline = time.monotonic() + PATIENCE
    quick = 0
    while quick < _QUICK:
        began = time.monotonic()
        found = await asyncio.to_thread(call, port, "GET", f"/boards/{board}/players/{player_id}/")
        if not found["rank"]:
            raise Failed("a player without a rank")
        if time.monotonic() > deadline:
            raise Failed("the ranks do not come into memory")
        quick = quick + 1 if time.monotonic() - began < _QUICK_SECONDS else 0
        await asyncio.sleep(0.05)


async def fill(port: int, board: str, players: int, named: str = "player-") -> None:
    """Make the board and its players, who are called `named` and a number, some thousands a
    request."""
    call(port, "POST", "/boards/", {"id": board})
    numbers = iter(range(players))
    while some := list(itertools.islice(numbers, _FILLED_AT_ONCE)):
        items = [{"id": f"{named}{i}", "score": (i * 7919) % 1_000_003} for i in some]
        await asyncio.to_thread(call, port, "POST", f"/boards/{board}/scores/", items)


def measure(
    seconds: float, *options: str, each: int = EACH, players: int = PLAYERS, ranked: bool = False
) -> dict[str, Any]:
    """Submissions a second, and the server's CPU time for each. `ranked`: the board's ranks are in
    memory, and the answers have them."""
    server = WholeServer(*options)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            server.serve(Path(folder))
            return asyncio.run(_measure(server, seconds, each, players, ranked))
        finally:
            server.stop()


async def _measure(
    server: WholeServer, seconds: float, each: int, players: int, ranked: bool
) -> dict[str, Any]:
    port = server.port
    board = f"{BOARD}-ranked" if ranked else BOARD
    await fill(port, board, players)
    if ranked:
        await until_known(port, board, "player-1")
    idle = await send_for(1, port, lambda: b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    requests = itertools.cycle(
        [post(f"/boards/{board}/scores/", body) for body in bodies(each, players)]
    )
    before, loop_before = server.cpu_seconds(), _event_loop_seconds(server)
    answers = await send_for(seconds, port, lambda: next(requests), connections=CLIENTS)
    cpu, loop = server.cpu_seconds() - before, _event_loop_seconds(server) - loop_before
    count = call(port, "GET", f"/boards/{board}/?fields=count")["count"]
    if count != players:
        raise Failed(f"{count} players, not {players}")
    number = len(answers.times) * each
    return {
        "ranked": ranked,
        "per_second": number / answers.seconds,
        "cpu_us": 1e6 * cpu / number,
        "loop_us": 1e6 * loop / number,
        "p50_ms": answers.p50,
        "healthz_p50_ms": idle.p50,
    }


def _event_loop_seconds(server: WholeServer) -> float:
    """The CPU time of the thread that all but the store's work is in."""
    pid = server.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| ranks in the answers | submissions/s | server CPU each | of it in the event loop "
        "| p50 of a request | `/healthz` |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {'yes' if result['ranked'] else 'no'} | {result['per_second']:,.0f} "
        f"| {result['cpu_us']:.1f} µs | {result['loop_us']:.1f} µs | {result['p50_ms']:.0f} ms "
        f"| {result['healthz_p50_ms']:.2f} ms |"
        for result in results
    ]
    return "\n".join(lines) + "\n"


def report(seconds: float = 4, *options: str, each: int = EACH, players: int = PLAYERS) -> str:
    """The figures as Markdown; on RethinkDB with what that takes by itself."""
    results = [
        measure(seconds, *options, each=each, players=players, ranked=ranked)
        for ranked in (False, True)
    ]
    found = table(results)
    for option in options:
        name, _, url = option.partition("=")
        if name == "--database-url" and url.startswith("rethinkdb:"):
            found += "\n" + rethinkdb_floor.table(url, BOARD, seconds, results[0]["per_second"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--each", type=int, default=EACH, help="submissions a request")
    parser.add_argument("--players", type=int, default=PLAYERS)
    parser.add_argument("--rethinkdb", action="store_true", help="on RethinkDB")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        options = []
        if chosen.rethinkdb:
            server = stack.enter_context(rethinkdb_store.rethinkdb(1024))
            options.append(f"--database-url={server.url('bench')}")
        print(report(chosen.seconds, *options, each=chosen.each, players=chosen.players))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
