"""The changefeed: one range feed on each table, on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rethinkdb.errors import ReqlCursorEmpty, ReqlDriverError, ReqlRuntimeError
from tornado.iostream import StreamClosedError

from tornado_board.models import Change
from tornado_board.store import FeedLost, StoreUnavailable
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.connection import HEARTBEAT
from tornado_board.store.rethinkdb.documents import BOARDS, PLAYERS, Document
from tornado_board.store.rethinkdb.driver import close_driver, reason_of, run
from tornado_board.store.rethinkdb.identity import Identity
from tornado_board.store.rethinkdb.servers import Servers
from tornado_board.store.rethinkdb.translation import Row, Translation
from tornado_board.tasks import retrieve

logger = logging.getLogger(__name__)

#: Changes of one feed that the server keeps for us while we are busy (it merges those to one
#: document); where there are more it drops some and says so, and the feed ends.
QUEUE_SIZE = 100_000

_DRIVER_ERRORS = (ReqlDriverError, ReqlRuntimeError, ReqlCursorEmpty, StreamClosedError)


class RethinkDBFeed:
    """An open changefeed; see `tornado_board.store.Feed`. Made with `open`."""

    def __init__(
        self,
        driver: Any,
        cursors: Mapping[str, Any],
        layout: Any,
        identity: Identity,
        timeout: float,
    ) -> None:
        self._driver = driver
        self._cursors = cursors
        self._timeout = timeout
        self._translation = Translation(self._documents)
        #: Of each table the wait for its next row. They outlive a call of `next`, because the
        #: driver drops a row that arrives for a wait that was cancelled.
        self._waits: dict[str, asyncio.Future[Any]] = {}
        self._lost: str | None = None
        self._heartbeat = asyncio.create_task(self._watch(identity, layout), name="rethinkdb-feed")

    @classmethod
    async def open_at_any(
        cls, servers: Servers, first: Address, seconds: float, identity: Identity
    ) -> RethinkDBFeed:
        """The same at `first`, the server that the queries go to, or else at another.

        Raises `StoreUnavailable`.
        """
        *most, last = servers.beginning_with(first)
        for address in most:
            try:
                return await cls.open(address, seconds, identity)
            except StoreUnavailable as error:
                logger.info("%s; trying another server", error)
        return await cls.open(last, seconds, identity)

    @classmethod
    async def open(cls, address: Address, seconds: float, identity: Identity) -> RethinkDBFeed:
        """Connect and open the feeds. Each step may take `seconds`.

        Raises `StoreUnavailable`.
        """
        driver = await address.connect(seconds)
        try:
            # Before the feeds: what changes after that is seen.
            layout = await run(driver, queries.layout(database=identity.database), seconds)
            identity.check(layout[0])
            # Boards first: what is known of a new player's board should be there before it.
            cursors = {
                table: await run(
                    driver,
                    r.table(table).changes(squash=True, changefeed_queue_size=QUEUE_SIZE),
                    seconds,
                )
                for table in (BOARDS, PLAYERS)
            }
        except (*_DRIVER_ERRORS, TimeoutError) as error:
            await close_driver(driver)
            raise StoreUnavailable(
                f"RethinkDB at {address}: no changefeed: {reason_of(error)}"
            ) from error
        except BaseException:
            await close_driver(driver)
            raise
        return cls(driver, cursors, layout, identity, seconds)

    async def next(self) -> Sequence[Change]:
        """Wait for changes and return those there are. Raises `FeedLost`."""
        while True:
            # Rows that a call which was cancelled had taken come first.
            if not self._translation.pending:
                await self._take()
            try:
                changes = await self._translation.changes()
            except (*_DRIVER_ERRORS, TimeoutError) as error:
                reason = self._lost or reason_of(error)
                raise FeedLost(f"the changefeed's documents can't be read: {reason}") from error
            if changes:
                return changes

    async def _take(self) -> None:
        """Wait for rows and hand those there are to the translation."""
        for table, cursor in self._cursors.items():
            if table not in self._waits:
                self._waits[table] = wait = cursor.next()
                wait.add_done_callback(retrieve)
        await asyncio.wait(self._waits.values(), return_when=asyncio.FIRST_COMPLETED)
        for table, cursor in self._cursors.items():
            if self._waits[table].done():
                self._translation.pending.extend(
                    (table, row) for row in self._rows(self._waits.pop(table), cursor)
                )

    async def _documents(self, keys: Sequence[str]) -> Sequence[Document]:
        """The players' documents with these primary keys."""
        found: Sequence[Document] = await run(
            self._driver, queries.get_documents(keys=keys), self._timeout
        )
        return found

    def _rows(self, first: asyncio.Future[Any], cursor: Any) -> Iterator[Row]:
        """The row that was waited for and those that came with it."""
        try:
            row = first.result()
        except _DRIVER_ERRORS as error:
            reason = self._lost or reason_of(error)
            raise FeedLost(f"the changefeed ended: {reason}") from error
        while True:
            if "error" in row:
                raise FeedLost(f"the changefeed skipped changes: {row['error']}")
            if "new_val" in row or "old_val" in row:
                yield row
            if not cursor.items:
                return
            row = cursor.items.popleft()

    async def close(self) -> None:
        """Release it. Never raises, and may be called twice."""
        self._lost = self._lost or "it was closed"
        self._heartbeat.cancel()
        await asyncio.wait((self._heartbeat,))
        await close_driver(self._driver)

    async def _watch(self, identity: Identity, layout: Any) -> None:
        """End the feed when the server is silent, or what it tells of is not the newest any more:
        a feed that gets nothing looks the same."""
        reason = "a heartbeat failed"
        try:
            while True:
                await asyncio.sleep(HEARTBEAT)
                now = await run(
                    self._driver, queries.layout(database=identity.database), self._timeout
                )
                if now != layout:
                    reason = "the tables were made anew, or have other primary replicas"
                    break
        except Exception as error:
            reason = f"a heartbeat failed: {reason_of(error)}"
        self._lost = self._lost or reason
        await close_driver(self._driver)
