"""Boards in and out of files: ``python -m benchmarks.moving``.

``tornado-board import`` and ``export`` of many players, on SQLite, while another client adds to
scores of another board, one addition after the other, fifty a second at the most.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.tornado_board import BOARD, WholeServer, call
from benchmarks.processes import Failed

#: Players, and the scores that they have at random.
PLAYERS = 1_000_000
_SCORES = 10_000_000

#: Seconds between two additions of the other client.
_PAUSE = 0.02


class Others:
    """The other client; `times` are those of its additions."""

    def __init__(self, port: int) -> None:
        self.times: list[float] = []
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Others:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            began = time.monotonic()
            call(self._port, "POST", "/boards/demo/players/mars/score-add/")
            self.times.append(time.monotonic() - began)

    def percentile(self, part: float) -> float:
        """In ms."""
        return 1000 * sorted(self.times)[min(int(len(self.times) * part), len(self.times) - 1)]


def write_players(path: Path, players: int) -> None:
    """A file of NDJSON with `players`, whose ids go up and whose scores are at random."""
    chance = random.Random(7)
    with path.open("w") as file:
        for i in range(players):
            player = {"id": f"p{i:07}", "name": f"Player {i}", "score": chance.randrange(_SCORES)}
            file.write(json.dumps(player) + "\n")


def run(server: WholeServer, folder: Path, *arguments: str) -> dict[str, Any]:
    """One command; how long it took, and what it and the server needed."""
    command = [sys.executable, "-m", "tornado_board", *arguments]
    environ = {**os.environ, "TORNADO_BOARD_URL": f"http://127.0.0.1:{server.port}"}
    before, began = server.cpu_seconds(), time.monotonic()
    with Others(server.port) as others:
        pid = os.posix_spawn(sys.executable, command, environ)
        _, status, usage = os.wait4(pid, 0)
    seconds = time.monotonic() - began
    if status:
        raise Failed(f"{' '.join(arguments)}: {status}")
    return {
        "what": " ".join(arguments[:1]) + (", CSV" if arguments[-1].endswith("csv") else ""),
        "seconds": seconds,
        "server_cpu": server.cpu_seconds() - before,
        "client_cpu": usage.ru_utime + usage.ru_stime,
        "client_mb": usage.ru_maxrss / 1024,
        "server_mb": _peak_mb(server.process.pid),
        "p50_ms": others.percentile(0.5),
        "p99_ms": others.percentile(0.99),
    }


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure(players: int = PLAYERS) -> list[dict[str, Any]]:
    """An import, and two exports."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        rows = folder / "players.ndjson"
        write_players(rows, players)
        server = WholeServer("--log-level=warning")
        try:
            server.serve(folder)
            found = [run(server, folder, "import", BOARD, "--create", str(rows))]
            count = call(server.port, "GET", f"/boards/{BOARD}/?fields=count")["count"]
            if count != players:
                raise Failed(f"{count} players, not {players}")
            for kind in ("ndjson", "csv"):
                found.append(run(server, folder, "export", BOARD, str(folder / f"out.{kind}")))
                with (folder / f"out.{kind}").open("rb") as file:
                    lines = sum(1 for _ in file)
                if lines != players + (kind == "csv"):
                    raise Failed(f"{lines} lines, not {players}")
        finally:
            server.stop()
    return found


def table(results: Sequence[dict[str, Any]], players: int) -> str:
    """The results as Markdown."""
    lines = [
        "| | players/s | time | CPU of the server | CPU of the command | memory of the command "
        "| memory of the server | another's addition, p50 | p99 |",
        "| --- " + "| ---: " * 8 + "|",
    ]
    lines += [
        f"| {result['what']} | {players / result['seconds']:,.0f} | {result['seconds']:.1f} s "
        f"| {result['server_cpu']:.1f} s | {result['client_cpu']:.1f} s "
        f"| {result['client_mb']:.0f} MB | {result['server_mb']:.0f} MB "
        f"| {result['p50_ms']:.0f} ms | {result['p99_ms']:.0f} ms |"
        for result in results
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--players", type=int, default=PLAYERS)
    chosen = parser.parse_args()
    print(table(measure(chosen.players), chosen.players))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
