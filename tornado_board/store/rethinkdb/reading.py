"""Reads of a season of a board, which is known only from the board that the same query reads.

So a query is made for what the board was when it was seen last: its season and its order. It gives
the board, too, and if that is another by now the query is made again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tornado_board.models import Board
from tornado_board.seasons import Season
from tornado_board.store import StoreUnavailable
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.deletion import Run
from tornado_board.store.rethinkdb.documents import (
    BOARD_FIELDS,
    BOARDS,
    DELETED_BY,
    PAST,
    board_of,
    board_of_season,
)
from tornado_board.store.rethinkdb.rules import KnownRules, rules_text
from tornado_board.store.rethinkdb.steps import no_board

#: How often a query is made for a board that is another one each time.
_TRIES = 10


class Reading:
    """Reads what belongs to one season.

    Args:
        run: runs a query.
        rules: of the boards, as they are known, and where it puts what it sees.
    """

    def __init__(self, run: Run, rules: KnownRules) -> None:
        self._run = run
        self._rules = rules

    async def read(
        self, board_id: str, season: int | None, query: Callable[[Board], Any]
    ) -> tuple[Board, Any]:
        """The board as of its `season` (``None``: the present one), and what `query` gives for it,
        with `with_board`. Raises `NotFound`, `SeasonGone` and `StoreUnavailable`."""
        assumed = self.assumed(board_id, season)
        for _ in range(_TRIES):
            found = await self._run(query(assumed))
            board = self.seen(board_id, season, found)
            if (board.partition, board.order) == (assumed.partition, assumed.order):
                return board, found
            assumed = board
        raise StoreUnavailable(f"the board {board_id!r} changes all the time; try again")

    def assumed(self, board_id: str, season: int | None) -> Board:
        """The board as it is taken to be."""
        known = self._rules.get(board_id).board
        if season is None or season == known.number:
            return known
        return Board(board_id, board_id, order=known.order, season=Season(season, 0))

    def seen(self, board_id: str, season: int | None, found: Any) -> Board:
        """The board as of its `season`, of what a query `found`. Raises as `read`."""
        document = found["board"]
        board = board_of(document)
        if board is None:
            raise no_board(board_id)
        self._rules.learn(board_id, found["rules"])
        return board_of_season(document, board, season)


def parameters(board: Board, season: int | None) -> dict[str, Any]:
    """The parameters of a query about a season of `board`, which was asked for as `season`."""
    return {
        "board": board.id,
        "season": season,
        "partition": board.partition,
        "ascending": board.order == "asc",
    }


def with_board(p: Any, found: dict[str, Any]) -> Any:
    """What a query gives, in ReQL: what it `found`; of the ``board`` what `board_of` and
    `board_of_season` have to know, or null; and its ``rules``."""
    return (
        r.table(BOARDS)
        .get(p["board"])
        .do(
            lambda board: {"board": _board(board, p["season"]), "rules": rules_text(board), **found}
        )
    )


def _board(board: Any, season: Any) -> Any:
    stored = board[PAST]
    past = r.branch(stored.type_of().eq("ARRAY"), stored, []).filter(
        lambda one: r.and_(one.type_of().eq("OBJECT"), one["number"].default(0).eq(season))
    )
    return r.branch(
        board.eq(None),
        None,
        # To look for a field that is missing would take the server longer than all the rest.
        r.or_(season.eq(None), r.not_(board.has_fields(PAST))),
        board.pluck(*BOARD_FIELDS, DELETED_BY),
        board.pluck(*BOARD_FIELDS, DELETED_BY).merge({PAST: past}),
    )
