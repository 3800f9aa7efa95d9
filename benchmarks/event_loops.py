"""What uvloop would bring: ``python -m benchmarks.event_loops``.

The same measurements with asyncio's own event loop and with uvloop's, taking turns.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks import additions, arrival
from benchmarks.fanout import RATE, Contestant
from benchmarks.peers.tornado_board import HubDirect
from benchmarks.processes import raise_file_limit

LOOPS = ("asyncio", "uvloop")
SUBSCRIBERS = 1000
WRITERS = 50


def _fan_out(loop: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        contestant = Contestant(HubDirect(loop=loop), SUBSCRIBERS, Path(folder) / loop)
        try:
            return {
                "CPU an event at 20 events/s, µs": contestant.deliver(RATE, 1.5)["cpu_us"],
                "CPU an event flat out, µs": contestant.deliver(0, 1.5)["cpu_us"],
            }
        finally:
            contestant.stop()


def _additions(loop: str) -> dict[str, float]:
    result = additions.measure(1.5, (WRITERS,), loop=loop)
    return {
        f"CPU an addition, {WRITERS} writers, µs": result["writers"][0]["cpu_us"],
        "POST to event, median, ms": result["event_p50_ms"],
    }


def _arrival(loop: str) -> dict[str, float]:
    result = arrival.measure(5000, loop=loop)
    return {"CPU an arriving client, µs": result["cpu_us"]}


MEASUREMENTS: tuple[Callable[[str], dict[str, float]], ...] = (_fan_out, _additions, _arrival)


def report(rounds: int = 2) -> str:
    """The figures as Markdown."""
    if importlib.util.find_spec("uvloop") is None:
        return "uvloop is left out: pip install uvloop\n"
    figures: dict[str, dict[str, list[float]]] = {}
    for measurement in MEASUREMENTS:
        for _ in range(rounds):
            for loop in LOOPS:
                for name, value in measurement(loop).items():
                    figures.setdefault(name, {}).setdefault(loop, []).append(value)
    lines = ["| | asyncio | uvloop | change |", "| --- | ---: | ---: | ---: |"]
    for name, of in figures.items():
        plain, uv = (median(of[loop]) for loop in LOOPS)
        lines.append(f"| {name} | {plain:.1f} | {uv:.1f} | {uv / plain - 1:+.0%} |")
    return "\n".join([*lines, ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    raise_file_limit()
    print(report(parser.parse_args().rounds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
