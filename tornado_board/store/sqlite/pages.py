"""Players in their board's order: what is read from the index ``standing``."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator, Sequence

from tornado_board.models import SCORE_LIMIT, Board, Number, Player
from tornado_board.store import Place, Scores
from tornado_board.store.sqlite import rows, schema

#: The range of merits in the index that players have: it has NULL for what is none, and for those
#: who are hidden.
_IS_RANKED = f"p.merit BETWEEN -{schema.GREATEST} AND {schema.GREATEST}"

#: The players ``p`` of the board ?1; and, of one that was made anew while it is swept, those that
#: were made since.
_ALL = "players p"
_MADE_SINCE = "made_since m CROSS JOIN players p ON p.board = m.board AND p.id = m.player"
_SINCE = (
    "(SELECT q.* FROM made_since m CROSS JOIN players q ON q.board = m.board AND q.id = m.player"
    " WHERE m.board = ?1) p"
)

#: Scores that one read has: some milliseconds.
_SCORES_AT_ONCE = 5_000

#: Later than any time.
_LAST_TIME = 2**63 - 1


_BEFORE, _BEHIND = "<", ">"


def _page(players: str, of: str, direction: str) -> str:
    """A page of the board ?1, of the range `of` of the index, in a direction."""
    order = schema.PLACE if direction == _BEHIND else schema.PLACE.replace(",", " DESC,") + " DESC"
    return (
        f"SELECT {rows.PLAYER_COLUMNS} FROM {players} WHERE p.board = ?1 AND {of}"
        f" ORDER BY {order} LIMIT ?2"
    )


def _beyond(direction: str) -> str:
    """The range of the index beyond the place ?3, ?4, ?5."""
    # NULL comes before all numbers.
    end = f" AND p.merit >= -{schema.GREATEST}" if direction == _BEFORE else ""
    return f"(p.merit, p.reached_at, p.id) {direction} (?3, ?4, ?5){end}"


def _count(players: str, than: str) -> str:
    return (
        f"SELECT count(*) FROM {players} WHERE p.board = ?1"
        f" AND p.merit >= -{schema.GREATEST} AND p.merit {than} ?2"
    )


def _merits(players: str) -> str:
    return (
        f"SELECT p.merit FROM {players} WHERE p.board = ?1 AND {_IS_RANKED}"
        f" ORDER BY {schema.PLACE} LIMIT 2 OFFSET ?2"
    )


def _scores(players: str, board: str, id: str) -> str:
    # Beyond the limit of a score whole numbers are doubles, as `rows.number_of` has it.
    return (
        f"SELECT p.id, CASE WHEN p.score BETWEEN -{SCORE_LIMIT} AND {SCORE_LIMIT} THEN p.score"
        f" ELSE CAST(p.score AS REAL) END FROM {players}"
        f" WHERE {board} = ?1 AND {id} > ?2 AND p.merit IS NOT NULL"
        f" ORDER BY {id} LIMIT ?3"
    )


# Each for a board, and for one that was made anew while its earlier players are swept.
_END = {
    (direction, entombed): _page(players, _IS_RANKED, direction)
    for direction in (_BEFORE, _BEHIND)
    for entombed, players in enumerate((_ALL, _SINCE))
}
_PAGE = {
    (direction, entombed): _page(players, _beyond(direction), direction)
    for direction in (_BEFORE, _BEHIND)
    for entombed, players in enumerate((_ALL, _SINCE))
}
_BETTER = [_count(players, "<") for players in (_ALL, _SINCE)]
_EVERYONE = [_count(players, "<=") for players in (_ALL, _SINCE)]
_MERITS = [_merits(players) for players in (_ALL, _SINCE)]
_SCORES = [_scores(_ALL, "p.board", "p.id"), _scores(_MADE_SINCE, "m.board", "m.player")]

_HIDDEN = (
    f"SELECT {rows.PLAYER_COLUMNS} FROM players p WHERE p.board = ? AND {schema.is_hidden('p')}"
    f" AND p.id > ? AND {schema.is_player('p')} AND {rows.IS_ALIVE} ORDER BY p.id LIMIT ?"
)


def players_after(
    c: sqlite3.Connection, board: Board, place: Place | None, limit: int, backwards: bool = False
) -> list[Player]:
    """At most `limit` players behind `place`, or before it, that nearest to it first."""
    key = _BEFORE if backwards else _BEHIND, is_entombed(c, board.id)
    if place is None:
        return _players(c, _END[key], (board.id, limit))
    merit = board.ordering.merit(place.score)
    return _players(c, _PAGE[key], (board.id, limit, merit, place.reached_at, place.id))


def everyone(c: sqlite3.Connection, board: Board, size: int) -> Iterator[list[Player]]:
    """All players, best first, `size` rows at a time."""
    found = c.execute(_END[_BEHIND, is_entombed(c, board.id)], (board.id, -1))
    while some := found.fetchmany(size):
        yield [there for row in some if (there := rows.player_of(row)) is not None]


def has_players(c: sqlite3.Connection, board: Board) -> bool:
    """Whether the board has any, hidden or not."""
    return bool(players_after(c, board, None, 1) or hidden_players(c, board.id, "", 1))


def hidden_players(c: sqlite3.Connection, board_id: str, after: str, limit: int) -> list[Player]:
    """At most `limit` hidden players with ids after `after`, by id."""
    return _players(c, _HIDDEN, (board_id, after, limit))


def player_at(c: sqlite3.Connection, board: Board, rank: int) -> Player | None:
    """The first player whose rank is `rank` or greater, if any."""
    # The one at that position, and the one before: if they share a rank, it is not that.
    first = max(rank - 2, 0)
    merits = c.execute(_MERITS[is_entombed(c, board.id)], (board.id, first)).fetchall()
    if len(merits) < min(rank, 2):
        return None
    (merit,) = merits[min(rank, 2) - 1]
    is_shared = rank > 1 and merits[0] == merits[1]
    # Before all of a merit is the place with the least time; behind them, the greatest.
    time = _LAST_TIME if is_shared else -_LAST_TIME
    key = _BEHIND, is_entombed(c, board.id)
    players = _players(c, _PAGE[key], (board.id, 1, merit, time, ""))
    return players[0] if players else None


def count(c: sqlite3.Connection, board: Board) -> int:
    """How many players the board has."""
    return _counted(c, _EVERYONE, board.id, sys.float_info.max)


def rank(c: sqlite3.Connection, board: Board, score: Number) -> int:
    """One more than the number of players of the board with a better score than `score`."""
    return _counted(c, _BETTER, board.id, board.ordering.merit(score)) + 1


def scores(
    c: sqlite3.Connection, board_id: str, after: str, limit: int
) -> list[tuple[str, Number]]:
    """The ids and scores of at most `limit` players with ids after `after`, by id."""
    return c.execute(_SCORES[is_entombed(c, board_id)], (board_id, after, limit)).fetchall()


def piece_of_scores(c: sqlite3.Connection, board_id: str, after: str) -> tuple[str | None, Scores]:
    """The scores of players with ids after `after`, and the last one's id if there may be more.
    Raises `NotFound`."""
    rows.board(c, board_id)
    found = scores(c, board_id, after, _SCORES_AT_ONCE)
    ids, numbers = zip(*found, strict=True) if found else ((), ())
    last = ids[-1] if len(ids) == _SCORES_AT_ONCE else None
    return last, Scores(ids, numbers, schema.version(c))


def is_entombed(c: sqlite3.Connection, board_id: str) -> bool:
    """Whether there are rows that are players no more, and wait to be swept."""
    row = c.execute("SELECT 1 FROM tombstones WHERE board = ?", (board_id,)).fetchone()
    return row is not None


def _counted(c: sqlite3.Connection, queries: Sequence[str], board_id: str, merit: Number) -> int:
    (number,) = c.execute(queries[is_entombed(c, board_id)], (board_id, merit)).fetchone()
    return int(number)


def _players(c: sqlite3.Connection, query: str, values: tuple[object, ...]) -> list[Player]:
    return [there for row in c.execute(query, values) if (there := rows.player_of(row)) is not None]
