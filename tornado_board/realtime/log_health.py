"""Whether the replay log answers, as far as the live boards of this process found out."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from tornado_board.backoff import Backoff
from tornado_board.log_once import LogOnce
from tornado_board.metrics import Metrics
from tornado_board.replay import (
    BoardRefused,
    EventId,
    LogRefused,
    LogUnavailable,
    NotPublisher,
    ReplayLog,
)
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: Bounds, in seconds, of the wait before a log that is away is tried again.
_BACKOFF = (0.05, 2.0)

#: Seconds between two times, at least, that all boards are told that the log is back.
_RETURN = 1.0


class LogHealth:
    """Tries a log that is away until it answers, and says so to those who wait for it."""

    def __init__(self, log: ReplayLog, on_returned: Callable[[], None], metrics: Metrics) -> None:
        self._log = log
        self._metrics = metrics
        self._on_returned = on_returned
        self._backoff = Backoff(*_BACKOFF)
        self._trial: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._is_lost = self._closed = False
        self._return_after = float("-inf")
        self._complaints = LogOnce(logger)

    async def close(self) -> None:
        """Try no more."""
        self._closed = True
        await self._tasks.cancel()

    def lost(self, error: LogUnavailable) -> None:
        """It does not answer, or refuses."""
        self._complaints.warning(f"events go out without ids until the replay log is back: {error}")
        if isinstance(error, BoardRefused):
            return  # the rest of the log is well
        self._is_lost = True
        if isinstance(error, LogRefused):
            return  # each board tries again by itself; the first to succeed tells the others
        if self._trial is None and not self._closed:
            self._trial = self._tasks.start(self._try())

    async def append(self, board_id: str, data: str, after: EventId | None, lost: int) -> EventId:
        """See `ReplayLog.append`."""
        began = time.perf_counter()
        try:
            event_id = await self._log.append(board_id, data, after=after, lost=lost)
        except NotPublisher:
            self._metrics.not_appended("fenced")
            raise
        except LogUnavailable as error:
            self._metrics.not_appended(
                "refused" if isinstance(error, LogRefused) else "unavailable"
            )
            raise
        self._metrics.appended(time.perf_counter() - began)
        self._appended()
        return event_id

    def _appended(self) -> None:
        # It may refuse some boards, or again and again: not all are woken each time.
        if self._is_lost and time.monotonic() >= self._return_after:
            self._is_lost = False
            self._return_after = time.monotonic() + _RETURN
            self._backoff.reset()
            self._complaints.warning("the replay log is back")
            self._on_returned()

    async def _try(self) -> None:
        """Wait until the log answers, and tell those who wait for it."""
        while True:
            await asyncio.sleep(self._backoff.next())
            try:
                await self._log.ping()
                break
            except LogUnavailable:
                continue
            except Exception:
                logger.exception("the replay log can't be asked whether it is back")
        self._trial = None
        self._on_returned()
