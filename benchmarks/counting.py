"""What counting for ``/metrics`` costs the fan-out: ``python -m benchmarks.counting [--quick]``.

Two servers that are alike but for the setting `metrics` send the same events in turns to as many
subscribers each. Compared is the CPU of a server for an event delivered.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.fanout import RATE, Contestant
from benchmarks.peers.tornado_board import HubDirect
from benchmarks.processes import raise_file_limit

SUBSCRIBERS = (1_000, 9_000)
SECONDS = 1.5
ROUNDS = 15


def measure(subscribers: int, rounds: int) -> tuple[float, list[float]]:
    """CPU of an event delivered without counting, in microseconds; and of each of the `rounds` the
    ratio of that with counting to it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        contestants: list[Contestant] = []
        try:
            for counts in (True, False):
                folder = Path(name) / f"metrics-{counts}"
                contestants.append(Contestant(HubDirect(metrics=counts), subscribers, folder))
            ratios, plain = [], []
            for number in range(rounds):
                # Neither is always the one behind the other.
                turns = contestants if number % 2 else contestants[::-1]
                cpu = {one: one.deliver(RATE, SECONDS)["cpu_us"] for one in turns}
                ratios.append(cpu[contestants[0]] / cpu[contestants[1]])
                plain.append(cpu[contestants[1]])
        finally:
            for contestant in contestants:
                contestant.stop()
    return median(plain), sorted(ratios)


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    lines = [
        "| subscribers | CPU a delivery without counting | with it, to that: median | quartiles |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for subscribers in SUBSCRIBERS[:1] if quick else SUBSCRIBERS:
        plain, ratios = measure(subscribers, 3 if quick else ROUNDS)
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        lines.append(
            f"| {subscribers:,} | {plain:.2f} µs | {median(ratios):.3f} | {low:.3f}, {high:.3f} |"
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
