"""What the publisher does once a day.

It keeps who has which place on the live boards, so that ranks of then can be told, and forgets the
past of boards that are gone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from tornado_board.cluster import Role
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.realtime.past_ranks import places_json
from tornado_board.replay import LogUnavailable, NotPublisher, ReplayLog
from tornado_board.store import NotFound, Store, StoreError
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: A day of UTC, in milliseconds.
DAY = 86_400_000

#: The places of a board that are kept.
PLACES = 1_000

#: Boards that are listed in one go.
_LISTED = 1_000

#: How much longer than the work for one board the pause after it is: a fifth of a connection, or of
#: a reader, is what it takes at the most.
_PAUSE = 4.0


class Daily:
    """Does it, one board after another, where this process publishes.

    `tick` is to be called now and then.
    """

    def __init__(
        self,
        store: Store,
        log: ReplayLog,
        hub: Hub,
        boards: LiveBoards,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._log = log
        self._hub = hub
        self._boards = boards
        self._clock = clock
        # On which day the places of a board were taken; of live boards only.
        self._taken: dict[str, int] = {}
        self._forgot_on = -1
        self._tasks = Tasks()
        self._working: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Stop. May be called twice."""
        await self._tasks.cancel()

    def tick(self) -> None:
        """Do what is still to be done today."""
        if not self._publishes:
            self._taken.clear()
            self._forgot_on = -1
        elif self._log.reach_ms >= DAY and (self._working is None or self._working.done()):
            self._working = self._tasks.start(self._work())

    @property
    def _publishes(self) -> bool:
        return self._boards.role is Role.PUBLISHER

    async def _work(self) -> None:
        try:
            if self._forgot_on != self._today():
                await self._forget_boards()
                self._forgot_on = self._today()
            await self._keep_places()
        except (StoreError, LogUnavailable, NotPublisher) as error:
            logger.debug("the day's work is put off: %s", error)

    def _today(self) -> int:
        return int(self._clock() * 1000) // DAY

    async def _keep_places(self) -> None:
        live = list(self._hub.board_ids())
        self._taken = {b: day for b in live if (day := self._taken.get(b)) is not None}
        for board_id in live:
            if not self._publishes:
                return
            today = self._today()
            if self._taken.get(board_id) == today:
                continue
            began = time.monotonic()
            try:
                await self._take(board_id, today)
            except NotFound:
                continue  # it was deleted meanwhile
            self._taken[board_id] = today
            await asyncio.sleep(_PAUSE * (time.monotonic() - began))

    async def _take(self, board_id: str, today: int) -> None:
        newest = await self._log.places_at(board_id, (today + 1) * DAY)
        if newest is not None and newest.id is not None and newest.id.ms // DAY >= today:
            return  # another process has, or this one in an earlier life
        # In one read, so that they are players of the season, and of a board, that it says.
        ranking = await self._store.ranking(board_id, PLACES)
        places = places_json(ranking.board, ranking.players[:PLACES])
        await self._log.keep_places(board_id, places)

    async def _forget_boards(self) -> None:
        """Forget the past of boards that were deleted while nobody heard of it."""
        gone = set(await self._log.past_boards())
        after: str | None = "" if gone else None
        while after is not None:
            boards = await self._store.list_boards(_LISTED, after)
            gone.difference_update(board.id for board in boards)
            after = boards[-1].id if len(boards) == _LISTED else None
        for board_id in gone:
            if not self._publishes:
                return
            try:
                await self._store.get_board(board_id)
            except NotFound:
                if self._hub.current(board_id) is None:  # else whoever publishes it hears of it
                    await self._log.delete(board_id)
