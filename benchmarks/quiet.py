"""What a quiet connection costs: ``python -m benchmarks.quiet [--heap]``.

15,000 streams that get nothing: the server's memory for each, and with ``--heap`` which lines of
code allocated it.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import HubDirect
from benchmarks.processes import raise_file_limit

STREAMS = 15_000


def measure(streams: int, *, heap: bool = False) -> dict[str, Any]:
    """Bytes of memory for each stream, and CPU while nothing is sent (a share of one core).

    With `heap`, ``lines`` are the allocations for each stream, the largest first.
    """
    server = HubDirect(heap=heap)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        try:
            server.start(folder)
            # What is allocated once, for the first few, is no cost of a connection.
            first = LoadClient(server.port, server.path, 100, log=folder / "first.log")
            time.sleep(0.5)
            before = server.memory_bytes()
            lines_before = server.process.ask("heap") if heap else {}
            client = LoadClient(server.port, server.path, streams, log=folder / "client.log")
            try:
                time.sleep(1)
                memory = server.memory_bytes() - before
                lines = server.process.ask("heap", 120) if heap else {}
                cpu, start = server.cpu_seconds(), time.monotonic()
                time.sleep(3)
                idle = (server.cpu_seconds() - cpu) / (time.monotonic() - start)
            finally:
                client.stop()
                first.stop()
        finally:
            server.stop()
    grown = []
    for line, now in lines.items():
        old = lines_before.get(line, {"bytes": 0, "blocks": 0})
        each = (now["bytes"] - old["bytes"]) / streams
        if each >= 1:
            grown.append((line, each, (now["blocks"] - old["blocks"]) / streams))
    grown.sort(key=lambda row: -row[1])
    return {"streams": streams, "bytes_each": memory / streams, "idle": idle, "lines": grown}


def report(*, streams: int = STREAMS, heap: bool = False) -> str:
    """The figures as Markdown."""
    return table(measure(streams, heap=heap))


def table(r: dict[str, Any]) -> str:
    """The result of `measure` as Markdown."""
    text = (
        f"Each of {r['streams']:,} quiet streams cost {r['bytes_each'] / 1024:.1f} KB of the "
        f"server's memory; with all of them open it used {r['idle']:.1%} of a core.\n"
    )
    if r["lines"]:
        text += "\n| allocated by | bytes a stream | blocks a stream |\n| --- | ---: | ---: |\n"
        for line, size, blocks in r["lines"]:
            text += f"| {Path(line).parent.name}/{Path(line).name} | {size:.0f} | {blocks:.1f} |\n"
        text += f"| all | {sum(row[1] for row in r['lines']):.0f} | |\n"
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=STREAMS)
    parser.add_argument("--heap", action="store_true", help="count allocations with tracemalloc")
    chosen = parser.parse_args()
    raise_file_limit()
    print(report(streams=chosen.streams, heap=chosen.heap))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
