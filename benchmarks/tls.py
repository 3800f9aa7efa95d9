"""Streams over TLS: ``python -m benchmarks.tls``.

The CPU time of an event over TLS as a ratio to a plain one, of this server's hub and of a C loop
of ``send`` and ``SSL_write``, in turns. Needs ``openssl``, and the headers of OpenSSL
(``apt-get install libssl-dev``).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks import payload
from benchmarks.peers.tornado_board import HubDirect
from benchmarks.processes import Failed, Process, python, raise_file_limit
from benchmarks.programs import program

STREAMS = 1_000
ROUNDS = 5

#: Players that an event shows.
PLAYERS = (5, 100)

#: Events a second to all, and for how many seconds.
_RATE, _SECONDS = 20, 1.0


def certificate(folder: Path) -> tuple[Path, Path]:
    """PEM files of a new certificate for localhost and of its key."""
    if shutil.which("openssl") is None:
        raise Failed("openssl is not installed")
    chain, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(chain), "-subj", "/CN=localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


def _read(stack: ExitStack, folder: Path, *arguments: object) -> None:
    reader = Process(
        python("benchmarks.peers.reader", *map(str, arguments)), log=folder / "reader.log"
    )
    stack.callback(reader.stop)
    reader.answer(120)


def _per_event(hub: HubDirect, streams: int) -> float:
    before = hub.cpu_seconds()
    published = int(hub.publish(_RATE, _SECONDS)["published"])
    return 1e6 * (hub.cpu_seconds() - before) / (published * streams)


def measure(players: int, streams: int = STREAMS, rounds: int = ROUNDS) -> dict[str, float]:
    """µs of an event, medians of the rounds, and of the ratios within each round."""
    found: dict[str, list[float]] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        chain, key = certificate(folder)
        size = len(payload.data(1, players)) + 60
        floor = subprocess.Popen(
            [program("tls_floor", "ssl", "crypto"), str(streams), str(size), chain, key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(floor.wait)
        stack.callback(floor.kill)
        assert floor.stdin is not None
        assert floor.stdout is not None
        for kind, port in zip(("plain", "tls"), floor.stdout.readline().split(), strict=True):
            _read(stack, folder, port, streams, kind)
        hubs = {
            "plain": HubDirect(players=players),
            "tls": HubDirect(players=players, tls=(str(chain), str(key))),
        }
        for kind, hub in hubs.items():
            (folder / kind).mkdir()
            stack.callback(hub.stop)
            hub.start(folder / kind)
            _read(stack, folder, hub.port, streams, kind, hub.path.replace("%d", "0"))
        for _ in range(rounds):
            print(file=floor.stdin, flush=True)
            plain, secure = map(float, floor.stdout.readline().split())
            own = {kind: _per_event(hub, streams) for kind, hub in hubs.items()}
            figures = {
                "floor_plain": plain,
                "floor_tls": secure,
                "floor_ratio": secure / plain,
                "own_plain": own["plain"],
                "own_tls": own["tls"],
                "own_ratio": own["tls"] / own["plain"],
                "to_floor": own["tls"] / secure,
            }
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
    return {name: median(values) for name, values in found.items()}


def report(rounds: int = ROUNDS) -> str:
    """The figures as Markdown."""
    lines = [
        f"| {STREAMS:,} streams, players | `send` in C | `SSL_write` in C | ratio | this server's "
        "hub, plain | over TLS | ratio | of `SSL_write` |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for players in PLAYERS:
        of = measure(players, rounds=rounds)
        lines.append(
            f"| {players} | {of['floor_plain']:.1f} µs | {of['floor_tls']:.1f} µs "
            f"| {of['floor_ratio']:.2f} | {of['own_plain']:.1f} µs | {of['own_tls']:.1f} µs "
            f"| {of['own_ratio']:.2f} | {of['to_floor']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    raise_file_limit()
    print(report(parser.parse_args().rounds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
