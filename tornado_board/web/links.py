"""A client's connection, between two requests, while nobody but the fast path has read from it."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import selectors
import socket as sockets
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from tornado_board.web.phases import Phase
from tornado_board.web.problems import Problem
from tornado_board.web.shares import Share

if TYPE_CHECKING:
    from tornado_board.web.connections import Server

#: How often it is looked, in seconds, whether a client has gone that has sent more than is read.
_LOOK_EVERY = 0.5

#: Bytes that may stand before that.
_MOST_BEHIND = 32_768

_TCP_INFO: int | None = getattr(sockets, "TCP_INFO", None) if sys.platform == "linux" else None
_ESTABLISHED = 1

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Outcome(enum.Enum):
    """What came of the look at a connection."""

    NOTHING = "nothing has arrived"
    ENDED = "the client sends nothing more"
    LEFT = "a request, or its beginning, is there and was left for Tornado to read"
    TAKEN = "a request was read, and was answered or will be"


class Link(Protocol):
    """What the fast path needs of a connection: `PlainLink`, or `connections.Connection`."""

    @property
    def socket(self) -> sockets.socket: ...

    @property
    def is_open(self) -> bool: ...

    share: Share

    def begin(self) -> None:
        """A request was read that is not answered at once: read no other before `reply`."""

    def reply(self, data: bytes, *, closing: bool) -> None:
        """Send the whole answer, as fast as the client takes it, and go on to the next request;
        or close then, if it is `closing`."""

    def watch(self, callback: Callable[[], None] | None) -> None:
        """After `begin`: have `callback` called when the client sends nothing more, or so much that
        it can't be told; ``None``: no longer."""

    def give(self) -> tuple[sockets.socket, Callable[[], None]]:
        """Give the open socket away, and what to call when it was closed."""

    def close(self) -> None:
        """Close the connection. May be called twice."""


class EndWatch:
    """Tells, once, that a client sends nothing more, though something unread stands before the end;
    or so much that it can't be told."""

    def __init__(self, sock: sockets.socket, callback: Callable[[], None]) -> None:
        self._socket = sock
        self._callback = callback
        self._timer: asyncio.TimerHandle | None = None
        self._look()

    def cancel(self) -> None:
        """Tell nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if _has_ended(self._socket):
            self._callback()
        else:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)


def _has_ended(sock: sockets.socket) -> bool:
    try:
        data = sock.recv(_MOST_BEHIND, sockets.MSG_PEEK | sockets.MSG_DONTWAIT)
        if not data or len(data) == _MOST_BEHIND or _TCP_INFO is None:
            return True
        # struct tcp_info of Linux begins with the connection's state.
        return sock.getsockopt(sockets.IPPROTO_TCP, _TCP_INFO, 1)[0] != _ESTABLISHED
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True


class PlainLink:
    """A connection that Tornado does not know of yet."""

    __slots__ = (
        "_address",
        "_busy",
        "_closed",
        "_end",
        "_events",
        "_server",
        "_unsent",
        "_watcher",
        "phase",
        "share",
        "socket",
    )

    def __init__(self, server: Server, sock: sockets.socket, share: Share, address: Any) -> None:
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # no TCP
            # Of two answers in a row, the second must not wait for the first to be acknowledged.
            sock.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
        self.socket = sock
        self.share = share
        self.phase = Phase.DETACHED
        self._server = server
        self._address = address
        #: Whether it was closed, or given away.
        self._closed = False
        #: Whether a request was read that is not answered yet, or not wholly sent.
        self._busy = False
        self._unsent: tuple[memoryview, bool] | None = None
        self._watcher: Callable[[], None] | None = None
        self._end: EndWatch | None = None
        #: What the poller tells of.
        self._events = 0

    def start(self) -> None:
        """Serve what has arrived, and wait for what will."""
        self._server.enter(self, Phase.IDLE)
        self._look()
        if not self._closed and not self._busy:
            self._want(_READ)

    @property
    def is_open(self) -> bool:
        return not self._closed

    # What the poller tells

    @property
    def closed(self) -> bool:
        return self._closed

    def on_readable(self) -> None:
        if self._busy:
            self._look_behind()
        else:
            self._look()

    def on_writable(self) -> None:
        if self._unsent is None:
            return
        rest, closing = self._unsent
        try:
            count = self.socket.send(rest)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        if count < len(rest):
            self._unsent = rest[count:], closing
            self._server.enter(self, Phase.SENDING)
            return
        self._unsent = None
        self._sent(closing)

    # What the fast path asks for

    def begin(self) -> None:
        self._busy = True
        self._server.enter(self, Phase.ANSWER)

    def reply(self, data: bytes, *, closing: bool) -> None:
        if self._closed:
            return
        self.watch(None)
        try:
            count = self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            count = 0
        except OSError:
            self.close()
            return
        if count == len(data):
            self._sent(closing)
            return
        self._busy = True
        self._unsent = memoryview(data)[count:], closing
        self._server.enter(self, Phase.SENDING)
        self._want(_WRITE)

    def watch(self, callback: Callable[[], None] | None) -> None:
        self._watcher = callback
        if callback is not None:
            self._want(_READ)
        elif self._end is not None:
            self._end.cancel()
            self._end = None

    def give(self) -> tuple[sockets.socket, Callable[[], None]]:
        self._forget()
        return self.socket, self.share.leave

    def close(self) -> None:
        if self._closed:
            return
        self._forget()
        self.socket.close()
        self.share.leave()
        self._tell_end()

    def refuse(self, problem: Problem) -> None:
        """Close it. A `Connection` is told why; this one is in the middle of nothing then."""
        self.close()

    def _sent(self, closing: bool) -> None:
        self._busy = False
        if closing or self._server.stopping:
            self.close()
            return
        self._server.enter(self, Phase.IDLE)
        self._want(_READ)

    def _look(self) -> None:
        outcome = self._server.look(self)
        if outcome is Outcome.ENDED:
            self.close()
        elif outcome is Outcome.LEFT:
            sock, _ = self.give()
            self._server.serve(sock, self.share, self._address, looked=True)

    def _look_behind(self) -> None:
        """Something came while a request is being answered: another one, or the end. It stays where
        it is until this one's answer was sent."""
        self._want(0)
        if self._watcher is not None:
            self._end = EndWatch(self.socket, self._tell_end)

    def _tell_end(self) -> None:
        watcher = self._watcher
        self.watch(None)
        if watcher is not None:
            watcher()

    def _want(self, events: int) -> None:
        if events == self._events:
            return
        before, self._events = self._events, events
        self._server.poller.want(self.socket, self, before, events)

    def _forget(self) -> None:
        self._want(0)
        self._closed, self._unsent = True, None
        self._server.enter(self, Phase.DETACHED)
