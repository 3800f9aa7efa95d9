"""From what a file holds to what this version works with, in numbered steps.

The number is in the file's header (``PRAGMA user_version``). Each step is one transaction, so one
that breaks off has done nothing; before the first the file is copied.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from tornado_board.models import SCORE_LIMIT
from tornado_board.sqlite import DatabaseUnavailable
from tornado_board.sqlite.files import transaction
from tornado_board.store.sqlite.schema import (
    CHANGES,
    CHANGES_BEFORE,
    ENDING_SEASONS,
    FIFTH_COLUMNS,
    FIFTH_TABLES,
    FIRST_TABLES,
    FOURTH_COLUMNS,
    HIDDEN_PLAYERS,
    SECOND_TABLES,
    STANDING,
    THIRD_COLUMNS,
    THIRD_TABLES,
    is_id,
    is_player,
    turned,
)
from tornado_board.store.sqlite.triggers import set_triggers, triggers

logger = logging.getLogger(__name__)

#: Copies of one version of one file, at the most.
_COPIES = 100


def migrate(c: sqlite3.Connection, path: Path) -> None:
    """Bring the file at `path`, which `c` is connected to, to this version.

    Raises `DatabaseUnavailable` for a file that a newer version wrote, and if the file can't be
    copied, or a step can't be made; the file is then as it was, or at a version in between.
    """
    (version,) = c.execute("PRAGMA user_version").fetchone()
    if version > len(_STEPS):
        raise DatabaseUnavailable(
            f"the file was written by a newer tornado_board (schema {version}, this one knows"
            f" {len(_STEPS)})"
        )
    if version == len(_STEPS):
        return
    there = c.execute("SELECT 1 FROM sqlite_master WHERE name = 'boards'").fetchone() is not None
    copy = _copy(c, path, version) if there else None
    for number, step in enumerate(_STEPS[version:], version + 1):
        try:
            with transaction(c):
                step(c)
                c.execute(f"PRAGMA user_version = {number}")
        except sqlite3.Error as error:
            raise DatabaseUnavailable(f"migration step {number} failed: {error}") from error
    if copy is not None:
        logger.warning(
            "%s: migrated from schema %d to %d; as it was before: %s",
            path,
            version,
            len(_STEPS),
            copy.name,
        )


def _copy(c: sqlite3.Connection, path: Path, version: int) -> Path:
    """Copy the file as it is to one beside it; whole or not at all."""
    name = f"{path.name}.backup-v{version}"
    names = [name, *(f"{name}.{number}" for number in range(2, _COPIES))]
    copy = next((p for p in map(path.with_name, names) if not p.exists()), None)
    if copy is None:
        raise DatabaseUnavailable(f"there are {_COPIES} copies named {name} already")
    part = path.with_name(f"{name}.part")
    try:
        part.unlink(missing_ok=True)
        # No more readable than the file itself.
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, path.stat().st_mode & 0o777))
        with contextlib.closing(sqlite3.connect(part)) as target:
            c.backup(target)
        part.rename(copy)
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise DatabaseUnavailable(
            f"the file has to be migrated, and could not be copied to {copy.name} before"
            f" ({reason}); it was left as it is"
        ) from error
    return copy


def _first(c: sqlite3.Connection) -> None:
    """Make the tables; take over those of the program from which this API comes."""
    there = c.execute("SELECT 1 FROM sqlite_master WHERE name = 'boards'").fetchone() is not None
    if there:
        for table in ("boards", "players"):
            c.execute(f"ALTER TABLE {table} RENAME TO earlier_{table}")
    for statement in (*FIRST_TABLES, CHANGES_BEFORE):
        c.execute(statement)
    if there:
        _take_over(c)


def _take_over(c: sqlite3.Connection) -> None:
    """Fill the tables from ``earlier_boards`` and ``earlier_players``, whose ids may be numbers,
    whose boards may have no name, and whose players may have no score."""
    named = {row[1] for row in c.execute("PRAGMA table_info(earlier_boards)")} >= {"name"}
    c.execute(
        "INSERT OR IGNORE INTO boards (id, name) SELECT id, name FROM"
        f" (SELECT {_text('id')} AS id, {_text('name') if named else 'NULL'} AS name"
        f" FROM earlier_boards) WHERE {is_id('id')}"
    )
    c.execute(
        "INSERT OR IGNORE INTO players (board, id, name, score)"
        " SELECT board, id, coalesce(name, id), score FROM"
        f" (SELECT {_text('board')} AS board, {_text('id')} AS id, {_text('name')} AS name,"
        " CAST(coalesce(score, 0) AS NUMERIC) AS score FROM earlier_players"
        "   WHERE typeof(score) IN ('null', 'integer', 'real'))"
        f" WHERE {is_id('board')} AND {is_id('id')}"
        f" AND score BETWEEN -{SCORE_LIMIT} AND {SCORE_LIMIT}"
    )
    for table in ("boards", "players"):
        (left,) = c.execute(
            f"SELECT (SELECT count(*) FROM earlier_{table}) - (SELECT count(*) FROM {table})"
        ).fetchone()
        if left:
            logger.warning(
                "%d rows of the table %s are none that can be shown (their ids, or scores that are"
                " no numbers); they are in the copy only",
                left,
                table,
            )
        c.execute(f"DROP TABLE earlier_{table}")


def _text(column: str) -> str:
    """SQL for the value in `column` as text; a blob, which is none, becomes NULL."""
    return f"CASE WHEN typeof({column}) <> 'blob' THEN CAST({column} AS TEXT) END"


def _second(c: sqlite3.Connection) -> None:
    """Boards that are swept in pieces, and an identity."""
    for statement in SECOND_TABLES:
        c.execute(statement)


def _third(c: sqlite3.Connection) -> None:
    """Settings of boards, players in each order, scores before a change, outcomes of writes."""
    _drop_triggers(c)
    _add_columns(c, THIRD_COLUMNS)
    for index in ("standing", "strays"):
        c.execute(f"DROP INDEX IF EXISTS {index}")
    c.execute(
        f"UPDATE players SET merit = {turned('players.score', '0')} WHERE {is_player('players')}"
    )
    c.execute(STANDING)
    number = c.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    c.execute("DROP TABLE changes")
    c.execute(CHANGES)
    if number is not None:
        c.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('changes', ?)", number)
    for statement in THIRD_TABLES:
        c.execute(statement)


def _fourth(c: sqlite3.Connection) -> None:
    """Players that are hidden."""
    _drop_triggers(c)
    _add_columns(c, FOURTH_COLUMNS)
    c.execute("DROP INDEX IF EXISTS hidden_players")
    c.execute(HIDDEN_PLAYERS)


def _fifth(c: sqlite3.Connection) -> None:
    """Seasons. Not a row of the players changes: those that are there are of the first."""
    _drop_triggers(c)
    _add_columns(c, FIFTH_COLUMNS)
    for statement in FIFTH_TABLES:
        c.execute(statement)
    c.execute("DROP INDEX IF EXISTS ending_seasons")
    c.execute(ENDING_SEASONS)
    set_triggers(c)


def _drop_triggers(c: sqlite3.Connection) -> None:
    """Take the triggers away, which are of other columns than a step makes; the last step sets
    them."""
    for name in triggers():
        c.execute(f"DROP TRIGGER IF EXISTS {name}")


def _add_columns(c: sqlite3.Connection, tables: Mapping[str, Mapping[str, str]]) -> None:
    """Add columns, by table and name."""
    for table, columns in tables.items():
        for column, definition in columns.items():
            _make_way(c, table, column)
            c.execute(f'ALTER TABLE {table} ADD COLUMN "{column}" {definition}')


def _make_way(c: sqlite3.Connection, table: str, column: str) -> None:
    """Rename a column of that name, which somebody added."""
    taken = {row[1].lower() for row in c.execute(f"PRAGMA table_xinfo({table})")}
    if column not in taken:
        return
    names = (f"earlier_{column}{number or ''}" for number in range(len(taken) + 1))
    name = next(name for name in names if name not in taken)
    c.execute(f'ALTER TABLE {table} RENAME COLUMN "{column}" TO "{name}"')
    logger.warning("the column %s that was added to the table %s is now %s", column, table, name)


_STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _first,
    _second,
    _third,
    _fourth,
    _fifth,
)
