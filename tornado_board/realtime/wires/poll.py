"""The answer to a long-poll: JSON."""

from __future__ import annotations

from collections.abc import Sequence

from tornado_board.realtime.wires import LONG_POLL, Comment, End, Message, Sent, event_json
from tornado_board.realtime.wires.checksum import Content
from tornado_board.replay import EventId

CONTENT_TYPE = "application/json; charset=utf-8"

#: Bytes after which an answer ends with the event that reached them. Who asks for what comes after
#: that gets the rest at once.
MOST_BYTES = 256 * 1024

#: The position of who has seen an event without an id: it is older than any, so that what comes
#: after it can't be told.
_NO_POSITION = EventId(0, 0)


def answer(events: Sequence[Sent]) -> Message:
    """`events`, of which there is at least one with a position, as far as there is room."""
    parts, size = [], 0
    last: EventId | str = _NO_POSITION
    for sent in events:
        part = event_json(sent)
        parts.append(part)
        size += len(part)
        if sent.type.logged:
            last = sent.id or _NO_POSITION
            if size >= MOST_BYTES:
                break
    return _answer(parts, last)


class LongPoll:
    """The wire of those who have seen the current event and wait for the next, and no more."""

    transport = LONG_POLL
    once = True
    deltas = False
    keepalive = Comment()
    #: The same function that answers who asks later, so that an event is encoded once for both.
    message = staticmethod(answer)

    def opening(self) -> Message:
        return Message()

    def end(self, sent: Content | None, why: End) -> bytes:
        return b""

    def following(self, before: Sent | None, events: Sequence[Sent], listeners: int) -> Message:
        return answer(events)


WAITING = LongPoll()

#: What an answer begins with whose first event is in no log: a reset, or one without an id.
UNLOGGED = b'{"events":[{"id":null'


def newest(events: Sequence[Sent]) -> Message:
    """The newest of `events`, all of which have a position, as far as there is room."""
    parts, size = [], 0
    for sent in reversed(events):
        part = event_json(sent)
        parts.append(part)
        size += len(part)
        if size >= MOST_BYTES:
            break
    return _answer(parts[::-1], events[-1].id or _NO_POSITION)


def nothing(since: EventId | str) -> Message:
    """That there is nothing after `since` yet."""
    return _answer([], since)


def _answer(parts: Sequence[bytes], last: EventId | str) -> Message:
    return Message(
        b'{"events":[%b],"last_event_id":"%b"}\n' % (b",".join(parts), str(last).encode())
    )


def state(sent: Sent, tag: str) -> Message:
    """One event that has no id, and `tag`, which says what it shows; see `nothing` for where that
    is still so."""
    return _answer([event_json(sent)], tag)
