"""What the rows of ``boards`` and ``players`` mean.

The tables check what is written to them, but a program can switch that off (``PRAGMA
ignore_check_constraints``). So a row can be anything, and nothing in here raises:

* A board without a name goes by its id. Settings that are missing, or none that there can be, are
  the default.
* A player whose score is no finite number is no player: it is neither ranked nor found. One whose
  name is no text has its bytes, or its digits, as its name. What is no JSON object is no ``meta``.
  Hidden is one whose ``hidden`` is 1.
* What has an id that the API would not take can't be asked for, so it isn't shown or ranked.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from tornado_board import seasons
from tornado_board.models import SCORE_LIMIT, Board, Meta, Number, Player, is_id
from tornado_board.seasons import MOST_KEPT, MOST_NUMBER, PastSeason, divided
from tornado_board.store import NotFound, no_season
from tornado_board.store.sqlite import schema

#: The columns of boards and players, and the same of the table that ``b`` or ``p`` stands for.
BOARD_COLUMNS = schema.quoted(schema.BOARD_FIELDS, "b.")
PLAYER_COLUMNS = schema.quoted(schema.PLAYER_FIELDS, "p.")

#: Whether a row of ``players p`` does not only wait to be swept.
IS_ALIVE = (
    "(NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.board = p.board) OR EXISTS"
    " (SELECT 1 FROM made_since m WHERE m.board = p.board AND m.player = p.id))"
)

#: The same of a row of the partition ?1, of which it is asked once whether any wait.
_IS_ALIVE_IN = (
    "(NOT EXISTS (SELECT 1 FROM tombstones t WHERE t.board = ?1) OR EXISTS"
    " (SELECT 1 FROM made_since m WHERE m.board = ?1 AND m.player = p.id))"
)

#: Whether a row of ``players p`` is the player ?2 of the partition ?1, of a board that there is.
IS_PLAYER = (
    f"p.board = ?1 AND p.id = ?2 AND p.score BETWEEN -{schema.GREATEST} AND {schema.GREATEST}"
    f" AND {IS_ALIVE}"
)

_BOARD = f"SELECT {BOARD_COLUMNS} FROM boards b WHERE b.id = ?"
_PLAYER = f"SELECT {PLAYER_COLUMNS} FROM players p WHERE {IS_PLAYER}"
_PAST = (
    'SELECT number, started, ended, "order", ties FROM past_seasons'
    " WHERE board = ?1 AND number < ?2 ORDER BY number DESC LIMIT ?3"
)

#: Players that one statement reads: there are as many statements.
_READ_AT_ONCE = (1, 16, 256)

_PLAYERS = {
    count: (
        f"SELECT {PLAYER_COLUMNS} FROM players p WHERE p.board = ?1"
        f" AND p.id IN ({', '.join(f'?{number}' for number in range(2, count + 2))})"
        f" AND {_IS_ALIVE_IN}"
    )
    for count in _READ_AT_ONCE
}

#: Boards whose settings need not be looked at again.
_KNOWN_BOARDS = 1_000

_decode = msgspec.json.Decoder().decode


def find_board(c: sqlite3.Connection, board_id: str) -> Board | None:
    """The board, if there is one."""
    row = c.execute(_BOARD, (board_id,)).fetchone()
    return None if row is None else board_of(row)


def board(c: sqlite3.Connection, board_id: str) -> Board:
    """The board. Raises `NotFound`."""
    there = find_board(c, board_id)
    if there is None:
        raise no_board(board_id)
    return there


def board_in(c: sqlite3.Connection, board_id: str, number: int | None) -> Board:
    """The board as of the season with this number; ``None``: of the present one. Raises `NotFound`
    and `SeasonGone`."""
    there = board(c, board_id)
    if number is None or number == there.number:
        return there
    if number < there.number:
        for past in past_seasons(c, board_id, number + 1, 1):
            if past.number == number:
                return there.of_season(past)
    raise no_season(there, number)


def past_seasons(
    c: sqlite3.Connection, board_id: str, before: int = MOST_NUMBER, limit: int = MOST_KEPT
) -> list[PastSeason]:
    """At most `limit` of the seasons that are over and kept, with a number less than `before`, in
    the order of their numbers."""
    found = c.execute(_PAST, (board_id, before, limit)).fetchall()
    fields = PastSeason.__struct_fields__
    return seasons.past_seasons([dict(zip(fields, row, strict=True)) for row in found])


def player(c: sqlite3.Connection, board: Board, player_id: str) -> Player:
    """The player, who may be hidden. Raises `NotFound`."""
    row = c.execute(_PLAYER, (board.partition, player_id)).fetchone()
    there = None if row is None else player_of(row, board.number)
    if there is None:
        raise no_player(board.id, player_id)
    return there


def players(c: sqlite3.Connection, partition: str, ids: Collection[str]) -> Iterator[Player]:
    """Those of `ids`, which all can be ids, that there are, hidden ones too, of a season of a board
    that there is."""
    _, number = divided(partition)
    # In the order of the table, in which neighbours are on one page.
    waiting = sorted(ids)
    while waiting:
        count = next((n for n in _READ_AT_ONCE if n >= len(waiting)), _READ_AT_ONCE[-1])
        part = waiting[:count]
        del waiting[:count]
        # The same one again does no harm.
        part += part[-1:] * (count - len(part))
        for row in c.execute(_PLAYERS[count], (partition, *part)).fetchall():
            if (there := player_of(row, number, is_named=True)) is not None:
                yield there


def no_board(board_id: str) -> NotFound:
    """That there is no such board."""
    return NotFound(f"there is no board {board_id!r}")


def no_player(board_id: str, player_id: str) -> NotFound:
    """That the board has no such player."""
    return NotFound(f"board {board_id!r} has no player {player_id!r}")


@lru_cache(_KNOWN_BOARDS)
def board_of(row: tuple[Any, ...]) -> Board | None:
    """The board in a row of `BOARD_COLUMNS`, if any."""
    stored = dict(zip(schema.BOARD_FIELDS, row, strict=True))
    id = stored.pop("id")
    if not isinstance(id, str) or not is_id(id):
        return None
    name = text_of(stored.pop("name")) or id
    stored |= {name: _json(stored[name]) for name in ("meta", "show", "season")}
    return Board.of(id, name, {**stored, "private": stored["private"] == 1})


def player_of(row: tuple[Any, ...], number: int = 1, *, is_named: bool = False) -> Player | None:
    """The player in a row of `PLAYER_COLUMNS` of the season with this number, if any. `is_named`:
    it was asked for by an id that can be one."""
    id, name, score, reached_at, meta, hidden = row
    if type(id) is not str or not (is_named or is_id(id)):
        return None
    # It is called for each player that is read, so that what nearly all are goes without calls.
    if type(score) is not int or not -SCORE_LIMIT <= score <= SCORE_LIMIT:
        score = number_of(score)
        if score is None:
            return None
    if type(name) is not str:
        name = text_of(name)
    if type(reached_at) is not int:
        reached_at = 0
    found = {} if meta is None else meta_of(meta)
    return Player(id, name, score, reached_at, found, hidden == 1, number)


def number_of(value: Any) -> Number | None:
    """`value` as `models.score_of` has it; numbers beyond the limit of a score stay floats."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return None
    if not -SCORE_LIMIT <= value <= SCORE_LIMIT:
        return float(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def meta_of(value: Any) -> Meta:
    """The object that `value` is as JSON; an empty one if it is none."""
    found = _json(value)
    return found if isinstance(found, dict) else {}


def text_of(value: Any) -> str:
    """`value`, whatever it is, as a name."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _json(value: Any) -> Any:
    """What `value` is as JSON; ``None`` if it is none."""
    if not isinstance(value, str):
        return None
    try:
        return _decode(value)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None
