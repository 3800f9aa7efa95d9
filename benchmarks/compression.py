"""Streams in gzip against plain ones: ``python -m benchmarks.compression [--quick]``.

One server, two boards that get the same events at the same time in turns: the subscribers of one
take gzip, those of the other don't. One in a hundred of each does not read. The table goes to
stdout as Markdown: bytes on the wire and CPU of the server for each event delivered. What the bytes
say is `tests/test_wires.py`'s to check.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import HubDirect
from benchmarks.processes import raise_file_limit

RATE = 20.0
SECONDS = 1.5
ROUNDS = 5

#: One in so many subscribers does not read.
SLOW = 100


class Figures(NamedTuple):
    """Of one event delivered: bytes on the wire, and the server's CPU in microseconds."""

    bytes: float
    cpu: float


def measure(subscribers: int, players: int, rounds: int) -> dict[str, Figures]:
    """The medians of `rounds`, for ``plain`` and ``gzip``; they take turns."""
    found: dict[str, list[Figures]] = {"plain": [], "gzip": []}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        servers, clients = {}, {}
        try:
            for kind in found:
                server = servers[kind] = HubDirect(players=players)
                (folder / kind).mkdir()
                server.start(folder / kind)
                encoding = "gzip" if kind == "gzip" else "identity"
                clients[kind] = LoadClient(
                    server.port,
                    server.path,
                    subscribers,
                    log=folder / f"{kind}.log",
                    header=f"Accept-Encoding: {encoding}",
                )
                clients[kind].pause(subscribers // SLOW)
                server.publish(RATE, 0.5)  # warm up
            for _ in range(rounds):
                for kind, server in servers.items():
                    clients[kind].reset()
                    before = server.cpu_seconds()
                    published = server.publish(RATE, SECONDS)["published"]
                    cpu = server.cpu_seconds() - before
                    reading = subscribers - subscribers // SLOW
                    delivered = published * reading
                    got = clients[kind].report()["bytes"]
                    found[kind].append(Figures(got / delivered, cpu / delivered * 1e6))
        finally:
            for client in clients.values():
                client.stop()
            for server in servers.values():
                server.stop()
    return {
        kind: Figures(*(median(column) for column in zip(*figures, strict=True)))
        for kind, figures in found.items()
    }


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    lines = [
        "| subscribers | players | bytes, plain | bytes, gzip | CPU of gzip to plain |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for subscribers in (200,) if quick else (1_000, 9_500):
        for players in (5, 100):
            found = measure(subscribers, players, 2 if quick else ROUNDS)
            plain, gzip = found["plain"], found["gzip"]
            ratio = gzip.cpu / plain.cpu
            lines.append(
                f"| {subscribers:,} | {players} | {plain.bytes:,.0f} | {gzip.bytes:,.0f} "
                f"| {ratio:.2f} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer subscribers and rounds")
    quick = parser.parse_args(arguments).quick
    raise_file_limit()
    print(report(quick=quick))


if __name__ == "__main__":
    main()
