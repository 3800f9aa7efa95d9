"""How long a board stands still while a process takes over: ``python -m benchmarks.take_over``.

Two processes share a RethinkDB and a Redis. A stream of the follower is watched and additions are
posted to it while the publisher is stopped (SIGTERM, as a restart does) or killed (SIGKILL, so that
its lease has to run out). The figure is the longest spell without an event in the seconds after the
signal. A process is started in the place of the one that went, and is the next follower.

Needs ``rethinkdb`` and ``redis-server`` on PATH.
"""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import statistics
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.peers.tornado_board import BOARD, WholeServer, call, make_board
from benchmarks.processes import Failed
from benchmarks.redis import shared_servers
from tests.redis_server import RedisServer

#: Between two additions.
_PAUSE_S = 0.02

#: How long a stream is watched after the signal: a lease runs out in 3 s.
_WATCHED_S = 8.0


def measure(rounds: int) -> str:
    """The times of `rounds` take-overs of each kind, as Markdown."""
    lines = ["| the publisher is | p50 | slowest |", "| --- | ---: | ---: |"]
    with shared_servers() as (rethinkdb, redis_server), tempfile.TemporaryDirectory() as name:
        options = (
            "--coalesce=0.05",
            f"--database-url={rethinkdb.url('board')}",
            f"--redis-url={redis_server.url}",
        )
        servers: list[WholeServer] = []
        count = 0

        def another() -> WholeServer:
            nonlocal count
            count += 1
            folder = Path(name) / str(count)
            folder.mkdir()
            server = WholeServer(*options)
            server.serve(folder)
            return server

        try:
            servers = [another(), another()]
            make_board(servers[0].port, BOARD, 5)
            for words, sign in (("stopped", signal.SIGTERM), ("killed", signal.SIGKILL)):
                times = []
                for _ in range(rounds):
                    time.sleep(1)
                    publisher = _publisher(servers, redis_server)
                    servers.remove(publisher)
                    times.append(_longest_pause(servers[0].port, publisher, sign))
                    publisher.stop()
                    servers.append(another())
                lines.append(f"| {words} | {statistics.median(times):.2f} s | {max(times):.2f} s |")
        finally:
            for server in servers:
                server.stop()
    return "\n".join(lines) + "\n"


def _publisher(servers: list[WholeServer], redis_server: RedisServer) -> WholeServer:
    """The one of `servers` that has the lease."""
    pid = redis_server.lease_pid()
    [publisher] = [server for server in servers if server.process.pid == pid]
    return publisher


def _longest_pause(port: int, publisher: WholeServer, sign: signal.Signals) -> float:
    """Send `sign` to `publisher` and watch the process at `port`; the longest time in seconds
    between two events of a stream there. Raises `Failed` where none comes in the end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_WATCHED_S)
    connection.request("GET", f"/boards/{BOARD}/events/", headers={"Accept": "text/event-stream"})
    stream = connection.getresponse()
    ended = threading.Event()

    def add() -> None:
        path = f"/boards/{BOARD}/players/player-1/score-add/"
        while not ended.wait(_PAUSE_S):
            call(port, "POST", path, {"amount": 1})

    adding = threading.Thread(target=add)
    adding.start()
    try:
        for _ in range(10):  # until events come regularly
            stream.readline()
        os.kill(publisher.process.pid, sign)
        began = before = time.monotonic()
        longest = 0.0
        while before - began < _WATCHED_S:
            if not (line := stream.readline()):
                raise Failed("the stream ended")
            if line.startswith(b"data:"):
                now = time.monotonic()
                longest, before = max(longest, now - before), now
        return longest
    except TimeoutError:
        raise Failed(f"no event for {_WATCHED_S:g} s") from None
    finally:
        ended.set()
        adding.join()
        connection.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of each kind")
    print(measure(parser.parse_args().rounds), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
