"""The thread that writes to the file, and that watches over it."""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tornado_board.sqlite import limits
from tornado_board.sqlite.batches import Apart, Outcome, Write, carry_out, code_of, together
from tornado_board.sqlite.files import DatabaseUnavailable, OutcomeUncertain, Place, transaction

logger = logging.getLogger(__name__)


class Guard(Protocol):
    """What its owner knows the file's content by. All methods run in the writer's thread."""

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Make the file usable, however it was found. In no transaction. Ends with `renew` and
        `keep`. Raises `DatabaseUnavailable` if it can't be."""

    def holds(self, connection: sqlite3.Connection) -> bool:
        """Whether the file is as this guard left it, but for changes made to it since; False if
        its content was replaced, by an older one or by another."""

    def renew(self, connection: sqlite3.Connection) -> None:
        """Mark the file anew, within a transaction that changes it."""

    def keep(self) -> None:
        """The transaction with the last `renew` was committed."""


class Tail(Protocol):
    """Reads what is new in the file. All methods run in the writer's thread; none raises, but for
    `begin`."""

    def begin(self, connection: sqlite3.Connection) -> None:
        """What is new is new from here on. Raises `sqlite3.Error`."""

    def start(self) -> None:
        """A transaction begins, or something in it was undone."""

    def read(self, connection: sqlite3.Connection, *, writes: bool) -> Any:
        """What is new, within a transaction; ``None`` if there is nothing. `writes`: that is to be
        committed, so that what was read may be deleted in it."""

    def keep(self) -> None:
        """What the last `read` returned is so, and was told."""


class Writer:
    """Takes writes from a queue and commits them, as many together as wait.

    Looks before and after each commit, and while idle, whether the file is still in its place and
    is the one that was marked (see `Guard`).
    """

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        settle: Callable[[list[Outcome], bool, Any], None],
    ) -> None:
        """`settle` is called, in this object's thread, with what became of writes, whether the
        file's content was replaced, and what the tail read."""
        self._path = path
        self._connection = connection
        self._settle = settle
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._held: Write | None = None
        self._place = Place(path)
        self._guard: Guard | None = None
        self._tail: Tail | None = None
        self._closing = False
        self._data_version = self._read_data_version()
        #: What the file's users have to do where its content was replaced, by their names.
        self.on_replaced: dict[str, Callable[[sqlite3.Connection], None]] = {}
        #: Why nothing can be written now; ``None`` if it can, as far as is known.
        self.problem: str | None = None
        self._probe_at = 0.0
        self._renew_at: float | None = None
        self._checkpoint_at = 0.0
        self._thread = threading.Thread(target=self._run, name=f"{path.name}-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def put(self, write: Write) -> None:
        self._queue.put(write)

    def close(self) -> None:
        """Finish the writes that wait, and return when they are. Blocks."""
        self._closing = True
        self._queue.put(None)
        self._thread.join()

    def watch(self, guard: Guard) -> None:
        """Have `guard` prepare the file, and look after it from now on. For a `bare` write."""
        self._prepare(guard)
        self._guard = guard

    def follow(self, tail: Tail) -> None:
        """Have `tail` read what is new from now on. For a `bare` write."""
        self._tail = None
        tail.begin(self._connection)
        self._tail = tail

    def _run(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._next_batch()
            try:
                for write in [write for write in batch if write.bare]:
                    batch.remove(write)
                    self._carry_out_bare(write)
                if batch:
                    self._commit(together(batch))
                elif not closing:
                    self._look_after()
            except Exception:
                logger.exception("%s: the writer failed", self._path)

    # Writes

    def _next_batch(self) -> tuple[list[Write], bool]:
        """The writes that share the next transaction, and whether they are the last ones."""
        batch: list[Write] = []
        weight = 0
        with contextlib.suppress(queue.Empty):
            write = self._held or self._queue.get(timeout=limits.POLL)
            self._held = None
            while write is not None:
                heavy = write.weight >= limits.BATCH
                if batch and heavy is not (batch[0].weight >= limits.BATCH):
                    self._held = write  # it goes with others of its kind
                    break
                batch.append(write)
                weight += write.weight
                if weight >= (limits.HEAVY_BATCH if heavy else limits.BATCH):
                    break
                write = self._queue.get_nowait()
            return batch, write is None
        return batch, False

    def _carry_out_bare(self, write: Write) -> None:
        try:
            outcome: Outcome = (write.outcome, write.work(self._connection), None)
        except sqlite3.Error as error:
            failure = DatabaseUnavailable(f"{self._path.name}: {error}")
            outcome = (write.outcome, None, failure)
        except Exception as error:
            outcome = (write.outcome, None, error)
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._settle([outcome], False, None)

    def _commit(self, batch: list[Write]) -> None:
        """Carry out `batch` in one transaction, and tell of it."""
        connection = self._connection
        restored = committing = changed = False
        told: Any = None
        try:
            if (problem := self._place.problem()) is not None:
                raise _Misplaced(problem)
            self._begin()
            if self._guard is not None and not self._guard.holds(connection):
                connection.execute("ROLLBACK")
                restored = self._adopt_if_replaced()
                self._begin()
            self._start()
            outcomes = carry_out(batch, connection, self._path.name, self._start)
            changed = any(
                outcome[2] is None and not write.quiet
                for write, outcome in zip(batch, outcomes, strict=True)
            )
            if self._guard is not None and changed:
                self._guard.renew(connection)
            # Here, since it costs no transaction and no other thread.
            found: Any = None
            if self._tail is not None and changed:
                found = self._tail.read(connection, writes=True)
            committing = True
            if connection.in_transaction:
                connection.execute("COMMIT")
            if self._guard is not None and changed:
                self._guard.keep()
            if self._tail is not None and found is not None:
                self._tail.keep()
                told = found
            if (problem := self._place.problem()) is not None:
                raise _Misplaced(problem)
            self._works()
        except Apart:
            for write in batch:
                self._commit([write])
            return
        except Exception as error:  # whatever it is, those who wait have to be told
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            failure = self._failure(error, committing)
            outcomes = [(write.outcome, None, failure) for write in batch]
        self._settle(outcomes, restored, told)
        if self._written_by_others():
            self._tell_of_others(restored=False)

    def _failure(self, error: Exception, committing: bool) -> DatabaseUnavailable:
        """`error` as those who wait are told of it, which is noted as the state of the file."""
        if isinstance(error, _Misplaced):
            self._fail(str(error))
        else:
            self._fail(f"{self._path.name}: nothing can be written: {error}")
        text = self.problem or str(error)
        # What could not be synced may be on the disk all the same.
        unsynced = getattr(error, "sqlite_errorcode", None) in (
            sqlite3.SQLITE_IOERR_FSYNC,
            sqlite3.SQLITE_IOERR_DIR_FSYNC,
        )
        if committing and (unsynced or isinstance(error, _Misplaced)):
            return OutcomeUncertain(text)
        return DatabaseUnavailable(text)

    def _begin(self, patience: float | None = None) -> None:
        """Begin to write; wait for another program's transaction, but not while the database
        closes: a stop must not take as long as a stranger likes."""
        deadline = time.monotonic() + (limits.BUSY if patience is None else patience)
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                busy = code_of(error) == sqlite3.SQLITE_BUSY
                if not busy or self._closing or time.monotonic() >= deadline:
                    raise

    def _start(self) -> None:
        if self._tail is not None:
            self._tail.start()

    def _tell_of_others(self, *, restored: bool) -> None:
        """Tell of what others have written."""
        found: Any = None
        if self._tail is not None:
            with contextlib.suppress(sqlite3.Error):  # the next time
                self._connection.execute("BEGIN")
                self._start()
                try:
                    found = self._tail.read(self._connection, writes=False)
                    if found is not None:
                        self._tail.keep()
                finally:
                    self._connection.execute("ROLLBACK")
        self._settle([], restored, found)

    # Watching over the file

    def _look_after(self) -> None:
        """What there is to do while nobody writes."""
        if (problem := self._place.problem()) is not None:
            self._fail(problem)
            return
        try:
            if self._written_by_others():
                self._tell_of_others(restored=self._adopt_if_replaced())
            self._probe()
            self._renew()
            self._checkpoint()
        except (sqlite3.Error, DatabaseUnavailable) as error:
            self._fail(f"{self._path.name}: nothing can be written: {error}")

    def _adopt_if_replaced(self) -> bool:
        """Go on with the content that somebody else put into the file, if somebody did."""
        if self._guard is None or self._guard.holds(self._connection):
            return False
        if self.problem is None:  # once, also where the new one can't be used
            logger.warning("%s: its content was replaced; going on with the new one", self._path)
        self._prepare(self._guard)
        with transaction(self._connection):
            for work in list(self.on_replaced.values()):
                work(self._connection)
        return True

    def _prepare(self, guard: Guard) -> None:
        # Its own transactions wait for others' as `_begin` does.
        self._connection.execute(f"PRAGMA busy_timeout = {round(limits.BUSY * 1000)}")
        try:
            guard.prepare(self._connection)
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {round(limits.BUSY_STEP * 1000)}")

    def _probe(self) -> None:
        """Write something where the last write failed, or the file was away."""
        if self.problem is None or time.monotonic() < self._probe_at:
            return
        self._probe_at = time.monotonic() + limits.PROBE
        connection = self._connection
        try:
            if self._adopt_if_replaced():
                self._settle([], True, None)
            self._begin(0)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {version}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        else:
            self._works()

    def _renew(self) -> None:
        """Mark what others have written as seen, when they have been quiet for a while.

        Otherwise a copy made before could be put back, changed, and be taken for the original.
        """
        if self._guard is None or self._renew_at is None or time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + limits.RENEW
        connection = self._connection
        with contextlib.suppress(sqlite3.OperationalError):  # somebody writes: the next time
            self._begin(0)
            try:
                if self._guard.holds(connection):
                    self._guard.renew(connection)
                    connection.execute("COMMIT")
                    self._guard.keep()
                    self._renew_at = None
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _checkpoint(self) -> None:
        """Move a WAL that grew large into the file, and cut it."""
        if self._place.wal_size > limits.LARGE_WAL and time.monotonic() >= self._checkpoint_at:
            self._checkpoint_at = time.monotonic() + limits.CHECKPOINT
            with contextlib.suppress(sqlite3.OperationalError):  # somebody reads: the next time
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def _written_by_others(self) -> bool:
        try:
            version = self._read_data_version()
        except sqlite3.Error as error:
            self._fail(f"{self._path.name}: it can't be read: {error}")
            return False
        if version == self._data_version:
            return False
        self._data_version = version
        self._renew_at = time.monotonic() + limits.RENEW
        return True

    def _read_data_version(self) -> int:
        # https://www.sqlite.org/pragma.html#pragma_data_version: it differs from the last time
        # if and only if another connection has committed.
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def _fail(self, problem: str) -> None:
        if self.problem is None:
            logger.error("SQLite in %s: %s", self._path.parent, problem)
        self.problem = problem
        self._probe_at = min(self._probe_at, time.monotonic() + limits.PROBE)

    def _works(self) -> None:
        if self.problem is not None:
            self.problem = None
            logger.warning("%s: it can be written to again", self._path)


class _Misplaced(Exception):
    """The file is not where it was opened."""
