"""Tables, and what SQL says of their rows.

``changes`` notes which boards and players changed, whoever changed them: a row for each change,
with the score before. The feed deletes what it has taken.

``players.rules`` is what the order of a player's row depends on, from its board's settings, and
``players.merit`` its score, such that that of a better player is smaller. So one index has the
order of every board (`models.Ordering.key`), and holds nothing that is no player.

A board with many players can't be deleted at once without holding up all other writes. It goes
into ``tombstones`` instead, and its players are swept later, in pieces. Until then they are
nobody's: of a board with a tombstone only those players count that are in ``made_since``. They
belong to a board that was made under the same id since.

``players.board`` is a partition (`seasons.partition_of`): the board's id for its first season, and
``2:cup`` for the second of ``cup``. So all that is said here of the players of a board holds for
those of one season. Seasons that are over and not kept have a tombstone each.
"""

from __future__ import annotations

import sqlite3
import sys

from tornado_board.models import SCORE_LIMIT, Board, Player

#: A board with more players than this gets a tombstone.
SWEPT_AT_ONCE = 1_000

#: The row of ``sqlite_sequence`` with the number that `guard.EpochGuard` marks the file with.
EPOCH = "store_epoch"

#: The bits of ``players.rules``: the board's order is ``asc``, and its ties go to the first.
ASCENDING, FIRST = 1, 2

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
)

#: What the second version added.
SECOND_TABLES = (
    "CREATE TABLE IF NOT EXISTS tombstones (board TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    """CREATE TABLE IF NOT EXISTS made_since (
        board TEXT NOT NULL, player TEXT NOT NULL, PRIMARY KEY (board, player)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS store_identity (
        one INTEGER PRIMARY KEY CHECK (one = 1), identity TEXT NOT NULL
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


#: The greatest number that is finite. To SQLite text and blobs are greater than all numbers, and
#: NULL is less (https://www.sqlite.org/datatype3.html, 4.1).
GREATEST = repr(sys.float_info.max)

_BOUND = (
    "typeof({0}) IN ('null', 'integer', 'real')"
    f" AND coalesce({{0}}, 0) BETWEEN -{SCORE_LIMIT} AND {SCORE_LIMIT}"
)

#: The columns that the third version added, by table. What is NULL in ``boards`` is not set.
THIRD_COLUMNS = {
    "boards": {
        "order": "TEXT CHECK (\"order\" IN ('desc', 'asc'))",
        "ties": "TEXT CHECK (ties IN ('id', 'first'))",
        "operator": "TEXT CHECK (operator IN ('best', 'set', 'add'))",
        "top": "INTEGER CHECK (top IS NULL OR typeof(top) = 'integer' AND top BETWEEN 1 AND 100)",
        "min": f"NUMERIC CHECK ({_BOUND.format('min')})",
        "max": f"NUMERIC CHECK ({_BOUND.format('max')})",
        # JSON
        "meta": "TEXT CHECK (typeof(meta) IN ('null', 'text'))",
        "show": "TEXT CHECK (typeof(show) IN ('null', 'text'))",
        "private": "INTEGER CHECK (private IN (0, 1))",
    },
    # Without checks, for which SQLite would read the whole table once a column. See `triggers`.
    "players": {
        "reached_at": "INTEGER NOT NULL DEFAULT 0",
        "meta": "TEXT",
        "rules": "INTEGER NOT NULL DEFAULT 0",
        # Numbers are compared as doubles, as Python does. Not a generated column: SQLite reads the
        # table's row for each of those, where it counts what is in an index.
        "merit": "REAL",
    },
}


def turned(score: str, rules: str) -> str:
    """SQL for `models.Ordering.merit` of a score, of a board with these rules."""
    return f"CAST(CASE ({rules}) & {ASCENDING} WHEN 0 THEN 0 - {score} ELSE {score} END AS REAL)"


def is_player(row: str) -> str:
    """SQL for whether a row of ``players`` is a player."""
    return f"({row}.score BETWEEN -{GREATEST} AND {GREATEST} AND {is_id(f'{row}.id')})"


def is_hidden(row: str = "") -> str:
    """SQL for `models.Player.hidden` of a row of ``players``, whatever that holds."""
    return f"{row}.hidden IS 1" if row else "hidden IS 1"


def merit(row: str, rules: str) -> str:
    """SQL for ``players.merit`` of a row, with these rules: NULL of what is no player, or hidden,
    so that the range of the index that has numbers is that of the players who have a place."""
    return (
        f"CASE WHEN {is_player(row)} AND NOT {is_hidden(row)}"
        f" THEN {turned(f'{row}.score', rules)} END"
    )


#: Those of the second version and of the third; of a table that they replace, the number goes on.
CHANGES_BEFORE = """CREATE TABLE IF NOT EXISTS changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    board TEXT NOT NULL,
    player TEXT NOT NULL,
    UNIQUE (board, player)
)"""

#: player = '' stands for the board itself; then `before` may be one of those below.
CHANGES = """CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    board TEXT NOT NULL,
    player TEXT NOT NULL,
    before
)"""

#: `changes.before` of a board that was deleted; and of one that there was not before. Its players
#: follow, if there were rows of theirs.
DELETED, MADE = 1, 2

#: What the third version added: outcomes of writes, see `once`.
THIRD_TABLES = (
    """CREATE TABLE IF NOT EXISTS outcomes (
        n INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        request TEXT NOT NULL,
        at INTEGER NOT NULL,
        size INTEGER NOT NULL,
        outcome BLOB NOT NULL
    )""",
)

#: The order of players (`models.Ordering.key`): an index, and what a query is ordered by.
PLACE = "merit, reached_at, id"
STANDING = f"CREATE INDEX standing ON players (board, {PLACE})"

#: What the fourth version added: players that are hidden, and the index of these.
FOURTH_COLUMNS = {"players": {"hidden": "INTEGER NOT NULL DEFAULT 0"}}
HIDDEN_PLAYERS = f"CREATE INDEX hidden_players ON players (board, id) WHERE {is_hidden()}"


#: What the fifth version added: the present season of a board, as JSON, an index of when it ends,
#: and the seasons that are over and kept.
FIFTH_COLUMNS = {
    "boards": {"season": "TEXT CHECK (season IS NULL OR json_type(season) = 'object')"}
}
FIFTH_TABLES = (
    """CREATE TABLE IF NOT EXISTS past_seasons (
        board TEXT NOT NULL,
        number INTEGER NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER NOT NULL,
        "order" TEXT NOT NULL,
        ties TEXT NOT NULL,
        PRIMARY KEY (board, number)
    ) WITHOUT ROWID""",
)
ENDS = "json_extract(season, '$.ends')"
ENDING_SEASONS = f"CREATE INDEX ending_seasons ON boards ({ENDS}) WHERE {ENDS} IS NOT NULL"


def board_in(partition: str) -> str:
    """SQL for the board whose `partition` it is (`seasons.divided`)."""
    return f"substr({partition}, instr({partition}, ':') + 1)"


def number_in(partition: str) -> str:
    """SQL for the number of the season whose `partition` it is."""
    return (
        f"CASE instr({partition}, ':') WHEN 0 THEN 1"
        f" ELSE CAST(substr({partition}, 1, instr({partition}, ':') - 1) AS INTEGER) END"
    )


def partition(row: str) -> str:
    """SQL for the partition of the present season of a row of ``boards``."""
    number = f"json_extract({row}.season, '$.number')"
    return f"(CASE WHEN {number} > 1 THEN {number} || ':' || {row}.id ELSE {row}.id END)"


def quoted(fields: tuple[str, ...], table: str = "") -> str:
    """The columns of a struct's fields, which may be words of SQL."""
    return ", ".join(f'{table}"{field}"' for field in fields)


BOARD_FIELDS = Board.__struct_fields__
#: The season of a player is said by its partition.
PLAYER_FIELDS = tuple(field for field in Player.__struct_fields__ if field != "season")

#: A statement that failed with OR FAIL leaves rows behind, and not their number.
_VERSION = (
    "SELECT max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0),"
    " coalesce((SELECT max(seq) FROM changes), 0))"
)


def version(c: sqlite3.Connection) -> int:
    """The number of the newest change."""
    number: int = c.execute(_VERSION).fetchone()[0]
    return number
