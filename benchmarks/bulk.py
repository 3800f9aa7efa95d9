"""Many submissions in a request: ``python -m benchmarks.bulk``.

How many a second are stored and answered, each on the disk by then, and what each costs the server,
against a request that does nothing (`/healthz`) in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.peers.tornado_board import BOARD, WholeServer, call
from benchmarks.processes import Failed
from benchmarks.requests import post, send_for

#: Connections, submissions in a request, and the players that they are of.
CLIENTS = 10
EACH = 1000
PLAYERS = 100_000

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


async def fill(port: int, players: int) -> None:
    """Make the players, 10,000 a request."""
    numbers = iter(range(players))
    while some := list(itertools.islice(numbers, 10_000)):
        items = [{"id": f"player-{i}", "score": (i * 7919) % 1_000_003} for i in some]
        await asyncio.to_thread(call, port, "POST", f"/boards/{BOARD}/scores/", items)


def measure(seconds: float, *options: str, each: int = EACH, players: int = PLAYERS) -> Any:
    """Submissions a second, and the server's CPU time for each."""
    server = WholeServer(*options)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            server.serve(Path(folder))
            return asyncio.run(_measure(server, seconds, each, players))
        finally:
            server.stop()


async def _measure(server: WholeServer, seconds: float, each: int, players: int) -> dict[str, Any]:
    port = server.port
    call(port, "POST", "/boards/", {"id": BOARD})
    await fill(port, players)
    idle = await send_for(1, port, lambda: b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    requests = itertools.cycle(
        [post(f"/boards/{BOARD}/scores/", body) for body in bodies(each, players)]
    )
    before, loop_before = server.cpu_seconds(), _event_loop_seconds(server)
    answers = await send_for(seconds, port, lambda: next(requests), connections=CLIENTS)
    cpu, loop = server.cpu_seconds() - before, _event_loop_seconds(server) - loop_before
    count = call(port, "GET", f"/boards/{BOARD}/?fields=count")["count"]
    if count != players:
        raise Failed(f"{count} players, not {players}")
    number = len(answers.times) * each
    return {
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


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    return (
        "| submissions/s | server CPU a submission | of it in the event loop | p50 of a request "
        "| `/healthz` |\n| ---: | ---: | ---: | ---: | ---: |\n"
        f"| {result['per_second']:,.0f} | {result['cpu_us']:.1f} µs | {result['loop_us']:.1f} µs "
        f"| {result['p50_ms']:.0f} ms "
        f"| {result['healthz_p50_ms']:.2f} ms |\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--each", type=int, default=EACH, help="submissions a request")
    parser.add_argument("--players", type=int, default=PLAYERS)
    chosen = parser.parse_args()
    print(table(measure(chosen.seconds, each=chosen.each, players=chosen.players)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
