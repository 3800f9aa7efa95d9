"""What answers show of boards, players and what was done to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from tornado_board.models import Board, Player, RankedPlayer, board_json, shown_player
from tornado_board.realtime.ranks import Standing
from tornado_board.seasons import settings as season_settings
from tornado_board.store import Submitted
from tornado_board.web import shapes
from tornado_board.web.pages import ranked_from


def settings(board: Board) -> shapes.Settings:
    """The settings of `board`."""
    return {
        "order": board.order,
        "ties": board.ties,
        "operator": board.operator,
        "top": board.top,
        "min": board.min,
        "max": board.max,
        "meta": board.meta,
        "show": board.show,
        "private": board.private,
        "season": season_settings(board.season),
    }


def whole_board(board: Board, count: int | None) -> shapes.WholeBoard:
    """A board that was made or changed; `count` is how many players it has."""
    return {"id": board.id, "name": board.name, **settings(board), "players": count}


def listed_board(board: Board, fields: Collection[str] = ()) -> shapes.ListedBoard:
    """A board in a list; `fields` may be ``settings``."""
    shown: shapes.ListedBoard = {"id": board.id, "name": board.name}
    return {**shown, **settings(board)} if "settings" in fields else shown


def board(
    board: Board, players: Sequence[Player], fields: Collection[str] = (), count: int | None = None
) -> str:
    """A board and its best `players`, as JSON; `fields` may be ``settings``, ``count``, ``meta``
    and ``rank``."""
    extra: dict[str, Any] = {**settings(board)} if "settings" in fields else {}
    if "count" in fields:
        extra["count"] = count
    if "rank" in fields:
        players = ranked_from(players)
    return board_json(board, players, extra, fields)


def player(player: Player, fields: Collection[str] = ()) -> dict[str, Any]:
    """One player, with its rank if it has one; with ``meta`` where there is any, or where `fields`
    has it."""
    return shown_player(player, ("meta",) if player.meta else fields)


def hidden_player(player: Player, fields: Collection[str] = ()) -> dict[str, Any]:
    """A player who is hidden, for those who may know that."""
    shown = {**shown_player(player), "rank": None, "hidden": True}
    if player.meta or "meta" in fields:
        shown["meta"] = player.meta
    return shown


def added(result: Submitted, standing: Standing | None) -> shapes.Added:
    """What an addition did. `standing` is that of the score; ``None`` if the store could not tell
    it any more."""
    shown: shapes.Added = {
        "id": result.player.id,
        "name": result.player.name,
        "score": result.player.score,
        "rank": None if standing is None else standing.better[0] + 1,
        "of": None if standing is None else standing.of,
    }
    if result.player.meta:
        shown["meta"] = result.player.meta
    return shown


def submitted(result: Submitted, standing: Standing | None) -> shapes.Submitted:
    """What a submission did. `standing` is that of the score and, if there was one, of the score
    before; ``None`` if the store could not tell it any more."""
    previous: shapes.Before | None = None
    if result.previous is not None:
        rank = None if standing is None else previous_rank(*standing.better)
        previous = {"score": result.previous, "rank": rank}
    return {**added(result, standing), "changed": result.changed, "previous": previous}


def previous_rank(better: int, better_before: int) -> int:
    """The rank that a player had, by how many have a better score than it has now, and than it had
    before. If its score is a better one now, the player itself is among the latter."""
    return better_before + (better_before <= better)


def ranked_player(player: Player, standing: Standing) -> RankedPlayer:
    """`player`, by the standing of its score."""
    return RankedPlayer.of(player, standing.better[0] + 1)
