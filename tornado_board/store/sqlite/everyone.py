"""All players of a board, as they are at one moment."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing

from tornado_board.models import Player
from tornado_board.sqlite import Database, DatabaseUnavailable
from tornado_board.store import StoreUnavailable
from tornado_board.store.sqlite import pages, rows

#: Players of a piece: some milliseconds.
_PIECE = 500


async def everyone(
    database: Database, board_id: str, season: int | None
) -> AsyncGenerator[Sequence[Player], None]:
    """See `Store.everyone`."""

    def work(c: sqlite3.Connection) -> Iterator[Sequence[Player]]:
        yield from pages.everyone(c, rows.board_in(c, board_id, season), _PIECE)

    try:
        async with aclosing(database.snapshot(work)) as pieces:
            async for piece in pieces:
                yield piece
    except DatabaseUnavailable as error:
        raise StoreUnavailable(str(error)) from error
