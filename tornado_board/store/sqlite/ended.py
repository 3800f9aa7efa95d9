"""The end of a season: what is written, in the writer's thread, in one transaction.

Every write of a board's players asks here for the board. So a season whose time is over ends before
the first write after that, though no clock has ended it yet, and no score goes to a season that is
over.
"""

from __future__ import annotations

import sqlite3
import time

import msgspec

from tornado_board.models import Board
from tornado_board.seasons import Season, partition_of
from tornado_board.seasons.course import reset
from tornado_board.store import WrongSeason
from tornado_board.store.scoring import check_season
from tornado_board.store.sqlite import rows, schema

_SET_SEASON = "UPDATE boards SET season = ? WHERE id = ?"
_KEEP_PAST = (
    'INSERT OR REPLACE INTO past_seasons (board, number, started, ended, "order", ties)'
    " VALUES (?, ?, ?, ?, ?, ?)"
)
_DROP_PAST = "DELETE FROM past_seasons WHERE board = ? AND number = ?"
#: Has the players swept; those who were made while an earlier tombstone stood, too.
_BURY = "INSERT OR IGNORE INTO tombstones (board) VALUES (?)"
_NONE_SINCE = "DELETE FROM made_since WHERE board = ?"

_ENDING = (
    f"SELECT {rows.BOARD_COLUMNS} FROM boards b WHERE {schema.ENDS} IS NOT NULL"
    f" ORDER BY {schema.ENDS} LIMIT ?"
)


def now() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def season_json(season: Season) -> str:
    """The season as the column has it."""
    return msgspec.json.encode(season.stored()).decode()


def find_board(c: sqlite3.Connection, board_id: str) -> Board | None:
    """The board, if there is one, in the season that a write of its players goes to."""
    board = rows.find_board(c, board_id)
    if board is not None and board.season is not None and board.season.is_due(now()):
        return end(c, board, board.season)
    return board


def board(c: sqlite3.Connection, board_id: str) -> Board:
    """The same. Raises `NotFound`."""
    there = find_board(c, board_id)
    if there is None:
        raise rows.no_board(board_id)
    return there


def end_by_hand(c: sqlite3.Connection, board_id: str, number: int | None) -> Board:
    """End the present season, if it has this number. Raises `NotFound` or `WrongSeason`."""
    there = board(c, board_id)
    if there.season is None:
        raise WrongSeason(f"board {board_id!r} has no seasons; give it some by its setting season")
    if number is not None:
        check_season(there, number)
    return end(c, there, there.season)


def end_if_due(c: sqlite3.Connection, board_id: str) -> bool:
    """End the present season if its time is over; whether it did."""
    there = rows.find_board(c, board_id)
    if there is None or there.season is None or not there.season.is_due(now()):
        return False
    end(c, there, there.season)
    return True


def end(c: sqlite3.Connection, board: Board, season: Season) -> Board:
    """End `season`, the present one of `board`; the board after that."""
    past = rows.past_seasons(c, board.id)
    done = reset(season, past, now(), board.order, board.ties)
    c.execute(_SET_SEASON, (season_json(done.season), board.id))
    over = done.past[-1]
    values = (over.number, over.started, over.ended, over.order, over.ties)
    c.execute(_KEEP_PAST, (board.id, *values))
    for number in done.dropped:
        partition = partition_of(board.id, number)
        c.execute(_DROP_PAST, (board.id, number))
        c.execute(_NONE_SINCE, (partition,))
        c.execute(_BURY, (partition,))
    return msgspec.structs.replace(board, season=done.season)


def ending(c: sqlite3.Connection, limit: int) -> list[Board]:
    """At most `limit` boards whose season ends by the calendar, the first one first."""
    found = map(rows.board_of, c.execute(_ENDING, (limit,)).fetchall())
    return [board for board in found if board is not None and board.season is not None]
