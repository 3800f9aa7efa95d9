"""Everybody comes back at once: ``python -m benchmarks.arrival``.

A server is restarted, and 10,000 clients connect at the same time with the ``Last-Event-ID`` of an
event that has since been followed by others. Each must get those, in order, none twice.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import BOARD, WholeServer, call
from benchmarks.processes import Failed, raise_file_limit

CLIENTS = 10_000

#: Events that each client has missed.
MISSED = 20


def measure(
    clients: int, *options: str, missed: int = MISSED, loop: str = "asyncio"
) -> dict[str, Any]:
    """The server's CPU for each client in µs, and the time until the last one is caught up.

    `options` are the server's. Raises `Failed` if a client lost an event or got one twice.
    """
    server = WholeServer(*options, loop=loop)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        try:
            server.start(folder)
            # A board that nobody watches has no events.
            watcher = LoadClient(server.port, server.path, 1, log=folder / "watcher.log")
            for _ in range(missed + 5):
                newest = server.publish(1, 0.5)["newest"]  # one, and no waiting for a second
                watcher.settled(newest)
            watcher.stop()
            last_event_id = _id_of(server.port, newest - missed)
            server.stop()
            server.serve(folder)
            cpu = server.cpu_seconds()
            client = LoadClient(
                server.port,
                server.path,
                clients,
                log=folder / "client.log",
                wait=False,
                at_once=clients,
                header=f"Last-Event-ID: {last_event_id}",
                from_seq=newest - missed,
                until_seq=newest,
            )
            try:
                client.wait_until_open()
                report = client.settled(newest, 30)
                time.sleep(1)  # a repetition would show by now
                report = client.report()
                cpu = server.cpu_seconds() - cpu
            finally:
                client.stop()
        finally:
            server.stop()
    if report["caught_up"] != clients or report["lost"] or report["repeated"]:
        raise Failed(
            f"{report['caught_up']} of {clients} caught up, {report['lost']} events lost, "
            f"{report['repeated']} repeated: {report['first_error']}"
        )
    return {
        "clients": clients,
        "missed": missed,
        "cpu_us": 1e6 * cpu / clients,
        "seconds": report["seconds_to_all_caught_up"],
        "p50_ms": report["arrival_us"]["p50"] / 1000,
        "p99_ms": report["arrival_us"]["p99"] / 1000,
        "client_us": 1e6 * report["cpu"] / clients,
    }


def _id_of(port: int, seq: int) -> str:
    """The event id of the event that was published with the number `seq`."""
    for event in call(port, "GET", f"/boards/{BOARD}/events/?history=1000")["events"]:
        if any(player["name"].startswith(f"@{seq}.") for player in event["data"]["players"]):
            event_id: str = event["id"]
            return event_id
    raise Failed(f"event {seq} is not in the log")


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    r = measure(1000 if quick else CLIENTS)
    return (
        f"{r['clients']:,} clients that connected at once after a restart, each {r['missed']} "
        f"events behind, were all caught up after {r['seconds']:.2f} s (half of them within "
        f"{r['p50_ms']:,.0f} ms), at {r['cpu_us']:.0f} µs of the server's CPU each; none lost an "
        "event or got one twice.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 clients")
    raise_file_limit()
    print(report(quick=parser.parse_args().quick))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
