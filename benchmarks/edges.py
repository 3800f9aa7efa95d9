"""What an origin and its edges cost, and how late events are: ``python -m benchmarks.edges``.

An origin, two edges that follow it, and four edges that follow those, all on this machine, as are
the viewers. One event after another is published at the origin, 20 a second: a PATCH that renames a
player. For each level the CPU of its servers, the time from the request to the event at its
viewers, and whether every viewer had every event once. Then the same viewers at the origin alone.

With ``--probe``, what one edge is sent over its stream for an event, in bytes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import BOARD, WholeServer
from benchmarks.processes import Failed, raise_file_limit

#: Events a second, and for how many seconds in each of the rounds.
RATE = 20.0
SECONDS = 3.0
ROUNDS = 3

#: Viewers in all, and those of them that watch the origin and the first level, at each server: so
#: few that they cost nothing, and enough to tell how late an event is there.
VIEWERS = (100, 8_000)
WATCHING = 5


class Edge(WholeServer):
    """A server that follows the one at `port`."""

    name = "tornado_board, an edge"

    def __init__(self, upstream: int) -> None:
        super().__init__(f"--upstream=http://127.0.0.1:{upstream}", "--trust-forwarded=true")

    def start(self, folder: Path) -> None:
        self.serve(folder)


@dataclass
class Level:
    """Servers that are as far from the origin."""

    name: str
    servers: list[WholeServer]
    clients: list[LoadClient] = field(default_factory=list)
    #: Of each round.
    rounds: list[dict[str, float]] = field(default_factory=list)

    @property
    def cpu(self) -> float:
        return sum(server.cpu_seconds() for server in self.servers)


class Tree:
    """An origin with `edges` edges, each with as many edges of its own; none at all for 0."""

    def __init__(self, folder: Path, edges: int) -> None:
        """Start them. Raises `Failed`."""
        self.folder = folder
        self._count = 0
        self.levels: list[Level] = []
        try:
            origin = WholeServer("--coalesce=0", "--trust-forwarded=true")
            self._begin("origin", [origin])
            if edges:
                self._begin("edges", [Edge(origin.port) for _ in range(edges)])
                firsts = self.levels[1].servers
                self._begin(
                    "edges of edges", [Edge(first.port) for first in firsts for _ in range(edges)]
                )
        except BaseException:
            self.stop()
            raise

    def _begin(self, name: str, servers: list[WholeServer]) -> None:
        level = Level(name, [])
        self.levels.append(level)
        for server in servers:
            self._count += 1
            folder = self.folder / str(self._count)
            folder.mkdir()
            level.servers.append(server)
            server.start(folder)

    @property
    def origin(self) -> WholeServer:
        return self.levels[0].servers[0]

    def watch(self, viewers: int) -> None:
        """Have `viewers` in all watch, most of them the last level."""
        *before, last = self.levels
        for level in before:
            self._open(level, WATCHING)
        others = sum(len(level.servers) for level in before) * WATCHING
        self._open(last, (viewers - others) // len(last.servers))
        time.sleep(1)

    def _open(self, level: Level, each: int) -> None:
        for number, server in enumerate(level.servers):
            log = self.folder / f"{level.name}-{number}-{time.monotonic_ns()}.log"
            level.clients.append(LoadClient(server.port, server.path, each, log=log))

    def leave(self) -> None:
        """Have nobody watch, and forget the figures."""
        for level in self.levels:
            for client in level.clients:
                client.stop()
            level.clients, level.rounds = [], []

    def deliver(self, seconds: float) -> None:
        """Publish for a while, and note the figures. Raises `Failed`."""
        for level in self.levels:
            for client in level.clients:
                client.reset()
        before = [level.cpu for level in self.levels]
        told = self.origin.publish(RATE, seconds)
        reports = [
            [client.settled(told["newest"]) for client in level.clients] for level in self.levels
        ]
        for level, cpu, seen in zip(self.levels, before, reports, strict=True):
            level.rounds.append(_figures(level.cpu - cpu, told["published"], seen))

    def stop(self) -> None:
        self.leave()
        for level in reversed(self.levels):
            for server in level.servers:
                server.stop()


def _figures(cpu: float, published: int, reports: list[dict[str, Any]]) -> dict[str, float]:
    streams = sum(report["streaming"] for report in reports)
    events = sum(report["events"] for report in reports)
    return {
        "streams": streams,
        "cpu_us_an_event": 1e6 * cpu / published,
        "cpu_us_delivered": 1e6 * cpu / events if events else 0.0,
        "p50_ms": median(report["latency_us"]["p50"] for report in reports) / 1000,
        "p99_ms": max(report["latency_us"]["p99"] for report in reports) / 1000,
        "missed": published * streams - events,
        "repeated": sum(report["repeated"] for report in reports),
    }


def measure(edges: int, rounds: int, seconds: float, folder: Path) -> list[dict[str, Any]]:
    """A row for each level and each number of viewers."""
    rows = []
    tree = Tree(folder, edges)
    try:
        for viewers in VIEWERS:
            _note(f"{len(tree.levels)} levels, {viewers:,} viewers")
            tree.watch(viewers)
            tree.deliver(1.0)  # warm up
            for level in tree.levels:
                level.rounds.clear()
            for _ in range(rounds):
                tree.deliver(seconds)
            for level in tree.levels:
                whole = {
                    name: sum(one[name] for one in level.rounds) for name in ("missed", "repeated")
                }
                middle = {
                    name: median(one[name] for one in level.rounds) for name in level.rounds[0]
                }
                servers = len(level.servers)
                rows.append(
                    {"viewers": viewers, "level": level.name, "servers": servers, **middle, **whole}
                )
            tree.leave()
            time.sleep(1)
    finally:
        tree.stop()
    return rows


def table(rows: list[dict[str, Any]], alone: list[dict[str, Any]]) -> str:
    """The rows of a tree, and of an origin without edges, as Markdown."""
    lines = [
        "| viewers in all | level | servers | streams there | CPU an event and server | "
        "CPU a delivery | p50 | p99 | missed, repeated |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in [*rows, *({**row, "level": "origin, no edges"} for row in alone)]:
        each = row["cpu_us_an_event"] / row["servers"] / 1000
        lines.append(
            f"| {row['viewers']:,} | {row['level']} | {row['servers']} | {row['streams']:,.0f} "
            f"| {each:.2f} ms | {row['cpu_us_delivered']:.1f} µs | {row['p50_ms']:.1f} ms "
            f"| {row['p99_ms']:.1f} ms | {row['missed']:.0f}, {row['repeated']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def probe(seconds: float) -> str:
    """What one more edge costs its upstream: bytes and CPU of an event on a stream of several
    boards in gzip, in a sentence."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        tree = Tree(Path(name), 0)
        try:
            path = f"/events/?board={BOARD}"
            costs = []
            for streams in (0, 1_000):
                clients = []
                if streams:
                    log = Path(name) / "probe.log"
                    header, port = "Accept-Encoding: gzip", tree.origin.port
                    clients = [LoadClient(port, path, streams, log=log, header=header)]
                tree.origin.publish(RATE, 1.0)
                for client in clients:
                    client.reset()
                before = tree.origin.cpu_seconds()
                told = tree.origin.publish(RATE, seconds)
                time.sleep(0.5)
                cpu = tree.origin.cpu_seconds() - before
                costs.append((cpu / told["published"], clients))
            [(quiet, _), (busy, [client])] = costs
            size = client.report()["bytes"] / 1_000 / told["published"]
            client.stop()
        finally:
            tree.stop()
    return (
        f"An event on a stream of several boards in gzip: {size:.0f} bytes and "
        f"{1e6 * (busy - quiet) / 1_000:.1f} µs of the upstream's CPU, of 1,000 such streams.\n"
    )


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--probe", action="store_true", help="only what one edge costs")
    chosen = parser.parse_args()
    rounds, seconds = (1, 1.0) if chosen.quick else (ROUNDS, SECONDS)
    raise_file_limit()
    try:
        if not chosen.probe:
            with tempfile.TemporaryDirectory(prefix="bench-") as name:
                folder = Path(name)
                for part in ("tree", "alone"):
                    (folder / part).mkdir()
                rows = measure(2, rounds, seconds, folder / "tree")
                alone = measure(0, rounds, seconds, folder / "alone")
            print(table(rows, alone), flush=True)
        print(probe(seconds), flush=True)
    except Failed as error:
        _note(str(error))
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
