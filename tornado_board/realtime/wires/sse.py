"""An event stream, as it is and in HTTP/1.1's chunks.

Rules: the HTML Living Standard, section 9.2 "Server-sent events", and RFC 9112, section 7.1.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from tornado_board.realtime.wires import Comment, Message, Sent

CONTENT_TYPE = "text/event-stream; charset=utf-8"

#: Bounds of the reconnection time in milliseconds, drawn at random for each client so that a
#: restart does not bring everyone back at once.
_RETRY = (1_000, 3_000)

#: What some clients take for the end of a line, though it is none here. In JSON these characters
#: stand in strings only. The other such ones are control characters, which JSON escapes anyway.
_LINE_ENDS = {"\x85": "\\u0085", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class EventStream:
    """The wire of an event stream; `chunked` for HTTP/1.1, where each message is one chunk.

    Without chunks, the end of the stream is the end of the connection.
    """

    once = False

    def __init__(self, *, chunked: bool) -> None:
        self.chunked = chunked
        # No empty line behind it: that would be no event either, but some clients take it for one.
        self.keepalive = Comment(self._framed(b": keep-alive\n"))
        self.end = b"0\r\n\r\n" if chunked else b""

    def opening(self) -> bytes:
        """How long this client waits before it reconnects.

        The line stands in the first event's block, whenever that comes, since there are clients
        that take a block of its own for an event without data.
        """
        least, most = _RETRY
        return self._framed(b"retry: %d\n" % random.uniform(least, most))

    def message(self, events: Sequence[Sent]) -> Message:
        data = b"".join(map(_block, events))
        kept = b"".join(_block(sent) for sent in events if not sent.type.state)
        return Message.of(self._framed(data), self._framed(kept))

    def _framed(self, data: bytes) -> bytes:
        # An empty chunk would be the last one.
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked and data else data


RAW = EventStream(chunked=False)
CHUNKED = EventStream(chunked=True)


def _block(sent: Sent) -> bytes:
    """One event.

    The id stands last, so that a client that keeps the id of a block that was cut in the middle
    does not lose that event. An empty one takes the client's last id from it: one that comes back
    after an event without an id is to get the board as it is, not what it has seen already.
    """
    data = sent.data
    for character, escaped in _LINE_ENDS.items():
        data = data.replace(character, escaped)
    if not sent.type.logged:
        return f"event: {sent.type.name}\ndata: {data}\n\n".encode()
    last = "id:" if sent.id is None else f"id: {sent.id}"
    return f"event: {sent.type.name}\ndata: {data}\n{last}\n\n".encode()
