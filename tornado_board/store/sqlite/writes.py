"""What is written to the rows of boards and players, in the writer's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec

from tornado_board.inputs import BoardPatch, NewBoard, PlayerPatch
from tornado_board.models import Board, Meta, Player
from tornado_board.store import HasPlayers, Invalid, Submitted, scoring
from tornado_board.store.sqlite import ended, pages, rows, schema
from tornado_board.store.sqlite.ended import now, season_json

_INSERT_BOARD = (
    f"INSERT INTO boards ({schema.quoted(schema.BOARD_FIELDS)})"
    f" VALUES ({', '.join('?' * len(schema.BOARD_FIELDS))}) ON CONFLICT DO NOTHING"
)
_UPDATE_BOARD = (
    f"UPDATE boards SET ({schema.quoted(schema.BOARD_FIELDS)})"
    f" = ({', '.join('?' * len(schema.BOARD_FIELDS))}) WHERE id = ?"
)
_FIELDS = ("board", "rules", "merit", *schema.PLAYER_FIELDS)
_INSERT = (
    f"INSERT INTO players ({schema.quoted(_FIELDS)}) VALUES ({', '.join('?' * len(_FIELDS))})"
    " ON CONFLICT"
)
_IF_FREE = f"{_INSERT} DO NOTHING"
#: What is there already is none that is a player, or one that waits to be swept.
_OVER = f"{_INSERT} (board, id) DO UPDATE SET " + ", ".join(
    f"{field} = excluded.{field}" for field in _FIELDS if field not in ("board", "id")
)
_UPDATE = (
    "UPDATE players SET merit = ?, name = ?, score = ?, reached_at = ?, meta = ?, hidden = ?"
    " WHERE board = ? AND id = ?"
)
_SET_SCORE = "UPDATE players SET merit = ?, score = ?, reached_at = ? WHERE board = ? AND id = ?"
#: Players whose scores one statement sets: there are as many statements. Each costs what its
#: trigger begins with once, and not once a player.
_SET_AT_ONCE = (256, 32, 8)
_SET_SCORES = {
    count: (
        f"WITH v (merit, score, reached_at, id) AS (VALUES {', '.join(['(?, ?, ?, ?)'] * count)})"
        " UPDATE players SET merit = v.merit, score = v.score, reached_at = v.reached_at"
        " FROM v WHERE players.board = ? AND players.id = v.id"
    )
    for count in _SET_AT_ONCE
}
_DELETE = (
    f"DELETE FROM players AS p WHERE {rows.IS_PLAYER} RETURNING"
    f" {schema.quoted(schema.PLAYER_FIELDS)}"
)


_id = attrgetter("id")


def insert_board(c: sqlite3.Connection, board: Board, new: NewBoard) -> bool:
    """Add `board`, which is to be made for `new`; whether its id was free."""
    # By its id it goes without a name.
    return c.execute(_INSERT_BOARD, _board_values(board, new.name)).rowcount > 0


def made_board(new: NewBoard) -> Board:
    """The board that is to be made for `new`. Raises `Invalid`."""
    try:
        return new.board(now())
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from error


def check_board(board: Board) -> None:
    """Raise `Invalid` if there can't be such a board."""
    try:
        board.check()
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from error


def update_board(c: sqlite3.Connection, board: Board) -> None:
    """Store `board` in place of the one with its id."""
    c.execute(_UPDATE_BOARD, (*_board_values(board, board.name), board.id))


def patch_board(c: sqlite3.Connection, board_id: str, patch: BoardPatch) -> Board:
    """Change the board. Raises `NotFound`, `HasPlayers` or `Invalid`."""
    before = ended.board(c, board_id)
    try:
        board = patch.apply(before, now())
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from error
    check_board(board)
    if board.ordering != before.ordering and pages.has_players(c, before):
        raise HasPlayers(
            f"board {board_id!r} has players; order and ties change only while it has none"
        )
    if _board_values(board, board.name) != _board_values(before, before.name):
        update_board(c, board)
    return board


def insert_player(c: sqlite3.Connection, board: Board, player: Player) -> bool:
    """Add `player` to the board; whether its id was free."""
    return c.execute(_IF_FREE, _player_values(board, player)).rowcount > 0


def make_players(c: sqlite3.Connection, board: Board, players: Iterable[Player]) -> None:
    """Add `players`, whose ids are no player's, to the board."""
    c.executemany(_OVER, [_player_values(board, player) for player in players])


def update_player(c: sqlite3.Connection, board: Board, player: Player) -> None:
    """Store `player` in place of the one with its id on the board."""
    _, _, merit, _, *values = _player_values(board, player)
    c.execute(_UPDATE, (merit, *values, board.partition, player.id))


def set_scores(c: sqlite3.Connection, board: Board, players: Iterable[Player]) -> None:
    """Store the scores of `players`, who are on the board, and when they reached them."""
    partition, is_turned = board.partition, board.ordering.order == "desc"
    # In the order of the table, in which neighbours are on one page; with `Ordering.merit`, but
    # without a call for each.
    values = [
        (
            None if p.hidden else 0 - p.score if is_turned else p.score,
            p.score,
            p.reached_at,
            p.id,
        )
        for p in sorted(players, key=_id)
    ]
    for count in _SET_AT_ONCE:
        while len(values) >= count:
            c.execute(_SET_SCORES[count], [*chain.from_iterable(values[:count]), partition])
            del values[:count]
    c.executemany(_SET_SCORE, [(*some, partition, player_id) for *some, player_id in values])


def delete_player(c: sqlite3.Connection, board_id: str, player_id: str) -> Player:
    """Delete the player; as it was. Raises `NotFound`."""
    # fetchall, since a statement that is not stepped to its end isn't carried out
    board = ended.board(c, board_id)
    for row in c.execute(_DELETE, (board.partition, player_id)).fetchall():
        if (player := rows.player_of(row, board.number)) is not None:
            return player
    raise rows.no_player(board_id, player_id)


def patch_player(
    c: sqlite3.Connection, board_id: str, player_id: str, patch: PlayerPatch
) -> Submitted:
    """Change the player. Raises `NotFound`, `OutOfRange` or `Invalid`."""
    board = ended.board(c, board_id)
    before = rows.player(c, board, player_id)
    player = patch.apply(before, board.ordering.reached_at(now()))
    if player.score != before.score:
        scoring.check_bounds(board, player.score)
    is_new_meta = not are_same(player.meta, before.meta)
    if is_new_meta:
        scoring.check_meta(player)
    changed = (
        is_new_meta
        or player.name != before.name
        or player.score != before.score
        or player.hidden != before.hidden
    )
    if changed:
        update_player(c, board, player)
    return Submitted(player, before.score, changed, before.hidden)


def _board_values(board: Board, name: str | None) -> tuple[Any, ...]:
    values = {**msgspec.structs.asdict(board), "name": name}
    values["meta"] = _json(board.meta)
    values["show"] = msgspec.json.encode(board.show).decode()
    values["season"] = None if board.season is None else season_json(board.season)
    return tuple(values.values())


def _player_values(board: Board, player: Player) -> tuple[Any, ...]:
    """The values of `_FIELDS`."""
    ordering = board.ordering
    rules = schema.ASCENDING * (ordering.order == "asc") + schema.FIRST * (ordering.ties == "first")
    stored = (player.id, player.name, player.score, player.reached_at, _json(player.meta))
    merit = None if player.hidden else ordering.merit(player.score)
    return (board.partition, rules, merit, *stored, player.hidden)


def are_same(meta: Meta, other: Meta) -> bool:
    """Whether they are the same as JSON, in which 1 and true are two things."""
    return meta is other or _json(meta) == _json(other)


def _json(meta: Meta) -> str | None:
    return msgspec.json.encode(meta).decode() if meta else None
