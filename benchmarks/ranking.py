"""What ranks cost: ``python -m benchmarks.ranking [memory] [stores] [http]``.

* ``memory``: a million scores, their memory, an update and a rank, beside the same in Redis over a
  socket (``ZADD``, ``ZREVRANK``), one at a time and many in a pipeline.
* ``stores``: a board of a million players on each store: the store's own count and rank, and how
  long after a resync the board's ranks are known again, with how much of the event loop's thread.

* ``http``: reads of such a board over HTTP (``benchmarks.lookups``), and many submissions in a
  request (``benchmarks.bulk``), on each store.

Times are of the processor in this process, unless it says otherwise. Needs ``redis-server``, and
for the second store ``rethinkdb``, on PATH.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import random
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks import bulk, lookups
from benchmarks.processes import memory_bytes
from benchmarks.rethinkdb_store import make_board
from tests.redis_server import RedisServer
from tests.rethinkdb_server import RethinkDBServer
from tests.waiting import until
from tornado_board.inputs import NewBoard, Submission
from tornado_board.ranking.ranks import Merits, Sorting
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.rank_scan import give_memory_back
from tornado_board.realtime.ranks import Ranks
from tornado_board.settings import Settings
from tornado_board.store import AlreadyExists, Store, open_store

PLAYERS = 1_000_000

_CALLS = 100_000

#: Commands to Redis one at a time, and in one pipeline.
_COMMANDS, _PIPELINE = 5_000, 1_000

#: Seconds within which ranks have to be known.
_PATIENCE = 120.0

#: Submissions in one call, when a board is filled.
_FILLED_AT_ONCE = 10_000


def _microseconds(calls: Sequence[Callable[[], object]]) -> float:
    """The processor's time for one of `calls`."""
    began = time.process_time()
    for call in calls:
        call()
    return 1e6 * (time.process_time() - began) / len(calls)


def _wall_microseconds(work: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    work()
    return 1e6 * (time.perf_counter() - began) / count


def memory(players: int) -> str:
    """The multiset of scores beside Redis, as Markdown."""
    chance = random.Random(3)
    scores = array("d", (chance.randrange(10**6) for _ in range(players)))
    gc.collect()
    own, began = memory_bytes([os.getpid()]), time.process_time()
    sorting = Sorting()
    for start in range(0, players, 1000):
        sorting.add(scores[start : start + 1000])
    merits, longest = Merits(), 0.0
    step_began = time.thread_time()
    for step in sorting.steps():
        merits.append(step)
        now = time.thread_time()
        longest, step_began = max(longest, now - step_began), now
    built = time.process_time() - began
    del sorting, step
    give_memory_back()
    used = memory_bytes([os.getpid()]) - own
    chosen = [chance.randrange(players) for _ in range(_CALLS)]
    fresh = [chance.randrange(10**6) for _ in range(_CALLS)]

    def change(old: float, new: float) -> Callable[[], None]:
        def call() -> None:
            merits.remove(old)
            merits.add(new)

        return call

    # Each once, so that what is taken out is there.
    pairs = zip(dict.fromkeys(chosen), fresh, strict=False)
    update = _microseconds([change(scores[i], new) for i, new in pairs])
    rank = _microseconds([partial(merits.better_than, score) for score in fresh])
    at = _microseconds([partial(merits.__getitem__, i) for i in chosen])
    lines = [
        f"| of {players:,} scores | here | Redis, one at a time | Redis, in a pipeline |",
        "| --- | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        server = RedisServer(Path(folder))
        server.start()
        try:
            of_redis, add, ask = _redis(server, scores, chance)
        finally:
            server.close()
    lines += [
        f"| memory of each | {used / players:.1f} bytes | {of_redis / players:.1f} bytes | |",
        f"| update | {update:.1f} µs | {add[0]:.0f} µs | {add[1]:.1f} µs |",
        f"| rank of a score | {rank:.1f} µs | {ask[0]:.0f} µs | {ask[1]:.1f} µs |",
        f"| score at a rank | {at:.1f} µs | | |",
        f"| sorted at the start | {built:.2f} s, {1000 * longest:.1f} ms at a time | | |",
    ]
    return "\n".join(lines) + "\n"


def _redis(
    server: RedisServer, scores: Sequence[float], chance: random.Random
) -> tuple[int, tuple[float, float], tuple[float, float]]:
    """A sorted set's memory in bytes; µs of wall time for an update and for a rank, alone and in a
    pipeline."""
    client = server.client
    assert server.process is not None
    before = memory_bytes([server.process.pid])
    for start in range(0, len(scores), 10_000):
        piece = scores[start : start + 10_000]
        client.zadd("b", {f"player-{start + i}": score for i, score in enumerate(piece)})
    used = memory_bytes([server.process.pid]) - before
    names = [f"player-{chance.randrange(len(scores))}" for _ in range(_COMMANDS)]

    def alone(command: Callable[[str], object]) -> float:
        return _wall_microseconds(lambda: [command(name) for name in names], len(names))

    def together(add: Callable[[object, str], object]) -> float:
        def work() -> None:
            for start in range(0, len(names), _PIPELINE):
                pipeline = client.pipeline(transaction=False)
                for name in names[start : start + _PIPELINE]:
                    add(pipeline, name)
                pipeline.execute()

        return _wall_microseconds(work, len(names))

    def zadd(to: object, name: str) -> object:
        return to.zadd("b", {name: chance.randrange(10**6)})  # type: ignore[attr-defined]

    def zrevrank(to: object, name: str) -> object:
        return to.zrevrank("b", name)  # type: ignore[attr-defined]

    add = alone(lambda name: zadd(client, name)), together(zadd)
    rank = alone(lambda name: zrevrank(client, name)), together(zrevrank)
    return used, add, rank


@contextlib.contextmanager
def _urls() -> Iterator[dict[str, str]]:
    """An empty database of each store there is."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        urls = {"SQLite": f"sqlite:///{folder}/board.sqlite3"}
        server = RethinkDBServer(Path(folder))
        server.start()
        try:
            yield urls | {"RethinkDB": server.url("bench")}
        finally:
            server.kill()


@contextlib.asynccontextmanager
async def _filled(url: str, players: int) -> AsyncIterator[Store]:
    if url.startswith("rethinkdb:"):
        await make_board(url, players)
        players = 0
    store = await open_store(url, Settings())
    try:
        with contextlib.suppress(AlreadyExists):
            await store.create_board(NewBoard(id="b"))
        chance = random.Random(4)
        for start in range(0, players, _FILLED_AT_ONCE):
            many = [
                Submission(score=chance.randrange(10**6), id=f"player-{i}")
                for i in range(start, min(start + _FILLED_AT_ONCE, players))
            ]
            await store.submit("b", many)
        yield store
    finally:
        await store.close()


async def _measure(name: str, url: str, players: int, rounds: int) -> str:
    async with _filled(url, players) as store:
        feed = Changefeed(store)
        ranks = Ranks(store, feed, Settings())
        counts, counted_ranks, known, busy = [], [], [], []
        try:
            for _ in range(rounds):
                began = time.perf_counter()
                await store.count("b")
                counts.append(time.perf_counter() - began)
                began = time.perf_counter()
                await store.rank("b", 10)
                counted_ranks.append(time.perf_counter() - began)
                ranks.resync()
                began, thread = time.perf_counter(), time.thread_time()
                await until(lambda: ranks.known("b") is not None, _PATIENCE)
                known.append(time.perf_counter() - began)
                busy.append(time.thread_time() - thread)
            scores = range(0, 10**6, 1000)
            began = time.process_time()
            for score in scores:
                await ranks.standing("b", score)
            standing = 1e6 * (time.process_time() - began) / len(scores)
        finally:
            await ranks.close()
            await feed.close()
    return (
        f"| {name} | {1000 * median(counts):.0f} ms | {1000 * median(counted_ranks):.0f} ms "
        f"| {standing:.1f} µs | {median(known):.1f} s | {median(busy):.1f} s |\n"
    )


def stores(names: Sequence[str], players: int, rounds: int) -> str:
    """How the stores count, and how soon ranks are known, as Markdown."""
    table = (
        f"| {players:,} players | the store's count | the store's rank | from memory "
        "| known after a resync | of it the event loop's thread |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
    )
    with _urls() as urls:
        for name in names:
            table += asyncio.run(_measure(name, urls[name], players, rounds))
    return table


def over_http(names: Sequence[str], players: int, seconds: float) -> str:
    """Reads and submissions over HTTP on each store, as Markdown."""
    parts = []
    with _urls() as urls:
        for name in names:
            option = f"--database-url={urls[name]}"
            reads = lookups.measure(players, seconds, option, board="lookups")
            parts.append(f"{name}:\n\n{lookups.table(reads, players)}")
            parts.append(bulk.report(seconds, option, players=min(players, bulk.PLAYERS)))
    return "\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=["memory", "stores", "http"])
    parser.add_argument("--players", type=int, default=PLAYERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="for each figure over HTTP")
    parser.add_argument("--stores", nargs="*", default=["SQLite", "RethinkDB"])
    options = parser.parse_args()
    if "memory" in options.parts:
        print(memory(options.players), flush=True)
    if "stores" in options.parts:
        print(stores(options.stores, options.players, options.rounds), flush=True)
    if "http" in options.parts:
        print(over_http(options.stores, options.players, options.seconds), flush=True)


if __name__ == "__main__":
    main()
