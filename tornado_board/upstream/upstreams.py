"""The servers that this one follows: which of them is asked, and whether any is there.

One of them is asked, until it does not answer; then the next one. While none does, one connection
at a time is tried, with growing pauses, and everybody else waits for that or is told at once.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
import ssl
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from tornado_board.backoff import Backoff
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
from tornado_board.upstream.address import Address
from tornado_board.upstream.connection import Connection, Head
from tornado_board.upstream.pool import Pool

logger = logging.getLogger(__name__)
_said = LogOnce(logger)

#: Connections to one upstream for requests, and requests that wait for one. Streams have their own.
MOST_CONNECTIONS = 64
MOST_WAITING = 1_000

#: Connections of streams to all upstreams: of boards, of places and of private boards' clients.
MOST_STREAMS = 12_000

#: Bounds of the pauses, in seconds, while no upstream answers.
_BACKOFF = (0.25, 10.0)

#: Seconds between two looks at an upstream that answers, at the most; half of it at the least.
_CHECK = 30.0

#: The largest answer that is read whole, in bytes.
LARGEST_ANSWER = 16 * 2**20

#: Statuses that say that the server asked has not got it from another one, or can't at present.
_ELSEWHERE = frozenset((502, 503, 504, 508))

#: Where a server says whom it follows.
ABOUT = "/upstream/"


class Reply:
    """The answer to a request. Whoever got it has to `close` it."""

    def __init__(self, connection: Connection, head: Head, owner: Upstreams, pool: Pool | None):
        self._connection = connection
        self._owner = owner
        self._pool = pool
        self._closed = False
        self.address = connection.address
        self.head = head

    @property
    def status(self) -> int:
        return self.head.status

    async def read(self, seconds: float) -> bytes:
        """See `Connection.read`."""
        return await self._connection.read(seconds)

    async def whole(self, seconds: float, most: int = LARGEST_ANSWER) -> bytes:
        """The body, if it is not larger than `most` bytes; otherwise raises `UpstreamBroke`. Each
        piece has to come within `seconds`."""
        pieces, size = [], 0
        while piece := await self.read(seconds):
            pieces.append(piece)
            size += len(piece)
            if size > most:
                raise UpstreamBroke(f"{self.address} gave an answer of more than {most:,} bytes")
        return b"".join(pieces)

    def close(self) -> None:
        """Let the connection go. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._pool is None:
            self._connection.close()
            self._owner.stream_ended(self)
        else:
            self._pool.give_back(self._connection)

    def abort(self) -> None:
        """Have whoever reads it find that it broke off."""
        self._connection.close()


class _About(msgspec.Struct):
    """What a server says of whom it follows (`ABOUT`): the ids of the edges on the way, itself
    first, and what is missing there."""

    servers: list[str] = []
    missing: list[str] = []


class _State(enum.IntEnum):
    """How good an upstream is; the greater the better."""

    LOOPED = 0
    SILENT = 1
    INCOMPLETE = 2
    READY = 3


class _Found(NamedTuple):
    state: _State
    servers: Sequence[str] = ()
    reason: str = ""


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
        self._addresses = tuple(addresses)
        self._tls = tls
        self._pools = {
            address: Pool(address, tls, most=MOST_CONNECTIONS, waiting=MOST_WAITING)
            for address in addresses
        }
        self._current = self._addresses[0]
        self._looped: set[Address] = set()
        #: Those that could not be reached since one of them answered.
        self._failing: set[Address] = set()
        self._streams: set[Reply] = set()
        self._opening = 0
        self._servers: Sequence[str] = ()
        #: Why none of them can be asked; empty where one can.
        self.down = "no upstream has answered yet"
        self._up = asyncio.Event()
        self._fell = asyncio.Event()
        self._tasks = Tasks()

    async def start(self, seconds: float) -> None:
        """Look for one, for as long as it takes; return when it is found or after `seconds`."""
        self._tasks.start(self._watch())
        try:
            async with asyncio.timeout(seconds):
                await self._up.wait()
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
        return self._current

    @property
    def open_streams(self) -> int:
        """Streams that are open to any of them."""
        return len(self._streams)

    @property
    def servers(self) -> list[str]:
        """The ids of this server and the edges that it follows, as far as they are known."""
        return [self.own, *(() if self.down else self._servers)]

    @property
    def description(self) -> str:
        return ", ".join(map(str, self._addresses))

    async def available(self) -> None:
        """Return when one of them answers, as far as is known."""
        await self._up.wait()

    # Asking

    async def ask(
        self,
        method: str,
        target: str,
        fields: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        loop: str = "",
        seconds: float = 0.0,
        repeatable: bool = True,
    ) -> Reply:
        """Have a request answered, by the next upstream where one does not answer.

        `target` is the path below the upstream's own, with the query; `loop` is the ``CDN-Loop``
        of the request on whose behalf this is; `seconds` are those within which the answer has to
        begin, `timeout` unless said otherwise. What is not `repeatable` is sent to one of them
        only.

        Raises what `UpstreamError` has.
        """
        fields = self._fields(fields, loop)
        seconds = seconds or self.timeout
        refused: Reply | None = None
        error = self._error()
        for address in self._candidates():
            pool = self._pools[address]
            for again in (False, True):
                try:
                    connection = await pool.take(self.timeout, anew=again)
                except UpstreamUnreachable as failure:
                    self._failed(address, failure)
                    error = failure
                    break
                used = connection.used
                reply = Reply(connection, Head(), self, pool)
                try:
                    path = address.path + target
                    own = self._with_credentials(address, fields)
                    reply.head = await connection.ask(method, path, own, body, seconds)
                except UpstreamBroke as failure:
                    reply.close()
                    error = failure
                    if not repeatable:
                        raise
                    if used and not again:
                        continue  # it was being closed
                    self._failed(address, failure)
                    break
                except BaseException:
                    reply.close()
                    raise
                if refused is not None:
                    refused.close()
                    refused = None
                if repeatable and reply.status in _ELSEWHERE:
                    refused = reply
                    break  # maybe another one can
                self._answered(address)
                return reply
        if refused is not None:
            return refused
        raise error

    async def open_stream(
        self,
        target: str,
        fields: Iterable[tuple[str, str]],
        *,
        loop: str = "",
        seconds: float = 0.0,
    ) -> Reply:
        """Have a request answered over a connection of its own, for as long as it takes; the answer
        has to begin within `seconds`, `timeout` unless said otherwise.

        Raises what `UpstreamError` has; nobody is asked twice.
        """
        fields = self._fields(fields, loop)
        if len(self._streams) + self._opening >= MOST_STREAMS:
            raise UpstreamBusy("as many streams are open as this server may have")
        error = self._error()
        refused: Reply | None = None
        self._opening += 1
        try:
            for address in self._candidates():
                try:
                    connection = await Connection.open(address, self._tls, self.timeout)
                except UpstreamUnreachable as failure:
                    self._failed(address, failure)
                    error = failure
                    continue
                try:
                    path = address.path + target
                    own = self._with_credentials(address, fields)
                    head = await connection.ask("GET", path, own, b"", seconds or self.timeout)
                except UpstreamError as failure:
                    connection.close()
                    self._failed(address, failure)
                    error = failure
                    continue
                except BaseException:
                    connection.close()
                    raise
                if refused is not None:
                    refused.close()
                reply = Reply(connection, head, self, None)
                self._streams.add(reply)
                if head.status in _ELSEWHERE:
                    refused = reply
                    continue
                self._answered(address)
                return reply
        finally:
            self._opening -= 1
        if refused is not None:
            return refused
        raise error

    def stream_ended(self, reply: Reply) -> None:
        """Called by `Reply.close`."""
        self._streams.discard(reply)

    def _fields(self, fields: Iterable[tuple[str, str]], loop: str) -> list[tuple[str, str]]:
        try:
            return [*fields, (hops.FIELD, hops.extended(loop, self.own))]
        except hops.Looped as error:
            message = f"{error}: the setting upstream leads back to where it began"
            _said.warning(f"a request goes round in circles: {message}")
            raise LoopFound(message) from None

    def _with_credentials(
        self, address: Address, fields: Sequence[tuple[str, str]]
    ) -> Sequence[tuple[str, str]]:
        if not address.authorization:
            return fields
        if any(name.lower() == "authorization" for name, _ in fields):
            return fields  # the client's own
        return [*fields, ("Authorization", address.authorization)]

    def _error(self) -> UpstreamError:
        """What is told where there is nobody to ask."""
        if self._looped.issuperset(self._addresses):
            return LoopFound(self.down)
        return UpstreamUnreachable(self.down)

    def _candidates(self) -> list[Address]:
        """Those to be asked, in order; none while none answers."""
        if self.down:
            return []
        start = self._addresses.index(self._current)
        ordered = self._addresses[start:] + self._addresses[:start]
        return [address for address in ordered if address not in self._looped]

    # Which of them answers

    def _answered(self, address: Address) -> None:
        self._failing.discard(address)
        if not self.down:
            self._current = address

    def _failed(self, address: Address, error: UpstreamError) -> None:
        """Nobody could be reached at `address`, or who was there gave no answer."""
        self._failing.add(address)
        following = [other for other in self._candidates() if other not in self._failing]
        if self.down or (following and address != self._current):
            return
        if following:
            logger.warning("%s; %s is asked instead", error, following[0])
            self._current = following[0]
            self._fell.set()  # so that it is looked at
        else:
            self._lose(str(error))

    def _lose(self, reason: str) -> None:
        if not self.down:
            logger.warning("no upstream answers: %s", reason)
        self.down = reason
        self._up.clear()
        self._fell.set()

    async def _watch(self) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            await self._find()
            if self.down:
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._fell.clear()
            try:
                async with asyncio.timeout(random.uniform(_CHECK / 2, _CHECK)):
                    await self._fell.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(backoff.next())

    async def _find(self) -> None:
        """Look at the one that is asked, and at the others unless it is ready; ask the best."""
        start = self._addresses.index(self._current)
        best, at = _Found(_State.SILENT, reason=self.down), self._current
        reasons = []
        for address in self._addresses[start:] + self._addresses[:start]:
            found = await self._look(address)
            if found.state is _State.LOOPED:
                self._ban(address, found.reason)
            else:
                self._looped.discard(address)
            if found.reason:
                reasons.append(found.reason)
            if found.state > best.state:
                best, at = found, address
            if found.state is _State.READY:
                break
        if best.state <= _State.SILENT:
            self._lose("; ".join(reasons))
            return
        moved, was_down = at != self._current, bool(self.down)
        before, self._current = self._current, at
        self._servers = best.servers
        self._failing.clear()
        self.down = ""
        self._up.set()
        if moved:
            self._abort_streams(before)
        if moved or was_down:
            logger.info("following %s", at)

    async def _look(self, address: Address) -> _Found:
        """Ask one of them whom it follows, over a connection of its own."""
        try:
            connection = await Connection.open(address, self._tls, self.timeout)
        except UpstreamUnreachable as error:
            return _Found(_State.SILENT, reason=str(error))
        try:
            fields = self._with_credentials(address, self._fields((), ""))
            head = await connection.ask("GET", address.path + ABOUT, fields, b"", self.timeout)
            reply = Reply(connection, head, self, None)
            body = await reply.whole(self.timeout, hops.MOST_HOPS * 65_536)
        except UpstreamError as error:
            return _Found(_State.SILENT, reason=str(error))
        finally:
            connection.close()
        if head.status in (404, 405):
            return _Found(_State.READY)  # of a version that knows of no edges
        if head.status != 200:
            return _Found(_State.SILENT, reason=f"{address} answers {head.status}")
        try:
            about = msgspec.json.decode(body, type=_About)
        except msgspec.DecodeError:
            return _Found(_State.SILENT, reason=f"{address} is no tornado_board server")
        if self.own in about.servers:
            return _Found(_State.LOOPED, reason=f"{address} follows this server: a loop")
        if len(about.servers) >= hops.MOST_HOPS:
            reason = f"{address} is behind {len(about.servers)} servers: a loop, or too many"
            return _Found(_State.LOOPED, reason=reason)
        if about.missing:
            reason = f"{address} is not ready: {'; '.join(about.missing)[:500]}"
            return _Found(_State.INCOMPLETE, about.servers, reason)
        return _Found(_State.READY, about.servers)

    def _ban(self, address: Address, reason: str) -> None:
        if address not in self._looped:
            logger.error("an upstream is not asked: %s", reason)
        self._looped.add(address)
        self._abort_streams(address)

    def _abort_streams(self, address: Address) -> None:
        for reply in list(self._streams):
            if reply.address == address:
                reply.abort()

    def missing(self) -> list[str]:
        """What keeps this server from having what is new, for ``/readyz``."""
        return [f"the upstream: {self.down}"] if self.down else []
