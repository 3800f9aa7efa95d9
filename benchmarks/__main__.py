"""All benchmarks, one after another: ``python -m benchmarks [--quick]``, about seven minutes.

Prints Markdown; what goes on is told on stderr. With ``--update`` the results go into every
Markdown file of the project that has a place for them, and the plot into docs/images:

    <!-- benchmark: arrival -->
    (replaced)
    <!-- end -->
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import (
    additions,
    arrival,
    compression,
    counting,
    event_loops,
    fairness,
    fanout,
    quiet,
    requests,
    slow_clients,
    tokens,
    transports,
)
from benchmarks.plot import plot
from benchmarks.processes import ROOT, Failed, raise_file_limit

PLOT = ROOT / "docs" / "images" / "fanout.svg"


def machine() -> str:
    """What the figures were measured on."""
    return (
        f"Measured on {os.cpu_count()} cores that the load shares with the server; Linux "
        f"{platform.release().partition('-')[0]}, Python {platform.python_version()}.\n"
    )


def update(name: str, text: str) -> None:
    """Put `text` into every place that asks for it."""
    place = re.compile(rf"(<!-- benchmark: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    for file in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        old = file.read_text()
        new = place.sub(lambda match: f"{match[1]}\n{text.strip()}\n\n{match[2]}", old)
        if new != old:
            file.write_text(new)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs all benchmarks.")
    parser.add_argument("--quick", action="store_true", help="fewer subscribers, shorter rounds")
    parser.add_argument("--update", action="store_true", help="write the results into the docs")
    chosen = parser.parse_args()
    quick: bool = chosen.quick
    raise_file_limit()
    results: dict[str, Any] = {}

    def figures() -> str:
        added, idle = results["additions"], results["quiet"]
        best = max(added["writers"], key=lambda row: row["per_second"])
        return (
            "| | | |\n| --- | --- | --- |\n"
            f"| additions a second, {best['writers']} writers, each on the disk when answered "
            f"| {best['per_second']:,.0f} | `python -m benchmarks.additions` |\n"
            f"| from a POST to its event: median, 99th percentile "
            f"| {added['event_p50_ms']:.1f} ms, {added['event_p99_ms']:.1f} ms "
            "| `python -m benchmarks.additions` |\n"
            f"| memory of a quiet subscriber, one of {idle['streams']:,} "
            f"| {idle['bytes_each'] / 1024:.1f} KB | `python -m benchmarks.quiet` |\n"
        )

    def add() -> str:
        results["additions"] = additions.measure(1 if quick else 3)
        return additions.table(results["additions"])

    def be_quiet() -> str:
        results["quiet"] = quiet.measure(1000 if quick else quiet.STREAMS)
        return quiet.table(results["quiet"])

    def fan_out() -> str:
        subscribers = fanout.SUBSCRIBERS[:1] if quick else fanout.SUBSCRIBERS
        rounds = 1 if quick else fanout.ROUNDS
        rows = fanout.run(list(fanout.PEERS), subscribers, rounds, fanout.SECONDS)
        if chosen.update:
            plot(rows, PLOT)
        results["fan-out"] = rows
        return fanout.table(rows)

    parts: list[tuple[str, Callable[[], str]]] = [
        ("machine", machine),
        ("additions", add),
        ("quiet", be_quiet),
        ("figures", figures),
        ("fan-out", fan_out),
        ("fan-out-summary", lambda: fanout.summary(results["fan-out"])),
        ("fairness", lambda: fairness.report(quick=quick)),
        ("slow-clients", lambda: slow_clients.report(quick=quick)),
        ("arrival", lambda: arrival.report(quick=quick)),
        ("requests", lambda: requests.report(quick=quick)),
        ("tokens", lambda: tokens.report(quick=quick)),
        ("counting", lambda: counting.report(quick=quick)),
        ("compression", lambda: compression.report(quick=quick)),
        ("transports", lambda: transports.report(quick=quick)),
        ("event-loops", lambda: event_loops.report(1 if quick else 2)),
    ]
    failed = 0
    for name, part in parts:
        began = time.monotonic()
        try:
            text = part()
        except (Failed, KeyError) as error:  # KeyError: a part that this one builds on failed
            failed = 1
            print(f"{name} failed: {error!r}", file=sys.stderr, flush=True)
            continue
        print(f"## {name}\n\n{text}", flush=True)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        if chosen.update:
            update(name, text)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
