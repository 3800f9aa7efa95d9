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
import time
from typing import Any, Protocol

import tornado.httputil
import tornado.ioloop
import tornado.iostream

from tornado_board.metrics import Metrics, NoMetrics
from tornado_board.realtime.subscriber import Poller
from tornado_board.settings import Settings
from tornado_board.tasks import Tasks
from tornado_board.web.admission import Admission
from tornado_board.web.body_room import BodyRoom
from tornado_board.web.connection import Connection, SecureConnection
from tornado_board.web.gate import Gate
from tornado_board.web.hosts import Hosts
from tornado_board.web.links import Link, Outcome, PlainLink
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


class FastPath(Protocol):
    """What serves some requests without HTTP's whole machinery: see `fast_path.FastPath`."""

    def look(self, link: Link) -> Outcome:
        """Look at what has arrived, and take it or leave it."""

    @property
    def poller(self) -> Poller:
        """What tells of the sockets that Tornado has not got."""


class Timed(Protocol):
    """A connection whose phases have time limits."""

    phase: Phase

    @property
    def is_open(self) -> bool: ...

    def refuse(self, problem: Problem) -> None:
        """Close it; the client is told why, where it can be."""

    def close(self) -> None: ...


class Server(HTTPServer):
    """Serves an application within the limits that `Settings` names.

    ``Server(application, settings, hosts, ssl_options=None, fast_path=None)``; use `add_sockets`,
    then `drain`.
    """

    settings: Settings

    def initialize(  # type: ignore[override]
        self,
        application: tornado.httputil.HTTPServerConnectionDelegate,
        settings: Settings,
        hosts: Hosts,
        ssl_options: ssl.SSLContext | None = None,
        fast_path: FastPath | None = None,
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
        #: Where it is counted what is refused here.
        self.metrics: Metrics = NoMetrics()
        #: What looks at requests before their bodies are read, if anything does.
        self.gate: Gate | None = None
        #: Whether it was logged that a request was refused for its host.
        self.host_refused = False
        self.fast_path = fast_path
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
        self._deadlines: dict[Phase, dict[Timed, float]] = {p: {} for p in self._timeouts}
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

    @property
    def stopping(self) -> bool:
        """Whether no further request is taken."""
        return self._quiet is not None

    @property
    def poller(self) -> Poller:
        """What tells of the sockets that Tornado has not got; where there is a fast path."""
        assert self.fast_path is not None
        return self.fast_path.poller

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
                self.turn_away(sock, problem)
            elif self.shares.exhausted(peer):
                self.turn_away(sock, self._too_many())
            else:
                self._admit(sock, self.shares.enter(peer), address)
        except Exception:
            logger.exception("can't serve a connection from %s", peer)

    def turn_away(self, sock: socket.socket, problem: Problem) -> None:
        """Close a connection of which nothing was read; the client is told why."""
        self.metrics.refused(problem.status_code)
        self.linger(plain_stream(sock), problem.response())

    def _admit(self, sock: socket.socket, share: Share, address: Any) -> None:
        """Serve a connection that was counted."""
        if self.fast_path is None or self.stopping or isinstance(sock, ssl.SSLSocket):
            self.serve(sock, share, address)
            return
        try:
            link = PlainLink(self, sock, share, address)
        except Exception:
            sock.close()
            share.leave()
            raise
        link.start()

    def serve(
        self, sock: socket.socket, share: Share, address: Any, *, looked: bool = False
    ) -> None:
        """Have Tornado serve the connection `sock`; `looked`: the fast path has left what is there
        now."""
        try:
            kind = SecureConnection if isinstance(sock, ssl.SSLSocket) else Connection
            stream = kind(self, share, sock, read_chunk_size=CHUNK)
        except Exception:
            sock.close()
            share.leave()
            raise
        stream.looked = looked
        self.handle_stream(stream, address)

    def look(self, link: Link) -> Outcome:
        """See `FastPath.look`."""
        if self.fast_path is None or self.stopping:
            return Outcome.LEFT
        try:
            return self.fast_path.look(link)
        except Exception:
            logger.exception("can't serve a connection from %s", link.share.address)
            link.close()
            return Outcome.TAKEN

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

    def enter(self, connection: Timed, phase: Phase) -> None:
        """Note what `connection` waits for, from now on."""
        if deadlines := self._deadlines.get(connection.phase):
            deadlines.pop(connection, None)
        connection.phase = phase
        if phase in self._deadlines and connection.is_open:
            now = time.monotonic()
            self._deadlines[phase][connection] = now + self._timeouts[phase]
        if self._quiet is not None:
            self._check_quiet()

    def linger(self, stream: tornado.iostream.IOStream, response: bytes) -> None:
        """Send `response` on `stream`, and close it when the client has had time to read it."""
        if len(self._lingering) >= MOST_LINGERING:
            stream.close()
            return
        self._lingering[stream] = time.monotonic() + LINGER_TIME
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
        now = time.monotonic()
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
        for deadlines in self._deadlines.values():
            for connection in list(deadlines):
                connection.close()
        self._sweeper.stop()
        for stream in list(self._lingering):
            stream.close()
        await self._tasks.cancel()


def _past(deadlines: dict[Any, float], now: float) -> list[Any]:
    """The keys whose time is up, of a dictionary in the order of its values."""
    past = []
    for key, deadline in deadlines.items():
        if deadline > now:
            break
        past.append(key)
    return past
