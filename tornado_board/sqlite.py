"""One SQLite file, and the threads that wait for its disk so that the event loop doesn't.

The embedded store and the embedded replay log share a `Database`, and with it one writer: what
waits at the same time is committed together, for the price of one fsync.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import unquote, urlsplit

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Writes that share one transaction at the most, so that the first of them isn't kept waiting.
_BATCH = 500

#: Threads that read for clients, each with a connection of its own.
_READERS = 3

#: Clients' reads that may wait for a reader; more are refused.
_WAITING_READS = 5_000

#: How often, in seconds, an idle writer looks whether another process has written.
_POLL = 0.1

#: How long, in seconds, a write waits for another process's transaction.
_BUSY = 5.0

#: How often, in seconds, a write that waits for that looks whether the database is being closed.
_BUSY_STEP = 0.1


class DatabaseUnavailable(Exception):
    """The file can't be opened, read or written; what was to be written was not."""


def path_of(url: str) -> Path:
    """The file that ``sqlite:///relative/file`` or ``sqlite:////absolute/file`` names.

    Raises `ValueError` for anything else.
    """
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or len(parts.path) < 2 or parts.query:
        raise ValueError(f"{url!r}: write sqlite:///file, or sqlite:////folder/file from the root")
    return Path(unquote(parts.path[1:]))


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
        self._lock_file = _lock(path)
        try:
            self._connection = _connect(path, _BUSY_STEP)
            self._data_version = self._read_data_version()
        except sqlite3.Error as error:
            self._lock_file.close()
            raise DatabaseUnavailable(f"{path}: {error}") from error
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._on_change: Callable[[], None] | None = None
        self._closing = False
        self._waiting_reads = 0
        self.waiting_writes = 0
        self._reader_connections: list[sqlite3.Connection] = []
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix=f"{path.name}-reader")
        self._own_reader = ThreadPoolExecutor(1, thread_name_prefix=f"{path.name}-own-reader")
        self._writer = threading.Thread(
            target=self._write_until_closed, name=f"{path.name}-writer", daemon=True
        )
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
        self._closing = True
        self._queue.put(None)
        await asyncio.to_thread(self._writer.join)
        for readers in (self._readers, self._own_reader):
            await asyncio.to_thread(readers.shutdown)
        # The outcomes of the last writes are on their way to the loop; let them arrive.
        await asyncio.sleep(0)
        for connection in [*self._reader_connections, self._connection]:
            connection.close()
        self._lock_file.close()

    async def write(self, work: Callable[[sqlite3.Connection], T], quiet: bool = False) -> T:
        """Run `work` in the writer thread and return its result once it is on disk.

        A `quiet` write is none that `on_change` has to tell of.
        What `work` raises is raised here, and what it had done is undone, without harm to its
        neighbours in the transaction. Raises `DatabaseUnavailable` if nothing could be written.
        """
        if self._users <= 0:
            raise DatabaseUnavailable(f"{self.path} is closed")
        outcome: asyncio.Future[T] = self._loop.create_future()
        self.waiting_writes += 1
        self._queue.put(_Write(work, outcome, quiet))
        return await outcome

    async def read(self, work: Callable[[sqlite3.Connection], T], *, own: bool = False) -> T:
        """Run `work` in a reader thread, on one state of the file, and return its result.

        `own` reads are the server's, of which there are few at a time: they have a thread to
        themselves, so that clients who read too much hold up their own requests and not the feed.
        Raises what `work` raises, and `DatabaseUnavailable`.
        """
        if self._users <= 0:
            raise DatabaseUnavailable(f"{self.path} is closed")
        if own:
            return await self._loop.run_in_executor(self._own_reader, self._read, work)
        if self._waiting_reads >= _WAITING_READS:
            raise DatabaseUnavailable("too many reads are waiting")
        self._waiting_reads += 1
        try:
            return await self._loop.run_in_executor(self._readers, self._read, work)
        finally:
            self._waiting_reads -= 1

    def on_change(self, callback: Callable[[], None] | None) -> None:
        """Have `callback` run on the event loop after each commit, of this process or another."""
        self._on_change = callback

    # In a reader thread

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = _connect(self.path, _BUSY)
                self._reader_connections.append(connection)
            connection.execute("BEGIN")
            try:
                return work(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"{self.path}: {error}") from error

    # In the writer thread

    def _write_until_closed(self) -> None:
        closing = False
        while not closing:
            try:
                first = self._queue.get(timeout=_POLL)
            except queue.Empty:
                if self._written_by_others():
                    self._call_on_loop(self._settle, [], True)
                continue
            batch = [] if first is None else [first]
            closing = first is None
            while len(batch) < _BATCH:
                try:
                    write = self._queue.get_nowait()
                except queue.Empty:
                    break
                if write is None:
                    closing = True
                else:
                    batch.append(write)
            if batch:
                outcomes = self._commit(batch)
                changed = not all(write.quiet for write in batch) or self._written_by_others()
                self._call_on_loop(self._settle, outcomes, changed)

    def _commit(self, batch: list[_Write]) -> list[_Outcome]:
        """Carry out `batch` in one transaction."""
        connection = self._connection
        try:
            self._begin()
            outcomes = [_carry_out(write, connection) for write in batch]
            connection.execute("COMMIT")
            return outcomes
        except Exception as error:  # whatever it is, those who wait have to be told
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            log.error("%s: %d writes failed: %s", self.path, len(batch), error)
            failure = DatabaseUnavailable(f"{self.path.name}: {error}")
            return [(write.outcome, None, failure) for write in batch]

    def _begin(self) -> None:
        """Begin to write; wait for another program's transaction for `_BUSY` seconds, but not
        while the database closes: a stop must not take as long as a stranger likes."""
        deadline = time.monotonic() + _BUSY
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or self._closing or time.monotonic() >= deadline:
                    raise

    def _written_by_others(self) -> bool:
        try:
            version = self._read_data_version()
        except sqlite3.Error as error:
            log.warning("%s: %s", self.path, error)
            return False
        changed = version != self._data_version
        self._data_version = version
        return changed

    def _read_data_version(self) -> int:
        # https://www.sqlite.org/pragma.html#pragma_data_version: it differs from the last time
        # if and only if another connection has committed.
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _call_on_loop(self, callback: Callable[..., None], *args: Any) -> None:
        # A loop that was closed under us has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *args)

    # On the event loop

    def _settle(self, outcomes: list[_Outcome], changed: bool) -> None:
        self.waiting_writes -= len(outcomes)
        for outcome, result, error in outcomes:
            if outcome.done():
                continue
            if error is None:
                outcome.set_result(result)
            else:
                outcome.set_exception(error)
        if changed and self._on_change is not None:
            self._on_change()


_Outcome = tuple["asyncio.Future[Any]", Any, Exception | None]


class _Write:
    __slots__ = ("outcome", "quiet", "work")

    def __init__(
        self,
        work: Callable[[sqlite3.Connection], Any],
        outcome: asyncio.Future[Any],
        quiet: bool,
    ) -> None:
        self.work = work
        self.outcome = outcome
        self.quiet = quiet


def _carry_out(write: _Write, connection: sqlite3.Connection) -> _Outcome:
    connection.execute("SAVEPOINT write")
    try:
        result = write.work(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise  # SQLite gave up the whole transaction (a full disk, say); so must the batch
        connection.execute("ROLLBACK TO write")
        connection.execute("RELEASE write")
        if isinstance(error, sqlite3.Error):
            error = DatabaseUnavailable(str(error))
        return write.outcome, None, error
    connection.execute("RELEASE write")
    return write.outcome, result, None


def _connect(path: Path, timeout: float) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=timeout, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    # Other programs may store text that isn't UTF-8; one such name must not stop every reader.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL syncs the log at every commit: an answered write survives a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    return connection


def _lock(path: Path) -> Any:
    """Hold the lock file beside `path`. Raises `DatabaseUnavailable` if another process does.

    The kernel gives the lock up with the process, however that ends.
    """
    lock_path = path.with_name(path.name + "-lock")
    try:
        file = open(lock_path, "w")  # noqa: SIM115 - held for as long as the database is open
    except OSError as error:
        raise DatabaseUnavailable(f"{path}: {error.strerror or error}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise DatabaseUnavailable(
            f"{path} is in use by another tornado_board process. One SQLite file serves one "
            "process; for several, set DATABASE_URL to a RethinkDB and REDIS_URL to a Redis"
        ) from error
    os.set_inheritable(file.fileno(), False)
    return file
