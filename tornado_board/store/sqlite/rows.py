"""What the rows of ``boards`` and ``players`` mean.

The tables check what is written to them, but a program can switch that off (``PRAGMA
ignore_check_constraints``). So a row can be anything, and nothing in here raises:

* A board without a name goes by its id.
* A player whose score is no finite number is no player: it is neither ranked nor found. One whose
  name is no text has its bytes, or its digits, as its name.
* What has an id that the API would not take can't be asked for, so it isn't shown or ranked.
"""

from __future__ import annotations

import math
import sqlite3
import sys
from typing import Any

import msgspec

from tornado_board.inputs import NewBoard
from tornado_board.models import ORDERING, SCORE_LIMIT, Board, Number, Player, is_id
from tornado_board.store import NotFound
from tornado_board.store.sqlite import schema

#: The columns of boards and players, and the same of the table that ``b`` or ``p`` stands for.
BOARD_COLUMNS = ", ".join(f"b.{field}" for field in Board.__struct_fields__)
PLAYER_COLUMNS = ", ".join(f"p.{field}" for field in Player.__struct_fields__)

#: The range of scores in the index ``standing`` that are numbers: text and blobs come after all
#: numbers, and NULL before (https://www.sqlite.org/datatype3.html, 4.1).
IS_RANKED = f"p.score BETWEEN -{sys.float_info.max!r} AND {sys.float_info.max!r}"

#: Whether a row of ``players p`` does not only wait to be swept.
IS_ALIVE = (
    "(NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.board = p.board) OR EXISTS"
    " (SELECT 1 FROM made_since m WHERE m.board = p.board AND m.player = p.id))"
)

#: Whether a row of ``players p`` is the player ?2 of the board ?1.
IS_PLAYER = (
    f"p.board = ?1 AND p.id = ?2 AND {IS_RANKED} AND {IS_ALIVE}"
    " AND EXISTS (SELECT 1 FROM boards b WHERE b.id = p.board)"
)

_INSERT_BOARD = (
    f"INSERT INTO boards ({', '.join(Board.__struct_fields__)})"
    f" VALUES ({', '.join('?' * len(Board.__struct_fields__))}) ON CONFLICT DO NOTHING"
)

_INSERT = (
    f"INSERT INTO players (board, {', '.join(Player.__struct_fields__)})"
    f" VALUES (?{', ?' * len(Player.__struct_fields__)}) ON CONFLICT DO NOTHING"
)

_UPDATE = (
    f"UPDATE players SET {', '.join(f'{field} = ?' for field in Player.__struct_fields__)}"
    " WHERE board = ? AND id = ?"
)

_BOARD = f"SELECT {BOARD_COLUMNS} FROM boards b WHERE b.id = ?"
_PLAYER = f"SELECT {PLAYER_COLUMNS} FROM players p WHERE {IS_PLAYER}"

#: The players ``p`` of the board ?1 that were made since it was deleted and made again.
_SINCE = (
    "(SELECT q.* FROM made_since m CROSS JOIN players q ON q.board = m.board AND q.id = m.player"
    " WHERE m.board = ?1) p"
)


def _best(players: str) -> str:
    return (
        f"SELECT {PLAYER_COLUMNS} FROM {players} WHERE p.board = ?1 AND {IS_RANKED}"
        f" AND {schema.is_id('p.id')} ORDER BY {ORDERING.columns} LIMIT ?2"
    )


_BEST, _BEST_SINCE = _best("players p"), _best(_SINCE)

#: Those of the board ?1 with a better score than ?2; and those of them that are no players, for
#: their ids. These are few, and in an index of their own: to look at each id would take several
#: times as long.
_COUNT = f"SELECT count(*) FROM {{}} WHERE p.board = ?1 AND {ORDERING.is_better('p.score', '?2')}"
_ABOVE, _ABOVE_SINCE = _COUNT.format("players p"), _COUNT.format(_SINCE)
_STRAYS_ABOVE = f"{_ABOVE} AND {IS_ALIVE} AND NOT {schema.is_id('id')}"


def board(c: sqlite3.Connection, board_id: str) -> Board:
    """The board. Raises `NotFound`."""
    row = c.execute(_BOARD, (board_id,)).fetchone()
    there = None if row is None else board_of(row)
    if there is None:
        raise NotFound(f"there is no board {board_id!r}")
    return there


def player(c: sqlite3.Connection, board_id: str, player_id: str) -> Player:
    """The player. Raises `NotFound`."""
    row = c.execute(_PLAYER, (board_id, player_id)).fetchone()
    there = None if row is None else player_of(row)
    if there is None:
        raise missing(c, board_id, player_id)
    return there


def insert_board(c: sqlite3.Connection, board: Board, new: NewBoard) -> bool:
    """Add `board`, which is to be made for `new`; whether its id was free."""
    stored = {**msgspec.structs.asdict(board), "name": new.name}  # by its id it goes without one
    return c.execute(_INSERT_BOARD, tuple(stored.values())).rowcount > 0


def insert_player(c: sqlite3.Connection, board_id: str, player: Player) -> bool:
    """Add `player` to the board; whether its id was free."""
    return c.execute(_INSERT, (board_id, *msgspec.structs.astuple(player))).rowcount > 0


def update_player(c: sqlite3.Connection, board_id: str, player: Player) -> None:
    """Store `player` in place of the one with its id on the board."""
    c.execute(_UPDATE, (*msgspec.structs.astuple(player), board_id, player.id))


def best_players(c: sqlite3.Connection, board_id: str, limit: int) -> list[Player]:
    """At most `limit` players of the board, in the order of `models.ORDERING`."""
    rows = c.execute(_BEST_SINCE if _is_entombed(c, board_id) else _BEST, (board_id, limit))
    return [there for row in rows if (there := player_of(row)) is not None]


def rank(c: sqlite3.Connection, board_id: str, score: Number) -> int:
    """One more than the number of players of the board with a better score than `score`."""
    values = (board_id, score)
    above = _ABOVE_SINCE if _is_entombed(c, board_id) else _ABOVE
    (better,) = c.execute(above, values).fetchone()
    (strays,) = c.execute(_STRAYS_ABOVE, values).fetchone()
    return int(better - strays + 1)


def missing(c: sqlite3.Connection, board_id: str, player_id: str) -> NotFound:
    """Why there is no such player: there is no such board, or the board has no such player."""
    board(c, board_id)
    return NotFound(f"board {board_id!r} has no player {player_id!r}")


def board_of(row: tuple[Any, ...]) -> Board | None:
    """The board in a row of `BOARD_COLUMNS`, if any."""
    id, name, *rest = row
    if not isinstance(id, str) or not is_id(id):
        return None
    return Board(id, _text(name) or id, *rest)


def player_of(row: tuple[Any, ...]) -> Player | None:
    """The player in a row of `PLAYER_COLUMNS`, if any."""
    id, name, score, *rest = row
    number = _number(score)
    if number is None or not isinstance(id, str) or not is_id(id):
        return None
    return Player(id, _text(name), number, *rest)


def _is_entombed(c: sqlite3.Connection, board_id: str) -> bool:
    row = c.execute("SELECT 1 FROM tombstones WHERE board = ?", (board_id,)).fetchone()
    return row is not None


def _number(value: Any) -> Number | None:
    """`value` as `models.score_of` has it; numbers beyond the limit of a score stay floats."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if not -SCORE_LIMIT <= value <= SCORE_LIMIT:
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)
