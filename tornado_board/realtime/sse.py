"""The bytes of an event stream: the protocol apart from the sockets.

Rules: the HTML Living Standard, section 9.2 "Server-sent events".
"""

from __future__ import annotations

import random

import ujson

from tornado_board.replay import Event

CONTENT_TYPE = "text/event-stream; charset=utf-8"

#: A comment line: no event, but bytes on the wire. An empty line behind it would be no event
#: either, but some clients take it for one.
KEEPALIVE = b": keep-alive\n"

#: Bounds of the reconnection time in milliseconds, drawn at random for each client so that a
#: restart does not bring everyone back at once.
_RETRY = (1_000, 3_000)


def opening(first: bytes) -> bytes:
    """What a stream begins with: how long this client waits before it reconnects, and `first`.

    `first` is whole events, or nothing. The ``retry:`` line stands in the first event's block,
    whenever that comes, since there are clients that take a block of its own for an event without
    data.
    """
    return b"retry: %d\n%b" % (random.randint(*_RETRY), first)


def update(event: Event) -> bytes:
    """`event` as the stream's ``update``; without an ``id:`` line where it has none."""
    data = event.data.encode()
    if event.id is None:
        return b"event: update\ndata: %b\n\n" % data
    return b"id: %d-%d\nevent: update\ndata: %b\n\n" % (event.id.ms, event.id.n, data)


def reset(reason: str) -> bytes:
    """The event that tells a client that its history is gone; the current board follows it."""
    data = ujson.dumps({"reason": reason}, ensure_ascii=False).encode()
    return b"event: reset\ndata: %b\n\n" % data
