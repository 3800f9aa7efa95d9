"""The changefeed coroutine: reconnects, resyncs, never dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Protocol

from tornado_board.backoff import Backoff
from tornado_board.models import Change
from tornado_board.realtime.feed_lag import FeedLag
from tornado_board.store import Feed, FeedLost, Store, StoreUnavailable
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: Bounds, in seconds, of the wait before a lost feed is opened again; it doubles in between.
_BACKOFF = (0.1, 5.0)

#: Changes that are passed on before the event loop may go on to something else.
_SLICE = 250


class Sink(Protocol):
    """Who is told of the changes. Its methods must not raise: the others would lose the feed."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Take in changes, in order."""

    def resync(self) -> None:
        """Anything may have happened: read again what matters. The changes from now on follow."""


class Changefeed:
    """The one feed that a process has open of its store, which tells every change to all sinks. It
    is open while there are any."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sinks: dict[Sink, None] = {}
        self._open = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._tasks = Tasks()
        self._closed = False
        #: How far it is behind.
        self.lag = FeedLag()
        #: Since when there are sinks and the feed is not open, so that what is shown may be older
        #: than the store; ``None`` while it is, or there are none.
        self.lost_at: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether it is open, or being opened."""
        return self._task is not None

    @property
    def is_open(self) -> bool:
        """Whether everything that changes is told."""
        return self._open.is_set()

    async def opened(self) -> None:
        """Wait until it is open."""
        await self._open.wait()

    def attach(self, sink: Sink) -> None:
        """Tell `sink` of everything from now on, beginning with a resync: at once if the feed is
        open, or else when it is."""
        if self._closed or sink in self._sinks:
            return
        self._sinks[sink] = None
        if self._task is None:
            self.lost_at = time.monotonic()
            self._task = self._tasks.start(self._run())
        elif self.is_open:
            sink.resync()

    def detach(self, sink: Sink) -> None:
        """The reverse."""
        self._sinks.pop(sink, None)
        if not self._sinks and self._task is not None:
            self._task.cancel()
            self._task = self.lost_at = None
            self._open.clear()
            self.lag.lost()

    async def close(self) -> None:
        """Tell nobody any more. May be called twice."""
        self._closed = True
        for sink in list(self._sinks):
            self.detach(sink)
        await self._tasks.cancel()

    async def _run(self) -> None:
        """Open the feed, resync, pass on the changes; and again whenever it ends.

        Returns only by being cancelled. A feed has no way to take up where it ended, so each time
        the sinks are told to read everything again. What goes wrong is logged once, not once a try.
        """
        backoff = Backoff(*_BACKOFF)
        complained = failed = False
        while True:
            feed: Feed | None = None
            try:
                feed = await self._store.changes()
                self.lost_at = None
                self._open.set()
                self.lag.opened()
                for sink in list(self._sinks):
                    sink.resync()
                if complained:
                    logger.warning("the changefeed is back")
                    complained = False
                while True:
                    await self._pass_on(await feed.next())
                    failed = False
                    backoff.reset()
            except (FeedLost, StoreUnavailable) as error:
                if not complained:
                    logger.warning("the changefeed was lost and is opened again: %s", error)
                    complained = True
            except Exception:
                level = logging.DEBUG if failed else logging.ERROR
                logger.log(level, "the changefeed failed and is opened again", exc_info=True)
                failed = True
            finally:
                if asyncio.current_task() is self._task:  # and not one that was let go
                    self.lost_at = self.lost_at or time.monotonic()
                    self._open.clear()
                    self.lag.lost()
                if feed is not None:
                    await feed.close()
            await asyncio.sleep(backoff.next())

    async def _pass_on(self, changes: Sequence[Change]) -> None:
        for start in range(0, len(changes), _SLICE):
            if start:
                await asyncio.sleep(0)
            piece = changes[start : start + _SLICE]
            self.lag.told(piece)
            for sink in list(self._sinks):
                sink.apply(piece)
