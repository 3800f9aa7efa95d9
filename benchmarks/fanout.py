"""The fan-out against its peers: ``python -m benchmarks.fanout [--quick]``.

One event after another goes to every subscriber of one board, 20 a second and then flat out. Every
server sends the same event to the same load client, one server after the other. The table goes to
stdout as Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
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


def measure(peer: Peer, subscribers: int, seconds: float) -> dict[str, Any]:
    """The figures of one server with this many subscribers. Raises `Failed`."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        try:
            peer.start(folder)
            before = peer.memory_bytes()
            client = LoadClient(peer.port, peer.path, subscribers, log=folder / "client.log")
            try:
                time.sleep(1)
                memory = (peer.memory_bytes() - before) / subscribers
                peer.publish(RATE, 1)  # warm up
                paced = _deliver(peer, client, RATE, seconds)
                flat = _deliver(peer, client, 0, seconds)
            finally:
                client.stop()
        finally:
            peer.stop()
    return {
        "peer": peer.name,
        "subscribers": subscribers,
        "memory": memory,
        "paced": paced,
        "flat": flat,
    }


def _deliver(peer: Peer, client: LoadClient, rate: float, seconds: float) -> dict[str, Any]:
    time.sleep(0.5)
    client.reset()
    before = peer.cpu_seconds()
    start = time.monotonic()
    told = peer.publish(rate, seconds)
    elapsed = time.monotonic() - start
    report = client.settled(told["newest"])
    cpu = peer.cpu_seconds() - before
    events = report["events"]
    if not events:
        raise Failed(f"{peer.name} delivered nothing")
    expected = told["published"] * report["streaming"]
    return {
        "cpu_us": 1e6 * cpu / events,
        "server_load": cpu / elapsed,
        "client_us": 1e6 * report["cpu"] / events,
        "client_load": report["cpu"] / elapsed,
        "events_per_second": events / report["span"] if report["span"] else 0.0,
        "published_per_second": told["published"] / elapsed,
        "p50_ms": report["latency_us"]["p50"] / 1000,
        "p99_ms": report["latency_us"]["p99"] / 1000,
        "missed": 1 - events / expected,
        "repeated": report["repeated"],
        "closed": report["closed"],
    }


def table(results: Sequence[dict[str, Any]]) -> str:
    """The results as Markdown, one table for each number of subscribers."""
    lines = []
    for subscribers in sorted({r["subscribers"] for r in results}):
        rows = [r for r in results if r["subscribers"] == subscribers]
        floor = next((r for r in rows if r["peer"] == CFloor.name), None)
        lines += [
            f"{subscribers:,} subscribers of one board:",
            "",
            "| | CPU an event, 20 events/s | p50 | p99 | CPU an event, flat out | events/s "
            "| p50 | p99 | not delivered (20/s, flat out) | memory a stream |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        ]
        for row in rows:
            paced, flat = row["paced"], row["flat"]
            lines.append(
                f"| {row['peer']} | {_cost(row, floor, 'paced')} "
                f"| {_ms(paced['p50_ms'])} | {_ms(paced['p99_ms'])} "
                f"| {_cost(row, floor, 'flat')} | {flat['events_per_second']:,.0f} "
                f"| {_ms(flat['p50_ms'])} | {_ms(flat['p99_ms'])} "
                f"| {_share(paced['missed'])}, {_share(flat['missed'])} "
                f"| {row['memory'] / 1024:.1f} KB |"
            )
        lines.append("")
    return "\n".join(lines)


def _cost(row: dict[str, Any], floor: dict[str, Any] | None, kind: str) -> str:
    cost = row[kind]["cpu_us"]
    times = f" ({cost / floor[kind]['cpu_us']:.1f}×)" if floor else ""
    return f"{cost:.1f} µs{times}"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def _share(value: float) -> str:
    return "0" if abs(value) < 5e-5 else f"{100 * value:.2g}%"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures the fan-out against its peers.")
    parser.add_argument("--quick", action="store_true", help="1,000 subscribers, 2 s each")
    parser.add_argument(
        "--subscribers", type=int, nargs="+", default=[1000, 10000], metavar="N"
    )
    parser.add_argument("--seconds", type=float, default=4, help="of each measurement")
    parser.add_argument("--only", nargs="+", choices=PEERS, help="these servers, not all")
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    parser.add_argument("--plot", type=Path, help="draw them into this .svg or .png file")
    chosen = parser.parse_args(arguments)
    if chosen.quick:
        chosen.subscribers, chosen.seconds = [1000], 2

    raise_file_limit()
    results = []
    for subscribers in chosen.subscribers:
        for key in chosen.only or PEERS:
            peer = PEERS[key]()
            if missing := peer.missing():
                print(f"{peer.name} is left out: {missing}", file=sys.stderr)
                continue
            began = time.monotonic()
            try:
                results.append(measure(peer, subscribers, chosen.seconds))
            except Failed as error:
                print(f"{peer.name}, {subscribers:,} subscribers: {error}", file=sys.stderr)
            else:
                took = time.monotonic() - began
                print(f"{peer.name}, {subscribers:,}: {took:.0f} s", file=sys.stderr)
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    if chosen.plot:
        from benchmarks.plot import plot

        plot(results, chosen.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
