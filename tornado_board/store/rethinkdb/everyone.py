"""All players of a board, a page after the other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from tornado_board.models import Player
from tornado_board.store import Place
from tornado_board.store.rethinkdb.pages import Pages

#: Players of a page.
_PAGE = 500


async def everyone(
    pages: Pages, board_id: str, season: int | None
) -> AsyncGenerator[Sequence[Player], None]:
    """See `Store.everyone`. Each page begins behind the last one's end: so a reader who is slow
    holds nothing, and an order that reads the index in pieces has no end of equal scores to keep.
    """
    season = (await pages.ranking(board_id, 1, season)).board.number
    place = None
    while players := await pages.after(board_id, season, place, _PAGE, False):
        yield players
        if len(players) < _PAGE:
            return
        last = players[-1]
        place = Place(last.score, last.reached_at, last.id)
