"""Few at a time: queries whose cost grows with the board."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from tornado_board.store import StoreUnavailable

#: How many may be under way at a time, and how many of one board.
_MOST = 8
_MOST_OF_ONE = 4


class Turns:
    """Lets few queries in at a time, and of one board fewer, in the order in which they came.

    A rank is a count, and takes RethinkDB 0.7 µs a player above it. Hundreds at a time would leave
    it no time for anything else, the heartbeat either. Whoever waits for one board has no place
    that another board's could have.
    """

    def __init__(self, timeout: float, max_waiting: int) -> None:
        """A turn is waited for `timeout` seconds at the most, by at most `max_waiting`."""
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._waiting = 0
        self._places = asyncio.Semaphore(_MOST)
        # Those of boards with queries that wait or are under way, and how many these are.
        self._boards: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @contextlib.asynccontextmanager
    async def turn(self, board_id: str) -> AsyncIterator[None]:
        """Hold a place for a query about the board. Raises `StoreUnavailable`."""
        if self._waiting >= self._max_waiting:
            raise StoreUnavailable("the store is overloaded: too many ranks are waited for")
        places, users = self._boards.get(board_id) or (asyncio.Semaphore(_MOST_OF_ONE), 0)
        self._boards[board_id] = places, users + 1
        try:
            async with contextlib.AsyncExitStack() as held:
                self._waiting += 1
                try:
                    async with asyncio.timeout(self._timeout):
                        await held.enter_async_context(places)
                        await held.enter_async_context(self._places)
                except TimeoutError:
                    raise StoreUnavailable("the store is overloaded: no turn for a rank") from None
                finally:
                    self._waiting -= 1
                yield
        finally:
            _, users = self._boards.pop(board_id)
            if users > 1:
                self._boards[board_id] = places, users - 1
