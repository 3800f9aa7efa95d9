"""The file: its URL, its lock, its connections, whose it is, and whether it is still there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Marks a file as this program's (``PRAGMA application_id``): "TBRD".
APPLICATION_ID = 0x54425244

#: The columns of tables by which a file without that mark is known: those that have to be there,
#: and those that may be. Earlier versions set no mark, and earlier users made the first two.
_BOARDS = ({"id"}, {"id", "name"})
_PLAYERS = ({"id", "board", "name", "score"}, {"id", "board", "name", "score"})
_CHANGES = {"seq", "board", "player"}
_LOG_TABLES = {"replay", "replay_heads"}

#: A WAL that was large once is cut to so many bytes when it begins anew.
_WAL_KEPT = 8 * 1024 * 1024


class DatabaseUnavailable(Exception):
    """The file can't be opened, read or written; what was to be written was not."""


class OutcomeUncertain(DatabaseUnavailable):
    """A write failed so late that it may be in the file all the same."""


def path_of(url: str) -> Path:
    """The file that ``sqlite:///relative/file`` or ``sqlite:////absolute/file`` names.

    Raises `ValueError` for anything else. The message does not quote the URL, which may hold a
    password that somebody meant for another kind of database.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme != "sqlite":
        wrong = "this is another URL"
    elif parts.netloc:
        wrong = "this one has only two slashes, and so names a host"
    elif parts.query or parts.fragment:
        wrong = "this one has a query or a fragment; write %3F for ? and %23 for #"
    elif len(parts.path) < 2:
        wrong = "this one names no file"
    elif "\0" in (path := unquote(parts.path[1:])):
        wrong = "this one has a NUL character"
    else:
        return Path(path)
    raise ValueError(f"write sqlite:///file, or sqlite:////folder/file from the root; {wrong}")


def check_usable(path: Path) -> None:
    """Raise `DatabaseUnavailable` with a reason that a person can act on, where there is one."""
    folder = path.parent
    try:
        path.stat()
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise DatabaseUnavailable(f"{folder}: {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise DatabaseUnavailable(f"{path}: {getattr(error, 'strerror', error)}") from error
    if path.is_dir():
        reason = "it is a folder; name a file in it"
    elif path.exists() and not path.is_file():
        reason = "it is no regular file"
    elif path.exists() and not _may(path, os.R_OK):
        reason = "this process may not read the file"
    elif path.exists() and not _may(path, os.W_OK):
        reason = "the file is read-only, at least to this process"
    elif not _may(folder, os.W_OK | os.X_OK):
        reason = f"this process may not make files in {folder}, and SQLite needs some beside it"
    else:
        return
    raise DatabaseUnavailable(f"{path}: {reason}")


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


class Lock:
    """The lock file beside `path`. Raises `DatabaseUnavailable` if another process holds it.

    The kernel gives the lock up with the process, however that ends.
    """

    def __init__(self, path: Path) -> None:
        # The file may have several names; it has one lock.
        self._path = path.resolve().with_name(path.resolve().name + "-lock")
        self._was_there = self._path.exists()
        try:
            self._file = open(self._path, "w")  # noqa: SIM115 - held while the database is open
        except OSError as error:
            raise DatabaseUnavailable(f"{self._path}: {error.strerror or error}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise DatabaseUnavailable(
                f"{path} is in use by another tornado_board process. One SQLite file serves one "
                "process; for several, set DATABASE_URL to a RethinkDB and REDIS_URL to a Redis"
            ) from error
        os.set_inheritable(self._file.fileno(), False)

    def release(self, *, forget: bool = False) -> None:
        """Give it up; `forget` removes the lock file if this object made it."""
        if forget and not self._was_there:
            self._path.unlink(missing_ok=True)
        self._file.close()


def connect(path: Path, timeout: float, *, make: bool = False) -> sqlite3.Connection:
    """A connection for any thread, in no transaction. `make` allows to make the file.

    `timeout` is how long, in seconds, it waits for another program's lock.
    """
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode={'rwc' if make else 'rw'}",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    # Other programs may store text that isn't UTF-8; one such name must not stop every reader.
    connection.text_factory = partial(str, encoding="utf-8", errors="replace")
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that writes, undone if what is in it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def prepare(connection: sqlite3.Connection) -> None:
    """Set what has to be set on each connection. This writes to the file: `claim` it first."""
    connection.execute("PRAGMA journal_mode = WAL")
    # FULL syncs the log at every commit: an answered write survives a power cut.
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")


def claim(connection: sqlite3.Connection) -> None:
    """Mark the file as this program's, where it is new or was made by an earlier version.

    Raises `DatabaseUnavailable` if it is another program's, and leaves it as it is then.
    """
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    if mark == APPLICATION_ID:
        return
    reason = f"its application_id is {mark:#x}" if mark else _not_ours(connection)
    if reason is not None:
        raise DatabaseUnavailable(
            f"this is another program's SQLite file ({reason}); it was left as it is."
            " Name another file"
        )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _not_ours(connection: sqlite3.Connection) -> str | None:
    """Why a file without a mark is another program's; ``None`` if it is ours or empty."""
    tables = {
        name: {
            column[1] for column in connection.execute("SELECT * FROM pragma_table_info(?)", [name])
        }
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master"
            " WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ).fetchall()
    }
    names = ", ".join(sorted(tables)[:5]) + (", ..." if len(tables) > 5 else "")
    if tables.keys() >= {"boards", "players"} and tables.get("changes") == _CHANGES:
        return None  # of an earlier version; somebody may have added tables and columns
    if not tables.keys() & {"boards", "players"}:
        return f"its tables are {names}" if tables.keys() - _LOG_TABLES else None
    for name, (needed, known) in (("boards", _BOARDS), ("players", _PLAYERS)):
        columns = tables.get(name)
        if columns is None:
            return f"it has no table {name}; its tables are {names}"
        if not needed <= columns <= known:
            return f"its table {name} has the columns {', '.join(sorted(columns)[:8])}"
    return _built_on_them(connection)


def _built_on_them(connection: sqlite3.Connection) -> str | None:
    """What else in the file needs its ``boards`` and ``players`` as they are.

    To take these over is to make them anew: triggers on them would be gone, and views, triggers and
    foreign keys that name them would name what is no more.
    """
    row = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'trigger')"
        " AND (sql LIKE '%boards%' OR sql LIKE '%players%')"
    ).fetchone()
    if row is not None:
        return f"it has the {row[0]} {row[1]}"
    row = connection.execute(
        "SELECT m.name, lower(f.[table]) FROM sqlite_master m, pragma_foreign_key_list(m.name) f"
        " WHERE m.type = 'table' AND lower(m.name) NOT IN ('boards', 'players')"
        "   AND lower(f.[table]) IN ('boards', 'players')"
    ).fetchone()
    return None if row is None else f"its table {row[0]} refers to {row[1]}"


class Place:
    """Whether the file, its WAL and the WAL's index are still the ones that were opened.

    Looks at device and inode. It never opens the file: to close it again would drop all locks
    that SQLite holds on it in this process (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """

    def __init__(self, path: Path) -> None:
        real = path.resolve()  # beside which SQLite keeps the other two
        # As text: this is asked at each commit, and pathlib takes most of the time.
        self._paths = (str(path), f"{real}-wal", f"{real}-shm")
        self._seen = [_status(path) for path in self._paths]
        #: The size of the WAL in bytes, as `problem` found it last.
        self.wal_size = 0

    def problem(self) -> str | None:
        """What is wrong, as half a sentence about the file; ``None`` if nothing is."""
        found = [_status(path) for path in self._paths]
        for path, seen, now in zip(self._paths, self._seen, found, strict=True):
            if seen is not None and now is None:
                return self._described(path, is_there=False)
            if seen is not None and now is not None and not os.path.samestat(seen, now):
                return self._described(path, is_there=True)
        wal = found[1]
        self.wal_size = 0 if wal is None else wal.st_size
        return None

    def _described(self, path: str, *, is_there: bool) -> str:
        name = os.path.basename(path)
        if path != self._paths[0]:
            return f"{name} was removed under the server, which has to be stopped and started"
        if not is_there:
            return f"{name} was moved or deleted; put it back, or start the server anew"
        return f"{name} is another file now; put the old one back, or start the server anew"


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def shown_path(path: Path) -> str:
    """`path` as a person would write it: from the working folder where it lies in there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
