"""The event stream of a board.

It sends the same events as the long-poll (`polls`), by the same rules; the formats are in
``realtime/wires/`` and ``docs/http-api.md``.
"""

from __future__ import annotations

import functools
import time
from email.utils import formatdate

from tornado_board.realtime.catchup import CatchUp, CatchUps
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Message, content_of, sse
from tornado_board.realtime.wires.gzip_sse import GZIP
from tornado_board.realtime.wires.sse import CHUNKED, RAW, EventStream
from tornado_board.realtime.wires.websocket import WEBSOCKET
from tornado_board.replay import EventId
from tornado_board.web.accept import accepts_gzip
from tornado_board.web.described import Flag, Parameter, Text
from tornado_board.web.exchange import Asked, Opened, SSEWire, StreamWire

#: An ``Accept-Encoding`` that is longer is not looked at, so that the cache of them is bounded.
_LONGEST_ACCEPT = 256

_accepts_gzip = functools.lru_cache(maxsize=256)(accepts_gzip)

#: How a client asks for a stream, and says what it has seen.
STREAM = Flag(
    name="stream",
    text="1 asks for the event stream, and 0 for JSON, where no Accept header can be set.",
)
SINCE = "since"
_OTHER_NAMES = ("lastEventId", "last_event_id")


def parameters(pattern: str = "") -> tuple[Parameter, ...]:
    """What is read of every request for events; ids have the `pattern`, if there is one."""
    header = Text(
        name="Last-Event-ID",
        text="The same, as an EventSource says it.",
        place="header",
        pattern=pattern,
    )
    return (
        STREAM,
        Text(name=SINCE, text="The id of the event that was seen last.", pattern=pattern),
        *(Text(name=name, text="The same.", pattern=pattern) for name in _OTHER_NAMES),
        header,
    )


#: How often a board is opened for a stream if it makes room for others each time.
_TRIES = 5


async def stream(asked: Asked, board_id: str) -> Opened:
    """The board's event stream, from what this client has seen on.

    Raises what `Hub.open` raises.
    """
    asked.hold(board_id)
    services, wire, text = asked.services, stream_wire(asked), last_event_id(asked)
    for _ in range(_TRIES):
        topic = await services.hub.open(board_id)
        services.hub.check_room(topic)
        first = await _first_events(services.hub, topic, text, services.catch_ups, wire)
        services.hub.check_room(topic)
        if not topic.ended:
            asked.check(board_id)  # while it waited, the board may have become private
            return Opened(topic, wire, first)
        # It made room for another or was deleted while the log was read: nothing would come of it.
    raise LimitReached("the board does not stay live; try again")


def stream_at_once(asked: Asked, board_id: str) -> Opened | None:
    """The same, where nobody has to be asked."""
    services, wire = asked.services, wire_of(asked)
    topic = services.hub.live(board_id)
    if topic is None:
        return None
    services.hub.check_room(topic)
    first = first_events(services.hub, topic, last_event_id(asked), services.catch_ups, wire)
    if first is None:
        return None
    asked.hold(board_id)
    return Opened(topic, wire, first)


def stream_wire(asked: Asked) -> StreamWire:
    """How events are sent to this client."""
    return WEBSOCKET if asked.upgrades else wire_of(asked)


def plain_wire(asked: Asked) -> EventStream:
    """How an event stream is sent to this client if not in gzip."""
    return CHUNKED if asked.version == "HTTP/1.1" else RAW


def wire_of(asked: Asked) -> SSEWire:
    """How an event stream is sent to this client; in gzip only where the settings allow it."""
    if asked.version != "HTTP/1.1":
        return RAW
    encodings = asked.headers.get("Accept-Encoding", "")
    return wire_for(encodings, asked.services.settings.compress_streams)


def wire_for(accept_encoding: str, compress: bool) -> SSEWire:
    """How a stream is sent to an HTTP/1.1 client that accepts these encodings; in gzip only if
    `compress`."""
    if not compress or len(accept_encoding) > _LONGEST_ACCEPT:
        return CHUNKED
    return GZIP if _accepts_gzip(accept_encoding) else CHUNKED


def first_events(
    hub: Hub, topic: Topic, last_event_id: str, catch_ups: CatchUps, wire: StreamWire
) -> Message | None:
    """What a stream begins with for a client that has seen `last_event_id` (empty for none).

    ``None`` where the replay log has to be asked, or the store: see `CatchUps.after` and
    `Hub.confirm`.
    """
    known = _known(topic, last_event_id, catch_ups, wire)
    if known is None:
        return None
    strictly = known.reset is not None
    if (not last_event_id or strictly) and not hub.is_confirmed(topic, strictly=strictly):
        return None
    if known.reset is not None:
        hub.metrics.reset(known.reset)
    return known.encoded


async def _first_events(
    hub: Hub, topic: Topic, last_event_id: str, catch_ups: CatchUps, wire: StreamWire
) -> Message:
    """The same, with whatever has to be asked first."""
    known = _known(topic, last_event_id, catch_ups, wire)
    if known is None:
        known = await catch_ups.after(topic, EventId.parse(last_event_id), wire.message)
    if not last_event_id or known.reset is not None:
        # It takes the current board for what it is, not for what comes after something else.
        await hub.confirm(topic, strictly=known.reset is not None)
        if known.reset is not None:
            hub.metrics.reset(known.reset)
        return topic.encoded(wire.message, known.reset)
    return known.encoded


def _known(
    topic: Topic, last_event_id: str, catch_ups: CatchUps, wire: StreamWire
) -> CatchUp | None:
    if not last_event_id:
        return CatchUp(topic.encoded(wire.message))
    try:
        event_id = EventId.parse(last_event_id)
    except ValueError:
        # An EventSource can't be told of a mistake without being stopped for good.
        reason = "that is no event id of this server"
        return CatchUp(topic.encoded(wire.message, reason), reason)
    return catch_ups.known(topic, event_id, wire.message)


def begin(
    hub: Hub, opened: Opened, subscriber: Subscriber, head: bytes, until: float | None = None
) -> None:
    """Send `head`, which is the response's, what the stream begins with, and then every event; and
    end when the client may listen no longer, `until` seconds since 1970."""
    topic, wire, first = opened
    opening = wire.opening()
    own = content_of(opening, first)
    # Who has seen the current event before is not sent it here.
    topic.add(subscriber, wire, in_step=bool(first), own=own)
    subscriber.begin(head + opening, first)
    if until is not None:
        hub.expiries.add(subscriber, wire, until)


def response_head(cors: tuple[tuple[str, str], ...], wire: SSEWire) -> bytes:
    """The status line and header of a stream's response, with the CORS fields `cors`."""
    return _response_head(cors, wire, int(time.time()))


@functools.lru_cache(maxsize=64)
def _response_head(cors: tuple[tuple[str, str], ...], wire: SSEWire, now: int) -> bytes:
    described = [
        *fields(wire),
        ("Date", formatdate(now, usegmt=True)),
        ("X-Content-Type-Options", "nosniff"),
        # No request is taken on a connection that was a stream (RFC 9112, section 9.6).
        ("Connection", "close"),
        *cors,
    ]
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in described), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def fields(wire: SSEWire) -> list[tuple[str, str]]:
    """The fields that describe a stream."""
    described = [
        ("Content-Type", sse.CONTENT_TYPE),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),
        ("Vary", "Accept, Accept-Encoding"),
    ]
    if wire.encoding != "identity":
        described.append(("Content-Encoding", wire.encoding))
    # Without it the end of the stream is the end of the connection (RFC 9112, section 6.3).
    return [*described, ("Transfer-Encoding", "chunked")] if wire.chunked else described


def last_event_id(asked: Asked) -> str:
    """The id that the client has seen last, empty if it says none.

    The header wins: an EventSource that reconnects sends it anew, and the query as it was.
    """
    return (
        asked.headers.get("Last-Event-ID", "")
        or next(filter(None, map(asked.argument, _OTHER_NAMES)), None)
        # What long-polls and WebSockets say.
        or asked.argument(SINCE)
        or ""
    )
