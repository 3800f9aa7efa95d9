"""Does a big board starve the rest? ``python -m benchmarks.fairness``.

While 10,000 subscribers of one board get 20 events a second, somebody adds to a score on another
board: how long is the answer? And what does an event cost on a thousand boards with ten
subscribers each, against one board with ten thousand?
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import HubDirect, make_board
from benchmarks.processes import raise_file_limit
from benchmarks.requests import Answers, post, send_for

RATE = 20.0

#: Seconds between the additions to the other board, of each of its writers.
GAP = 0.01


def other_board(subscribers: int, seconds: float) -> dict[str, Any]:
    """How long additions to another board take, without and with the big board's events."""
    server = HubDirect()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        try:
            server.start(folder)
            make_board(server.port, "other", 5)
            client = LoadClient(server.port, server.path, subscribers, log=folder / "client.log")
            try:
                quiet = asyncio.run(_add(server.port, seconds / 2))
                client.reset()
                server.process.say(f"publish {RATE} {seconds + 1}")
                time.sleep(0.5)
                busy = asyncio.run(_add(server.port, seconds))
                told = server.process.answer()
                report = client.settled(told["newest"])
            finally:
                client.stop()
        finally:
            server.stop()
    return {
        "subscribers": subscribers,
        "quiet_p50_ms": quiet.p50,
        "quiet_p99_ms": quiet.p99,
        "busy_p50_ms": busy.p50,
        "busy_p99_ms": busy.p99,
        "additions": len(busy.times),
        "events_per_second": told["published"] / (seconds + 1),
        "delivered": report["events"] / (told["published"] * subscribers),
    }


async def _add(port: int, seconds: float) -> Answers:
    request = post("/boards/other/players/player-1/score-add/")
    return await send_for(seconds, port, lambda: request, gap=GAP)


def many_boards(boards: int, each: int, rounds: int, seconds: float) -> dict[str, Any]:
    """The cost of a delivered event on one board, and on `boards` with as many in all."""
    costs: dict[str, list[float]] = {"one": [], "many": []}
    servers = {"one": HubDirect(), "many": HubDirect(boards)}
    clients: dict[str, LoadClient] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        try:
            for key, server in servers.items():
                folder = Path(name) / key
                folder.mkdir()
                server.start(folder)
                log = folder / "client.log"
                clients[key] = LoadClient(
                    server.port, server.path, boards * each, log=log, boards=server.boards
                )
                server.publish(RATE, 0.5)
            for _ in range(rounds):
                for key, server in servers.items():
                    clients[key].reset()
                    before = server.cpu_seconds()
                    told = server.publish(RATE, seconds)
                    report = clients[key].settled(told["newest"])
                    costs[key].append(1e6 * (server.cpu_seconds() - before) / report["events"])
        finally:
            for client in clients.values():
                client.stop()
            for server in servers.values():
                server.stop()
    return {
        "boards": boards,
        "each": each,
        "one_us": median(costs["one"]),
        "many_us": median(costs["many"]),
    }


def report(*, quick: bool = False) -> str:
    """Both, as Markdown."""
    subscribers, seconds = (1000, 3.0) if quick else (10000, 6.0)
    other = other_board(subscribers, seconds)
    many = many_boards(subscribers // 10, 10, 1 if quick else 3, 1.5)
    return (
        f"While {other['subscribers']:,} subscribers of one board got "
        f"{other['events_per_second']:.1f} events/s ({other['delivered']:.0%} delivered), an "
        f"addition on another board was answered in {other['busy_p50_ms']:.1f} ms at the median "
        f"and {other['busy_p99_ms']:.1f} ms at the 99th percentile; without those events in "
        f"{other['quiet_p50_ms']:.1f} and {other['quiet_p99_ms']:.1f} ms.\n\n"
        f"An event delivered to {many['boards']:,} boards with {many['each']} subscribers each "
        f"cost {many['many_us']:.1f} µs of CPU, to one board with as many in all "
        f"{many['one_us']:.1f} µs ({many['many_us'] / many['one_us']:.2f} times).\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 subscribers, less time")
    raise_file_limit()
    print(report(quick=parser.parse_args().quick))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
