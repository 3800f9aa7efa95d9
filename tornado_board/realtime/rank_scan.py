"""Reading a board's scores into an index, and what memory that leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
from collections.abc import Callable

from tornado_board.models import Number
from tornado_board.ranking.rank_index import SCANNED_AT_ONCE, RankIndex
from tornado_board.seasons import divided
from tornado_board.store import Store


async def scan(
    store: Store,
    partition: str,
    index: RankIndex,
    goes_on: Callable[[], bool],
    middle: Number | None = None,
) -> bool:
    """Tell `index` all scores of a season, in slices that take the event loop no more than a
    millisecond or two. `goes_on` is asked after each piece; whether it was ``True`` to the end.

    `middle` is for `Store.scores`. Raises `NotFound`, `SeasonGone` or `StoreUnavailable`.
    """
    async with contextlib.aclosing(store.scores(*divided(partition), middle=middle)) as pieces:
        async for piece in pieces:
            for start in range(0, len(piece.ids), SCANNED_AT_ONCE):
                stop = start + SCANNED_AT_ONCE
                index.scanned(piece.ids[start:stop], piece.scores[start:stop])
                await asyncio.sleep(0)
            if not goes_on():
                return False
    return True


def give_memory_back() -> None:
    """Have the C library give the system back what is free: by itself it keeps small pieces, of
    which what is known of players for a while consists. Takes milliseconds."""
    with contextlib.suppress(OSError, AttributeError):  # other libraries have no such function
        ctypes.CDLL(None).malloc_trim(0)
