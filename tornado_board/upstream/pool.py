"""Connections to one upstream that are used again, and the bound of them."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque

from tornado_board.upstream import UpstreamBusy
from tornado_board.upstream.address import Address
from tornado_board.upstream.connection import Connection

#: Seconds for which a connection is kept that nobody uses: fewer than a server keeps one open, so
#: that hardly ever a request meets its end.
_IDLE = 20.0


class Pool:
    """At most `most` connections to `address`, and those who wait for one."""

    def __init__(
        self, address: Address, tls: ssl.SSLContext | None, *, most: int, waiting: int
    ) -> None:
        """`waiting`: how many may wait for one to be free."""
        self.address = address
        self._tls = tls
        self._most = most
        self._most_waiting = waiting
        self._taken = 0
        self._idle: deque[Connection] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def take(self, seconds: float, *, anew: bool = False) -> Connection:
        """A connection for one request, to be given back; `anew`: not one that was used.

        Raises `UpstreamUnreachable`, and `UpstreamBusy` where all are in use and none is free
        within `seconds`, or too many wait for that.
        """
        if self._taken < self._most:
            self._taken += 1
        else:
            await self._wait(seconds)
        try:
            self._close_old()
            while self._idle and not anew:
                connection = self._idle.pop()  # the one that was used last
                if connection.is_good:
                    return connection
                connection.close()
            return await Connection.open(self.address, self._tls, seconds)
        except BaseException:
            self._release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Let the next one have it; it is closed unless its answer was read whole."""
        if connection.is_good:
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()
        self._release()

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _close_old(self) -> None:
        oldest = asyncio.get_running_loop().time() - _IDLE
        while self._idle and self._idle[0].idle_since < oldest:
            self._idle.popleft().close()

    async def _wait(self, seconds: float) -> None:
        """Wait for the place of somebody who lets go."""
        if len(self._waiters) >= self._most_waiting:
            raise UpstreamBusy(f"too many requests wait for {self.address}")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._release()  # it was handed on just now
            else:
                self._waiters.remove(waiter)
            if isinstance(error, TimeoutError):
                message = f"too many requests are under way to {self.address}"
                raise UpstreamBusy(message) from None
            raise

    def _release(self) -> None:
        """Hand the place on, or let it be free."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self._taken -= 1
