"""SQLite files as other programs, and earlier versions of this one, leave them."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

#: What the first version made. Its own first release had triggers with conflict clauses, which a
#: statement's own clause overrides; they are what files that began with it have until today.
VERSION_1 = """
CREATE TABLE boards (
    id TEXT NOT NULL PRIMARY KEY
        CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
    name TEXT CHECK (name IS NULL OR typeof(name) = 'text')
) WITHOUT ROWID;
CREATE TABLE players (
    board TEXT NOT NULL,
    id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
    name TEXT NOT NULL CHECK (typeof(name) = 'text'),
    score NUMERIC NOT NULL DEFAULT 0 CHECK (
        typeof(score) IN ('integer', 'real')
        AND score BETWEEN -9007199254740992 AND 9007199254740992
    ),
    PRIMARY KEY (board, id)
) WITHOUT ROWID;
CREATE INDEX standing ON players (board, score DESC, id);
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, board TEXT NOT NULL, player TEXT NOT NULL,
    UNIQUE (board, player)
);
CREATE TRIGGER board_inserted AFTER INSERT ON boards BEGIN
    INSERT OR REPLACE INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER board_updated AFTER UPDATE ON boards
WHEN OLD.id IS NOT NEW.id OR OLD.name IS NOT NEW.name BEGIN
    INSERT OR REPLACE INTO changes (board, player) VALUES (OLD.id, '');
    INSERT OR REPLACE INTO changes (board, player) VALUES (NEW.id, '');
END;
CREATE TRIGGER board_deleted AFTER DELETE ON boards BEGIN
    DELETE FROM players WHERE board = OLD.id;
    DELETE FROM changes WHERE board = OLD.id;
    INSERT OR REPLACE INTO changes (board, player) VALUES (OLD.id, '');
END;
CREATE TRIGGER player_inserted AFTER INSERT ON players BEGIN
    INSERT OR REPLACE INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_updated AFTER UPDATE ON players
WHEN OLD.score IS NOT NEW.score OR OLD.name IS NOT NEW.name
    OR OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id BEGIN
    INSERT OR REPLACE INTO changes (board, player) SELECT OLD.board, OLD.id
        WHERE OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id;
    INSERT OR REPLACE INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
CREATE TRIGGER player_deleted AFTER DELETE ON players
WHEN EXISTS (SELECT 1 FROM boards WHERE id = OLD.board) BEGIN
    INSERT OR REPLACE INTO changes (board, player) VALUES (OLD.board, OLD.id);
END;
CREATE TABLE replay (
    board TEXT NOT NULL, n INTEGER NOT NULL, ms INTEGER NOT NULL, data TEXT NOT NULL,
    PRIMARY KEY (board, n)
) WITHOUT ROWID;
CREATE INDEX replay_age ON replay (ms);
CREATE TABLE replay_heads (
    board TEXT NOT NULL PRIMARY KEY, ms INTEGER NOT NULL, n INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
PRAGMA journal_mode = WAL;
"""

#: What the program from which this API comes would have made.
EARLIER_PROGRAM = """
CREATE TABLE boards (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT);
CREATE TABLE players (id INTEGER PRIMARY KEY, board INTEGER NOT NULL, name TEXT, score REAL);
"""


def make_file(path: Path, script: str) -> None:
    """A file that `script` fills."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(script)


def old_file(path: Path, *statements: str) -> None:
    """A file of version 1, in which `statements` were carried out."""
    make_file(path, VERSION_1 + "".join(f"{statement};\n" for statement in statements))


def restore(backup: Path, path: Path) -> None:
    """What ``sqlite3 path ".restore backup"`` does."""
    with (
        contextlib.closing(sqlite3.connect(backup)) as source,
        contextlib.closing(sqlite3.connect(path, timeout=20)) as target,
    ):
        source.backup(target)


def file_of_version(version: int, path: Path, *statements: str) -> None:
    """A file of version 2 or later, in which `statements` were carried out."""
    script = Path(__file__).with_name(f"sqlite_version_{version}.sql").read_text("utf-8")
    make_file(path, script + "".join(f"{statement};\n" for statement in statements))
