"""The changefeed coroutine: reconnects, resyncs, never dies."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Protocol

from tornado_board.backoff import Backoff
from tornado_board.models import Change
from tornado_board.store import Feed, FeedLost, Store, StoreUnavailable

logger = logging.getLogger(__name__)

#: Bounds, in seconds, of the wait before a lost feed is opened again; it doubles in between.
_BACKOFF = (0.1, 5.0)


class Sink(Protocol):
    """Who is told of the changes."""

    def apply(self, changes: Sequence[Change]) -> None:
        """Take in changes, in order."""

    def resync(self) -> None:
        """Anything may have happened: read again what matters. The changes from now on follow."""


class Changefeed:
    """Tells a `Sink` of every change in a store, for as long as it runs."""

    def __init__(self, store: Store, sink: Sink) -> None:
        self._store = store
        self._sink = sink
        #: Since when the feed is not open, so that what is shown may be older than the store;
        #: ``None`` while it is.
        self.lost_at: float | None = None

    async def run(self) -> None:
        """Open the feed, resync, pass on the changes; and again whenever it ends.

        Returns only by being cancelled. A feed has no way to take up where it ended, so each time
        the sink is told to read everything again. What goes wrong is logged once, not once a try.
        """
        backoff = Backoff(*_BACKOFF)
        complained = failed = False
        self.lost_at = time.monotonic()
        while True:
            feed: Feed | None = None
            try:
                feed = await self._store.changes()
                self._sink.resync()
                self.lost_at = None
                if complained:
                    logger.warning("the changefeed is back")
                    complained = False
                while True:
                    self._sink.apply(await feed.next())
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
                self.lost_at = self.lost_at or time.monotonic()
                if feed is not None:
                    await feed.close()
            await asyncio.sleep(backoff.next())
