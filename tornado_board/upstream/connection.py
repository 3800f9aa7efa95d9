"""One HTTP/1.1 connection to an upstream (RFC 9112). What comes back is taken apart by llhttp."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import httptools

from tornado_board.tasks import time_limit
from tornado_board.upstream import UpstreamBroke, UpstreamLate, UpstreamUnreachable
from tornado_board.upstream.address import Address

#: Bytes read at a time. No more than one piece, taken apart, waits for who reads the answer.
_PIECE = 65_536

#: The largest header of an answer, in bytes.
_LARGEST_HEADER = 65_536

#: Seconds after which a peer that has vanished without a word is found out by the kernel: the time
#: until the first probe, between two, and how many. Silence is noticed by who reads, too.
_KEEPALIVE = (20, 5, 4)


@dataclass
class Head:
    """The status and the fields of an answer, as they came."""

    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        """The field's value, the last one if there are several; `name` in lower case."""
        for known, value in reversed(self.fields):
            if known.lower() == name:
                return value
        return default


class Connection:
    """Carries one request after the other. `open` makes one; whoever has it has it alone."""

    def __init__(
        self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.address = address
        self._reader = reader
        self._writer = writer
        self._answer: _Answer | None = None
        #: Whether it has carried a request before, so that the upstream may just be closing it.
        self.used = False
        #: When it was put back, by the event loop's clock; see `pool.Pool`.
        self.idle_since = 0.0

    @classmethod
    async def open(cls, address: Address, tls: ssl.SSLContext | None, seconds: float) -> Connection:
        """Connect within `seconds`. Raises `UpstreamUnreachable`."""
        context = tls if address.secure else None
        try:
            async with time_limit(seconds):
                reader, writer = await asyncio.open_connection(
                    address.host, address.port, ssl=context, limit=_PIECE
                )
        except TimeoutError:
            raise UpstreamUnreachable(f"{address} can't be reached: no answer") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UpstreamUnreachable(f"{address} can't be reached: {reason}") from None
        _keep_alive(writer.get_extra_info("socket"))
        return cls(address, reader, writer)

    @property
    def is_good(self) -> bool:
        """Whether another request may be sent: all of the answer was read, and nobody has closed
        it."""
        ended = self._answer is None or (self._answer.ended and self._answer.keeps)
        return ended and not self._reader.at_eof() and not self._writer.is_closing()

    async def ask(
        self,
        method: str,
        target: str,
        fields: Iterable[tuple[str, str]],
        body: bytes,
        seconds: float,
        *,
        upgrades: bool = False,
    ) -> Head:
        """Send a request, and return the head of its answer if that comes within `seconds`.

        `fields` have neither ``Host`` nor what tells of the body's length. With `upgrades` they ask
        for another protocol: after an answer of 101 `read` gives what comes as it is, and `send`
        sends. Raises `UpstreamBroke` and `UpstreamLate`.
        """
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.address.authority}"]
        lines += (f"{name}: {value}" for name, value in fields)
        if body or method not in ("GET", "HEAD", "OPTIONS"):
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        answer = self._answer = _Answer(has_body=method != "HEAD", upgrades=upgrades)
        try:
            async with time_limit(seconds):
                self._writer.write(head + body)
                with contextlib.suppress(OSError):  # there may be an answer all the same
                    await self._writer.drain()
                while not answer.headed:
                    await self._feed(answer)
        except TimeoutError:
            self.close()
            raise UpstreamLate(f"{self.address} did not answer within {seconds:g} s") from None
        self.used = True
        return answer.head

    async def read(self, seconds: float) -> bytes:
        """The next piece of the answer's body, empty at its end.

        Raises `UpstreamBroke`, and `UpstreamLate` where nothing comes for `seconds`.
        """
        answer = self._answer
        assert answer is not None
        try:
            async with time_limit(seconds):
                while not answer.pieces and not answer.ended:
                    await self._feed(answer)
        except TimeoutError:
            self.close()
            raise UpstreamLate(f"{self.address} said nothing for {seconds:g} s") from None
        pieces = b"".join(answer.pieces)
        answer.pieces.clear()
        return pieces

    async def send(self, data: bytes, seconds: float) -> None:
        """Send `data` in the protocol that the connection has changed to.

        Raises `UpstreamBroke`, and `UpstreamLate` where it takes longer than `seconds`.
        """
        try:
            async with time_limit(seconds):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError:
            self.close()
            raise UpstreamLate(f"{self.address} took nothing for {seconds:g} s") from None
        except OSError as error:
            self.close()
            raise UpstreamBroke(f"{self.address} broke the connection off: {error}") from None

    def close(self) -> None:
        """Close the connection, whatever is under way. May be called twice."""
        with contextlib.suppress(Exception):
            self._writer.transport.abort()

    async def _feed(self, answer: _Answer) -> None:
        try:
            data = await self._reader.read(_PIECE)
        except (OSError, ssl.SSLError) as error:
            self.close()
            raise UpstreamBroke(f"{self.address} broke the connection off: {error}") from None
        if not data:
            self.close()
            if answer.may_end_here:
                answer.ended = True
                return
            raise UpstreamBroke(f"{self.address} ended the connection before its answer was whole")
        if answer.has_changed:
            answer.pieces.append(data)
            return
        try:
            answer.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if answer.has_changed:
                if rest := data[upgrade.args[0] :]:
                    answer.pieces.append(rest)
            else:
                answer.fault = "it changed the protocol without being asked to"
        except httptools.HttpParserError as error:
            answer.fault = f"no valid HTTP: {error}"
        if answer.fault:
            self.close()
            raise UpstreamBroke(f"{self.address} gave a wrong answer: {answer.fault}")


class _Answer:
    """An answer, as far as it has come."""

    def __init__(self, *, has_body: bool, upgrades: bool) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.head = Head()
        self.headed = self.ended = self.keeps = False
        self.pieces: deque[bytes] = deque()
        self.fault = ""
        #: Whether what follows is in the protocol that was asked for.
        self.has_changed = False
        self._has_body = has_body
        self._upgrades = upgrades
        self._size = 0

    @property
    def may_end_here(self) -> bool:
        """Whether the end of the connection is that of the answer (RFC 9112, section 6.3)."""
        delimited = self.head.get("transfer-encoding") or self.head.get("content-length")
        return self.headed and not self.ended and not delimited

    # What the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._size += len(name) + len(value)
        if self._size > _LARGEST_HEADER:
            self.fault = f"a header of more than {_LARGEST_HEADER:,} bytes"
        elif not self.headed:  # else it is a trailer, which nobody here asks for
            self.head.fields.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        self.has_changed = self._upgrades and status == 101
        if 100 <= status < 200 and not self.has_changed:
            return
        self.head.status = status
        self.headed = True
        if not self._has_body:
            self.ended = True  # and the parser waits for a body: the connection can't go on

    def on_body(self, body: bytes) -> None:
        if self._has_body and not self.ended:
            self.pieces.append(body)

    def on_message_complete(self) -> None:
        if self.has_changed:
            return
        if not self.headed:  # an interim answer (RFC 9110, section 15.2)
            self.head.fields.clear()
            return
        if self._has_body and not self.ended:
            self.ended = True
            self.keeps = self.parser.should_keep_alive()


def _keep_alive(sock: socket.socket) -> None:
    idle, interval, count = _KEEPALIVE
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, idle)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, interval)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, count)
