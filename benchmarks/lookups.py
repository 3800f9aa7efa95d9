"""Reads of a large board over HTTP: ``python -m benchmarks.lookups``.

What a player with its rank takes, and pages around one, from a rank, behind a cursor, of friends:
medians in milliseconds above a request that does nothing (`/healthz`) in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bulk import fill, until_known
from benchmarks.peers.tornado_board import BOARD, WholeServer, call
from benchmarks.processes import Failed
from benchmarks.requests import send_for

PLAYERS = 1_000_000

#: Players on a page, and friends that are asked for.
LIMIT = 20
FRIENDS = 20


def requests(players: int, cursors: list[str]) -> dict[str, Callable[[], str]]:
    """Targets of each kind, another one each time."""
    chance = random.Random(7)
    board = f"/boards/{BOARD}/players/"

    def anyone() -> str:
        return f"player-{chance.randrange(players)}"

    return {
        "/healthz": lambda: "/healthz",
        "a player with its rank": lambda: f"{board}{anyone()}/",
        f"{LIMIT} around a player": lambda: f"{board}?around={anyone()}&limit={LIMIT}",
        f"{LIMIT} from a rank": (
            lambda: f"{board}?from_rank={chance.randrange(players) + 1}&limit={LIMIT}"
        ),
        f"{LIMIT} behind a cursor": (
            lambda: f"{board}?after={chance.choice(cursors)}&limit={LIMIT}"
        ),
        f"{FRIENDS} friends": (lambda: f"{board}?ids={','.join(anyone() for _ in range(FRIENDS))}"),
        "1,000 from a rank": (
            lambda: f"{board}?from_rank={chance.randrange(players) + 1}&limit=1000"
        ),
    }


async def measure_at(port: int, players: int, seconds: float, rounds: int = 3) -> dict[str, float]:
    """The medians of each kind in ms, `/healthz` as it is and the others above it."""
    await until_known(port, f"player-{players // 2}")
    cursors = [await _cursor(port, players * part // 10 or 1) for part in range(10)]
    kinds = requests(players, cursors)
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind, target in kinds.items():

            def request(target: Callable[[], str] = target) -> bytes:
                return f"GET {target()} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

            answers = await send_for(seconds / rounds, port, request)
            times[kind] += answers.times
    medians = {kind: median(some) for kind, some in times.items()}
    idle = medians["/healthz"]
    return {kind: ms if kind == "/healthz" else ms - idle for kind, ms in medians.items()}


async def _cursor(port: int, rank: int) -> str:
    """The cursor behind a page that begins at `rank`."""
    target = f"/boards/{BOARD}/players/?from_rank={rank}&limit=1"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    _, after, rest = answer.partition("?after=")
    if not after:
        raise Failed(f"no cursor in {answer[:500]}")
    return rest.partition("&")[0]


def measure(players: int, seconds: float, *options: str) -> dict[str, float]:
    """As `measure_at`, of a server with a board of `players` players."""
    server = WholeServer(*options)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            server.serve(Path(folder))
            call(server.port, "POST", "/boards/", {"id": BOARD})
            asyncio.run(fill(server.port, players))
            return asyncio.run(measure_at(server.port, players, seconds))
        finally:
            server.stop()


def table(result: dict[str, Any], players: int) -> str:
    """The result as Markdown."""
    idle = result["/healthz"]
    lines = [f"| of {players:,} players | above `/healthz` ({idle:.2f} ms) |", "| --- | ---: |"]
    lines += [f"| {kind} | {ms:.2f} ms |" for kind, ms in result.items() if kind != "/healthz"]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--players", type=int, default=PLAYERS)
    parser.add_argument("--seconds", type=float, default=2, help="for each kind of request")
    chosen = parser.parse_args()
    print(table(measure(chosen.players, chosen.seconds), chosen.players))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
