"""SQLite files, copied and replaced as operators do it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from .record import Whose


def sqlite_rows(path: Path) -> dict[Whose, int]:
    """Every player's score in an SQLite file."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT board, id, score FROM players")
        return {(board, player): score for board, player, score in rows}


def copy_sqlite(source: Path, target: Path) -> Mapping[Whose, int]:
    """Copy an SQLite file into another, either of them live, as its own tool does by ``.backup``
    and ``.restore``; what the copy holds."""
    with (
        contextlib.closing(sqlite3.connect(source)) as from_,
        contextlib.closing(sqlite3.connect(target, timeout=10)) as to,
    ):
        from_.backup(to)
    return sqlite_rows(target)


def replace_sqlite(backup: Path, target: Path) -> None:
    """Put a backup in the place of the live file, as operators do: another file, no journal."""
    fresh = target.with_suffix(".restored")
    shutil.copy(backup, fresh)
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    fresh.replace(target)
