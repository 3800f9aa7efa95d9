"""Tables and triggers.

``changes`` notes which boards and players changed, whoever changed them. A row that changes again
gets a new, higher number, so the table is bounded by the boards and players there are.

A board with many players can't be deleted at once without holding up all other writes. It goes
into ``tombstones`` instead, and its players are swept later, in pieces. Until then they are
nobody's: of a board with a tombstone only those players count that are in ``made_since``. They
belong to a board that was made under the same id since.
"""

from __future__ import annotations

import sqlite3

from tornado_board.models import SCORE_LIMIT, Board, Ordering, Player

#: A board with more players than this gets a tombstone.
SWEPT_AT_ONCE = 1_000

#: The row of ``sqlite_sequence`` with the number that `guard.EpochGuard` marks the file with.
EPOCH = "store_epoch"

#: What the first version made, and what every file has.
FIRST_TABLES = (
    """CREATE TABLE IF NOT EXISTS boards (
        id TEXT NOT NULL PRIMARY KEY
            CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
        name TEXT CHECK (name IS NULL OR typeof(name) = 'text')
    ) WITHOUT ROWID""",
    # NUMERIC keeps whole numbers as integers, also where a float is stored.
    f"""CREATE TABLE IF NOT EXISTS players (
        board TEXT NOT NULL,
        id TEXT NOT NULL CHECK (length(id) BETWEEN 1 AND 64 AND id NOT GLOB '*[^A-Za-z0-9._~-]*'),
        name TEXT NOT NULL CHECK (typeof(name) = 'text'),
        score NUMERIC NOT NULL DEFAULT 0 CHECK (
            typeof(score) IN ('integer', 'real') AND score BETWEEN -{SCORE_LIMIT} AND {SCORE_LIMIT}
        ),
        PRIMARY KEY (board, id)
    ) WITHOUT ROWID""",
    f"CREATE INDEX IF NOT EXISTS standing ON players (board, {Ordering('desc').columns})",
    # player = '' stands for the board itself.
    """CREATE TABLE IF NOT EXISTS changes (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        board TEXT NOT NULL,
        player TEXT NOT NULL,
        UNIQUE (board, player)
    )""",
)


def is_id(column: str) -> str:
    """SQL for `models.is_id` of the value in `column`, whatever that holds."""
    return (
        f"(typeof({column}) = 'text' AND length({column}) BETWEEN 1 AND 64"
        f" AND {column} NOT GLOB '*[^A-Za-z0-9._~-]*' AND {column} NOT IN ('.', '..')"
        # A text with a NUL has a length and a shape up to there only.
        f" AND length(CAST({column} AS BLOB)) = length({column}))"
    )


#: What the second version added.
SECOND_TABLES = (
    # Rows that only a program with its checks switched off can have put there; see `rows`.
    f"CREATE INDEX IF NOT EXISTS strays ON players (board, score) WHERE NOT {is_id('id')}",
    "CREATE TABLE IF NOT EXISTS tombstones (board TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS made_since (
        board TEXT NOT NULL, player TEXT NOT NULL, PRIMARY KEY (board, player)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS store_identity (
        one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL
    )""",
)


def _entombed(row: str) -> str:
    return f"EXISTS (SELECT 1 FROM tombstones WHERE board = {row}.board)"


def _made_since(row: str) -> str:
    return f"EXISTS (SELECT 1 FROM made_since WHERE board = {row}.board AND player = {row}.id)"


def _differ(*columns: str) -> str:
    return " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in columns)


#: Makes room for a player where one of the same id waits to be swept.
_MAKE_ROOM = """
    DELETE FROM players WHERE board = NEW.board AND id = NEW.id;
    INSERT INTO made_since (board, player) VALUES (NEW.board, NEW.id);
"""

# A conflict clause of the statement that fires a trigger overrides those in the trigger
# (https://www.sqlite.org/lang_createtrigger.html), so the triggers see to it that there is none.
_TRIGGERS = f"""
board_inserted AFTER INSERT ON boards BEGIN
    DELETE FROM changes WHERE board = NEW.id AND player = '';
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
board_updated AFTER UPDATE ON boards WHEN {_differ(*Board.__struct_fields__)} BEGIN
    DELETE FROM changes WHERE board IN (OLD.id, NEW.id) AND player = '';
    INSERT INTO changes (board, player) SELECT OLD.id, '' WHERE OLD.id IS NOT NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.id, '');
END;
-- The subqueries give NULL where there is a tombstone: then no row is looked at.
board_deleted AFTER DELETE ON boards BEGIN
    DELETE FROM made_since WHERE board = OLD.id;
    INSERT INTO tombstones (board) SELECT OLD.id
        WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id) AND {SWEPT_AT_ONCE} < (
            SELECT count(*) FROM (
                SELECT 1 FROM players WHERE board = OLD.id LIMIT {SWEPT_AT_ONCE + 1}
            )
        );
    DELETE FROM players WHERE board = (
        SELECT OLD.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id)
    );
    DELETE FROM changes WHERE board = (
        SELECT OLD.id WHERE NOT EXISTS (SELECT 1 FROM tombstones WHERE board = OLD.id)
    );
    DELETE FROM changes WHERE board = OLD.id AND player = '';
    INSERT INTO changes (board, player) VALUES (OLD.id, '');
END;
player_displaces BEFORE INSERT ON players
WHEN {_entombed("NEW")} AND NOT {_made_since("NEW")} BEGIN{_MAKE_ROOM}END;
player_inserted AFTER INSERT ON players BEGIN
    DELETE FROM changes WHERE board = NEW.board AND player = NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
player_moves BEFORE UPDATE OF board, id ON players
WHEN ({_differ("board", "id")}) AND {_entombed("NEW")} AND NOT {_made_since("NEW")}
BEGIN{_MAKE_ROOM}END;
player_updated AFTER UPDATE ON players WHEN {_differ("board", *Player.__struct_fields__)} BEGIN
    DELETE FROM changes WHERE board = OLD.board AND player = OLD.id;
    DELETE FROM changes WHERE board = NEW.board AND player = NEW.id;
    INSERT INTO changes (board, player) SELECT OLD.board, OLD.id
        WHERE OLD.board IS NOT NEW.board OR OLD.id IS NOT NEW.id;
    INSERT INTO changes (board, player) VALUES (NEW.board, NEW.id);
END;
-- Players that go with their board are told of by the board's own row.
player_deleted AFTER DELETE ON players
WHEN EXISTS (SELECT 1 FROM boards WHERE id = OLD.board)
    AND (NOT {_entombed("OLD")} OR {_made_since("OLD")}) BEGIN
    DELETE FROM changes WHERE board = OLD.board AND player = OLD.id;
    INSERT INTO changes (board, player) VALUES (OLD.board, OLD.id);
END;
"""


def set_triggers(c: sqlite3.Connection) -> None:
    """Make the triggers, in place of those that an earlier version made or somebody changed."""
    present = dict(c.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
    for name, statement in triggers().items():
        if present.get(name) != statement:
            c.execute(f"DROP TRIGGER IF EXISTS {name}")
            c.execute(statement)


def triggers() -> dict[str, str]:
    """The statements that make the triggers, by name, as SQLite keeps them."""
    statements = {}
    text = ""
    for line in _TRIGGERS.splitlines(keepends=True):
        if not line.startswith("--"):
            text += line
        if line.rstrip().endswith("END;"):
            statement = f"CREATE TRIGGER {text.strip().removesuffix(';')}"
            statements[statement.split()[2]] = statement
            text = ""
    return statements
