"""Events as the text frames of a WebSocket, and what its client sends (RFC 6455).

A server's frames are not masked, so that one is the same for all clients and made once. They are
not compressed: no extension is negotiated.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from tornado_board.realtime.wires import Comment, End, Message, Sent, event_json
from tornado_board.realtime.wires.checksum import Content

#: The first bit of a frame's first byte: its message ends with it. And of its second byte: the
#: payload is masked.
_FINAL = 0x80
_MASKED = 0x80

#: The bits of the first byte that only extensions use.
_RESERVED = 0x70

#: The longest payload of a control frame (section 5.5).
_LONGEST_CONTROL = 125

#: What tells that the payload's length stands in the two or eight bytes behind (section 5.2).
_LENGTH_16, _LENGTH_64 = 126, 127


class Opcode(enum.IntEnum):
    """What a frame is (section 11.8), as far as it is sent, or looked into."""

    TEXT = 0x1
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


#: Frames of data: the first of a message in text or bytes, and those that continue it.
_DATA = frozenset((0x0, 0x1, 0x2))


class CloseCode(enum.IntEnum):
    """Why a connection ends (section 7.4); from 4000 on they are this server's own."""

    NORMAL = 1000
    #: The server stops. Another one may be there a moment later.
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    #: What let the client in does not do so any more, as with HTTP's status 401.
    UNAUTHORIZED = 4401
    #: There is nothing left to send, as with HTTP's status 404.
    NOT_FOUND = 4404


_CLOSE_CODES = {
    End.DELETED: CloseCode.NOT_FOUND,
    End.PLAYER_GONE: CloseCode.NOT_FOUND,
    End.STOPPING: CloseCode.GOING_AWAY,
    End.EXPIRED: CloseCode.UNAUTHORIZED,
    End.PRIVATE: CloseCode.UNAUTHORIZED,
    End.PARTED: CloseCode.NORMAL,
}

#: Codes that a client may send: those that the standard defines for that, those that IANA
#: registers, and the two private ranges (section 7.4).
_SENT_CODES = frozenset((1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)))


class WebSocket:
    """The wire of a WebSocket."""

    transport = "websocket"
    once = False
    deltas = False
    keepalive: Comment

    def __init__(self) -> None:
        self.keepalive = Comment(frame(Opcode.PING))

    def opening(self) -> Message:
        return Message()

    def end(self, sent: Content | None, why: End) -> bytes:
        return close_frame(_CLOSE_CODES[why], why.value)

    def message(self, events: Sequence[Sent]) -> Message:
        kept = [event for event in events if not event.type.state]
        return Message.of(_frames(events), _frames(kept))

    def following(self, before: Sent | None, events: Sequence[Sent], listeners: int) -> Message:
        return self.message(events)


def frame(opcode: Opcode, payload: bytes = b"") -> bytes:
    """A whole message of a server as one frame (section 5.2)."""
    size = len(payload)
    if size <= _LONGEST_CONTROL:
        length = bytes((size,))
    elif size < 1 << 16:
        length = bytes((_LENGTH_16,)) + size.to_bytes(2, "big")
    else:
        length = bytes((_LENGTH_64,)) + size.to_bytes(8, "big")
    return bytes((_FINAL | opcode,)) + length + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """The frame with which a server ends the connection."""
    return frame(Opcode.CLOSE, code.to_bytes(2, "big") + reason.encode())


def pong(payload: bytes) -> Comment:
    """The answer to a ping with this payload."""
    return Comment(frame(Opcode.PONG, payload))


def closing_answer(payload: bytes) -> bytes:
    """The answer to a close frame with this payload: the same code, or that it has none."""
    if not payload:
        return frame(Opcode.CLOSE)
    code = int.from_bytes(payload[:2], "big")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        code = 0
    if len(payload) < 2 or code not in _SENT_CODES:
        return close_frame(CloseCode.PROTOCOL_ERROR)
    return close_frame(code)


def _frames(events: Sequence[Sent]) -> bytes:
    return b"".join(frame(Opcode.TEXT, event_json(event)) for event in events)


class ProtocolError(Exception):
    """What a client sent is no frame that it may send. `str(error)` says why."""


class Control(NamedTuple):
    """A control frame of a client."""

    opcode: Opcode
    payload: bytes


class ClientFrames:
    """Takes a client's bytes apart into frames. What is in frames of data is thrown away as it
    comes, so that no more than one control frame is kept."""

    __slots__ = ("_partial", "_skip")

    def __init__(self) -> None:
        self._partial = b""
        #: Bytes of a frame of data that are still to come.
        self._skip = 0

    def feed(self, data: bytes) -> list[Control]:
        """The control frames that end in `data`, up to the first that closes the connection.

        Raises `ProtocolError`.
        """
        data = self._partial + data
        self._partial = b""
        found: list[Control] = []
        start = 0
        while True:
            skipped = min(self._skip, len(data) - start)
            start += skipped
            self._skip -= skipped
            head = _head(data, start)
            if head is None:
                break
            opcode, payload, size = head
            if opcode is None:
                start, self._skip = payload, size
                continue
            end = payload + size
            if len(data) < end:
                break
            mask = data[payload - 4 : payload]
            found.append(Control(opcode, _masked(data[payload:end], mask)))
            start = end
            if opcode is Opcode.CLOSE:
                return found
        self._partial = data[start:]
        return found


def _head(data: bytes, start: int) -> tuple[Opcode | None, int, int] | None:
    """Of the frame at `start`: what it is (``None`` for data), where its payload begins, and how
    long that is.

    ``None`` where its head is not there whole. Raises `ProtocolError`.
    """
    if len(data) < start + 2:
        return None
    first, second = data[start], data[start + 1]
    size = second & ~_MASKED
    try:
        opcode = None if first & 0x0F in _DATA else Opcode(first & 0x0F)
    except ValueError:
        raise ProtocolError("an unknown opcode") from None
    if first & _RESERVED:
        raise ProtocolError("an extension that was not negotiated")
    if not second & _MASKED:
        raise ProtocolError("a frame that is not masked")
    if opcode is not None and (size > _LONGEST_CONTROL or not first & _FINAL):
        raise ProtocolError("a control frame that is too long, or in parts")
    payload = start + 2
    if size >= _LENGTH_16:
        length = 2 if size == _LENGTH_16 else 8
        size = int.from_bytes(data[payload : payload + length], "big")
        payload += length
    payload += 4  # the mask
    return (opcode, payload, size) if len(data) >= payload else None


def _masked(payload: bytes, mask: bytes) -> bytes:
    """`payload` without its mask (section 5.3)."""
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


WEBSOCKET = WebSocket()
