"""Players in their board's order: what is read from the index ``standing``."""

from __future__ import annotations

import sqlite3
import sys

from tornado_board.models import Board, Number, Player
from tornado_board.store.sqlite import rows, schema

#: The range of merits in the index that players have: it has NULL for what is none.
_IS_RANKED = f"p.merit BETWEEN -{schema.GREATEST} AND {schema.GREATEST}"

#: The players ``p`` of the board ?1; and, of one that was made anew while it is swept, those that
#: were made since.
_ALL = "players p"
_SINCE = (
    "(SELECT q.* FROM made_since m CROSS JOIN players q ON q.board = m.board AND q.id = m.player"
    " WHERE m.board = ?1) p"
)


def _best(players: str) -> str:
    return (
        f"SELECT {rows.PLAYER_COLUMNS} FROM {players} WHERE p.board = ?1 AND {_IS_RANKED}"
        f" ORDER BY {schema.PLACE} LIMIT ?2"
    )


def _count(players: str, than: str) -> str:
    return (
        f"SELECT count(*) FROM {players} WHERE p.board = ?1"
        f" AND p.merit >= -{schema.GREATEST} AND p.merit {than} ?2"
    )


_BEST, _BEST_SINCE = _best(_ALL), _best(_SINCE)
_BETTER, _BETTER_SINCE = _count(_ALL, "<"), _count(_SINCE, "<")
_TO, _TO_SINCE = _count(_ALL, "<="), _count(_SINCE, "<=")


def best_players(c: sqlite3.Connection, board_id: str, limit: int) -> list[Player]:
    """At most `limit` players of the board, best first."""
    best = _BEST_SINCE if is_entombed(c, board_id) else _BEST
    return _players(c, best, (board_id, limit))


def has_players(c: sqlite3.Connection, board_id: str) -> bool:
    """Whether the board has any."""
    return bool(best_players(c, board_id, 1))


def count(c: sqlite3.Connection, board_id: str) -> int:
    """How many players the board has."""
    everyone = _TO_SINCE if is_entombed(c, board_id) else _TO
    (number,) = c.execute(everyone, (board_id, sys.float_info.max)).fetchone()
    return int(number)


def rank(c: sqlite3.Connection, board: Board, score: Number) -> int:
    """One more than the number of players of the board with a better score than `score`."""
    better = _BETTER_SINCE if is_entombed(c, board.id) else _BETTER
    (count,) = c.execute(better, (board.id, board.ordering.merit(score))).fetchone()
    return int(count) + 1


def is_entombed(c: sqlite3.Connection, board_id: str) -> bool:
    """Whether there are rows that are players no more, and wait to be swept."""
    row = c.execute("SELECT 1 FROM tombstones WHERE board = ?", (board_id,)).fetchone()
    return row is not None


def _players(c: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[Player]:
    return [there for row in c.execute(query, values) if (there := rows.player_of(row)) is not None]
