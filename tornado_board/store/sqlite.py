"""Boards and players in an SQLite file: the embedded default.

Triggers note in the table ``changes`` which boards and players changed, whoever changed them, so
that ``sqlite3 tornado_board.sqlite3 "update players set score = 99 where ..."`` reaches the
subscribers like any other change. The table has one row for each changed player at the most,
however often it changed, so it is bounded by the players there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from tornado_board.models import (
    SCORE_LIMIT,
    Board,
    NewBoard,
    NewPlayer,
    Number,
    Player,
    PlayerPatch,
    RankedPlayer,
    Ranking,
    new_id,
    score_of,
)
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable
from tornado_board.store import (
    SAMPLE_BOARD,
    SAMPLE_PLAYERS,
    AlreadyExists,
    BoardChanged,
    Change,
    FeedLost,
    NotFound,
    OutOfRange,
    PlayerChanged,
    StoreUnavailable,
)

T = TypeVar("T")

#: Changes that the feed takes at once; the rest stay in the table meanwhile.
_FEED_BATCH = 1_000

#: Changes that were taken and not yet deleted from the table, at the most.
_TAKEN_CHANGES = 5_000

#: Kept in the file's header (``PRAGMA user_version``); a newer file is refused.
_SCHEMA_VERSION = 1

_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS boards (
    id TEXT NOT NULL PRIMARY KEY
        CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
    name TEXT CHECK (name IS NULL OR typeof(name) = 'text')
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS players (
    board TEXT NOT NULL,
    id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
    name TEXT NOT NULL CHECK (typeof(name) = 'text'),
    -- NUMERIC keeps whole numbers as integers, also where a float is stored
    score NUMERIC NOT NULL DEFAULT 0 CHECK (
        typeof(score) IN ('integer', 'real') AND score BETWEEN -{SCORE_LIMIT} AND {SCORE_LIMIT}
    ),
    PRIMARY KEY (board, id)
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS standing ON players (board, score DESC, id);

-- player = '' stands for the board itself. A row that changes again gets a new, higher seq.
-- A conflict clause of the statement that fires a trigger overrides those in the trigger
-- (https://www.sqlite.org/lang_createtrigger.html), so the triggers see to it that there is none.
CREATE TABLE IF NOT EXISTS changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    board TEXT NOT NULL,
    player TEXT NOT NULL,
    UNIQUE (board, player)
);

CREATE TRIGGER IF NOT EXISTS board_inserted AFTER INSERT ON boards BEGIN
    DELETE FROM changes WHERE board = NEW.id AND player = '';
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER IF NOT EXISTS board_updated AFTER UPDATE ON boards
WHEN OLD.id IS NOT NEW.id OR OLD.name IS NOT NEW.name BEGIN
    DELETE FROM changes WHERE board IN (OLD.id, NEW.id) AND player = '';
    INSERT INTO changes (board, player) SELECT OLD.id, '' WHERE OLD.id IS NOT NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER IF NOT EXISTS board_deleted AFTER DELETE ON boards BEGIN
    DELETE FROM players WHERE board = OLD.id;
    DELETE FROM changes WHERE board = OLD.id;
    INSERT INTO changes (board, player) VALUES (OLD.id, '');
END;
CREATE TRIGGER IF NOT EXISTS player_inserted AFTER INSERT ON players BEGIN
    DELETE FROM changes WHERE board = NEW.board AND player = NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER IF NOT EXISTS player_updated AFTER UPDATE ON players
WHEN OLD.score IS NOT NEW.score OR OLD.name IS NOT NEW.name
    OR OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id BEGIN
    DELETE FROM changes WHERE board = OLD.board AND player = OLD.id;
    DELETE FROM changes WHERE board = NEW.board AND player = NEW.id;
    INSERT INTO changes (board, player) SELECT OLD.board, OLD.id
        WHERE OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
-- Players that go with their board are told of by the board's own row.
CREATE TRIGGER IF NOT EXISTS player_deleted AFTER DELETE ON players
WHEN EXISTS (SELECT 1 FROM boards WHERE id = OLD.board) BEGIN
    DELETE FROM changes WHERE board = OLD.board AND player = OLD.id;
    INSERT INTO changes (board, player) VALUES (OLD.board, OLD.id);
END;
"""


class SQLiteStore:
    """The `Store` in an SQLite file."""

    def __init__(self, database: Database, waiting_writes: int) -> None:
        self._database = database
        self._waiting_writes = waiting_writes
        self._feed: SQLiteFeed | None = None
        self._closed = False
        self.description = f"SQLite, {_shown(database.path)}"

    @classmethod
    async def open(cls, url: str, settings: Settings) -> SQLiteStore:
        """Open the file that `url` names, made with its tables and sample board where missing.

        Raises `ValueError` for a URL that names no file, and `StoreUnavailable`.
        """
        try:
            database = Database.open(url)
        except DatabaseUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        store = cls(database, settings.waiting_writes)
        try:
            await store._write(_prepare)
        except BaseException:
            await store.close()
            raise
        return store

    async def ping(self) -> None:
        await self._read(lambda c: c.execute("SELECT 1 FROM boards LIMIT 1").fetchone())

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            if self._feed is not None:
                await self._feed.close()
            await self._database.close()

    # Boards

    async def list_boards(self, limit: int, after: str = "") -> list[Board]:
        rows = await self._read(
            lambda c: c.execute(
                "SELECT id, name FROM boards WHERE id > ? ORDER BY id LIMIT ?", (after, limit)
            ).fetchall()
        )
        return [Board(id, name or id) for id, name in rows]

    async def create_board(self, new: NewBoard) -> Board:
        board_id = new.id or new_id()

        def work(c: sqlite3.Connection) -> None:
            cursor = c.execute(
                "INSERT INTO boards (id, name) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (board_id, new.name),
            )
            if cursor.rowcount == 0:
                raise AlreadyExists(f"there is a board {board_id!r} already")

        await self._write(work)
        return Board(board_id, new.name or board_id)

    async def get_board(self, board_id: str) -> Board:
        return await self._read(lambda c: _board(c, board_id))

    async def delete_board(self, board_id: str) -> None:
        def work(c: sqlite3.Connection) -> None:
            if c.execute("DELETE FROM boards WHERE id = ?", (board_id,)).rowcount == 0:
                raise _no_board(board_id)

        await self._write(work)

    async def ranking(self, board_id: str, limit: int) -> Ranking:
        def work(c: sqlite3.Connection) -> Ranking:
            board = _board(c, board_id)
            rows = c.execute(
                "SELECT id, name, score FROM players WHERE board = ?"
                " ORDER BY score DESC, id LIMIT ?",
                (board_id, limit),
            ).fetchall()
            return Ranking(board, [Player(*row) for row in rows], _version(c))

        return await self._read(work)

    # Players

    async def create_player(self, board_id: str, new: NewPlayer) -> Player:
        player = Player(new.id or new_id(), new.name, score_of(new.score))

        def work(c: sqlite3.Connection) -> None:
            _board(c, board_id)
            cursor = c.execute(
                "INSERT INTO players (board, id, name, score) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (board_id, player.id, player.name, player.score),
            )
            if cursor.rowcount == 0:
                raise AlreadyExists(f"board {board_id!r} has a player {player.id!r} already")

        await self._write(work)
        return player

    async def get_player(self, board_id: str, player_id: str) -> RankedPlayer:
        def work(c: sqlite3.Connection) -> RankedPlayer:
            player = _player(c, board_id, player_id)
            (better,) = c.execute(
                "SELECT count(*) FROM players WHERE board = ? AND score > ?",
                (board_id, player.score),
            ).fetchone()
            return RankedPlayer(player.id, player.name, player.score, better + 1)

        return await self._read(work)

    async def update_player(self, board_id: str, player_id: str, patch: PlayerPatch) -> Player:
        def work(c: sqlite3.Connection) -> Player:
            player = _player(c, board_id, player_id)
            name = patch.name if isinstance(patch.name, str) else player.name
            score = score_of(patch.score) if isinstance(patch.score, int | float) else player.score
            c.execute(
                "UPDATE players SET name = ?, score = ? WHERE board = ? AND id = ?",
                (name, score, board_id, player_id),
            )
            return Player(player_id, name, score)

        return await self._write(work)

    async def delete_player(self, board_id: str, player_id: str) -> None:
        def work(c: sqlite3.Connection) -> None:
            cursor = c.execute(
                "DELETE FROM players WHERE board = ? AND id = ?", (board_id, player_id)
            )
            if cursor.rowcount == 0:
                raise _missing(c, board_id, player_id)

        await self._write(work)

    async def add_score(self, board_id: str, player_id: str, amount: Number) -> Player:
        def work(c: sqlite3.Connection) -> Player:
            # fetchall, since a statement that is not stepped to its end isn't carried out
            rows = c.execute(
                f"UPDATE players SET score = score + ?3 WHERE board = ?1 AND id = ?2"
                f" AND score + ?3 BETWEEN -{SCORE_LIMIT} AND {SCORE_LIMIT}"
                " RETURNING id, name, score",
                (board_id, player_id, amount),
            ).fetchall()
            if not rows:
                player = _player(c, board_id, player_id)
                raise OutOfRange(
                    f"the score is {player.score}; adding {amount} would leave ±2^53,"
                    " so nothing was added"
                )
            ((id, name, score),) = rows
            return Player(id, name, score_of(score))

        return await self._write(work)

    # Changes

    async def changes(self) -> SQLiteFeed:
        seen = await self._read(_version, own=True)
        if self._feed is not None:
            await self._feed.close()
        self._feed = SQLiteFeed(self._database, seen)
        return self._feed

    # How the threads' failures read

    async def _read(self, work: Callable[[sqlite3.Connection], T], *, own: bool = False) -> T:
        try:
            return await self._database.read(work, own=own)
        except DatabaseUnavailable as error:
            raise StoreUnavailable(str(error)) from error

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._database.waiting_writes >= self._waiting_writes:
            raise StoreUnavailable("too many writes are waiting; nothing was changed")
        try:
            return await self._database.write(work)
        except DatabaseUnavailable as error:
            raise StoreUnavailable(str(error)) from error


class SQLiteFeed:
    """The `Feed` of the table ``changes``: what was noted after the number `seen`."""

    def __init__(self, database: Database, seen: int) -> None:
        self._database = database
        self._seen = seen
        self._taken = _TAKEN_CHANGES  # so that what an earlier process left goes with the first
        self._forgetting: asyncio.Task[None] | None = None
        self._closed = False
        self._wake = asyncio.Event()
        self._wake.set()
        database.on_change(self._wake.set)

    async def next(self) -> Sequence[Change]:
        while True:
            await self._wake.wait()
            if self._closed:
                raise FeedLost("the feed was closed")
            self._wake.clear()
            try:
                changes = await self._database.read(partial(_changes, seen=self._seen), own=True)
            except BaseException as error:
                self._wake.set()
                if isinstance(error, DatabaseUnavailable):
                    raise FeedLost(str(error)) from error
                raise
            if len(changes) == _FEED_BATCH:
                self._wake.set()
            if changes:
                self._seen = changes[-1].version
                self._forget_taken(len(changes))
                return changes

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._database.on_change(None)
            self._wake.set()

    def _forget_taken(self, count: int) -> None:
        self._taken += count
        if self._taken >= _TAKEN_CHANGES and (self._forgetting is None or self._forgetting.done()):
            self._taken = 0
            self._forgetting = asyncio.ensure_future(self._forget(self._seen))

    async def _forget(self, seen: int) -> None:
        """Delete the changes up to the number `seen`, in pieces that keep no other write waiting.

        If that fails, the next call deletes the same rows.
        """
        deleted = _FEED_BATCH
        with contextlib.suppress(DatabaseUnavailable):
            while deleted == _FEED_BATCH:
                deleted = await self._database.write(partial(_forget, seen=seen), quiet=True)


def _forget(c: sqlite3.Connection, seen: int) -> int:
    return c.execute(
        "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE seq <= ? LIMIT ?)",
        (seen, _FEED_BATCH),
    ).rowcount


def _changes(c: sqlite3.Connection, seen: int) -> list[Change]:
    rows = c.execute(
        "SELECT c.seq, c.board, c.player, b.id, b.name, p.id, p.name, p.score"
        " FROM changes c LEFT JOIN boards b ON b.id = c.board"
        " LEFT JOIN players p ON p.board = c.board AND p.id = c.player"
        " WHERE c.seq > ? ORDER BY c.seq LIMIT ?",
        (seen, _FEED_BATCH),
    ).fetchall()
    changes: list[Change] = []
    for seq, board, player, board_id, board_name, player_id, player_name, score in rows:
        if player == "":
            there = None if board_id is None else Board(board_id, board_name or board_id)
            changes.append(BoardChanged(board, there, seq))
        else:
            now = None if player_id is None else Player(player_id, player_name, score)
            changes.append(PlayerChanged(board, player, now, seq))
    return changes


def _prepare(c: sqlite3.Connection) -> None:
    (version,) = c.execute("PRAGMA user_version").fetchone()
    if version > _SCHEMA_VERSION:
        raise StoreUnavailable(
            f"the file was written by a newer tornado_board (schema {version},"
            f" this one knows {_SCHEMA_VERSION})"
        )
    for statement in _statements(_SCHEMA):
        c.execute(statement)
    c.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
    if c.execute("SELECT 1 FROM boards LIMIT 1").fetchone() is None:
        c.execute(
            "INSERT INTO boards (id, name) VALUES (?, ?)", (SAMPLE_BOARD.id, SAMPLE_BOARD.name)
        )
        c.executemany(
            "INSERT OR IGNORE INTO players (board, id, name, score) VALUES (?, ?, ?, ?)",
            [(SAMPLE_BOARD.id, p.id, p.name, p.score) for p in SAMPLE_PLAYERS],
        )


def _statements(script: str) -> list[str]:
    """The statements of `script`, one by one: `executescript` would commit the transaction."""
    statements, statement = [], ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            statements.append(statement)
            statement = ""
    return statements


def _version(c: sqlite3.Connection) -> int:
    row = c.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    return row[0] if row else 0


def _board(c: sqlite3.Connection, board_id: str) -> Board:
    row = c.execute("SELECT name FROM boards WHERE id = ?", (board_id,)).fetchone()
    if row is None:
        raise _no_board(board_id)
    return Board(board_id, row[0] or board_id)


def _player(c: sqlite3.Connection, board_id: str, player_id: str) -> Player:
    row = c.execute(
        "SELECT id, name, score FROM players WHERE board = ? AND id = ?", (board_id, player_id)
    ).fetchone()
    if row is None:
        raise _missing(c, board_id, player_id)
    return Player(*row)


def _missing(c: sqlite3.Connection, board_id: str, player_id: str) -> NotFound:
    """Why there is no such player: there is no such board, or the board has no such player."""
    _board(c, board_id)
    return NotFound(f"board {board_id!r} has no player {player_id!r}")


def _no_board(board_id: str) -> NotFound:
    return NotFound(f"there is no board {board_id!r}")


def _shown(path: Path) -> str:
    """`path` as a person would write it: from the working folder where it lies in there."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
