"""The HTTP server's limits: how many connections, and how long and how large a request may be.

Whoever oversteps one is answered here, without a handler having run: 408 (too slow), 413 (too
large a body), 429 (too many connections from one address), 431 (too large a header) or 503 (too
many connections), each as a problem, and the connection ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import functools
import logging
import socket
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import tornado.httpserver
import tornado.httputil
import tornado.ioloop
import tornado.iostream
import tornado.netutil

from tornado_board.settings import Settings
from tornado_board.web.problems import Problem

#: Seconds for which a refused client may go on sending, to no effect: closing at once would reset
#: the connection, and the client would lose the answer (RFC 9112, section 9.6).
LINGER_TIME = 2.0

#: Refused connections that linger at one time. More are closed without an answer.
MOST_LINGERING = 256

#: Bytes read from a socket at once.
_CHUNK = 16_384

#: How often to look for connections past their time: this part of the shortest timeout, within
#: these bounds in seconds.
_SWEEP_PART = 0.125
_SWEEP_LEAST, _SWEEP_MOST = 0.01, 1.0

# What Tornado sends before it closes a connection on which something other than HTTP came.
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\n\r\n"

log = logging.getLogger(__name__)


class Phase(enum.Enum):
    """What a connection waits for."""

    IDLE = "the first byte of a request"
    HEADER = "the rest of a request's header"
    BODY = "the rest of a request's body"
    ANSWER = "the application"
    SENDING = "the client to read the answer"
    DETACHED = "nothing: it is an event stream, and the hub's"


class ShortCut(Protocol):
    """What may serve a connection without HTTP's whole machinery: see `express.Express`."""

    def take(self, sock: socket.socket, peer: str, release: Callable[[], None]) -> bool:
        """Own `sock`, and call `release` once it was closed; or return ``False`` and leave it."""


class Connection(tornado.iostream.IOStream):
    """A connection that counts towards the limits until its socket is closed, whoever does it."""

    # IOStream has as many attributes as instances of one class can share the names of; four more
    # in the instance's dictionary would cost a kilobyte a connection.
    __slots__ = ("handed_over", "peer", "phase", "server")

    def __init__(
        self, server: Server, peer: str, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> None:
        self.server = server
        self.peer = peer
        self.phase = Phase.DETACHED
        self.handed_over = False
        super().__init__(sock, *args, **kwargs)

    @property
    def is_secure(self) -> bool:
        """Whether this is TLS."""
        return isinstance(self.socket, ssl.SSLSocket)

    def refuse(self, problem: Problem) -> None:
        """Close the connection; the client is told why."""
        if self.closed():
            return
        if self.is_secure:
            # There is no second stream on one TLS session to linger on.
            with contextlib.suppress(OSError, tornado.iostream.StreamClosedError):
                super().write(problem.response())
        else:
            with contextlib.suppress(OSError):  # there may be no file descriptor left
                self.server.linger(tornado.iostream.IOStream(self.socket.dup()), problem)
        super().close()

    def hand_over(self) -> tuple[socket.socket, Callable[[], None]]:
        """Give the open socket away, for an event stream; this object is closed, and can go.

        Returns the socket and what to call, once, when it was closed: until then it counts towards
        the limits. What was written here before must have reached the socket.
        """
        sock = self.socket
        self.server.enter(self, Phase.DETACHED)
        self.handed_over = True
        self.close()
        return sock, functools.partial(self.server.release, self.peer)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        size = super().read_from_fd(buf)
        if size and self.phase is Phase.IDLE:
            self.server.enter(self, Phase.HEADER)
        return size

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        if data == _BAD_REQUEST and self.phase in (Phase.IDLE, Phase.HEADER, Phase.BODY):
            self.refuse(_not_http())
        elif self.phase in (Phase.ANSWER, Phase.SENDING):
            self.server.enter(self, Phase.SENDING)
        return super().write(data)

    def close(self, exc_info: Any = False) -> None:
        # Tornado closes a connection whose header, or line with a chunk's size, exceeds its limit
        # without a word.
        if isinstance(exc_info, tornado.iostream.UnsatisfiableReadError) and not self.closed():
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
        super().close(exc_info)

    def close_fd(self) -> None:
        self.server.enter(self, Phase.DETACHED)
        if self.handed_over:
            self.socket = None  # type: ignore[assignment]
        else:
            super().close_fd()
            self.server.release(self.peer)


class _SecureConnection(Connection, tornado.iostream.SSLIOStream):
    __slots__ = ()


class Server(tornado.httpserver.HTTPServer):
    """Serves an application within the limits that `Settings` names.

    ``Server(application, settings, ssl_options=None, short_cut=None)``; use `add_sockets`, then
    `drain`.
    """

    settings: Settings

    def initialize(  # type: ignore[override]
        self,
        application: tornado.httputil.HTTPServerConnectionDelegate,
        settings: Settings,
        ssl_options: ssl.SSLContext | None = None,
        short_cut: ShortCut | None = None,
    ) -> None:
        super().initialize(
            application,
            xheaders=settings.trust_forwarded,
            ssl_options=ssl_options,
            chunk_size=_CHUNK,
            max_header_size=settings.max_header,
            # Timeouts and the size of bodies are enforced here, where they get an answer.
            idle_connection_timeout=None,
            max_body_size=sys.maxsize,
        )
        self.conn_params.header_timeout = None  # a timer a request otherwise
        self.settings = settings
        self.short_cut = short_cut
        #: Open connections by the address they come from.
        self._peers: Counter[str] = Counter()
        self._open = 0
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
        self._tasks: set[asyncio.Task[None]] = set()
        #: There once the server stops; set when no request is under way.
        self._quiet: asyncio.Event | None = None
        interval = _SWEEP_PART * min(settings.idle_timeout, settings.header_timeout)
        interval = min(max(interval, _SWEEP_LEAST), _SWEEP_MOST)
        self._sweeper = tornado.ioloop.PeriodicCallback(self._sweep, 1000 * interval)

    @property
    def open_connections(self) -> int:
        """How many connections are open, event streams among them."""
        return self._open

    # The life of a connection

    def add_sockets(self, sockets: Any) -> None:
        super().add_sockets(sockets)
        self._sweeper.start()

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        """What TCPServer does with an accepted socket, in our own class of stream."""
        if self.ssl_options is not None:
            try:
                connection = tornado.netutil.ssl_wrap_socket(
                    connection, self.ssl_options, server_side=True, do_handshake_on_connect=False
                )
            except OSError:  # ssl.SSLError is one, too; the client has gone already
                connection.close()
                return
        peer = address[0] if isinstance(address, tuple) else ""
        problem = self._over_limit(peer)
        try:
            if problem is not None:
                secure = isinstance(connection, ssl.SSLSocket)
                plain = tornado.iostream.SSLIOStream if secure else tornado.iostream.IOStream
                self.linger(plain(connection), problem)
                return
            stream = self._accept(connection, peer)
            if stream is not None:
                self.handle_stream(stream, address)
        except Exception:
            log.exception("can't serve a connection from %s", peer)

    def _accept(self, connection: socket.socket, peer: str) -> Connection | None:
        """Count `connection`; the stream to serve it on, unless the short cut took it."""
        self._open += 1
        self._peers[peer] += 1
        secure = isinstance(connection, ssl.SSLSocket)
        try:
            if self.short_cut is not None and not secure and self._quiet is None:
                release = functools.partial(self.release, peer)
                if self.short_cut.take(connection, peer, release):
                    return None
            kind = _SecureConnection if secure else Connection
            return kind(self, peer, connection, read_chunk_size=_CHUNK)
        except Exception:
            connection.close()
            self.release(peer)
            raise

    def _over_limit(self, peer: str) -> Problem | None:
        if self._open >= self.settings.max_connections:
            return Problem(503, "The server has as many connections as it can take; try later.")
        if self._peers[peer] >= self.settings.max_connections_per_address:
            return Problem(
                429,
                "Too many connections are open from this address; close some, or try later. "
                f"The most is {self.settings.max_connections_per_address:,}.",
            )
        return None

    def start_request(
        self, server_conn: object, request_conn: tornado.httputil.HTTPConnection
    ) -> tornado.httputil.HTTPMessageDelegate:
        connection: Connection = server_conn.stream  # type: ignore[attr-defined]
        if self._quiet is not None:
            connection.close()
        else:
            self.enter(connection, Phase.IDLE)
        return _Request(super().start_request(server_conn, request_conn), connection)

    def on_close(self, server_conn: object) -> None:
        super().on_close(server_conn)
        connection: Connection = server_conn.stream  # type: ignore[attr-defined]
        if not connection.closed():
            # It was detached from HTTP.
            self.enter(connection, Phase.DETACHED)

    def enter(self, connection: Connection, phase: Phase) -> None:
        """Note what `connection` waits for, from now on."""
        if deadlines := self._deadlines.get(connection.phase):
            deadlines.pop(connection, None)
        connection.phase = phase
        if phase in self._deadlines and not connection.closed():
            now = connection.io_loop.time()
            self._deadlines[phase][connection] = now + self._timeouts[phase]
        self._check_quiet()

    def release(self, peer: str) -> None:
        """Count a connection from `peer` no more: its socket was closed."""
        self._open -= 1
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    def linger(self, stream: tornado.iostream.IOStream, problem: Problem) -> None:
        """Send `problem` on `stream`, and close it when the client has had time to read it."""
        if len(self._lingering) >= MOST_LINGERING:
            stream.close()
            return
        self._lingering[stream] = stream.io_loop.time() + LINGER_TIME
        task = asyncio.ensure_future(self._linger(stream, problem))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _linger(self, stream: tornado.iostream.IOStream, problem: Problem) -> None:
        # The sweep closes the stream when its time is up, which ends any wait here.
        try:
            await stream.write(problem.response())
            stream.socket.shutdown(socket.SHUT_WR)
            while True:
                await stream.read_bytes(_CHUNK, partial=True)
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
        if self._tasks:
            await asyncio.wait(self._tasks)


class _Request(tornado.httputil.HTTPMessageDelegate):
    """Passes a request on to the application as long as its body is not too large."""

    def __init__(
        self, application: tornado.httputil.HTTPMessageDelegate, connection: Connection
    ) -> None:
        self.application = application
        self.connection = connection
        self.received = 0
        self.refused = False

    def headers_received(
        self,
        start_line: tornado.httputil.RequestStartLine | tornado.httputil.ResponseStartLine,
        headers: tornado.httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        self.connection.server.enter(self.connection, Phase.BODY)
        length = headers.get("Content-Length", "")
        if length.isascii() and length.isdigit():  # Tornado refuses what isn't
            self._count(int(length[:20]))
            if self.refused:
                return None
            self.received = 0
        return self.application.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        self._count(len(chunk))
        return None if self.refused else self.application.data_received(chunk)

    def finish(self) -> None:
        if not self.refused:
            self.connection.server.enter(self.connection, Phase.ANSWER)
            self.application.finish()

    def on_connection_close(self) -> None:
        self.application.on_connection_close()

    def _count(self, size: int) -> None:
        self.received += size
        most = self.connection.server.settings.max_body
        if self.received > most and not self.refused:
            self.refused = True
            self.connection.refuse(
                Problem(413, f"The request's body is too large; the most is {most:,} bytes.")
            )


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
