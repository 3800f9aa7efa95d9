"""The servers that this one follows: what is asked of them, over how many connections."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable, Sequence
from functools import partial

from tornado_board.log_once import LogOnce
from tornado_board.tasks import Tasks
from tornado_board.upstream import (
    LoopFound,
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamUnreachable,
    hops,
)
from tornado_board.upstream.about import look
from tornado_board.upstream.address import Address
from tornado_board.upstream.choice import Choice
from tornado_board.upstream.connection import Connection
from tornado_board.upstream.pool import Pool
from tornado_board.upstream.reply import Reply

logger = logging.getLogger(__name__)
_said = LogOnce(logger)

#: Connections to one upstream for requests, and requests that wait for one. Streams have their own.
MOST_CONNECTIONS = 64
MOST_WAITING = 1_000

#: Connections of streams to all upstreams: of boards, of places and of private boards' clients.
MOST_STREAMS = 12_000

#: Statuses that say that the server asked has not got it from another one, or can't at present.
_ELSEWHERE = frozenset((502, 503, 504, 508))

_Field = tuple[str, str]


class Upstreams:
    """Asks the upstreams for this server, whose id is `own`."""

    def __init__(
        self,
        addresses: Sequence[Address],
        tls: ssl.SSLContext | None,
        *,
        own: str,
        timeout: float,
    ) -> None:
        """`timeout`: seconds within which an upstream has to answer a request."""
        self.own = own
        self.timeout = timeout
        self.description = ", ".join(map(str, addresses))
        self._tls = tls
        self._pools = {
            address: Pool(address, tls, most=MOST_CONNECTIONS, waiting=MOST_WAITING)
            for address in addresses
        }
        self._streams: set[Reply] = set()
        self._opening = 0
        self._choice = Choice(
            addresses, partial(look, own=own, tls=tls, within=timeout), self._abort_streams
        )
        self._tasks = Tasks()

    async def start(self, seconds: float) -> None:
        """Look for one, for as long as it takes; return when it is found or after `seconds`."""
        self._tasks.start(self._choice.watch())
        try:
            async with asyncio.timeout(seconds):
                await self._choice.available()
        except TimeoutError:
            logger.warning("%s; what this server has in its log is served until then", self.down)

    async def close(self) -> None:
        """Ask nobody any more. May be called twice."""
        await self._tasks.cancel()
        for reply in list(self._streams):
            reply.abort()
        for pool in self._pools.values():
            pool.close()

    @property
    def current(self) -> Address:
        """The one that is asked first."""
        return self._choice.current

    @property
    def down(self) -> str:
        """Why none of them can be asked; empty where one can."""
        return self._choice.down

    @property
    def open_streams(self) -> int:
        """Streams that are open to any of them."""
        return len(self._streams)

    @property
    def servers(self) -> list[str]:
        """The ids of this server and the edges that it follows, as far as they are known."""
        return [self.own, *(() if self.down else self._choice.servers)]

    async def available(self) -> None:
        """Return when one of them answers, as far as is known."""
        await self._choice.available()

    def missing(self) -> list[str]:
        """What keeps this server from having what is new, for ``/readyz``."""
        reason = self.down or self._choice.incomplete
        return [f"the upstream: {reason}"] if reason else []

    # Asking

    async def ask(
        self,
        method: str,
        target: str,
        fields: Iterable[_Field] = (),
        body: bytes = b"",
        *,
        loop: str = "",
        repeatable: bool = True,
    ) -> Reply:
        """Have a request answered, by the next upstream where one does not answer.

        `target` is the path below the upstream's own, with the query; `loop` is the ``CDN-Loop``
        of the request on whose behalf this is. What is not `repeatable` is sent once, to one of
        them.

        Raises what `UpstreamError` has.
        """
        fields = self._fields(fields, loop)
        error, candidates = self._choice.error(), self._choice.candidates()
        for address in candidates:
            try:
                reply = await self._ask_one(address, method, target, fields, body, repeatable)
            except UpstreamUnreachable as failure:
                self._choice.failed(address, failure)
                error = failure
                continue
            except UpstreamBroke as failure:
                if not repeatable:
                    raise
                self._choice.failed(address, failure)
                error = failure
                continue
            self._choice.answered(address)
            if not repeatable or reply.status not in _ELSEWHERE or address == candidates[-1]:
                return reply
            reply.close()  # maybe another one can
        raise error

    async def _ask_one(
        self,
        address: Address,
        method: str,
        target: str,
        fields: Sequence[_Field],
        body: bytes,
        repeatable: bool,
    ) -> Reply:
        pool = self._pools[address]
        for again in (False, True):
            connection = await pool.take(self.timeout, anew=again)
            was_used = connection.used
            try:
                head = await connection.ask(
                    method,
                    address.path + target,
                    _with_credentials(address, fields),
                    body,
                    self.timeout,
                )
            except UpstreamBroke:
                pool.give_back(connection)
                # It may have been about to be closed; then a new one will do.
                if again or not (was_used and repeatable):
                    raise
            except BaseException:
                pool.give_back(connection)
                raise
            else:
                return Reply(connection, head, partial(pool.give_back, connection))
        raise AssertionError("the second try returns or raises")

    async def open_stream(
        self,
        target: str,
        fields: Iterable[_Field],
        *,
        loop: str = "",
        seconds: float = 0.0,
        upgrades: bool = False,
    ) -> Reply:
        """Have a request answered over a connection of its own, for as long as it takes; the answer
        has to begin within `seconds`, `timeout` unless said otherwise. `upgrades`: see
        `Connection.ask`.

        Raises what `UpstreamError` has.
        """
        fields = self._fields(fields, loop)
        if len(self._streams) + self._opening >= MOST_STREAMS:
            raise UpstreamBusy("as many streams are open as this server may have")
        error, candidates = self._choice.error(), self._choice.candidates()
        self._opening += 1
        try:
            for address in candidates:
                try:
                    reply = await self._open_one(
                        address, target, fields, seconds or self.timeout, upgrades
                    )
                except UpstreamError as failure:
                    self._choice.failed(address, failure)
                    error = failure
                    continue
                self._choice.answered(address)
                if reply.status not in _ELSEWHERE or address == candidates[-1]:
                    return reply
                reply.close()
        finally:
            self._opening -= 1
        raise error

    async def _open_one(
        self,
        address: Address,
        target: str,
        fields: Sequence[_Field],
        seconds: float,
        upgrades: bool,
    ) -> Reply:
        connection = await Connection.open(address, self._tls, self.timeout)
        try:
            own = _with_credentials(address, fields)
            path = address.path + target
            head = await connection.ask("GET", path, own, b"", seconds, upgrades=upgrades)
        except BaseException:
            connection.close()
            raise

        def closed() -> None:
            connection.close()
            self._streams.discard(reply)

        reply = Reply(connection, head, closed)
        self._streams.add(reply)
        return reply

    def _fields(self, fields: Iterable[_Field], loop: str) -> list[_Field]:
        try:
            return [*fields, (hops.FIELD, hops.extended(loop, self.own))]
        except hops.Looped as error:
            message = f"{error}: the setting upstream leads back to where it began"
            _said.warning(f"a request goes round in circles: {message}")
            raise LoopFound(message) from None

    def _abort_streams(self, address: Address) -> None:
        """End the streams from there: it is not followed any more."""
        for reply in list(self._streams):
            if reply.address == address:
                reply.abort()


def _with_credentials(address: Address, fields: Sequence[_Field]) -> Sequence[_Field]:
    if not address.authorization or any(name.lower() == "authorization" for name, _ in fields):
        return fields  # the client's own, if there are any
    return [*fields, ("Authorization", address.authorization)]
