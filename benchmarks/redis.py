"""What Redis and several processes cost: ``python -m benchmarks.redis [append|events|storm]``.

* ``append``: events appended and published a second, by one process, and the processor's time for
  each in this process and in Redis.
* ``events``: from a POST to its event on a stream, within the publishing process and across
  processes.
* ``storm``: 5,000 clients that come back at once after a restart with ``Last-Event-ID``, with one
  process and with two.
* ``prune``: 10,000 logs, and how long the event loop is kept busy at a time.

Needs ``redis-server`` and, but for ``append`` and ``prune``, ``rethinkdb`` on PATH; the servers and
their data are temporary.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import additions, arrival
from benchmarks.peers.tornado_board import BOARD, WholeServer, make_board
from benchmarks.processes import cpu_seconds, raise_file_limit
from tests.redis_server import RedisServer
from tests.rethinkdb_server import RethinkDBServer
from tornado_board.cluster.keys import Keys
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.settings import Settings

CLIENTS = 5_000

#: A board of five players is about as long.
_EVENT = "x" * 300

_LOGS = 10_000

_KEYS = Keys(Settings().redis_prefix, "benchmark")


@contextlib.contextmanager
def _redis() -> Iterator[RedisServer]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = RedisServer(Path(folder))
        try:
            yield server.start()
        finally:
            server.close()


@contextlib.contextmanager
def shared_servers() -> Iterator[tuple[RethinkDBServer, RedisServer]]:
    """Both servers, empty."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, _redis() as redis_server:
        rethinkdb = RethinkDBServer(Path(folder))
        rethinkdb.start()
        try:
            yield rethinkdb, redis_server
        finally:
            rethinkdb.kill()


def append(seconds: float) -> str:
    """Events a second and the cost of each, as Markdown."""
    lines = [
        "| boards at once | appended and published/s | this process | Redis |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for boards in (1, 4, 16):
        with _redis() as server:
            assert server.process is not None
            pids = ([os.getpid()], [server.process.pid])
            before = [cpu_seconds(p) for p in pids]
            count = asyncio.run(_append_for(seconds, server.url, boards))
            used = [1e6 * (cpu_seconds(p) - b) / count for p, b in zip(pids, before, strict=True)]
        rate = count / seconds
        lines.append(f"| {boards} | {rate:,.0f} | {used[0]:.0f} µs | {used[1]:.0f} µs |")
    return "\n".join(lines) + "\n"


async def _append_for(seconds: float, url: str, boards: int) -> int:
    log = await RedisReplayLog.open(url, Settings(), _KEYS.identity)
    end = time.monotonic() + seconds

    async def one(board_id: str) -> int:
        count, last = 0, None
        while time.monotonic() < end:
            last = await log.append(board_id, _EVENT, after=last)
            count += 1
        return count

    try:
        return sum(await asyncio.gather(*[one(f"board-{number}") for number in range(boards)]))
    finally:
        await log.close()


def events(seconds: float) -> str:
    """The time from a POST to its event within and across processes, as Markdown."""
    lines = ["| POST to | stream of | p50 | p99 |", "| --- | --- | ---: | ---: |"]
    with shared_servers() as (rethinkdb, redis_server), tempfile.TemporaryDirectory() as name:
        options = (
            "--coalesce=0.05",
            f"--database-url={rethinkdb.url('board')}",
            f"--redis-url={redis_server.url}",
        )
        servers = [WholeServer(*options) for _ in range(2)]
        try:
            for number, server in enumerate(servers):
                folder = Path(name) / str(number)
                folder.mkdir()
                server.serve(folder)
            make_board(servers[0].port, BOARD, additions.PLAYERS)
            time.sleep(1)
            pid = redis_server.lease_pid()
            servers.sort(key=lambda server: server.process.pid != pid)
            roles = ("publisher", "follower")
            for stream, stream_role in zip(servers, roles, strict=True):
                for poster, post_role in zip(servers, roles, strict=True):
                    times = asyncio.run(additions.time_events(stream.port, seconds, poster.port))
                    lines.append(
                        f"| {post_role} | {stream_role} | {times.p50:.1f} ms | {times.p99:.1f} ms |"
                    )
        finally:
            for server in servers:
                server.stop()
    return "\n".join(lines) + "\n"


def storm(clients: int) -> str:
    """How long it takes until all clients are caught up, as Markdown."""
    lines = [
        "| processes | all caught up | p50 | p99 | CPU a client, all processes |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for processes in (1, 2):
        with shared_servers() as (rethinkdb, redis_server):
            r = arrival.measure(
                clients,
                "--coalesce=0",
                f"--database-url={rethinkdb.url('board')}",
                f"--redis-url={redis_server.url}",
                f"--processes={processes}",
            )
        lines.append(
            f"| {processes} | {r['seconds']:.2f} s | {r['p50_ms']:,.0f} ms | {r['p99_ms']:,.0f} ms "
            f"| {r['cpu_us']:.0f} µs |"
        )
    return (
        "\n".join(lines)
        + f"\n\n{clients:,} clients, each {arrival.MISSED} events behind; none lost an event or "
        "got one twice.\n"
    )


def prune() -> str:
    """How long pruning takes, and how long it keeps the loop busy at a time."""

    async def measure(url: str) -> tuple[float, float, int]:
        settings = dataclasses.replace(Settings(), replay_retention=60.0)
        log = await RedisReplayLog.open(url, settings, _KEYS.identity)
        busy = 0.0

        async def watch() -> None:
            nonlocal busy
            before = time.thread_time()
            while True:
                await asyncio.sleep(0)
                now = time.thread_time()
                busy, before = max(busy, now - before), now

        watching = asyncio.create_task(watch())
        try:
            began = time.perf_counter()
            pruned = await log.prune()
            return time.perf_counter() - began, busy, pruned
        finally:
            watching.cancel()
            await log.close()

    with _redis() as server:
        seconds, microseconds = server.client.time()
        now = seconds * 1000 + microseconds // 1000
        pipeline = server.client.pipeline(transaction=False)
        for number in range(_LOGS):
            for n, age in ((1, 90_000), (2, 61_000), (3, 1_000)):
                pipeline.xadd(_KEYS.stream(str(number)), {"data": _EVENT}, f"{now - age}-{n}")
            if number % 1_000 == 999:
                pipeline.execute()
        took, busy, pruned = asyncio.run(measure(server.url))
    return (
        f"{_LOGS:,} logs were rid of {pruned:,} old events in {took:.2f} s; the event loop was "
        f"busy for {1000 * busy:.1f} ms at a time at most.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = ("append", "events", "storm", "prune")
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(parts))
    parser.add_argument("--seconds", type=float, default=5, help="for each line of a table")
    parser.add_argument("--clients", type=int, default=CLIENTS, help="in the storm")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    raise_file_limit()
    for part in chosen.parts or parts:
        print(f"## {part}\n", flush=True)
        if part == "append":
            print(append(chosen.seconds), flush=True)
        elif part == "events":
            print(events(chosen.seconds), flush=True)
        elif part == "storm":
            print(storm(chosen.clients), flush=True)
        else:
            print(prune(), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
