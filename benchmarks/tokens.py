"""What a token costs a request: ``python -m benchmarks.tokens [--quick]``.

One server with a secret. `wrk` reads a public board and a player over keep-alive connections, in
turns without a token and with one. Compared is the server's CPU for a request.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.peers.tornado_board import BOARD, WholeServer, call
from benchmarks.processes import python
from benchmarks.requests import CONNECTIONS, answered

KINDS = {
    "GET of a board": f"/boards/{BOARD}/",
    "GET of a player": f"/boards/{BOARD}/players/player-1/",
}
SECONDS = 2.0
ROUNDS = 9


def _token(*claims: str) -> str:
    command = [*python("tornado_board", "token", "--expires=1h"), *claims]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def measure(seconds: float, rounds: int) -> dict[str, tuple[float, list[float]]]:
    """Of each kind: CPU of a request without a token, and how much more one has with it, in
    microseconds, of each round."""
    os.environ["TORNADO_BOARD_TOKEN_SECRET"] = secrets.token_urlsafe(32)
    writer, reader = (
        [f"Authorization: Bearer {_token(s)}"] for s in ("--scope=write", "--scope=read")
    )
    server = WholeServer("--log-level=info")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        try:
            server.serve(folder)
            for path, body in (
                ("/boards/", {"id": BOARD}),
                (f"/boards/{BOARD}/players/", {"id": "player-1", "name": "One", "score": 1}),
            ):
                call(server.port, "POST", path, body, *writer)
            found: dict[str, tuple[list[float], list[float]]] = {}
            for _ in range(rounds):
                for kind, path in KINDS.items():
                    plain, more = found.setdefault(kind, ([], []))
                    without = _cost(server, path, seconds, [])
                    plain.append(without)
                    more.append(_cost(server, path, seconds, reader) - without)
        finally:
            server.stop()
    return {kind: (median(plain), sorted(more)) for kind, (plain, more) in found.items()}


def _cost(server: WholeServer, path: str, seconds: float, fields: Sequence[str]) -> float:
    before = server.cpu_seconds()
    count = answered(server.port, path, seconds, [f"-H{field}" for field in fields])
    return 1e6 * (server.cpu_seconds() - before) / count


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    lines = [
        f"| {CONNECTIONS} connections | CPU a request without a token | more with one: median "
        "| quartiles |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind, (plain, more) in measure(*((1, 3) if quick else (SECONDS, ROUNDS))).items():
        low, high = more[len(more) // 4], more[-1 - len(more) // 4]
        lines.append(
            f"| {kind} | {plain:.1f} µs | {median(more):.1f} µs | {low:.1f}, {high:.1f} µs |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    print(report(quick=parser.parse_args(arguments).quick))


if __name__ == "__main__":
    main()
