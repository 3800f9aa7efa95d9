"""The event stream and the long-poll of a board.

Both send the same events by the same rules; the formats are in ``realtime/wires/`` and
``docs/http-api.md``.
"""

from __future__ import annotations

import functools
import re
import socket
import time
from collections.abc import Callable
from email.utils import formatdate

from tornado_board.realtime.catchup import CatchUp, CatchUps
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.subscriber import SecureSubscriber, Subscriber
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.websocket import SecureWebSocketSubscriber, WebSocketSubscriber
from tornado_board.realtime.wires import Message, content_of, poll, sse, update
from tornado_board.realtime.wires.gzip_sse import GZIP, GzipStream
from tornado_board.realtime.wires.sse import CHUNKED, RAW, EventStream
from tornado_board.realtime.wires.websocket import WEBSOCKET, WebSocket
from tornado_board.replay import EventId, LogUnavailable
from tornado_board.web import websocket
from tornado_board.web.accept import accepts_gzip
from tornado_board.web.access_log import log_stream_started
from tornado_board.web.connections import Connection
from tornado_board.web.cors import cors_headers
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem

#: How an event stream may be sent, and what may be sent on a connection that stays open.
SSEWire = EventStream | GzipStream
StreamWire = SSEWire | WebSocket

#: An ``Accept-Encoding`` that is longer is not looked at, so that the cache of them is bounded.
_LONGEST_ACCEPT = 256

_accepts_gzip = functools.lru_cache(maxsize=256)(accepts_gzip)

#: Seconds that a long-poll waits at the most, and unless it says otherwise.
_LONGEST_WAIT = 60.0
_USUAL_WAIT = 25.0

#: Seconds that a long-poll waits at least while the log is away and every answer is a reset, so
#: that a client that asks again at once does not do so in circles.
_RESET_WAIT = 1.0

#: How often a board is opened for a stream if it makes room for others each time.
_TRIES = 5

#: The most events that ``history`` gives.
_HISTORY = 1_000


async def serve_stream(handler: Handler, board_id: str) -> None:
    """Answer with the board's event stream, over a WebSocket where the request asks for that, and
    hand the connection to the hub.

    Raises what `Hub.open` raises, and `Problem` for a handshake that is none.
    """
    wire = stream_wire(handler)
    topic, first = await _caught_up(handler, board_id, wire)
    # From here to the end nothing is awaited: the topic's current event is the last one in `first`.
    subscriber = hand_over(handler, wire)
    if subscriber is not None:
        _begin(subscriber, topic, wire, stream_head(handler, wire), first)


def stream_wire(handler: Handler) -> StreamWire:
    """How events are sent to this client. Raises `Problem` for a handshake that is none."""
    if websocket.is_upgrade(handler):
        websocket.check_handshake(handler)
        return WEBSOCKET
    return sse_wire(handler)


def stream_head(handler: Handler, wire: StreamWire) -> bytes:
    """What an answer with a stream begins with."""
    if isinstance(wire, WebSocket):
        return websocket.handshake_answer(handler)
    return response_head(_cors(handler), wire)


def hand_over(handler: Handler, wire: StreamWire) -> Subscriber | SecureSubscriber | None:
    """Take the connection from HTTP; ``None`` where the client has gone."""
    connection = handler.detach()
    assert isinstance(connection, Connection)
    if connection.closed() or handler.client_gone:
        connection.close()
        return None
    is_websocket = isinstance(wire, WebSocket)
    kind = "websocket" if is_websocket else "stream"
    log_stream_started(handler.request.path, handler.request.remote_ip, kind)
    if connection.is_secure:
        return (SecureWebSocketSubscriber if is_websocket else SecureSubscriber)(connection)
    sock, release = connection.hand_over()
    plain = WebSocketSubscriber if is_websocket else Subscriber
    return plain(sock, handler.hub.poller, release)


def plain_wire(handler: Handler) -> EventStream:
    """How an event stream is sent to this client if not in gzip."""
    return CHUNKED if handler.request.version == "HTTP/1.1" else RAW


def sse_wire(handler: Handler) -> SSEWire:
    """How an event stream is sent to this client."""
    if handler.request.version != "HTTP/1.1":
        return RAW
    encodings = handler.request.headers.get("Accept-Encoding", "")
    return wire_for(encodings, handler.services.settings.compress_streams)


def wire_for(accept_encoding: str, compress: bool) -> SSEWire:
    """How a stream is sent to an HTTP/1.1 client that accepts these encodings; in gzip only if
    `compress`."""
    if not compress or len(accept_encoding) > _LONGEST_ACCEPT:
        return CHUNKED
    return GZIP if _accepts_gzip(accept_encoding) else CHUNKED


def _cors(handler: Handler) -> tuple[tuple[str, str], ...]:
    origin = handler.request.headers.get("Origin")
    return cors_headers(handler.services.settings.allowed_origins, origin)


async def _caught_up(handler: Handler, board_id: str, wire: StreamWire) -> tuple[Topic, Message]:
    """The live board, and what a stream of it begins with for this client."""
    catch_ups = handler.services.catch_ups
    text = last_event_id_of(handler)
    for _ in range(_TRIES):
        topic = await handler.hub.open(board_id)
        handler.hub.check_room(topic)
        first = await _first_events(handler.hub, topic, text, catch_ups, wire)
        handler.hub.check_room(topic)
        if not topic.ended:
            return topic, first
        # It made room for another or was deleted while the log was read: nothing would come of it.
    raise LimitReached("the board does not stay live; try again")


def first_events(
    hub: Hub, topic: Topic, last_event_id: str, catch_ups: CatchUps, wire: StreamWire = CHUNKED
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


def subscribe(
    hub: Hub,
    topic: Topic,
    sock: socket.socket,
    release: Callable[[], None],
    head: bytes,
    first: Message,
    wire: StreamWire = CHUNKED,
) -> None:
    """Send `head`, `first` and then every event of `topic` to `sock`.

    `head` is the response's, `first` what `first_events` gave for the same `wire`; `release` is
    called at the end.
    """
    _begin(Subscriber(sock, hub.poller, release), topic, wire, head, first)


def _begin(
    subscriber: Subscriber | SecureSubscriber,
    topic: Topic,
    wire: StreamWire,
    head: bytes,
    first: Message,
) -> None:
    opening = wire.opening()
    own = content_of(opening, first)
    # Who has seen the current event before is not sent it here.
    topic.add(subscriber, wire, in_step=bool(first), own=own)
    subscriber.begin(head + opening, first)


def response_head(cors: tuple[tuple[str, str], ...], wire: SSEWire = CHUNKED) -> bytes:
    """The status line and header of a stream's response, with the CORS fields `cors`."""
    return _response_head(cors, wire, int(time.time()))


@functools.lru_cache(maxsize=64)
def _response_head(cors: tuple[tuple[str, str], ...], wire: SSEWire, now: int) -> bytes:
    fields = [
        *_fields(wire),
        ("Date", formatdate(now, usegmt=True)),
        ("X-Content-Type-Options", "nosniff"),
        # No request is taken on a connection that was a stream (RFC 9112, section 9.6).
        ("Connection", "close"),
        *cors,
    ]
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _fields(wire: SSEWire) -> list[tuple[str, str]]:
    """The fields that describe a stream."""
    fields = [
        ("Content-Type", sse.CONTENT_TYPE),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),
        ("Vary", "Accept, Accept-Encoding"),
    ]
    if wire.encoding != "identity":
        fields.append(("Content-Encoding", wire.encoding))
    # Without it the end of the stream is the end of the connection (RFC 9112, section 6.3).
    return [*fields, ("Transfer-Encoding", "chunked")] if wire.chunked else fields


async def serve_stream_head(handler: Handler, board_id: str) -> None:
    """Answer HEAD where GET would be answered with the stream.

    Raises what `Store.get_board` raises.
    """
    await handler.store.get_board(board_id)
    await answer_stream_head(handler, sse_wire(handler))


async def answer_stream_head(handler: Handler, wire: SSEWire) -> None:
    """The header of a stream, without the stream."""
    for name, value in _fields(wire):
        if name == "Vary":
            handler.add_header(name, value)
        else:
            handler.set_header(name, value)
    # Before `finish`, which would say that the stream has a length, and an ETag.
    await handler.flush()
    handler.finish()


async def serve_poll(handler: Handler, board_id: str) -> None:
    """Answer with the events after ``since``; wait for one where there are none yet.

    Raises what `Hub.open` raises, and `Problem` for parameters that make no sense.
    """
    text = handler.get_query_argument("since", "", strip=False) or last_event_id_of(handler)
    wait = wait_of(handler)
    history = handler.integer_argument("history", 0, 0, _HISTORY)
    try:
        since = EventId.parse(text) if text else None
    except ValueError as error:
        raise Problem(400, f"since: {error}; send the last_event_id of an answer") from None
    topic = await handler.hub.open(board_id)
    handler.set_header("Cache-Control", "no-store")
    handler.add_header("Vary", "Accept")
    if history:
        await _serve_history(handler, topic, history)
        return
    catch_ups, hub = handler.services.catch_ups, handler.hub
    if since is None:
        await hub.confirm(topic)
        answer_poll(handler, topic.encoded(poll.answer))
        return
    catch_up = await _caught_up_poll(hub, topic, since, catch_ups)
    deadline = time.monotonic() + wait
    if catch_up.reset is not None and topic.current.id is None and not hub.stopping:
        # Nothing can be proved at present. The next event may be all that the client lacks, and
        # the log may be back by then.
        hub.check_room(topic)
        await topic.wait(min(wait, _RESET_WAIT), handler.gone)
        catch_up = await _caught_up_poll(hub, topic, since, catch_ups)
    while not (catch_up.encoded or topic.ended or hub.stopping or handler.client_gone):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        hub.check_room(topic)
        await topic.wait(left, handler.gone)
        if not topic.ended:
            catch_up = await _caught_up_poll(hub, topic, since, catch_ups)
    answer_poll(handler, catch_up.encoded or poll.nothing(since))


async def _caught_up_poll(hub: Hub, topic: Topic, since: EventId, catch_ups: CatchUps) -> CatchUp:
    catch_up = await catch_ups.after(topic, since, poll.answer)
    if catch_up.reset is not None:
        await hub.confirm(topic, strictly=True)
        return CatchUp(topic.encoded(poll.answer, catch_up.reset), catch_up.reset)
    return catch_up


async def _serve_history(handler: Handler, topic: Topic, limit: int) -> None:
    """The newest events that the log holds, and the current one even where it holds none."""
    current = topic.current
    try:
        events = list(await handler.services.log.recent(topic.board_id, limit))
    except LogUnavailable:
        events = []
    events = [e for e in events if e.id and current.id and e.id <= current.id]
    if not events or events[-1].id != current.id:
        events = [*events, current][-limit:]
    answer_poll(handler, poll.newest([update(event) for event in events]))


def answer_poll(handler: Handler, body: Message) -> None:
    handler.set_header("Content-Type", poll.CONTENT_TYPE)
    handler.finish(body)


def last_event_id_of(handler: Handler) -> str:
    """The id that the client has seen last, empty if it says none.

    The header wins: an EventSource that reconnects sends it anew, and the query as it was.
    """
    for text in (
        handler.request.headers.get("Last-Event-ID", ""),
        handler.get_query_argument("lastEventId", "", strip=False),
        handler.get_query_argument("last_event_id", "", strip=False),
        # What long-polls and WebSockets say.
        handler.get_query_argument("since", "", strip=False),
    ):
        if text:
            return text
    return ""


def wait_of(handler: Handler) -> float:
    """How many seconds a long-poll may wait. Raises `Problem` 400."""
    text = handler.get_query_argument("wait", "", strip=False)
    if not text:
        return _USUAL_WAIT
    number = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text, re.ASCII)
    if number is None or float(text) > _LONGEST_WAIT:
        raise Problem(400, f"wait: must be a number of seconds from 0 to {_LONGEST_WAIT:g}.")
    return float(text)
