"""``python -m tests.faults [--seconds 60] [--runs 5] [scenario ...]``: see docs/promises.md."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..rethinkdb_server import PROGRAM, RethinkDBServer
from . import network
from .run import SMALL, Result, Size, run
from .scenarios import SCENARIOS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run scenarios, print a line for each run and a table at the end; 1 if a promise broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="scenario", help="all unless given")
    parser.add_argument("--seconds", type=float, default=60, help="of each run [60]")
    parser.add_argument("--runs", type=int, default=1, help="of each scenario [1]")
    parser.add_argument("--seed", type=int, help="of the first run; the next ones count on")
    parser.add_argument("--small", action="store_true", help="the load of the tests")
    parser.add_argument("--boards", type=int, default=Size.boards)
    parser.add_argument("--clients", type=int, default=Size.clients)
    parser.add_argument("--additions", type=float, default=Size.additions, help="a second")
    parser.add_argument("--most", type=int, default=1, help="violations shown of each check [1]")
    parser.add_argument("--list", action="store_true", help="say what there is, and end")
    options = parser.parse_args(arguments)
    if options.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:32} {scenario.description}")
        return 0
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; --list shows all")
    # However it is ended, it ends what it has started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    size = SMALL
    if not options.small:
        size = Size(options.boards, options.clients, options.additions)
    results = run_all(
        options.scenarios or list(SCENARIOS),
        options.seconds,
        options.runs,
        random.randrange(2**31) if options.seed is None else options.seed,
        size,
        options.most,
    )
    print("\n" + table(results))
    return 0 if all(result.green for result in results) else 1


def run_all(
    names: Sequence[str], seconds: float, runs: int, seed: int, size: Size, most: int
) -> list[Result]:
    """Run each scenario `runs` times; those that do RethinkDB no harm share one."""
    results = []
    with tempfile.TemporaryDirectory(prefix="faults-rethinkdb-") as folder:
        shared: list[RethinkDBServer] = []
        try:
            for name in names:
                scenario = SCENARIOS[name]
                if not scenario.shape.sqlite and PROGRAM is None:
                    print(f"{name}: skipped, there is no rethinkdb on PATH")
                    continue
                if scenario.shape.nodes > 1 and not network.available():
                    print(f"{name}: skipped, it takes root and iproute2")
                    continue
                if not scenario.shape.sqlite and not scenario.harms_rethinkdb and not shared:
                    shared.append(RethinkDBServer(Path(folder)))
                    shared[0].start()
                for number in range(runs):
                    result = asyncio.run(
                        run(scenario, seconds, seed + number, size, rethinkdb=shared)
                    )
                    results.append(result)
                    print(result.report(most), flush=True)
        finally:
            for server in shared:
                server.kill()
    return results


def table(results: Sequence[Result]) -> str:
    """A Markdown table with a line for each scenario: the sums of its runs, and their verdict."""
    if not results:
        return "nothing was run"
    rows = []
    for name, group in itertools.groupby(results, key=lambda result: result.scenario):
        runs = list(group)
        row = {"scenario": f"`{name}`", "runs": str(len(runs))}
        for figure in runs[0].figures():
            row[figure] = f"{sum(run.figures()[figure] for run in runs):,}"
        slowest = max(run.settled_after for run in runs)
        row["all the same within"] = f"{slowest:.1f} s" if math.isfinite(slowest) else "never"
        fell = [run.verdict for run in runs if not run.green]
        row["verdict"] = "; ".join(fell) if fell else "holds"
        if fell and len(fell) < len(runs):
            row["verdict"] = f"holds in {len(runs) - len(fell)}; {row['verdict']}"
        rows.append(row)
    headings = list(rows[0])
    rules = ["---" if h in ("scenario", "verdict") else "---:" for h in headings]
    lines = [headings, rules, *(list(row.values()) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
