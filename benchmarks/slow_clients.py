"""Clients that stop reading: ``python -m benchmarks.slow_clients``.

Of 1,000 subscribers 100 stop. What does that do to the others' latency, what does each of the 100
cost in memory, and how soon do they have the newest board when they read again?
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import HubDirect
from benchmarks.processes import raise_file_limit

RATE = 20.0

#: Bytes that a slow client's kernel takes: little, so that the server soon has to hold back.
RECEIVE_BUFFER = 4096

#: Events that fill the kernel's buffers on both sides.
FLOOD_SECONDS = 4.0


def measure(subscribers: int, slow: int, rounds: int, seconds: float) -> dict[str, Any]:
    """The others' latency in ms with all reading and with `slow` stuck, the memory in bytes of
    each stuck one, and how long they take to have the newest event."""
    server = HubDirect()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        clients = []
        try:
            server.start(folder)
            others = LoadClient(
                server.port, server.path, subscribers - slow, log=folder / "others.log"
            )
            clients.append(others)
            stuck = LoadClient(
                server.port,
                server.path,
                slow,
                log=folder / "stuck.log",
                receive_buffer=RECEIVE_BUFFER,
            )
            clients.append(stuck)
            server.publish(0, FLOOD_SECONDS)  # or memory would grow for other reasons
            before = [_latency(server, others, seconds) for _ in range(rounds)]
            memory = server.memory_bytes()
            stuck.pause(slow)
            server.publish(0, FLOOD_SECONDS)
            after = [_latency(server, others, seconds) for _ in range(rounds)]
            grown = server.memory_bytes() - memory
            queued = _queued_bytes(server.port) / slow
            newest = server.publish(RATE, 0.2)["newest"]
            resumed = stuck.resume(newest)
        finally:
            for client in clients:
                client.stop()
            server.stop()
    return {
        "subscribers": subscribers,
        "slow": slow,
        "before_p50_ms": median(r["p50"] for r in before) / 1000,
        "before_p99_ms": median(r["p99"] for r in before) / 1000,
        "after_p50_ms": median(r["p50"] for r in after) / 1000,
        "after_p99_ms": median(r["p99"] for r in after) / 1000,
        "bytes_each": grown / slow,
        "kernel_bytes_each": queued,
        "newest_p50_ms": resumed["arrival_us"]["p50"] / 1000,
        "newest_max_ms": resumed["arrival_us"]["max"] / 1000,
        "behind": resumed["resumed_behind"],
        "streaming": resumed["streaming"],
    }


def _queued_bytes(port: int) -> int:
    """What the kernel holds of the server's unread events, sent to the client or not."""
    queued = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "01":
            queued += int(fields[4].partition(":")[0], 16)
    return queued


def _latency(server: HubDirect, client: LoadClient, seconds: float) -> dict[str, float]:
    client.reset()
    told = server.publish(RATE, seconds)
    latency: dict[str, float] = client.settled(told["newest"])["latency_us"]
    return latency


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    r = measure(1000, 100, 1 if quick else 3, 2.0)
    return (
        f"Of {r['subscribers']:,} subscribers {r['slow']} stopped reading. The others had an event "
        f"after {r['after_p50_ms']:.1f} ms at the median and {r['after_p99_ms']:.1f} ms at the "
        f"99th percentile ({r['before_p50_ms']:.1f} and {r['before_p99_ms']:.1f} ms while all "
        f"read). The server grew by {r['bytes_each'] / 1024:.1f} KB for each stuck one, "
        f"and the kernel held {r['kernel_bytes_each'] / 1024:.0f} KB of events for it. When they "
        f"read again, {r['streaming'] - r['behind']} of them had the newest board, the last one "
        f"after {r['newest_max_ms']:.0f} ms ({r['newest_p50_ms']:.0f} ms at the median).\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    raise_file_limit()
    print(report(quick=parser.parse_args().quick))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
