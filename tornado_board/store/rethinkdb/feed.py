"""The changefeed: one range feed on each table, on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rethinkdb.errors import ReqlCursorEmpty, ReqlDriverError, ReqlRuntimeError
from tornado.iostream import StreamClosedError

from tornado_board.store import BoardChanged, Change, FeedLost, PlayerChanged, StoreUnavailable
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.connection import HEARTBEAT, close_driver, reason_of, run
from tornado_board.store.rethinkdb.documents import BOARDS, PLAYERS, board_of, player_of

#: Changes of one feed that the server keeps for us while we are busy (it merges those to one
#: document); where there are more it drops some and says so, and the feed ends.
QUEUE_SIZE = 100_000

_DRIVER_ERRORS = (ReqlDriverError, ReqlRuntimeError, ReqlCursorEmpty, StreamClosedError)


class RethinkDBFeed:
    """An open changefeed; see `tornado_board.store.Feed`. Made with `open`."""

    def __init__(self, driver: Any, cursors: Mapping[str, Any], timeout: float) -> None:
        self._driver = driver
        self._cursors = cursors
        #: Of each table the wait for its next row. They outlive a call of `next`, because the
        #: driver drops a row that arrives for a wait that was cancelled.
        self._waits: dict[str, asyncio.Future[Any]] = {}
        self._lost: str | None = None
        self._heartbeat = asyncio.create_task(self._watch(timeout), name="rethinkdb-feed")

    @classmethod
    async def open(cls, address: Address, seconds: float) -> RethinkDBFeed:
        """Connect and open the feeds. Each step may take `seconds`.

        Raises `StoreUnavailable`.
        """
        driver = await address.connect(seconds)
        try:
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
        return cls(driver, cursors, seconds)

    async def next(self) -> Sequence[Change]:
        """Wait for changes and return those there are. Raises `FeedLost`."""
        while True:
            for table, cursor in self._cursors.items():
                if table not in self._waits:
                    self._waits[table] = wait = cursor.next()
                    wait.add_done_callback(_outcome_seen)
            await asyncio.wait(self._waits.values(), return_when=asyncio.FIRST_COMPLETED)
            changes: list[Change] = []
            for table, cursor in self._cursors.items():
                if self._waits[table].done():
                    for row in self._rows(self._waits.pop(table), cursor):
                        changes.extend(_CHANGES[table](row))
            if changes:
                return changes

    def _rows(self, first: asyncio.Future[Any], cursor: Any) -> Iterator[Mapping[str, Any]]:
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

    async def _watch(self, seconds: float) -> None:
        """End the feed when the server is silent: a feed that gets nothing looks the same."""
        try:
            while True:
                await asyncio.sleep(HEARTBEAT)
                await run(self._driver, r.expr(1), seconds)
        except (*_DRIVER_ERRORS, TimeoutError) as error:
            self._lost = self._lost or f"a heartbeat failed: {reason_of(error)}"
            await close_driver(self._driver)


def _outcome_seen(wait: asyncio.Future[Any]) -> None:
    if not wait.cancelled():
        wait.exception()


def _player_changes(row: Mapping[str, Any]) -> Iterator[Change]:
    old, new = player_of(row.get("old_val")), player_of(row.get("new_val"))
    if old == new:  # something changed that is not ours
        return
    if old is not None and (new is None or (old[0], old[1].id) != (new[0], new[1].id)):
        yield PlayerChanged(old[0], old[1].id, None)
    if new is not None:
        yield PlayerChanged(new[0], new[1].id, new[1])


def _board_changes(row: Mapping[str, Any]) -> Iterator[Change]:
    old, new = board_of(row.get("old_val")), board_of(row.get("new_val"))
    if old is not None and new is None:
        yield BoardChanged(old.id, None)
    elif new is not None and new != old:
        yield BoardChanged(new.id, new)


_CHANGES = {BOARDS: _board_changes, PLAYERS: _player_changes}
