"""Reads that take long: each has a transaction of its own, so that all of it is of one moment."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from tornado_board.sqlite.files import DatabaseUnavailable
from tornado_board.sqlite.transactions import begin_read, end_read

T = TypeVar("T")

_END = object()


class Snapshots:
    """As many reads at a time as there are `connections`, each on a thread of its own.

    While one lasts the WAL can't begin anew, and grows: whoever reads has to bound the time.
    """

    def __init__(self, name: str, connections: Sequence[sqlite3.Connection]) -> None:
        self._name = name
        self._connections = connections
        self._idle = deque(connections)
        self._pool = ThreadPoolExecutor(len(connections), thread_name_prefix=f"{name}-snapshot")
        self._closed = False

    async def read(
        self, work: Callable[[sqlite3.Connection], Iterator[T]]
    ) -> AsyncGenerator[T, None]:
        """What `work` yields, which runs in a thread, on one state of the file that is not older
        than the first step. Nothing is read before it is asked for.

        To be closed (``aclose``) by whoever does not read to the end. Raises what `work` raises,
        and `DatabaseUnavailable`, also where as many are under way as there may be.
        """
        if self._closed or not self._idle:
            reason = "is closed" if self._closed else "too many long reads are under way"
            raise DatabaseUnavailable(f"{self._name}: {reason}")
        reading = _Reading(self._idle.popleft(), work)
        try:
            while (item := await self._run(reading.step)) is not _END:
                yield item  # type: ignore[misc]
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"{self._name}: {error}") from error
        finally:
            if not self._closed:
                # A step that was given up may still run; this comes after it.
                ending = asyncio.get_running_loop().run_in_executor(self._pool, reading.end)
                ending.add_done_callback(lambda _: self._idle.append(reading.connection))
                await asyncio.shield(ending)

    async def _run(self, step: Callable[[], T]) -> T:
        if self._closed:
            raise DatabaseUnavailable(f"{self._name} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._pool, step)

    async def close(self) -> None:
        """Break off what runs. Its readers are told so at their next step."""
        self._closed = True
        for connection in self._connections:
            connection.interrupt()
        await asyncio.to_thread(self._pool.shutdown)
        for connection in self._connections:
            connection.close()


class _Reading(Generic[T]):
    """One read. Its methods run in threads, one at a time."""

    def __init__(
        self, connection: sqlite3.Connection, work: Callable[[sqlite3.Connection], Iterator[T]]
    ) -> None:
        self.connection = connection
        self._work = work
        self._items: Iterator[T] | None = None
        self._turn = threading.Lock()

    def step(self) -> T | object:
        """The next item, or `_END`."""
        with self._turn:
            if self._items is None:
                begin_read(self.connection)
                self._items = self._work(self.connection)
            return next(self._items, _END)

    def end(self) -> None:
        """Give the transaction up. Never raises."""
        with self._turn:
            self._items = iter(())  # whose cursor would keep the transaction open
            end_read(self.connection)
