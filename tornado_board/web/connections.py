"""The HTTP server's limits: how many connections, and how long and how large a request may be.

Whoever oversteps one is answered here, without a handler having run: 408 (too slow), 413 (too
large a body), 429 (too many connections from one address), 431 (too large a header) or 503 (too
many connections), each as a problem, and the connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any, Protocol

import tornado.httputil
import tornado.ioloop
import tornado.iostream

from tornado_board.settings import Settings
from tornado_board.tasks import Tasks
from tornado_board.web.admission import Admission
from tornado_board.web.body_room import BodyRoom, Reservation
from tornado_board.web.hosts import Hosts
from tornado_board.web.phases import Phase
from tornado_board.web.problems import Problem
from tornado_board.web.shares import Share, Shares, neighbourhood
from tornado_board.web.tornado_internals import CHUNK, HTTPServer, Stream, plain_stream

#: Seconds for which a refused client may go on sending, to no effect: closing at once would reset
#: the connection, and the client would lose the answer (RFC 9112, section 9.6).
LINGER_TIME = 2.0

#: Refused connections that linger at one time. More are closed without an answer.
MOST_LINGERING = 256

#: How often to look for connections past their time: this part of the shortest timeout, within
#: these bounds in seconds.
_SWEEP_PART = 0.125
_SWEEP_LEAST, _SWEEP_MOST = 0.01, 1.0

logger = logging.getLogger(__name__)


class ShortCut(Protocol):
    """What may serve a connection without HTTP's whole machinery: see `express.Express`."""

    def take(self, sock: socket.socket, share: Share) -> bool:
        """Own `sock`, and have `share` leave once it was closed; or return ``False``."""


class Connection(Stream):
    """A connection that counts towards the limits until its socket is closed, whoever does it."""

    __slots__ = ("phase", "reservation", "server", "share")

    def __init__(
        self, server: Server, share: Share, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> None:
        self.server = server
        self.share = share
        self.phase = Phase.DETACHED
        #: What the body of the present request takes, if it is a large one.
        self.reservation: Reservation | None = None
        super().__init__(sock, *args, **kwargs)

    @property
    def is_secure(self) -> bool:
        """Whether this is TLS."""
        return isinstance(self.socket, ssl.SSLSocket)

    def refuse(
        self, problem: Problem, cors: tuple[tuple[str, str], ...] = (), *, body: bool = True
    ) -> None:
        """Close the connection; the client is told why. See `Problem.response`."""
        if self.closed():
            return
        response = problem.response(cors, body=body)
        if self.is_secure:
            # There is no second stream on one TLS session to linger on.
            with contextlib.suppress(OSError, tornado.iostream.StreamClosedError):
                super().write(response)
        else:
            with contextlib.suppress(OSError):  # there may be no file descriptor left
                self.server.linger(plain_stream(self.socket.dup()), response)
        super().close()

    def hand_over(self) -> tuple[socket.socket, Callable[[], None]]:
        """Give the open socket away, for an event stream; this object is closed, and can go.

        Returns the socket and what to call, once, when it was closed: until then it counts towards
        the limits. What was written here before must have reached the socket.
        """
        return self.give_socket(), self.share.leave

    def reserve(self, size: int) -> None:
        """Have room for `size` bytes of a large body until the request was answered.

        Raises what `BodyRoom.reserve` raises.
        """
        if self.reservation is None:
            self.reservation = Reservation(self.share.key)
        self.server.body_room.reserve(self.reservation, size)

    def release(self) -> None:
        """Give back what was reserved."""
        if self.reservation is not None:
            self.server.body_room.release(self.reservation)
            self.reservation = None

    def has_to_answer(self) -> bool:
        return self.phase in (Phase.BODY, Phase.ANSWER, Phase.SENDING)

    def on_input(self) -> None:
        if self.phase is Phase.IDLE:
            self.server.enter(self, Phase.HEADER)

    def on_output(self) -> None:
        if self.phase in (Phase.ANSWER, Phase.SENDING):
            self.server.enter(self, Phase.SENDING)

    def on_malformed(self) -> None:
        if self.phase in (Phase.IDLE, Phase.HEADER, Phase.BODY):
            self.refuse(_not_http())

    def on_oversized(self) -> None:
        if self.phase is Phase.BODY:
            self.refuse(_not_http())
        else:
            self.refuse(
                Problem(
                    431,
                    "The request's header is too large; the most is "
                    f"{self.server.settings.max_header:,} bytes.",
                )
            )

    def on_closed(self) -> None:
        self.server.enter(self, Phase.DETACHED)
        self.release()
        if not self.handed_over:
            self.share.leave()


class _SecureConnection(Connection, tornado.iostream.SSLIOStream):
    __slots__ = ()


class Server(HTTPServer):
    """Serves an application within the limits that `Settings` names.

    ``Server(application, settings, hosts, ssl_options=None, short_cut=None)``; use `add_sockets`,
    then `drain`.
    """

    settings: Settings

    def initialize(  # type: ignore[override]
        self,
        application: tornado.httputil.HTTPServerConnectionDelegate,
        settings: Settings,
        hosts: Hosts,
        ssl_options: ssl.SSLContext | None = None,
        short_cut: ShortCut | None = None,
    ) -> None:
        super().initialize(
            application,
            xheaders=settings.trust_forwarded,
            ssl_options=ssl_options,
            chunk_size=CHUNK,
            max_header_size=settings.max_header,
            # Timeouts and the size of bodies are enforced here, where they get an answer.
            idle_connection_timeout=None,
            max_body_size=sys.maxsize,
        )
        self.limit(settings.max_header)
        self.settings = settings
        self.hosts = hosts
        #: Whether it was logged that a request was refused for its host.
        self.host_refused = False
        self.short_cut = short_cut
        self.shares = Shares(settings)
        self.body_room = BodyRoom(settings)
        self._timeouts = {
            Phase.IDLE: settings.idle_timeout,
            Phase.HEADER: settings.header_timeout,
            Phase.BODY: settings.header_timeout,
            Phase.ANSWER: float("inf"),
            Phase.SENDING: settings.idle_timeout,
        }
        # When each connection's time is up. A phase's timeout is the same for all, so that the
        # first one in is the first one out.
        self._deadlines: dict[Phase, dict[Connection, float]] = {p: {} for p in self._timeouts}
        self._lingering: dict[tornado.iostream.IOStream, float] = {}
        self._tasks = Tasks()
        #: There once the server stops; set when no request is under way.
        self._quiet: asyncio.Event | None = None
        interval = _SWEEP_PART * min(settings.idle_timeout, settings.header_timeout)
        interval = min(max(interval, _SWEEP_LEAST), _SWEEP_MOST)
        self._sweeper = tornado.ioloop.PeriodicCallback(self._sweep, 1000 * interval)

    @property
    def open_connections(self) -> int:
        """How many connections are open, event streams among them."""
        return self.shares.open

    # The life of a connection

    def add_sockets(self, sockets: Any) -> None:
        super().add_sockets(sockets)
        self._sweeper.start()

    def accept(self, sock: socket.socket, address: Any) -> None:
        peer = address[0] if isinstance(address, tuple) else ""
        try:
            if self.shares.full:
                problem = Problem(
                    503, "The server has as many connections as it can take; try later."
                )
                self.linger(plain_stream(sock), problem.response())
            elif self.shares.exhausted(peer):
                self.linger(plain_stream(sock), self._too_many().response())
            else:
                stream = self._serve(sock, peer)
                if stream is not None:
                    self.handle_stream(stream, address)
        except Exception:
            logger.exception("can't serve a connection from %s", peer)

    def _serve(self, sock: socket.socket, peer: str) -> Connection | None:
        """Count `sock`; the stream to serve it on, unless the short cut took it."""
        share = self.shares.enter(peer)
        secure = isinstance(sock, ssl.SSLSocket)
        try:
            if (
                self.short_cut is not None
                and not secure
                and self._quiet is None
                and self.short_cut.take(sock, share)
            ):
                return None
            kind = _SecureConnection if secure else Connection
            return kind(self, share, sock, read_chunk_size=CHUNK)
        except Exception:
            sock.close()
            share.leave()
            raise

    def _too_many(self) -> Problem:
        return Problem(
            429,
            "Too many connections are open from this address; close some, or try later. "
            f"The most is {self.shares.most_of_one:,}.",
        )

    def move(self, connection: Connection, address: str) -> None:
        """Count `connection` as one from `address`, which its proxy tells, until the next request.

        Raises `Problem` 429 where that address has as many as it may.
        """
        if neighbourhood(address) == connection.share.key:
            return
        if self.shares.exhausted(address):
            raise self._too_many()
        self.shares.move(connection.share, address)

    def begin(
        self, stream: Stream, application: tornado.httputil.HTTPMessageDelegate
    ) -> tornado.httputil.HTTPMessageDelegate:
        assert isinstance(stream, Connection)
        stream.ignore_input()
        stream.release()
        if self._quiet is not None:
            stream.close()
        else:
            self.enter(stream, Phase.IDLE)
        return Admission(application, stream)

    def detached(self, stream: Stream) -> None:
        assert isinstance(stream, Connection)
        self.enter(stream, Phase.DETACHED)

    def enter(self, connection: Connection, phase: Phase) -> None:
        """Note what `connection` waits for, from now on."""
        if deadlines := self._deadlines.get(connection.phase):
            deadlines.pop(connection, None)
        connection.phase = phase
        if phase in self._deadlines and not connection.closed():
            now = connection.io_loop.time()
            self._deadlines[phase][connection] = now + self._timeouts[phase]
        self._check_quiet()

    def linger(self, stream: tornado.iostream.IOStream, response: bytes) -> None:
        """Send `response` on `stream`, and close it when the client has had time to read it."""
        if len(self._lingering) >= MOST_LINGERING:
            stream.close()
            return
        self._lingering[stream] = stream.io_loop.time() + LINGER_TIME
        self._tasks.start(self._linger(stream, response))

    async def _linger(self, stream: tornado.iostream.IOStream, response: bytes) -> None:
        # The sweep closes the stream when its time is up, which ends any wait here.
        try:
            await stream.write(response)
            stream.socket.shutdown(socket.SHUT_WR)
            while True:
                await stream.read_bytes(CHUNK, partial=True)
        except (OSError, tornado.iostream.StreamClosedError):
            pass  # it is gone
        finally:
            self._lingering.pop(stream, None)
            stream.close()

    def _sweep(self) -> None:
        """Close the connections past their time."""
        now = tornado.ioloop.IOLoop.current().time()
        for stream in _past(self._lingering, now):
            stream.close()
        for phase, deadlines in self._deadlines.items():
            for connection in _past(deadlines, now):
                if phase in (Phase.HEADER, Phase.BODY):
                    connection.refuse(
                        Problem(
                            408,
                            "The request took longer than "
                            f"{self.settings.header_timeout:g} s to arrive; send it again.",
                        )
                    )
                else:
                    connection.close()

    # The end

    async def drain(self, patience: float) -> None:
        """Stop accepting, let the requests under way be answered for at most `patience` seconds,
        and close every connection that is still HTTP's. Event streams are the hub's to close."""
        self.stop()
        self._quiet = asyncio.Event()
        for connection in list(self._deadlines[Phase.IDLE]):
            connection.close()
        self._check_quiet()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), patience)
        await self.close_all_connections()

    def _check_quiet(self) -> None:
        if self._quiet is not None and not any(self._deadlines.values()):
            self._quiet.set()

    async def close_all_connections(self) -> None:
        await super().close_all_connections()
        self._sweeper.stop()
        for stream in list(self._lingering):
            stream.close()
        await self._tasks.cancel()


def _not_http() -> Problem:
    return Problem(
        400, "That is not a valid HTTP/1.1 request: check its request line, header and framing."
    )


def _past(deadlines: dict[Any, float], now: float) -> list[Any]:
    """The keys whose time is up, of a dictionary in the order of its values."""
    past = []
    for key, deadline in deadlines.items():
        if deadline > now:
            break
        past.append(key)
    return past
