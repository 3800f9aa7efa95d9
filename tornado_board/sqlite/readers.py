"""Threads that read the file, shared fairly by those who ask."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from tornado_board.sqlite.files import DatabaseUnavailable

T = TypeVar("T")

#: How long, in seconds, a read may take. While one lasts the WAL can't begin anew, and grows.
_READ_TIME = 10.0

#: Steps of SQLite's virtual machine (some milliseconds) after which a read looks at the clock.
_READ_STEPS = 100_000


class Readers:
    """Runs reads in as many threads as there are `connections`.

    Reads wait in a queue for each `share` (a board, say), and the queues take turns, so that many
    reads of one board delay another board's by one read and not by all of them. Those that may be
    `slow` have one thread at the most, and one as soon as one is free.
    """

    def __init__(
        self, name: str, connections: Sequence[sqlite3.Connection], limit: int, share_limit: int
    ) -> None:
        """`limit` reads may wait or run at a time, of one share `share_limit`."""
        self._name = name
        self._connections = connections
        self._limit = limit
        self._share_limit = share_limit
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPoolExecutor(len(connections), thread_name_prefix=f"{name}-reader")
        self._idle: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._deadlines: dict[sqlite3.Connection, float] = {}
        for connection in connections:
            self._idle.put(connection)
            connection.set_progress_handler(partial(self._is_late, connection), _READ_STEPS)
        self._quick: _Turns = _Turns()
        self._slow: _Turns = _Turns()
        self._running = 0
        self._slow_running = False
        self._waiting: dict[str, int] = {}
        self._total = 0
        self._joinable: dict[Hashable, _Job] = {}
        self._closed = False

    async def run(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        share: str = "",
        slow: bool = False,
        key: Hashable = None,
    ) -> T:
        """The result of `work`, on one state of the file that is not older than this call.

        Reads with the same `key` that have not begun become one. Raises what `work` raises, and
        `DatabaseUnavailable`, also where too many reads are waiting.
        """
        if self._closed:
            raise DatabaseUnavailable(f"{self._name} is closed")
        waiting = self._waiting.get(share, 0)
        if self._total >= self._limit or waiting >= self._share_limit:
            raise DatabaseUnavailable("too many reads are waiting")
        outcome: asyncio.Future[T] = self._loop.create_future()
        job = self._joinable.get(key) if key is not None else None
        if job is None:
            job = _Job(work, share, slow, key)
            if key is not None:
                self._joinable[key] = job
            (self._slow if slow else self._quick).add(job)
        job.outcomes.append(outcome)
        self._waiting[share] = waiting + 1
        self._total += 1
        try:
            self._start()
            return await outcome
        finally:
            self._total -= 1
            self._waiting[share] -= 1
            if not self._waiting[share]:
                del self._waiting[share]

    async def close(self) -> None:
        """Refuse what waits, and finish what runs."""
        self._closed = True
        while (job := self._slow.take() or self._quick.take()) is not None:
            job.fail(DatabaseUnavailable(f"{self._name} is closed"))
        await asyncio.to_thread(self._pool.shutdown)
        await asyncio.sleep(0)  # the last outcomes are on their way to the loop
        for connection in self._connections:
            connection.close()

    def _start(self) -> None:
        while self._running < len(self._connections):
            job = self._next()
            if job is None:
                return
            if job.key is not None:
                self._joinable.pop(job.key, None)
            if job.is_abandoned:
                continue
            self._running += 1
            self._slow_running = self._slow_running or job.slow
            future = self._loop.run_in_executor(self._pool, self._read, job.work)
            future.add_done_callback(partial(self._finished, job))

    def _next(self) -> _Job | None:
        if not self._slow_running and (job := self._slow.take()) is not None:
            return job
        return self._quick.take()

    def _finished(self, job: _Job, future: asyncio.Future[Any]) -> None:
        self._running -= 1
        if job.slow:
            self._slow_running = False
        if future.cancelled():
            job.fail(DatabaseUnavailable(f"{self._name} is closed"))
        elif (error := future.exception()) is not None:
            job.fail(error)
        else:
            job.succeed(future.result())
        self._start()

    # In a reader's thread

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.get()
        self._deadlines[connection] = time.monotonic() + _READ_TIME
        try:
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            if self._is_late(connection):
                raise DatabaseUnavailable(
                    f"{self._name}: a read was broken off after {_READ_TIME:g} s"
                ) from error
            raise DatabaseUnavailable(f"{self._name}: {error}") from error
        finally:
            self._idle.put(connection)

    def _is_late(self, connection: sqlite3.Connection) -> bool:
        return time.monotonic() > self._deadlines.get(connection, float("inf"))


class _Job:
    """A read, and those who wait for it."""

    __slots__ = ("key", "outcomes", "share", "slow", "work")

    def __init__(
        self, work: Callable[[sqlite3.Connection], Any], share: str, slow: bool, key: Hashable
    ) -> None:
        self.work = work
        self.share = share
        self.slow = slow
        self.key = key
        self.outcomes: list[asyncio.Future[Any]] = []

    @property
    def is_abandoned(self) -> bool:
        return all(outcome.done() for outcome in self.outcomes)

    def succeed(self, result: Any) -> None:
        for outcome in self.outcomes:
            if not outcome.done():
                outcome.set_result(result)

    def fail(self, error: BaseException) -> None:
        for outcome in self.outcomes:
            if not outcome.done():
                outcome.set_exception(error)


class _Turns:
    """A queue for each share, which take turns."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: OrderedDict[str, deque[_Job]] = OrderedDict()

    def add(self, job: _Job) -> None:
        self._queues.setdefault(job.share, deque()).append(job)

    def take(self) -> _Job | None:
        """The next job; ``None`` if there is none."""
        if not self._queues:
            return None
        share, jobs = self._queues.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self._queues[share] = jobs
        return job
