"""The fan-out against its peers: ``python -m benchmarks.fanout [--quick]``.

One event after another goes to every subscriber of one board, 20 a second and then flat out. Every
server sends the same event to its own load client. All are up at the same time and take turns in
short rounds, so that what else the machine does hits all alike; a figure is the median of its
rounds. The table goes to stdout as Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import LoadClient
from benchmarks.peers import Peer
from benchmarks.peers.c_floor import CFloor
from benchmarks.peers.nchan import Nchan
from benchmarks.peers.pushpin import Pushpin
from benchmarks.peers.send_loop import SendLoop
from benchmarks.peers.starlette_sse import StarletteSSE
from benchmarks.peers.tornado_board import HubDirect, WholeServer
from benchmarks.peers.tornado_write import TornadoWrite
from benchmarks.plot import plot
from benchmarks.processes import Failed, raise_file_limit

PEERS: dict[str, type[Peer]] = {
    "floor": CFloor,
    "hub": HubDirect,
    "server": WholeServer,
    "loop": SendLoop,
    "write": TornadoWrite,
    "nchan": Nchan,
    "pushpin": Pushpin,
    "starlette": StarletteSSE,
}

RATE = 20.0
SUBSCRIBERS = [1000, 10000]
ROUNDS = 3
SECONDS = 1.5


class Contestant:
    """A server with its subscribers, and the figures of each round."""

    def __init__(self, peer: Peer, subscribers: int, folder: Path) -> None:
        """Start the server and connect its subscribers. Raises `Failed`."""
        self.peer = peer
        self.rounds: dict[str, list[dict[str, float]]] = {"paced": [], "flat": []}
        folder.mkdir()
        try:
            peer.start(folder)
            before = peer.memory_bytes()
            self._client = LoadClient(
                peer.port,
                peer.path,
                subscribers,
                log=folder / "client.log",
                at_once=peer.at_once,
            )
            time.sleep(0.5)
            self.memory = (peer.memory_bytes() - before) / subscribers
            self.deliver(RATE, 0.5)  # warm up
        except BaseException:
            self.stop()
            raise

    def deliver(self, rate: float, seconds: float) -> dict[str, float]:
        """Publish for a while, and return the figures. Raises `Failed`."""
        time.sleep(0.2)
        self._client.reset()
        before, start = self.peer.cpu_seconds(), time.monotonic()
        told = self.peer.publish(rate, seconds)
        elapsed = time.monotonic() - start
        report = self._client.settled(told["newest"])
        cpu, events = self.peer.cpu_seconds() - before, report["events"]
        if not events:
            raise Failed(f"{self.peer.name} delivered nothing")
        return {
            "cpu_us": 1e6 * cpu / events,
            "client_us": 1e6 * report["cpu"] / events,
            "events_per_second": events / report["span"] if report["span"] else 0.0,
            "published_per_second": told["published"] / elapsed,
            "p50_ms": report["latency_us"]["p50"] / 1000,
            "p99_ms": report["latency_us"]["p99"] / 1000,
            "missed": 1 - events / (told["published"] * report["streaming"]),
            "repeated": report["repeated"],
            "closed": report["closed"],
        }

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.stop()
        self.peer.stop()

    def result(self) -> dict[str, Any]:
        """The median of the rounds, figure by figure."""
        return {
            "peer": self.peer.name,
            "memory": self.memory,
            **{
                kind: {figure: median(r[figure] for r in rounds) for figure in rounds[0]}
                for kind, rounds in self.rounds.items()
            },
        }


def contest(
    peers: Sequence[Peer], subscribers: int, rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """Measure `peers` with this many subscribers each, taking turns."""
    contestants: list[Contestant] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            for number, peer in enumerate(peers):
                _note(f"{subscribers:,} subscribers: {peer.name}")
                try:
                    contestants.append(Contestant(peer, subscribers, Path(folder) / str(number)))
                except Failed as error:
                    _note(f"{peer.name} is left out: {error}")
            for kind, rate in (("paced", RATE), ("flat", 0.0)):
                for number in range(rounds):
                    _note(f"{subscribers:,} subscribers: {kind}, round {number + 1} of {rounds}")
                    for contestant in list(contestants):
                        try:
                            figures = contestant.deliver(rate, seconds)
                        except Failed as error:
                            _note(f"{contestant.peer.name} is left out: {error}")
                            contestants.remove(contestant)
                            contestant.stop()
                        else:
                            contestant.rounds[kind].append(figures)
            return [{"subscribers": subscribers, **c.result()} for c in contestants]
        finally:
            for contestant in contestants:
                contestant.stop()


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown, one table for each number of subscribers."""
    lines = []
    for subscribers in sorted({r["subscribers"] for r in results}):
        rows = [r for r in results if r["subscribers"] == subscribers]
        floor = next((r for r in rows if r["peer"] == CFloor.name), None)
        lines += [
            f"{subscribers:,} subscribers of one board, 20 events/s:",
            "",
            "| | CPU an event | latency p50 | p99 | not delivered | memory a stream |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in rows:
            paced = row["paced"]
            lines.append(
                f"| {row['peer']} | {_cost(row, floor, 'paced')} | {_ms(paced['p50_ms'])} "
                f"| {_ms(paced['p99_ms'])} | {_missed(row, paced)} "
                f"| {max(row['memory'], 0) / 1024:.1f} KB |"
            )
        lines += [
            "",
            f"{subscribers:,} subscribers of one board, flat out:",
            "",
            "| | CPU an event | events/s | latency p50 | p99 | not delivered "
            "| load client's CPU an event |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in rows:
            flat = row["flat"]
            lines.append(
                f"| {row['peer']} | {_cost(row, floor, 'flat')} "
                f"| {flat['events_per_second']:,.0f} | {_ms(flat['p50_ms'])} "
                f"| {_ms(flat['p99_ms'])} | {_missed(row, flat)} | {flat['client_us']:.1f} µs |"
            )
        lines.append("")
    return "\n".join(lines)


def summary(results: Sequence[dict[str, Any]]) -> str:
    """The largest number of subscribers, in few columns."""
    subscribers = max(r["subscribers"] for r in results)
    rows = [r for r in results if r["subscribers"] == subscribers]
    floor = next((r for r in rows if r["peer"] == CFloor.name), None)
    lines = [
        f"| {subscribers:,} subscribers of one board | CPU an event, 20 events/s "
        "| CPU an event, flat out | events/s, flat out | not delivered | memory a stream |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        lines.append(
            f"| {row['peer']} | {_cost(row, floor, 'paced')} | {_cost(row, floor, 'flat')} "
            f"| {row['flat']['events_per_second']:,.0f} | {_missed(row, row['flat'])} "
            f"| {max(row['memory'], 0) / 1024:.1f} KB |"
        )
    return "\n".join([*lines, ""])


def _cost(row: dict[str, Any], floor: dict[str, Any] | None, kind: str) -> str:
    cost = row[kind]["cpu_us"]
    times = f" ({cost / floor[kind]['cpu_us']:.1f}x)" if floor else ""
    return f"{cost:.1f} µs{times}"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _missed(row: dict[str, Any], figures: dict[str, float]) -> str:
    if figures["missed"] < 5e-5:
        return "0"
    # Changes that a server makes into one event on purpose are no losses.
    what = " (one event)" if row["peer"] == WholeServer.name else ""
    return f"{100 * figures['missed']:.2g}%{what}"


def run(
    keys: Sequence[str], subscribers: Sequence[int], rounds: int, seconds: float
) -> list[dict[str, Any]]:
    """The results of the servers that `keys` name, as far as they are installed."""
    installed = []
    for key in keys:
        if missing := PEERS[key]().missing():
            _note(f"{PEERS[key].name} is left out: {missing}")
        else:
            installed.append(key)
    results = []
    for number in subscribers:
        results += contest([PEERS[key]() for key in installed], number, rounds, seconds)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures the fan-out against its peers.")
    parser.add_argument("--quick", action="store_true", help="1,000 subscribers, one round")
    parser.add_argument("--subscribers", type=int, nargs="+", default=SUBSCRIBERS, metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each round")
    parser.add_argument("--only", nargs="+", choices=PEERS, help="these servers, not all")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    parser.add_argument("--plot", type=Path, help="draw them into this .svg file")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.subscribers, chosen.rounds = SUBSCRIBERS[:1], 1

    raise_file_limit()
    results = run(chosen.only or list(PEERS), chosen.subscribers, chosen.rounds, chosen.seconds)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    if chosen.plot:
        plot(results, chosen.plot)
    print(table(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
