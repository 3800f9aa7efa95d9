"""One client's connection, as Tornado and the fast path serve it in turn."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tornado.iostream

from tornado_board.web.body_room import Reservation
from tornado_board.web.links import EndWatch, Outcome
from tornado_board.web.phases import Phase
from tornado_board.web.problems import Problem
from tornado_board.web.shares import Share
from tornado_board.web.tornado_internals import Stream, plain_stream

if TYPE_CHECKING:
    from tornado_board.web.connections import Server


class Connection(Stream):
    """A connection that counts towards the limits until its socket is closed, whoever does it.

    It is the fast path's `Link`, too: between two requests, while Tornado waits for the next one
    and has read nothing of it, that path may take it from under Tornado's hands.
    """

    __slots__ = ("_end", "_watcher", "looked", "phase", "reservation", "server", "share")

    def __init__(
        self, server: Server, share: Share, sock: socket.socket, *args: Any, **kwargs: Any
    ) -> None:
        self.server = server
        self.share = share
        self.phase = Phase.DETACHED
        #: What the body of the present request takes, if it is a large one.
        self.reservation: Reservation | None = None
        self._watcher: Callable[[], None] | None = None
        self._end: EndWatch | None = None
        #: Whether the fast path has left what is there now.
        self.looked = False
        super().__init__(sock, *args, **kwargs)

    @property
    def is_open(self) -> bool:
        return not self.closed()

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
        self.server.metrics.refused(problem.status_code)
        response = problem.response(cors, body=body)
        if self.is_secure:
            # There is no second stream on one TLS session to linger on.
            with contextlib.suppress(OSError, tornado.iostream.StreamClosedError):
                super().write(response)
        else:
            with contextlib.suppress(OSError):  # there may be no file descriptor left
                self.server.linger(plain_stream(self.socket.dup()), response)
        super().close()

    # What the fast path asks for

    def begin(self) -> None:
        self.taken = True
        self.server.enter(self, Phase.ANSWER)

    def reply(self, data: bytes, *, closing: bool) -> None:
        self.watch(None)
        if self.closed():
            return
        try:
            self.set_nodelay(True)  # Tornado takes it back after each of its own
            count = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            count = 0
        except OSError:
            self.close()
            return
        if count == len(data):
            self._sent(closing)
            return
        self.taken = True
        self.server.enter(self, Phase.SENDING)
        written = self.write(memoryview(data)[count:])
        written.add_done_callback(functools.partial(self._written, closing))

    def watch(self, callback: Callable[[], None] | None) -> None:
        self._watcher = callback
        if callback is not None:
            self.go_on()
        elif self._end is not None:
            self._end.cancel()
            self._end = None

    def give(self) -> tuple[socket.socket, Callable[[], None]]:
        return self.hand_over()

    def _written(self, closing: bool, written: asyncio.Future[None]) -> None:
        if not written.cancelled() and written.exception() is None:
            self._sent(closing)

    def _sent(self, closing: bool) -> None:
        self.taken = False
        if closing or self.server.stopping:
            self.close()
            return
        self.server.enter(self, Phase.IDLE)
        self.go_on()

    # What the stream tells

    def is_taken(self) -> bool:
        if self.taken:
            return True
        if self.phase is not Phase.IDLE or self.has_unread or self.looked:
            self.looked = False
            return False
        return self.server.look(self) is Outcome.TAKEN

    def on_behind(self) -> None:
        if self._watcher is not None:
            self._end = EndWatch(self.socket, self._tell_end)

    def _tell_end(self) -> None:
        watcher = self._watcher
        self.watch(None)
        if watcher is not None:
            watcher()

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
        self._tell_end()


class SecureConnection(Connection, tornado.iostream.SSLIOStream):
    __slots__ = ()

    def is_taken(self) -> bool:
        return False  # what arrives has to be deciphered first


def _not_http() -> Problem:
    return Problem(
        400, "That is not a valid HTTP/1.1 request: check its request line, header and framing."
    )
