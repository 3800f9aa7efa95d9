"""All benchmarks, one after another: ``python -m benchmarks [--quick]``, about seven minutes.

Prints Markdown; what goes on is told on stderr.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import additions, arrival, event_loops, fairness, fanout, quiet, slow_clients
from benchmarks.processes import Failed, raise_file_limit


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs all benchmarks.")
    parser.add_argument("--quick", action="store_true", help="fewer subscribers, shorter rounds")
    parser.add_argument("--plot", type=Path, help="draw the fan-out into this .svg file")
    chosen = parser.parse_args()
    quick: bool = chosen.quick
    raise_file_limit()

    fan_out = ["--quick"] if quick else []
    if chosen.plot:
        fan_out += ["--plot", str(chosen.plot)]
    seconds = 1 if quick else 3
    parts: list[tuple[str, Callable[[], str]]] = [
        ("Additions", lambda: additions.table(additions.measure(seconds))),
        ("Quiet connections", lambda: quiet.report(streams=1000 if quick else quiet.STREAMS)),
        ("Fairness", lambda: fairness.measure(quick=quick)),
        ("Slow clients", lambda: slow_clients.report(quick=quick)),
        ("Arrival", lambda: arrival.report(quick=quick)),
        ("Event loops", lambda: event_loops.report(1 if quick else 2)),
    ]
    print(
        f"{os.cpu_count()} cores, Linux {platform.release()}, Python "
        f"{platform.python_version()}.\n\n## Fan-out\n",
        flush=True,
    )
    failed = fanout.main(fan_out)
    for title, part in parts:
        print(f"## {title}\n", flush=True)
        began = time.monotonic()
        try:
            print(part(), flush=True)
        except Failed as error:
            failed = 1
            print(f"Failed: {error}\n", flush=True)
        print(f"{title}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
