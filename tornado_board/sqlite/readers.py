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
from tornado_board.sqlite.transactions import begin_read, end_read

T = TypeVar("T")

#: What a read found, or why it failed.
_Result = tuple[Any, BaseException | None]

#: How long, in seconds, a read may take. While one lasts the WAL can't begin anew, and grows.
_READ_TIME = 10.0

#: Quick reads that a thread is handed at a time where there are as many, and at the most; and the
#: seconds after which it begins no other of them. To hand over takes longer than most reads do.
_WORTH_IT, _TOGETHER, _TOGETHER_TIME = 4, 16, 0.001

#: Steps of SQLite's virtual machine (some milliseconds) after which a read looks at the clock.
_READ_STEPS = 100_000


class Readers:
    """Runs reads in as many threads as there are `connections`.

    Reads wait in a queue for each `share` (a board, say), and the queues take turns, so that many
    reads of one board delay another board's by one read, or a millisecond, and not by all of them.
    Those that may be `slow` have one thread at the most, and one as soon as one is free.
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
        self._starting = False
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
        if not self._starting:
            # Not at once: what else is asked for in this turn of the loop is shared out with it.
            self._starting = True
            self._loop.call_soon(self._start)
        try:
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
        self._starting = False
        while self._running < len(self._connections):
            jobs = self._next()
            if not jobs:
                return
            self._running += 1
            self._slow_running = self._slow_running or jobs[0].slow
            future = self._loop.run_in_executor(self._pool, self._read_all, jobs)
            future.add_done_callback(partial(self._finished, jobs))

    def _next(self) -> list[_Job]:
        """What a thread is to read next: one slow read, or some that are quick."""
        if not self._slow_running and (slow := self._taken(self._slow)) is not None:
            return [slow]
        # Each thread that is free has its part of what waits, if that is worth waking it.
        free = len(self._connections) - self._running
        most = min(_TOGETHER, max(_WORTH_IT, -(-len(self._quick) // free)))
        jobs: list[_Job] = []
        while len(jobs) < most and (job := self._taken(self._quick)) is not None:
            jobs.append(job)
        return jobs

    def _taken(self, turns: _Turns) -> _Job | None:
        """The next that somebody waits for, if there is one."""
        while (job := turns.take()) is not None:
            if job.key is not None:
                self._joinable.pop(job.key, None)
            if not job.is_abandoned:
                return job
        return None

    def _finished(self, jobs: list[_Job], future: asyncio.Future[list[_Result]]) -> None:
        self._running -= 1
        if jobs[0].slow:
            self._slow_running = False
        if future.cancelled():
            for job in jobs:
                job.fail(DatabaseUnavailable(f"{self._name} is closed"))
        else:
            results = future.result()
            for job, (found, error) in zip(jobs, results, strict=False):
                if error is not None:
                    job.fail(error)
                else:
                    job.succeed(found)
            for job in reversed(jobs[len(results) :]):
                if self._closed:
                    job.fail(DatabaseUnavailable(f"{self._name} is closed"))
                else:
                    self._quick.put_back(job)
        self._start()

    # In a reader's thread

    def _read_all(self, jobs: Sequence[_Job]) -> list[_Result]:
        """What became of the reads, one after the other; of as many as there was time for. They
        see one state of the file, that of the first: all of them were asked for before it."""
        results: list[_Result] = []
        until = time.monotonic() + _TOGETHER_TIME
        connection = self._idle.get()
        try:
            for job in jobs:
                try:
                    anew = not results or not connection.in_transaction
                    results.append((self._read(connection, job.work, anew=anew), None))
                except BaseException as error:  # whatever it is, those who wait have to be told
                    results.append((None, error))
                if time.monotonic() >= until:
                    break
        finally:
            end_read(connection)
            self._idle.put(connection)
        return results

    def _read(
        self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], T], *, anew: bool
    ) -> T:
        """`anew`: on the file as it is now."""
        self._deadlines[connection] = time.monotonic() + _READ_TIME
        try:
            if anew:
                begin_read(connection)
            return work(connection)
        except sqlite3.Error as error:
            if self._is_late(connection):
                raise DatabaseUnavailable(
                    f"{self._name}: a read was broken off after {_READ_TIME:g} s"
                ) from error
            raise DatabaseUnavailable(f"{self._name}: {error}") from error

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

    __slots__ = ("_queues", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._queues: OrderedDict[str, deque[_Job]] = OrderedDict()

    def __len__(self) -> int:
        return self._size

    def add(self, job: _Job) -> None:
        self._size += 1
        self._queues.setdefault(job.share, deque()).append(job)

    def put_back(self, job: _Job) -> None:
        """It was taken, and is the next again."""
        self._size += 1
        self._queues.setdefault(job.share, deque()).appendleft(job)
        self._queues.move_to_end(job.share, last=False)

    def take(self) -> _Job | None:
        """The next job; ``None`` if there is none."""
        if not self._queues:
            return None
        self._size -= 1
        share, jobs = self._queues.popitem(last=False)
        job = jobs.popleft()
        if jobs:
            self._queues[share] = jobs
        return job
