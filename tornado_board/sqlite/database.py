"""The SQLite file as the store and the replay log use it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Callable, Hashable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from tornado_board.sqlite import limits
from tornado_board.sqlite.batches import Outcome, Write
from tornado_board.sqlite.files import (
    DatabaseUnavailable,
    Lock,
    check_usable,
    claim,
    connect,
    path_of,
    prepare,
)
from tornado_board.sqlite.readers import Readers
from tornado_board.sqlite.snapshots import Snapshots
from tornado_board.sqlite.writer import Guard, Tail, Writer

T = TypeVar("T")
Item = TypeVar("Item")


class Database:
    """A SQLite file in WAL mode: one writer thread, a few reader threads.

    `open` gives everyone in the process the same object for the same file; it closes with the last
    `close`. The file belongs to one process at a time as far as this class is concerned (a lock
    file beside it sees to that), but other programs may read and write it through SQLite.
    """

    _open: ClassVar[dict[Path, Database]] = {}

    def __init__(self, path: Path) -> None:
        self.path = path
        self._users = 0
        self._loop = asyncio.get_running_loop()
        check_usable(path)
        self._lock = Lock(path)
        refused = False
        connections: list[sqlite3.Connection] = []
        try:
            first = connect(path, limits.BUSY_STEP, make=True)
            connections.append(first)
            try:
                claim(first)
            except DatabaseUnavailable:
                refused = True
                raise
            prepare(first)
            first.execute(f"PRAGMA cache_size = -{limits.WRITER_CACHE}")
            # All of them now: later, another file may be in this one's place.
            for _ in range(limits.READERS + 1 + limits.SNAPSHOTS):
                connections.append(connect(path, limits.BUSY))
                prepare(connections[-1])
            self._connection = first
            self._writer = Writer(path, first, self._call_settle)
        except (sqlite3.Error, DatabaseUnavailable) as error:
            for connection in connections:
                connection.close()
            self._lock.release(forget=refused)
            raise DatabaseUnavailable(f"{path}: {error}") from error
        self._on_change: Callable[[bool, Any], None] | None = None
        self.waiting_writes = 0
        #: Those that the writer is about to be given; a part of `waiting_writes`.
        self._outgoing: list[Write] = []
        name = path.name
        own, clients = connections[1:2], connections[2 : 2 + limits.READERS]
        self._own_reader = Readers(name, own, limits.OWN_READS, limits.OWN_READS)
        self._readers = Readers(name, clients, limits.WAITING_READS, limits.WAITING_READS_OF_ONE)
        self._snapshots = Snapshots(name, connections[2 + limits.READERS :])
        self._writer.start()

    @classmethod
    def open(cls, url: str) -> Database:
        """The database of `url`, in a running event loop.

        Raises `ValueError` for a URL that names no file, and `DatabaseUnavailable`.
        """
        path = path_of(url).absolute()
        database = cls._open.get(path)
        if database is None:
            database = cls._open[path] = cls(path)
        database._users += 1
        return database

    async def close(self) -> None:
        """Give up this user's share; the last one finishes the writes that wait and closes."""
        self._users -= 1
        if self._users > 0:
            return
        self._open.pop(self.path, None)
        self._hand_over()
        await asyncio.to_thread(self._writer.close)
        for readers in (self._readers, self._own_reader, self._snapshots):
            await readers.close()
        # The outcomes of the last writes are on their way to the loop; let them arrive.
        await asyncio.sleep(0)
        self._connection.close()
        self._lock.release()

    @property
    def problem(self) -> str | None:
        """Why nothing can be written now; ``None`` if it can, as far as is known.

        It says so within a second of a failure's end, and of the file's removal. No path in it.
        """
        return self._writer.problem

    async def write(self, work: Callable[[sqlite3.Connection], T], quiet: bool = False) -> T:
        """Run `work` in the writer thread and return its result once it is on disk.

        A `quiet` write is none that the tail has to read.
        What `work` raises is raised here, and what it had done is undone, without harm to its
        neighbours in the transaction. Raises `DatabaseUnavailable` if nothing could be written,
        and `OutcomeUncertain` if that is not known.
        """
        if self._users <= 0:
            raise DatabaseUnavailable(f"{self.path.name} is closed")
        outcome: asyncio.Future[T] = self._loop.create_future()
        self._put(Write(work, outcome, quiet))
        return await outcome

    async def write_one_of(
        self,
        work: Callable[[sqlite3.Connection, list[Item]], Sequence[T | Exception]],
        item: Item,
        weight: int = 1,
    ) -> T:
        """Have `work` carry out `item`, with others that wait for the same `work`: it is given all
        of them, and returns for each its result, or the exception that is raised here.

        `weight` is how many plain writes take as long. As `write` otherwise. If `work` raises, it
        is called again with each alone.
        """
        if self._users <= 0:
            raise DatabaseUnavailable(f"{self.path.name} is closed")
        outcome: asyncio.Future[T] = self._loop.create_future()
        self._put(Write(work, outcome, item=item, weight=weight))
        return await outcome

    async def read(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        own: bool = False,
        share: str = "",
        slow: bool = False,
        key: Hashable = None,
    ) -> T:
        """Run `work` in a reader thread, on one state of the file, and return its result.

        `own` reads are the server's, of which there are few at a time: they have a thread to
        themselves, so that clients who read too much hold up their own requests and not the feed.
        Clients' reads take turns by `share`, the board they are for; `slow` are those that may
        take more than a millisecond, and those with the same `key` may become one.
        Raises what `work` raises, and `DatabaseUnavailable`.
        """
        if self._users <= 0:
            raise DatabaseUnavailable(f"{self.path.name} is closed")
        if own:
            return await self._own_reader.run(work)
        return await self._readers.run(work, share=share, slow=slow, key=key)

    def snapshot(
        self, work: Callable[[sqlite3.Connection], Iterator[T]]
    ) -> AsyncGenerator[T, None]:
        """What `work` yields, on one state of the file; see `Snapshots.read`."""
        return self._snapshots.read(work)

    async def watch(self, guard: Guard, on_change: Callable[[bool, Any], None]) -> None:
        """Have `guard` prepare the file, and look after its content; one owner may.

        `on_change` runs on the event loop when the file's content was replaced, which its first
        argument says, and when the tail (`follow`) has read something, which is the second. Raises
        `DatabaseUnavailable`.
        """
        await self._write_bare(lambda _: self._writer.watch(guard))
        self._on_change = on_change

    async def follow(self, tail: Tail) -> None:
        """Have `tail` read what is new from now on; the one before does no more. Raises
        `DatabaseUnavailable`."""
        await self._write_bare(lambda _: self._writer.follow(tail))

    async def _write_bare(self, work: Callable[[sqlite3.Connection], None]) -> None:
        if self._users <= 0:
            raise DatabaseUnavailable(f"{self.path.name} is closed")
        outcome: asyncio.Future[None] = self._loop.create_future()
        self._put(Write(work, outcome, bare=True))
        await outcome

    def _put(self, write: Write) -> None:
        """Have it carried out, with what else comes in this turn of the loop. One by one, the
        writer's thread would wake for the first, and take the interpreter from this one between
        any two of the others."""
        self.waiting_writes += 1
        if not self._outgoing:
            self._loop.call_soon(self._hand_over)
        self._outgoing.append(write)

    def _hand_over(self) -> None:
        for write in self._outgoing:
            self._writer.put(write)
        self._outgoing.clear()

    def on_replaced(self, name: str, work: Callable[[sqlite3.Connection], None]) -> None:
        """Have `work` run in a transaction of the writer's thread whenever the file's content was
        replaced, to make the tables of the user `name` where they are missing."""
        self._writer.on_replaced[name] = work

    def _call_settle(self, outcomes: list[Outcome], restored: bool, found: Any) -> None:
        # A loop that was closed under us has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._settle, outcomes, restored, found)

    def _settle(self, outcomes: list[Outcome], restored: bool, found: Any) -> None:
        self.waiting_writes -= len(outcomes)
        for outcome, result, error in outcomes:
            if outcome.done():
                continue
            if error is None:
                outcome.set_result(result)
            else:
                outcome.set_exception(error)
        if (restored or found is not None) and self._on_change is not None:
            self._on_change(restored, found)
