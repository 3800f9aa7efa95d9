"""Subscribers at the other end of a WebSocket: their control frames are answered, their data is
thrown away."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from tornado_board.realtime.audience import nowhere
from tornado_board.realtime.subscriber import EMPTY, Poller, Subscriber
from tornado_board.realtime.wires import Comment
from tornado_board.realtime.wires.websocket import (
    ClientFrames,
    CloseCode,
    Opcode,
    ProtocolError,
    close_frame,
    closing_answer,
    pong,
)

#: Bytes of a client that are read before others have their turn: what is sent most often, and fewer
#: than 200 frames.
_READ = 1024


#: Seconds for which a client may take its time to answer a close frame. Closing at once would reset
#: the connection when the answer comes, and many clients take that for a failure.
PARTING_TIME = 2.0


class WebSocketSubscriber(Subscriber):
    """The same over a WebSocket, whose handshake has taken place."""

    __slots__ = ("_frames", "_parting")

    def __init__(self, sock: socket.socket, poller: Poller, release: Callable[[], None]) -> None:
        self._frames = ClientFrames()
        self._parting: asyncio.TimerHandle | None = None
        super().__init__(sock, poller, release)

    def on_readable(self) -> None:
        self._read()
        # What TLS has deciphered and not given yet no selector tells of; it is a record at most.
        while not self.closed and isinstance(self._socket, ssl.SSLSocket):
            if not self._socket.pending():
                break
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ)
        except EMPTY:
            return
        except OSError:
            data = b""
        if data:
            _answer(self, self._frames, data, parting=self._parting is not None)
        else:
            self.close()

    def finish(self, end: bytes) -> None:
        """Send `end`, which closes the WebSocket, and close when the client has answered it."""
        if not end or self._unfinished is not None or self.closed:
            self.close()
            return
        try:
            self._socket.send(end)
        except OSError:
            self.close()
            return
        self.send = nowhere
        if self.audience is not None:
            self.audience.discard(self)
        self._parting = asyncio.get_running_loop().call_later(PARTING_TIME, self.close)

    def close(self) -> None:
        if self._parting is not None:
            self._parting.cancel()
        super().close()


def _answer(
    subscriber: WebSocketSubscriber, frames: ClientFrames, data: bytes, *, parting: bool
) -> None:
    """Do what the control frames in `data` ask for; nothing is sent to a client that is `parting`.

    Of several pings only the last is answered (RFC 6455, section 5.5.3), and none while the client
    does not take what it is sent. A frame that it may not send ends the connection.
    """
    try:
        controls = frames.feed(data)
    except ProtocolError as error:
        if not parting:
            subscriber.finish(close_frame(CloseCode.PROTOCOL_ERROR, str(error)))
        return
    ping = None
    for opcode, payload in controls:
        if opcode is Opcode.CLOSE:
            if not parting:
                subscriber.deliver(Comment(closing_answer(payload)))
            subscriber.close()
            return
        if opcode is Opcode.PING:
            ping = payload
    if ping is not None and not parting:
        subscriber.deliver(pong(ping))
