"""An event stream, as it is and in HTTP/1.1's chunks.

Rules: the HTML Living Standard, section 9.2 "Server-sent events", and RFC 9112, section 7.1.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tornado_board.realtime.wires import Comment, End, Message, Sent, kept_recently
from tornado_board.realtime.wires.checksum import Content

CONTENT_TYPE = "text/event-stream; charset=utf-8"

#: Bounds of the reconnection time in milliseconds, drawn at random for each client so that a
#: restart does not bring everyone back at once.
_RETRY = (1_000, 3_000)

#: What some clients take for the end of a line, though it is none here. In JSON these characters
#: stand in strings only. The other such ones are control characters, which JSON escapes anyway.
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


#: No empty line behind it: that would be no event either, but some clients take it for one.
COMMENT = b": keep-alive\n"

LAST_CHUNK = b"0\r\n\r\n"


class EventStream:
    """The wire of an event stream; `chunked` for HTTP/1.1, where each message is one chunk.

    Without chunks, the end of the stream is the end of the connection.
    """

    transport = "sse"
    encoding = "identity"
    deltas = False
    once = False

    def __init__(self, *, chunked: bool) -> None:
        self.chunked = chunked
        self.keepalive = Comment(self._framed(COMMENT))

    def opening(self) -> Message:
        """How long this client waits before it reconnects.

        The line stands in the first event's block, whenever that comes, since there are clients
        that take a block of its own for an event without data.
        """
        return Message(self._framed(retry()))

    def end(self, sent: Content | None, why: End) -> bytes:
        return LAST_CHUNK if self.chunked else b""

    def message(self, events: Sequence[Sent]) -> Message:
        if len(events) == 1 and events[0].type.state:
            return Message(self._framed(block(events[0])))
        message = Message(self._framed(blocks(events)))
        if not all(sent.type.state for sent in events):
            return Message.of(message, self._framed(kept_blocks(events)))
        return message

    def following(self, before: Sent | None, events: Sequence[Sent], listeners: int) -> Message:
        return self.message(events)

    def _framed(self, data: bytes) -> bytes:
        return chunk(data) if self.chunked else data


def chunk(data: bytes) -> bytes:
    """`data` as one chunk. An empty one would be the last, so of nothing it is nothing."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def retry() -> bytes:
    """The line that says how long a client waits before it reconnects, drawn for each."""
    least, most = _RETRY
    return b"retry: %d\n" % random.uniform(least, most)


def blocks(events: Sequence[Sent]) -> bytes:
    """`events`, one after the other."""
    return b"".join(map(block, events))


def kept_blocks(events: Sequence[Sent]) -> bytes:
    """Those of `events` that are no state: see `Message.kept`."""
    return b"".join(block(sent) for sent in events if not sent.type.state)


def block(sent: Sent) -> bytes:
    """One event.

    The id stands last, so that a client that keeps the id of a block that was cut in the middle
    does not lose that event. An empty one takes the client's last id from it: one that comes back
    after an event without an id is to get the board as it is, not what it has seen already.
    """
    if not sent.type.logged:
        return _encoded(sent.type.name, sent.data) + b"\n"
    lines = _lines(sent.type.name, sent.data)
    if sent.id is None:
        return lines + b"id:\n\n"
    return b"%bid: %b\n\n" % (lines, str(sent.id).encode())


def _encoded(name: str, data: str) -> bytes:
    if not data.isascii():
        for character, escaped in _LINE_ENDS.items():
            data = data.replace(character, escaped)
    return f"event: {name}\ndata: {data}\n".encode()


_lines = kept_recently(_encoded)


RAW = EventStream(chunked=False)
CHUNKED = EventStream(chunked=True)
