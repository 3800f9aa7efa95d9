"""The event that every server under measurement sends: a board of five players, some 300 bytes.

Its name carries a marker, "@SEQ.NS@" (see native/load_client.c): the event's sequence number, and
the nanoseconds of CLOCK_MONOTONIC at which it was published.
"""

from __future__ import annotations

import functools
import time


@functools.cache
def after(players: int) -> str:
    """The event's data behind the marker."""
    rows = ",".join(
        f'{{"id":"player-{i}","name":"Player {i}","score":{1_000_000 - i}}}'
        for i in range(1, players + 1)
    )
    return f'","players":[{rows}]}}'


#: The event's data around the marker.
BEFORE = '{"id":"bench","name":"'
AFTER = after(5)

#: What each server says before the first event.
RETRY = b"retry: 2000\n\n"

#: The headers of each server's streams.
HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    "X-Accel-Buffering": "no",
}


def marker(seq: int) -> str:
    """The marker of an event that is published now."""
    return f"@{seq}.{time.monotonic_ns()}@"


def data(seq: int, players: int = 5) -> str:
    """The data of an event that is published now."""
    return f"{BEFORE}{marker(seq)}{after(players)}"


def event(seq: int) -> bytes:
    """The whole event, as servers send it that do not frame it themselves."""
    return f"event: update\ndata: {data(seq)}\nid: 1795279177639-{seq}\n\n".encode()
