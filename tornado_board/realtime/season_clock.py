"""Ends the seasons whose time is over by the calendar."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence

from tornado_board.backoff import Backoff
from tornado_board.metrics import Metrics, NoMetrics
from tornado_board.models import BoardChanged, Change
from tornado_board.realtime.ended_seasons import EndedSeasons
from tornado_board.realtime.feed import Changefeed
from tornado_board.store import Store, StoreError
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: Boards that the store is asked for at a time: those whose season ends first.
_AT_ONCE = 100

#: Seconds after which the store is asked again in any case: its clock, or this process's, may have
#: been set, and a feed may be away.
_LONGEST = 30.0

#: Bounds of the waits, in seconds, after the store failed.
_AGAIN = (0.5, 8.0)


def _now() -> int:
    return time.time_ns() // 1_000_000


class SeasonClock:
    """Ends seasons while this process leads.

    Which process that is does not matter to what becomes of a board, since a season ends by a write
    that happens once; it saves the others the work. One timer waits for the season that ends next,
    and a change of a board that ends sooner wakes it. Until a season is ended here the first write
    after its time ends it: see `Store`. `tick` is to be called once a second.
    """

    def __init__(
        self,
        store: Store,
        feed: Changefeed,
        leads: Callable[[], bool],
        clock: Callable[[], int] = _now,
        metrics: Metrics | None = None,
    ) -> None:
        """`leads` tells whether this process does; `clock` gives the ms since 1970."""
        metrics = metrics or NoMetrics()
        self._store = store
        self._feed = feed
        self._leads = leads
        self._clock = clock
        self._is_leading = False
        self._woken = asyncio.Event()
        #: When the timer goes off, by the clock. While the store is asked that is not known yet,
        #: and whatever changes then has it asked again.
        self._next: float = math.inf
        #: When the season that ends first does, by the calendar, as far as the store has told.
        self._first: int | None = None
        self._ended = EndedSeasons(metrics.seasons_ended, clock)
        self._tasks = Tasks()
        self._tasks.start(self._run())

    @property
    def overdue(self) -> float:
        """For how many seconds a season goes on that ought to have ended; 0 where none does, or
        another process has to see to it."""
        if not self._is_leading or self._first is None:
            return 0.0
        return max(0, self._clock() - self._first) / 1000

    async def close(self) -> None:
        """Stop. May be called twice."""
        self._feed.detach(self)
        await self._tasks.cancel()

    def tick(self) -> None:
        """A second has passed."""
        is_leading = self._leads()
        if is_leading is self._is_leading:
            return
        self._is_leading = is_leading
        if is_leading:
            self._first = None
            self._ended.forget()
            self._feed.attach(self)
            self._woken.set()
        else:
            self._feed.detach(self)

    # What the feed tells

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if not isinstance(change, BoardChanged):
                continue
            self._ended.saw(change.board_id, change.board)
            if change.board is not None:
                season = change.board.season
                if season is not None and season.ends is not None and season.ends < self._next:
                    self._woken.set()

    def resync(self) -> None:
        self._woken.set()

    async def _run(self) -> None:
        backoff = Backoff(*_AGAIN)
        failed = False
        while True:
            self._woken.clear()
            self._next = math.inf
            try:
                seconds = await self._end_due() if self._is_leading else _LONGEST
                failed = False
                backoff.reset()
            except StoreError as error:
                logger.debug("seasons that are over were not ended: %s", error)
                seconds = backoff.next()
            except Exception:
                level = logging.DEBUG if failed else logging.ERROR
                logger.log(level, "seasons that are over were not ended", exc_info=True)
                failed = True
                seconds = backoff.next()
            self._next = self._clock() + 1000 * seconds
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._woken.wait()

    async def _end_due(self) -> float:
        """End those whose time is over; after how many seconds to look again."""
        while True:
            boards = await self._store.ending_seasons(_AT_ONCE)
            for board in boards:
                self._ended.saw(board.id, board)
            first = boards[0].season if boards else None
            self._first = None if first is None else first.ends
            ended = 0
            for board in boards:
                assert board.season is not None
                now = self._clock()
                if not board.season.is_due(now):
                    ends = board.season.ends or now
                    return max(0.001, min(_LONGEST, (ends - now) / 1000))
                if await self._store.end_if_due(board.id):
                    ended += 1
                    logger.info("season %d of board %s has ended", board.number, board.id)
            # None of a full list ended: others did it, or what is stored can't end.
            if len(boards) < _AT_ONCE or not ended:
                return _LONGEST if not ended else 0.001
