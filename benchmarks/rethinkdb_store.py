"""What a change costs on RethinkDB: ``python -m benchmarks.rethinkdb_store``.

Two parts, each with everything it compares in the same run, in turns:

* ``writes``: additions per second through HTTP and the time from a POST to its event, with
  additions grouped and with one query each.
* ``sizes``: the cost of a change on boards of 1,000, 100,000 and 1,000,000 players; beside it the
  plain way to a top five, ``order_by(desc('score')).filter(board).limit(5)`` on every change, and
  the reads that the server makes.

Needs ``rethinkdb`` on PATH; the server and its data are temporary.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from rethinkdb.errors import ReqlRuntimeError

from tests.rethinkdb_server import RethinkDBServer
from tornado_board.settings import Settings
from tornado_board.store import open_store
from tornado_board.store.rethinkdb import page_queries, queries
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.driver import run
from tornado_board.store.rethinkdb.standing import STANDING

ROOT = Path(__file__).resolve().parents[1]

#: Starts tornado_board with one query for each addition: as many under way as the store allows.
_ONE_QUERY_EACH = (
    "from tornado_board.store.rethinkdb import writes\n"
    "writes.GROUP_SIZE, writes.GROUPS_IN_FLIGHT = 1, 128\n"
    "from tornado_board.server import main\n"
    "raise SystemExit(main())\n"
)

#: Players that one query inserts.
_BATCH = 2_000

_insert = queries.prepared(
    lambda p: r.table("players").insert(
        r.json(p["documents"]).map(
            lambda d: {"id": d[0], "board": "b", "name": d[1], "score": d[2]}
        )
    )
)


class Process:
    """A tornado_board process on `database_url`."""

    def __init__(self, database_url: str, grouped: bool = True) -> None:
        program = [str(ROOT / "run.py")] if grouped else ["-c", _ONE_QUERY_EACH]
        self._folder = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, *program, "--port=0", "--address=127.0.0.1"],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "DATABASE_URL": database_url,
                "TORNADO_BOARD_LOG_LEVEL": "warning",  # no line for each request
            },
            cwd=self._folder.name,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if " serves http://" in line:
                self.port = int(line.partition(" serves http://")[2].split(":")[1].split("/")[0])
            if "Ctrl-C" in line:
                return
        raise RuntimeError("tornado_board did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate()
        self._folder.cleanup()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """One HTTP connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def open(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def add(self, board: str, player: str) -> int:
        """Add 1 and return the score."""
        path = f"/boards/{board}/players/{player}/score-add/"
        self._writer.write(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        answer = json.loads(await self._reader.readexactly(length))
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{path}: {answer}")
        return int(answer["score"])

    def close(self) -> None:
        self._writer.close()


class Stream:
    """An event stream of a board."""

    def __init__(self, port: int, board: str) -> None:
        self._port, self._board = port, board
        self._expected: dict[tuple[str, int], asyncio.Future[float]] = {}

    async def open(self) -> Stream:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writer.write(
            f"GET /boards/{self._board}/ HTTP/1.1\r\nHost: localhost\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        self._task = asyncio.create_task(self._read())
        return self

    def expect(self, player: str, score: int) -> asyncio.Future[float]:
        """When an event shows `player` with `score`."""
        future = asyncio.get_running_loop().create_future()
        self._expected[player, score] = future
        return future

    async def _read(self) -> None:
        while line := await self._reader.readline():
            now = time.perf_counter()
            if line.startswith(b"data: "):
                for player in json.loads(line[6:])["players"]:
                    future = self._expected.pop((player["id"], player["score"]), None)
                    if future is not None:
                        future.set_result(now)

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()


@contextlib.contextmanager
def rethinkdb(cache_size: int) -> Iterator[RethinkDBServer]:
    """A RethinkDB server with a cache of so many MB."""
    with tempfile.TemporaryDirectory() as folder:
        server = RethinkDBServer(Path(folder), cache_size)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A function that runs ReQL."""
    driver = await Address.parse(url).connect(10)
    yield lambda term, **options: run(driver, term, 600, **options)
    await driver.close(noreply_wait=False)


async def make_board(url: str, size: int) -> None:
    """Make a board ``b`` with `size` players: ``top`` far above, the others with random scores."""
    store = await open_store(url, Settings())
    await store.close()
    draw = random.Random(size)
    async with connected(url) as query:
        await query(r.table("boards").insert({"id": "b"}))
        top = {"id": "top", "board": "b", "name": "Top", "score": 10**9}
        await query(r.table("players").insert(top))
        starts = iter(range(0, size - 1, _BATCH))

        async def insert() -> None:
            for start in starts:
                documents = [
                    [f"p{n}", f"Player {n}", draw.randrange(10**6)]
                    for n in range(start, min(start + _BATCH, size - 1))
                ]
                await query(_insert(documents=json.dumps(documents)), durability="soft")

        await asyncio.gather(*[insert() for _ in range(4)])
        await query(r.table("players").sync())


async def event_times(port: int, number: int, seconds: float = math.inf) -> list[float]:
    """Times from a POST to the event that shows it, in ms: of `number`, one after the other, or
    as many as begin within `seconds`."""
    deadline = time.perf_counter() + seconds
    client, stream = await Client(port).open(), await Stream(port, "b").open()
    score = await client.add("b", "top")
    times = []
    for _ in range(number):
        await asyncio.sleep(0.08 + 0.04 * random.random())  # past the coalescing of the last one
        if time.perf_counter() > deadline:
            break
        score += 1
        seen = stream.expect("top", score)
        began = time.perf_counter()
        await client.add("b", "top")
        times.append((await asyncio.wait_for(seen, 30) - began) * 1000)
    client.close()
    stream.close()
    return times


async def load(port: int, size: int, active: int, clients: int, seconds: float) -> float:
    """Additions per second of `clients`, as fast as they are answered, to random players: to
    `active` ones all over a board of `size`."""
    deadline = time.perf_counter() + seconds
    done = 0

    async def one(client: Client) -> None:
        nonlocal done
        while time.perf_counter() < deadline:
            await client.add("b", f"p{random.randrange(active) * (size - 1) // active}")
            done += 1

    opened = [await Client(port).open() for _ in range(clients)]
    began = time.perf_counter()
    await asyncio.gather(*map(one, opened))
    rate = done / (time.perf_counter() - began)
    for client in opened:
        client.close()
    return rate


def quantiles(times: list[float]) -> str:
    ordered = sorted(times)
    late = ordered[int(len(ordered) * 0.95)]
    return f"median {statistics.median(ordered):.1f} ms, 95% within {late:.1f} ms"


async def writes(seconds: float, rounds: int) -> None:
    """Grouped additions against one query each."""
    size = 2_000
    with rethinkdb(1024) as server:
        kinds = {}
        for name, grouped in (("grouped", True), ("one query each", False)):
            url = server.url(name.replace(" ", "_"))
            await make_board(url, size)
            kinds[name] = Process(url, grouped)
        for clients in (1, 32, 256):
            rates: dict[str, list[float]] = {name: [] for name in kinds}
            cpu: dict[str, list[float]] = {name: [] for name in kinds}
            times: dict[str, list[float]] = {name: [] for name in kinds}
            for _ in range(rounds):
                for name, process in kinds.items():
                    before = cpu_seconds(process.pid)
                    probe = asyncio.create_task(event_times(process.port, 1000, seconds))
                    rate = await load(process.port, size, size - 1, clients, seconds)
                    cpu[name].append((cpu_seconds(process.pid) - before) / (rate * seconds) * 1e6)
                    rates[name].append(rate)
                    times[name] += await probe
            for name in kinds:
                print(
                    f"{clients:4} clients, {name:14}: {statistics.median(rates[name]):5.0f} "
                    f"additions/s ({min(rates[name]):.0f} to {max(rates[name]):.0f}), "
                    f"{statistics.median(cpu[name]):4.0f} µs of Python each; "
                    f"POST to event: {quantiles(times[name])}",
                    flush=True,
                )
        for name, process in kinds.items():
            times_idle = await event_times(process.port, 20 * rounds)
            print(f"   no clients, {name:14}: POST to event: {quantiles(times_idle)}", flush=True)
            process.stop()


async def sizes(numbers: list[int], seconds: float, rounds: int) -> None:
    """The cost of a change by the size of its board; each board has a database of its own."""
    with rethinkdb(4096) as server:
        processes = {}
        for size in numbers:
            began = time.perf_counter()
            await make_board(server.url(f"board_{size}"), size)
            processes[size] = Process(server.url(f"board_{size}"))
            print(f"{size:9,} players made in {time.perf_counter() - began:.0f} s", flush=True)
        streams = [await Stream(process.port, "b").open() for process in processes.values()]
        cases = [(size, active) for active in (999, None) for size in numbers]
        rates: dict[Any, list[float]] = {case: [] for case in cases}
        python: dict[Any, list[float]] = {case: [] for case in cases}
        database: dict[Any, list[float]] = {case: [] for case in cases}
        times: dict[Any, list[float]] = {case: [] for case in cases}
        for size, process in processes.items():
            await load(process.port, size, size - 1, 32, 2)  # warms the caches
        for _ in range(rounds):
            for case in cases:
                size, active = case
                process = processes[size]
                pids = process.pid, server.pid
                before = [cpu_seconds(pid) for pid in pids]
                rate = await load(process.port, size, active or size - 1, 32, seconds)
                used = [cpu_seconds(pid) - b for pid, b in zip(pids, before, strict=True)]
                rates[case].append(rate)
                python[case].append(used[0] / (rate * seconds) * 1e6)
                database[case].append(used[1] / (rate * seconds) * 1e6)
                times[case] += await event_times(process.port, 10)
        for case in cases:
            size, active = case
            print(
                f"{size:9,} players, additions to {'999' if active else 'all'}: "
                f"{statistics.median(rates[case]):4.0f} a second, of each "
                f"{statistics.median(python[case]):4.0f} µs of Python and "
                f"{statistics.median(database[case]):4.0f} µs of RethinkDB; "
                f"POST to event: {quantiles(times[case])}",
                flush=True,
            )
        for stream in streams:
            stream.close()
        for process in processes.values():
            process.stop()
        for size in numbers:
            await reads(server.url(f"board_{size}"), size, 4 * rounds)


async def reads(url: str, size: int, rounds: int) -> None:
    """The plain top five, and the reads that the server makes."""
    plain = (
        r.table("players")
        .order_by(r.desc("score"))
        .filter({"board": "b"})
        .limit(5)
        .coerce_to("array")
    )
    lowest = (
        r.table("players")
        .between(["b", r.minval], ["b", r.maxval], index=STANDING)
        .order_by(index=r.desc(STANDING))
        .limit(1)["score"]
        .coerce_to("array")
    )
    top = page_queries.PAGES["desc", False](
        board="b", partition="b", season=None, ascending=False, place=None, limit=5
    )
    async with connected(url) as query:
        (score,) = await query(lowest)
        for name, term in (
            ("the plain top five", plain),
            ("the top five by the index", top),
            (
                "the rank of the last",
                page_queries.count_better(
                    board="b", partition="b", season=None, ascending=False, score=score
                ),
            ),
        ):
            times = []
            try:
                for _ in range(rounds):
                    began = time.perf_counter()
                    await query(term)
                    times.append((time.perf_counter() - began) * 1000)
                result = quantiles(times)
            except ReqlRuntimeError as error:
                result = f"fails: {error.message}"
            print(f"{size:9,} players, {name:25}: {result}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["writes", "sizes"])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=5, help="measurements of which the median")
    parser.add_argument("--sizes", default="1000,100000,1000000")
    options = parser.parse_args()
    numbers = [int(size) for size in options.sizes.split(",")]
    print("python -m benchmarks.rethinkdb_store", *sys.argv[1:], flush=True)
    if "writes" in options.parts:
        asyncio.run(writes(options.seconds, options.rounds))
    if "sizes" in options.parts:
        asyncio.run(sizes(numbers, options.seconds, options.rounds))


if __name__ == "__main__":
    main()
