"""One connection for queries, which comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from rethinkdb.errors import (
    ReqlAvailabilityError,
    ReqlCursorEmpty,
    ReqlDriverError,
    ReqlInternalError,
    ReqlOpIndeterminateError,
    ReqlPermissionError,
    ReqlResourceLimitError,
    ReqlRuntimeError,
)
from tornado.iostream import StreamClosedError

from tornado_board.backoff import Backoff
from tornado_board.store import OutcomeUnknown, StoreUnavailable
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.address import Address, ConnectionRefused
from tornado_board.store.rethinkdb.driver import close_driver, first, reason_of, run
from tornado_board.store.rethinkdb.servers import Servers

logger = logging.getLogger(__name__)

#: Queries under way at the same time; further ones wait for a place. The server takes 1,024 from
#: one connection.
QUERIES_IN_FLIGHT = 128

#: Seconds between two heartbeats. The driver says nothing of a lost connection nobody uses, and a
#: half-open one looks like any other.
HEARTBEAT = 1.0

#: Seconds between two attempts to connect: the first and the longest.
BACKOFF = (0.1, 5.0)


class Connection:
    """Runs queries. While the server is away they fail at once, and it connects again.

    A server that takes connections but leaves a majority read of the tables without an answer, for
    instance one that a partition cut off from the other replicas, counts as away: it goes on to
    answer other reads, from what it last knew. One that answers that its tables are not available
    is left where another one's are.

    Args:
        servers: those that have the database, any of which will do.
        timeout: how long a query, and an attempt to connect, may take, in seconds.
        max_waiting: how many queries may wait for a place among those under way.
        durability: of writes, ``hard`` or ``soft``.
    """

    def __init__(self, servers: Servers, timeout: float, max_waiting: int, durability: str) -> None:
        self._servers = servers
        #: The server that it leads to, or is to lead to.
        self.address = servers.addresses[0]
        self._options = {"durability": durability}
        self._timeout = timeout
        self._max_waiting = max_waiting
        self._driver: Any = None
        #: A connection to another server, which has what this one has not.
        self._better: tuple[Address, Any] | None = None
        #: Done when `_driver` was given up.
        self._given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: What callers are told while there is no connection.
        self._away = f"RethinkDB at {servers} is away: the connection was lost"
        self._lost = asyncio.Event()
        self._places = asyncio.Semaphore(QUERIES_IN_FLIGHT)
        #: How many queries wait for a place among those under way.
        self.waiting = 0
        self._running = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._keeper: asyncio.Task[None] | None = None

    async def open(self, patience: float) -> None:
        """Connect; wait `patience` seconds for a server that is not up yet.

        Raises `StoreUnavailable`: at once where waiting won't help (`ConnectionRefused`).
        """
        deadline = asyncio.get_running_loop().time() + patience
        backoff, complained = Backoff(*BACKOFF), False
        while True:
            try:
                self._driver = await self._connect()
                break
            except ConnectionRefused:
                raise
            except StoreUnavailable as error:
                pause = backoff.next()
                if asyncio.get_running_loop().time() + pause > deadline:
                    raise
                if not complained:
                    complained = True
                    logger.warning("%s; waiting up to %g s for it", error, patience)
            await asyncio.sleep(pause)
        self._keeper = asyncio.create_task(self._keep(), name="rethinkdb-connection")

    def check(self) -> None:
        """Raise `StoreUnavailable` while there is no connection."""
        if self._driver is None or not self._driver.is_open():
            self._lost.set()
            raise StoreUnavailable(self._away)

    async def run(self, term: Any, *, write: bool = False, last_step: bool = False) -> Any:
        """Run the ReQL `term` and return its result, which must not be a cursor.

        `last_step` says of a `write` that it is a single document's, and the last that the query
        does. Only then does an error that says "not performed" mean that nothing was changed:
        otherwise another document may have been written, or this one, before a later read failed.

        Raises `StoreUnavailable` if nothing was changed, and for a `write` that may have been
        applied or not `OutcomeUnknown`. An error of the query itself is the driver's
        `ReqlQueryLogicError`: a mistake in this program.
        """
        self.check()
        async with self._place():
            self.check()
            self._running += 1
            self._idle.clear()
            try:
                options = self._options if write else {}
                return await run(self._driver, term, self._timeout, self._given_up, **options)
            except (ReqlDriverError, ReqlRuntimeError, StreamClosedError, TimeoutError) as error:
                raise self._translated(error, write, last_step) from error
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()

    async def stream(
        self, term: Any, size: int, *, apart: bool = False, **options: Any
    ) -> AsyncGenerator[list[Any], None]:
        """Run the ReQL `term`, a read whose result is a stream, with the driver's `options`, and
        give its elements as they come, at most `size` at a time. Each time may take as long as a
        query. `apart`: on a connection of its own, which the server works for in another thread.

        Raises `StoreUnavailable`, also in the middle.
        """
        self.check()
        driver, lost = self._driver, self._given_up
        async with self._place():
            cursor = None
            if apart:
                driver = await self.address.connect(self._timeout)
            try:
                cursor = await run(driver, term, self._timeout, lost, **options)
                while True:
                    batch = [await first(cursor, self._timeout, lost)]
                    while cursor.items and len(batch) < size:
                        batch.append(cursor.items.popleft())
                    yield batch
            except ReqlCursorEmpty:
                return
            except (ReqlDriverError, ReqlRuntimeError, StreamClosedError, TimeoutError) as error:
                raise self._translated(error, write=False, last_step=False) from error
            finally:
                if apart:
                    await close_driver(driver)
                elif cursor is not None and driver.is_open():
                    cursor.close()

    async def close(self) -> None:
        """Finish the queries under way and close the connection. May be called twice."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timeout):
                await self._idle.wait()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait((self._keeper,))
            self._keeper = None
        driver, self._driver = self._driver, None
        better, self._better = self._better, None
        self._away = f"RethinkDB at {self._servers}: the connection was closed"
        for each in (driver, None if better is None else better[1]):
            if each is not None:
                await close_driver(each)

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Hold one of the places for queries under way, waited for at most as long as a query."""
        if self.waiting >= self._max_waiting:
            raise StoreUnavailable("the store is overloaded: too many queries are waiting")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._timeout):
                await self._places.acquire()
        except TimeoutError:
            raise StoreUnavailable("the store is overloaded: the query got no turn") from None
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def _keep(self) -> None:
        """Hold a connection for as long as the process wants one."""
        while True:
            try:
                reason = await self._watch()
            except Exception:
                logger.exception("the connection to RethinkDB failed in an unexpected way")
                reason = "the connection failed"
            driver, self._driver = self._driver, None
            self._away = f"RethinkDB at {self.address} is away: {reason}"
            logger.warning("%s; connecting again until it is back", self._away)
            await close_driver(driver)
            self._given_up.set_result(None)
            self._given_up = asyncio.get_running_loop().create_future()
            left, self.address = self.address, self._servers.after(self.address)
            self._driver = await self._reconnect()
            if self.address == left:
                logger.warning("RethinkDB at %s is back", self.address)
            else:
                logger.warning("RethinkDB at %s is used in its place", self.address)

    async def _watch(self) -> str:
        """Return why the connection is no good any more, once it is so."""
        backoff, look_at = Backoff(*BACKOFF), 0.0
        loop = asyncio.get_running_loop()
        while True:
            # Not `wait_for`: on Python 3.11 that passes over a cancellation that comes just when
            # what it waits for is there, and this would go on after `close`.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT):
                    await self._lost.wait()
            self._lost.clear()
            if not self._driver.is_open():
                return "the connection was lost"
            try:
                await run(self._driver, queries.heartbeat(), self._timeout)
            except (ReqlDriverError, StreamClosedError):
                return "the connection was lost"
            except TimeoutError as error:
                return f"a heartbeat got {error}"
            except ReqlRuntimeError as error:
                # It answers: what else is asked of it gets a reason, too.
                logger.debug("heartbeat: %s", reason_of(error))
                if len(self._servers.addresses) > 1 and loop.time() >= look_at:
                    if await self._found_better():
                        return reason_of(error)
                    look_at = loop.time() + backoff.next()
            else:
                backoff.reset()

    async def _found_better(self) -> bool:
        """Whether another server has what this one has not; then `_better` leads to it.

        The others are asked after this one: by then it may have it, too, as when tables have just
        been made, or a primary was elected. Then it stays.
        """
        others = self._servers.beginning_with(self.address)[1:]
        trying = {asyncio.ensure_future(self._connect_to(each)): each for each in others}
        try:
            await asyncio.wait(trying)
        finally:
            for attempt, address in trying.items():
                attempt.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    driver, serves = await attempt
                    if serves and self._better is None:
                        self._better = address, driver
                    else:
                        await close_driver(driver)
        if self._better is None:
            return False
        try:
            await run(self._driver, queries.heartbeat(), self._timeout)
        except (ReqlDriverError, ReqlRuntimeError, StreamClosedError, TimeoutError):
            return True
        (_, driver), self._better = self._better, None
        await close_driver(driver)
        return False

    async def _connect(self) -> Any:
        """Open a connection to a server that answers; to the first one in turn that has its tables,
        if one has. Raises `StoreUnavailable`."""
        if self._better is not None:
            (self.address, driver), self._better = self._better, None
            return driver
        second: tuple[Address, Any] | None = None
        errors: list[StoreUnavailable] = []
        for address in self._servers.beginning_with(self.address):
            try:
                driver, serves = await self._connect_to(address)
            except StoreUnavailable as error:
                errors.append(error)
                continue
            except BaseException:
                if second is not None:
                    await close_driver(second[1])
                raise
            if serves:
                if second is not None:
                    await close_driver(second[1])
                self.address = address
                return driver
            if second is None:
                second = address, driver
            else:
                await close_driver(driver)
        if second is None:
            # A server that refuses is waited for where others are only away.
            raise next((e for e in errors if not isinstance(e, ConnectionRefused)), errors[0])
        self.address, driver = second
        return driver

    async def _connect_to(self, address: Address) -> tuple[Any, bool]:
        """A connection to this server, and whether it has its tables. Raises `StoreUnavailable`
        where it gives no answer."""
        driver = await address.connect(self._timeout)
        try:
            await run(driver, queries.heartbeat(), self._timeout)
        except ReqlRuntimeError as error:
            logger.debug("heartbeat: %s", reason_of(error))
            return driver, False
        except Exception as error:
            await close_driver(driver)
            raise StoreUnavailable(
                f"RethinkDB at {address} takes connections, but no queries: {reason_of(error)}"
            ) from error
        except BaseException:
            await close_driver(driver)
            raise
        return driver, True

    async def _reconnect(self) -> Any:
        backoff = Backoff(*BACKOFF)
        while True:
            try:
                return await self._connect()
            except StoreUnavailable as error:
                self._away = str(error)
            except Exception as error:  # whatever it is, it must not end the attempts
                logger.exception("connecting to RethinkDB failed in an unexpected way")
                self._away = f"RethinkDB at {self._servers} can't be reached: {error!r}"
            await asyncio.sleep(backoff.next())

    def _translated(self, error: Exception, write: bool, last_step: bool) -> Exception:
        """What to raise instead of an `error` of the driver."""
        reason = f"RethinkDB at {self.address}: {reason_of(error)}"
        match error:
            case ReqlOpIndeterminateError() | ReqlInternalError() | TimeoutError():
                pass
            case ReqlDriverError() | StreamClosedError():
                self._lost.set()
                reason = f"RethinkDB at {self.address}: the connection was lost"
            case ReqlPermissionError():  # looked at before anything is written
                return StoreUnavailable(reason)
            case ReqlAvailabilityError() | ReqlResourceLimitError():
                if last_step or not write:
                    return StoreUnavailable(reason)
            # The bare class: the server gave up, for instance because it is being stopped.
            case ReqlRuntimeError() if type(error) is not ReqlRuntimeError:
                return cast(Exception, error)
        if write:
            return OutcomeUnknown(f"{reason}; the write may have been applied or not")
        return StoreUnavailable(reason)
