"""Many boards, each with somebody who watches it: ``python -m benchmarks.many_boards``.

A file with 100,000 boards, of which some have a subscriber each. How long a start takes; what an
event costs while every board that is watched changes once a second; and how long it takes until
all of them are right again after the feed was lost, since every board is read then.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import payload
from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import BOARD, WholeServer
from benchmarks.processes import raise_file_limit

#: Boards of the file, and players of each.
BOARDS = 100_000
PLAYERS = 5

#: Boards that are watched.
WATCHED = (1_000, 10_000)

#: Seconds within which every subscriber has to have what was changed last.
PATIENCE = 60.0

_FILE = "tornado_board.sqlite3"


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[sqlite3.Connection]:
    """A transaction of another program."""
    with contextlib.closing(sqlite3.connect(file, timeout=30)) as c, c:
        c.execute("BEGIN IMMEDIATE")
        yield c


def fill(file: Path, boards: int) -> None:
    """Make so many boards, ``bench-0`` and so on, each with some players."""
    with _writing(file) as c:
        ids = [f"{BOARD}-{number}" for number in range(boards)]
        c.executemany("INSERT INTO boards (id) VALUES (?)", [(board,) for board in ids])
        c.executemany(
            "INSERT INTO players (board, id, name, score) VALUES (?, ?, ?, ?)",
            [
                (board, f"player-{i}", f"Player {i}", 100 - i)
                for board in ids
                for i in range(1, PLAYERS + 1)
            ],
        )


def _change(folder: Path, boards: int, seq: int, lose: bool = False) -> None:
    """Rename the first player of each of so many boards, in one transaction; `lose`: and with it
    the changes that the feed would have told."""
    with _writing(folder / _FILE) as c:
        c.executemany(
            "UPDATE players SET name = ? WHERE board = ? AND id = 'player-1'",
            [(payload.marker(seq), f"{BOARD}-{number}") for number in range(boards)],
        )
        if lose:
            c.execute("DELETE FROM changes")


def measure(watched: int, boards: int = BOARDS, seconds: int = 5) -> dict[str, Any]:
    """The figures of a file with `boards`, of which `watched` have a subscriber each."""
    server = WholeServer()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        server.serve(folder)
        server.stop()
        fill(folder / _FILE, boards)
        began = time.monotonic()
        server.serve(folder)
        start = time.monotonic() - began
        try:
            began = time.monotonic()
            path = f"/boards/{BOARD}-%d/events"
            log = folder / "client.log"
            client = LoadClient(server.port, path, watched, log=log, boards=watched)
            try:
                opened = time.monotonic() - began
                return {
                    "watched": watched,
                    "start_s": start,
                    "open_us": 1e6 * opened / watched,
                    **_changes(server, client, folder, watched, seconds),
                    **_resync(server, client, folder, watched, seconds + 1),
                }
            finally:
                client.stop()
        finally:
            server.stop()


def _changes(
    server: WholeServer, client: LoadClient, folder: Path, watched: int, seconds: int
) -> dict[str, float]:
    """A change a second on each board that is watched."""
    client.reset()
    before, began = server.cpu_seconds(), time.monotonic()
    for seq in range(1, seconds + 1):
        _change(folder, watched, seq)
        time.sleep(max(0.0, began + seq - time.monotonic()))
    report = client.settled(seconds, PATIENCE, quiet_for=PATIENCE)
    return {
        "event_us": 1e6 * (server.cpu_seconds() - before) / report["events"],
        "delivered": report["events"] / (seconds * watched),
        "p50_ms": report["latency_us"]["p50"] / 1000,
        "p99_ms": report["latency_us"]["p99"] / 1000,
    }


def _resync(
    server: WholeServer, client: LoadClient, folder: Path, watched: int, seq: int
) -> dict[str, float]:
    client.reset()
    before, began = server.cpu_seconds(), time.monotonic()
    _change(folder, watched, seq, lose=True)
    client.settled(seq, PATIENCE, quiet_for=PATIENCE)
    return {
        "resync_s": time.monotonic() - began,
        "resync_us": 1e6 * (server.cpu_seconds() - before) / watched,
    }


def table(results: Sequence[dict[str, Any]], boards: int = BOARDS) -> str:
    """The results as Markdown."""
    lines = [
        f"| watched of {boards:,} boards | start | CPU an event | events of changes | p50, p99 "
        "| all right after a resync | CPU a board |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {r['watched']:,} | {r['start_s']:.1f} s | {r['event_us']:.0f} µs "
        f"| {r['delivered']:.0%} | {r['p50_ms']:,.0f}, {r['p99_ms']:,.0f} ms "
        f"| {r['resync_s']:.1f} s | {r['resync_us']:.0f} µs |"
        for r in results
    ]
    return "\n".join(lines) + "\n"


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    if quick:
        return table([measure(WATCHED[0], 10_000, 3)], 10_000)
    return table([measure(watched) for watched in WATCHED])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer boards, less time")
    raise_file_limit()
    print(report(quick=parser.parse_args().quick))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
