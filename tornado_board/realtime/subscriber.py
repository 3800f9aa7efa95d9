"""One client of an event stream, from the end of its response headers on.

A subscriber holds its socket and next to nothing else, so that a quiet one costs little, and its
`send` is the socket's own while the socket takes what it is given, so that a fan-out is a plain
loop over the sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

from tornado_board.metrics import Behind
from tornado_board.realtime.audience import NOTHING, Audience, nowhere
from tornado_board.realtime.replays import Replay
from tornado_board.realtime.wires import Comment, End, Message
from tornado_board.realtime.wires.checksum import Joined

#: Bytes that the kernel holds unsent for a client, on Linux. What a client has not read by then is
#: better replaced by the newest event than kept: by default the kernel would hold megabytes of old
#: ones. Bytes under way to the client are not counted, so that a long way costs no throughput.
_UNSENT = 16_384

#: The largest first message, in bytes, that is put together with what stands before it. A larger
#: one is shared by all who are sent it, and not copied for each.
_COPIED = 4_096

#: Messages that wait for a client that is behind. Past it the connection ends: coming back, the
#: client is told what it has missed, or that it can't be told.
_MOST_PENDING = 16

#: Records of a message to a TLS client that are sent before others have their turn.
_RECORDS_AT_ONCE = 16

#: What a socket raises that takes nothing at present, and one that has nothing. A TLS client that
#: wants to be read from before it takes anything renegotiates, which nobody here waits for.
_FULL = (BlockingIOError, InterruptedError, ssl.SSLWantWriteError)
EMPTY = (*_FULL, ssl.SSLWantReadError)

_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)

#: Sockets that are looked after before the loop may go on to something else.
_AT_ONCE = 128

# struct tcp_info of Linux (include/uapi/linux/tcp.h): eight bytes, of which the third counts
# retransmissions and the fourth window probes without an answer, then 32-bit numbers: the first is
# the retransmission time-out in microseconds, the fifth counts segments not acknowledged, the
# thirteenth tells how many milliseconds ago the last acknowledgement came.
_TCP_INFO = struct.Struct("=2xBB4xI12xI28xI") if sys.platform == "linux" else None

#: Retransmissions, or probes of a closed window, in a row without an answer from which on a peer
#: may be gone (RFC 1122, section 4.2.3.5: R1). Before, the acknowledgement of what was sent a
#: moment ago may be under way.
_MANY_TRIES = 3

#: How far apart, in ms, two readings of when the same acknowledgement came may lie.
_SAME = 50


class Subscriber:
    """A client's socket, and what it has yet to take: an unfinished message, and those behind it.

    The socket may be one of TLS, whose handshake is over. It takes a message record by record, and
    has to be given the same bytes again that it did not take at once: here it is.

    The owner calls `send(data)` for each message. While the socket keeps up that is
    ``socket.send`` itself, and the owner hands what came of it to `sent` or `refused`. From the
    first byte that the socket does not take, `send` keeps only the newest message, and what has to
    arrive of those before it, until the socket has taken the unfinished one to its end.
    """

    __slots__ = (
        "_pending",
        "_poller",
        "_release",
        "_silent_since",
        "_socket",
        "_unfinished",
        "audience",
        "joined",
        "place",
        "send",
    )

    def __init__(self, sock: socket.socket, poller: Poller, release: Callable[[], None]) -> None:
        """Take over `sock`; `release` is called once it is closed."""
        sock.setblocking(False)
        with contextlib.suppress(OSError):  # no TCP
            # An event must not wait for the acknowledgement of the one before.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if _NOTSENT_LOWAT is not None:
                sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, _UNSENT)
        self._socket = sock
        self._poller = poller
        self._release = release
        self.audience: Audience | None = None
        self.place = -1
        self.joined: Joined | None = None
        #: When the peer was heard of last, if something waited for its answer at the last look.
        self._silent_since: int | None = None
        self._unfinished: memoryview | None = None
        self._pending: tuple[Message, ...] = ()
        self.send: Callable[[Message], int] = sock.send
        poller.add(sock, self)

    @property
    def closed(self) -> bool:
        return self._socket.fileno() < 0

    def begin(self, head: bytes, first: Message) -> None:
        """Send `head`, which is this client's own, and `first`, which others may be sent too."""
        if len(first) <= _COPIED:
            self.deliver(Message(head + first))
            return
        if isinstance(self._socket, ssl.SSLSocket):
            self.deliver(Message(head))
            if self._unfinished is None:
                self.deliver(first)
            else:
                self._pending = (first,)
        else:
            self._send_both(head, first)
        if (replay := self.replay) is not None:
            replay.held_by(self)

    def _send_both(self, head: bytes, first: Message) -> None:
        try:
            count = self._socket.sendmsg((head, first))
        except _FULL:
            count = 0
        except OSError:
            self.close()
            return
        if count < len(head):
            self.sent(Message(head), count)
            self._pending = (first,)
        elif count - len(head) < len(first):
            self.sent(first, count - len(head))

    @property
    def replay(self) -> Replay | None:
        """What the client has missed and not taken all of yet."""
        unfinished = None if self._unfinished is None else self._unfinished.obj
        waiting = (unfinished, *self._pending)
        return next((data for data in waiting if isinstance(data, Replay)), None)

    def deliver(self, data: Message) -> None:
        """Send `data`, now or as soon as the socket takes it."""
        try:
            count = self.send(data)
        except OSError as error:
            self.refused(data, error)
        else:
            if count != len(data):
                self.sent(data, count)

    def sent(self, data: Message, count: int) -> None:
        """`send` took only the first `count` bytes of `data`; keep the rest."""
        if self._unfinished is None and not self.closed:
            self._poller.behind.not_taken += 1
            self._unfinished = memoryview(data)[count:]
            self._send_by(self._keep)
            self._poller.want_write(self._socket, self, True)

    def refused(self, data: Message, error: OSError) -> None:
        """`send` raised `error`: the socket is full, or gone."""
        if isinstance(error, _FULL):
            self.sent(data, 0)
        else:
            self.close()

    def _keep(self, data: Message) -> int:
        """What `send` is while a message is unfinished."""
        pending = data.behind(self._pending)
        if _skips(self._pending, data, pending):
            self.joined = None
        if 0 < len(pending) <= len(self._pending) and not isinstance(data, Comment):
            self._poller.behind.skipped += 1
        self._pending = pending
        if len(pending) > _MOST_PENDING:
            self._poller.behind.cut_off += 1
            self.close()
        return len(data)

    def on_readable(self) -> None:
        """The client hung up, or sends what nobody asked for: that is thrown away."""
        try:
            if self._socket.recv(65_536):
                return
        except EMPTY:
            return
        except OSError:
            self.close()
            return
        # It may have ended only its own side, and still read.
        audience, end = self.audience, b""
        if audience is not None:
            end = audience.end_of(End.PARTED, self.joined, NOTHING)
        self.finish(end)

    def on_writable(self) -> None:
        """The socket takes bytes again."""
        for _ in range(_RECORDS_AT_ONCE if isinstance(self._socket, ssl.SSLSocket) else 1):
            if self._unfinished is None:
                return
            try:
                count = self._socket.send(self._unfinished)
            except _FULL:
                return
            except OSError:
                self.close()
                return
            if count == len(self._unfinished):
                break
            self._unfinished = self._unfinished[count:]
        else:
            return
        self._unfinished = None
        self._send_by(self._socket.send)
        self._poller.want_write(self._socket, self, False)
        pending, self._pending = self._pending, ()
        for number, message in enumerate(pending, 1):
            self.deliver(message.now)
            if self._unfinished is not None:
                self._pending = pending[number:]
                break

    def is_dead(self, patience: float) -> bool:
        """Whether the peer has left what was sent unacknowledged for `patience` seconds, as far as
        two looks can tell, of which this is one: to be called every `patience` seconds or so.

        A peer that is alive and does not read still acknowledges what it is sent again, or says
        that its window is closed; one that vanished does neither. When the last acknowledgement
        came does not tell it, since what waits for the next one may have been sent just now: a
        client in a tunnel would be cut off. So it is the look before that counts from.
        """
        before, self._silent_since = self._silent_since, None
        silence = None if self.closed else _silence(self._socket)
        if silence is None:
            return False
        self._silent_since = silence.since
        is_same = before is not None and silence.since - before < _SAME
        return is_same and silence.is_long and silence.seconds > patience

    def finish(self, end: bytes) -> None:
        """Send `end`, if the socket takes it now and nothing is unfinished, and close."""
        if end and self._unfinished is None and not self.closed:
            with contextlib.suppress(OSError):
                self._socket.send(end)
        self.close()

    def close(self) -> None:
        """Close the socket and forget what was to be sent. May be called twice."""
        if self.closed:
            return
        self._poller.remove(self._socket)
        self._socket.close()
        self.send = nowhere
        self._unfinished, self._pending = None, ()
        if self.audience is not None:
            self.audience.discard(self)
        self._release()

    def _send_by(self, send: Callable[[Message], int]) -> None:
        self.send = send
        if self.audience is not None:
            self.audience.use(self.place, send)


def _skips(before: tuple[Message, ...], data: Message, pending: tuple[Message, ...]) -> bool:
    """Whether something is skipped for a client that is behind: `before` waited, `pending` does
    now that `data` came."""
    return not pending or pending[:-1] != before or pending[-1].content != data.content


class _Silence(NamedTuple):
    """What a socket's peer has left without an answer."""

    #: When something was heard of it last, in ms of the monotonic clock.
    since: int
    #: For how many seconds.
    seconds: float
    #: Whether it was asked so often that one that is there would have answered.
    is_long: bool


def _silence(sock: socket.socket) -> _Silence | None:
    """``None`` where the peer has answered everything, or the kernel doesn't tell."""
    if _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:
        return None  # no TCP
    retransmissions, probes, time_out_us, unacknowledged, last_ack_ms = _TCP_INFO.unpack(info)
    if not (unacknowledged or probes):
        return None
    # A peer that is alive answers each retransmission, and the last one was less than a
    # retransmission time-out ago.
    is_long = max(retransmissions, probes) >= _MANY_TRIES and last_ack_ms > time_out_us / 1000 * 1.1
    since = time.monotonic_ns() // 1_000_000 - last_ack_ms
    return _Silence(since, last_ack_ms / 1000, is_long)


class Polled(Protocol):
    """Who is told of a socket."""

    @property
    def closed(self) -> bool: ...

    def on_readable(self) -> None: ...

    def on_writable(self) -> None: ...


class Poller:
    """Tells subscribers, and other owners of sockets, when their sockets can be read or written.

    One selector for them all, itself watched by the event loop, costs a quiet subscriber a tenth
    of what a handler on the loop does.
    """

    def __init__(self, behind: Behind | None = None) -> None:
        #: Where it is counted what their owners can't send at once.
        self.behind = behind or Behind()
        self._selector = selectors.DefaultSelector()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._selector, self._on_ready)
        self._emptied: asyncio.Event | None = None

    async def emptied(self) -> None:
        """Return when there are no sockets."""
        if self._selector.get_map():
            self._emptied = asyncio.Event()
            await self._emptied.wait()

    def add(self, sock: socket.socket, subscriber: Polled) -> None:
        self._selector.register(sock, selectors.EVENT_READ, subscriber)

    def want(self, sock: socket.socket, subscriber: Polled, before: int, events: int) -> None:
        """Tell of `events` (those of `selectors`, or 0) from now on; it was of `before`."""
        if not before:
            self._selector.register(sock, events, subscriber)
        elif events:
            self._selector.modify(sock, events, subscriber)
        else:
            self.remove(sock)

    def want_write(self, sock: socket.socket, subscriber: Polled, wanted: bool) -> None:
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if wanted else 0)
        self._selector.modify(sock, events, subscriber)

    def remove(self, sock: socket.socket) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(sock)
        if self._emptied is not None and not self._selector.get_map():
            self._emptied.set()

    def close(self) -> None:
        """Watch no socket any more. May be called twice."""
        if self._selector.get_map() is None:
            return
        self._loop.remove_reader(self._selector)
        self._selector.close()

    def _on_ready(self) -> None:
        ready = self._selector.select(0)
        if len(ready) > _AT_ONCE:
            # What is left out this time is still ready the next time; chance sees to it that a few
            # hundred who never stop sending don't keep the rest out.
            ready = random.sample(ready, _AT_ONCE)
        for key, events in ready:
            subscriber: Polled = key.data
            if events & selectors.EVENT_WRITE and not subscriber.closed:
                subscriber.on_writable()
            if events & selectors.EVENT_READ and not subscriber.closed:
                subscriber.on_readable()
