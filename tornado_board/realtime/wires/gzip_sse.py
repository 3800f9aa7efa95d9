"""An event stream with ``Content-Encoding: gzip``, deflated once for everybody.

A gzip stream (RFC 1952) is made for one reader as a rule, who has had all of it. Here each event is
deflated once for all subscribers of a board, with the event before it as the dictionary: of a board
of which one score changed a few dozen bytes are left. Whoever was sent the event before can read
that, since a reader keeps the last 32 KB of what it has read (RFC 1951, section 2). Who was not
(a client that is just joining, or for which events were skipped) is sent the form without a
dictionary, which can be read behind anything. Every message ends at the end of a byte, with an
empty stored block (RFC 1951, section 3.2.4), so that any can follow any.

At the end stands a checksum of all that a client was sent, which is another one for each: it is
made from that of what everybody was sent (`checksum`). A client that was behind so far that events
were skipped for it has no such end; its stream is cut.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import partial

from tornado_board.realtime.wires import Comment, End, Message, Sent
from tornado_board.realtime.wires.checksum import Content
from tornado_board.realtime.wires.sse import (
    COMMENT,
    LAST_CHUNK,
    block,
    blocks,
    chunk,
    kept_blocks,
    retry,
)

#: Deflated, without a name, a time or a system that is known (RFC 1952, section 2.3).
_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"

#: The last block, with nothing in it but its end (RFC 1951, section 3.2.6).
_LAST_BLOCK = b"\x03\x00"

#: No header of zlib's, and the largest window. To set up the tables of a higher memory level takes
#: longer than to deflate an event of this size, and makes nothing smaller.
_WINDOW = -15
_MEMORY = 5
_LEVEL = 6

#: The most bytes of a stored block (RFC 1951, section 3.2.4).
_MOST_STORED = 0xFFFF

#: Subscribers for whom it is worth it to deflate an event, which costs as much as a few sends. For
#: fewer it is sent as it is, in stored blocks.
WORTH_DEFLATING = 4


class GzipStream:
    """The wire of an event stream in gzip, for HTTP/1.1."""

    transport = "sse-gzip"
    encoding = "gzip"
    chunked = True
    deltas = True
    once = False

    def __init__(self) -> None:
        self.keepalive = Comment(chunk(stored(COMMENT)))
        self.keepalive.content = Content.of(COMMENT)

    def opening(self) -> Message:
        """The header, and how long this client waits before it reconnects."""
        line = retry()
        message = Message(chunk(_HEADER + stored(line)))
        message.content = Content.of(line)
        return message

    def end(self, sent: Content | None, why: End) -> bytes:
        """An empty last block, and the trailer; nothing where it is not known what was `sent`."""
        return b"" if sent is None else chunk(_LAST_BLOCK + sent.trailer()) + LAST_CHUNK

    def message(self, events: Sequence[Sent]) -> Message:
        return _message(events, deflated)

    def following(self, before: Sent | None, events: Sequence[Sent], listeners: int) -> Message:
        if listeners < WORTH_DEFLATING:
            return _message(events, stored)
        if before is None:
            return self.message(events)
        encode = partial(deflated, before=block(before))
        return _message(events, encode, lambda: self.message(events))


def _message(
    events: Sequence[Sent],
    encode: Callable[[bytes], bytes],
    independent: Callable[[], Message] | None = None,
) -> Message:
    text = blocks(events)
    # What is kept for a client is sent to it when others are skipped.
    message = Message.of(chunk(encode(text)), chunk(deflated(kept_blocks(events))), independent)
    message.content = Content.of(text)
    return message


def deflated(data: bytes, before: bytes = b"") -> bytes:
    """`data`, for a reader that has read `before` last; empty for no data."""
    if not data:
        return b""
    # With an empty dictionary zlib is the same as without.
    deflate = zlib.compressobj(
        _LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zlib.Z_DEFAULT_STRATEGY, before
    )
    return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)


def stored(data: bytes) -> bytes:
    """`data` as it is, for any reader; empty for no data."""
    parts = []
    for start in range(0, len(data), _MOST_STORED):
        part = data[start : start + _MOST_STORED]
        size = len(part)
        parts += [b"\x00", size.to_bytes(2, "little"), (size ^ 0xFFFF).to_bytes(2, "little"), part]
    return b"".join(parts)


GZIP = GzipStream()
