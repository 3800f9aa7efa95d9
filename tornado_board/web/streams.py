"""The event stream and the long-poll of a board.

Both send the same events by the same rules; the formats are in ``realtime/sse.py`` and
``docs/http-api.md``.
"""

from __future__ import annotations

import functools
import re
import socket
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate

import ujson

from tornado_board.realtime import sse
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.hub import Hub, LimitReached, Topic
from tornado_board.realtime.subscriber import SecureSubscriber, Subscriber
from tornado_board.replay import Event, EventId, LogUnavailable
from tornado_board.web.access_log import log_request, log_stream_started
from tornado_board.web.connections import Connection
from tornado_board.web.cors import cors_headers
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem

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
    """Answer with the board's event stream, and hand the connection to the hub.

    Raises what `Hub.open` raises.
    """
    topic, first = await _caught_up(handler, board_id)
    # From here to the end nothing is awaited: the topic's current event is the last one in `first`.
    connection = handler.detach()
    assert isinstance(connection, Connection)
    if connection.closed() or handler.client_gone:
        connection.close()
        return
    log_stream_started(handler.request.path, handler.request.remote_ip)
    origin = handler.request.headers.get("Origin")
    head = response_head(cors_headers(handler.services.settings.allowed_origins, origin))
    if connection.is_secure:
        secure = SecureSubscriber(connection)
        topic.audience.add(secure)
        secure.deliver(head + sse.opening(first))
    else:
        sock, release = connection.hand_over()
        subscribe(handler.hub, topic, sock, release, head + sse.opening(first))


async def _caught_up(handler: Handler, board_id: str) -> tuple[Topic, bytes]:
    """The live board, and what a stream of it begins with for this client."""
    text = _last_event_id(handler)
    for _ in range(_TRIES):
        topic = await handler.hub.open(board_id)
        handler.hub.check_room(topic)
        first = first_events(topic, text, handler.services.catch_ups)
        if first is None:
            first = (await handler.services.catch_ups.after(topic, EventId.parse(text))).encoded
            handler.hub.check_room(topic)
        if not topic.ended:
            return topic, first
        # It made room for another or was deleted while the log was read: nothing would come of it.
    raise LimitReached("the board does not stay live; try again")


def first_events(topic: Topic, last_event_id: str, catch_ups: CatchUps) -> bytes | None:
    """What a stream begins with for a client that has seen `last_event_id` (empty for none).

    ``None`` where the replay log has to be asked: see `CatchUps.after`.
    """
    if not last_event_id:
        return topic.current_bytes
    try:
        event_id = EventId.parse(last_event_id)
    except ValueError:
        # An EventSource can't be told of a mistake without being stopped for good.
        return sse.reset("that is no event id of this server") + topic.current_bytes
    known = catch_ups.known(topic, event_id)
    return None if known is None else known.encoded


def subscribe(
    hub: Hub, topic: Topic, sock: socket.socket, release: Callable[[], None], first: bytes
) -> None:
    """Send `first` and then every event of `topic` to `sock`; `release` is called at its end."""
    subscriber = Subscriber(sock, hub.poller, release)
    topic.audience.add(subscriber)
    subscriber.deliver(first)


def response_head(cors: tuple[tuple[str, str], ...]) -> bytes:
    """The status line and header of a stream's response, with the CORS fields `cors`."""
    return _response_head(cors, int(time.time()))


@functools.lru_cache(maxsize=64)
def _response_head(cors: tuple[tuple[str, str], ...], now: int) -> bytes:
    fields = [
        ("Content-Type", sse.CONTENT_TYPE),
        ("Date", formatdate(now, usegmt=True)),
        ("Cache-Control", "no-store, no-transform"),
        ("X-Accel-Buffering", "no"),
        ("X-Content-Type-Options", "nosniff"),
        ("Vary", "Accept"),
        # The end of the stream is the end of the connection (RFC 9112, section 6.3).
        ("Connection", "close"),
        *cors,
    ]
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def serve_stream_head(handler: Handler, board_id: str) -> None:
    """Answer HEAD where GET would be answered with the stream.

    Raises what `Store.get_board` raises.
    """
    await handler.store.get_board(board_id)
    origin = handler.request.headers.get("Origin")
    head = response_head(cors_headers(handler.services.settings.allowed_origins, origin))
    log_request(handler)
    # Not by `finish`, which would say that the stream has a length, and an ETag.
    connection = handler.detach()
    try:
        await connection.write(head)
    finally:
        connection.close()


async def serve_poll(handler: Handler, board_id: str) -> None:
    """Answer with the events after ``since``; wait for one where there are none yet.

    Raises what `Hub.open` raises, and `Problem` for parameters that make no sense.
    """
    text = handler.get_query_argument("since", "", strip=False) or _last_event_id(handler)
    wait = _seconds(handler)
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
    if since is None:
        _answer(handler, [topic.current], None, None)
        return
    catch_up = await handler.services.catch_ups.after(topic, since)
    deadline = time.monotonic() + wait
    if catch_up.reset and topic.current.id is None:
        # Nothing can be proved at present. The next event may be all that the client lacks, and
        # the log may be back by then.
        handler.hub.check_room(topic)
        await topic.wait(min(wait, _RESET_WAIT), handler.gone)
        catch_up = await handler.services.catch_ups.after(topic, since)
    while not catch_up.events and not topic.ended and not handler.client_gone:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        handler.hub.check_room(topic)
        await topic.wait(left, handler.gone)
        if not topic.ended:
            catch_up = await handler.services.catch_ups.after(topic, since)
    _answer(handler, catch_up.events, catch_up.reset, since)


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
    _answer(handler, events, None, None)


def _answer(
    handler: Handler, events: Sequence[Event], reset: str | None, since: EventId | None
) -> None:
    newest = next((event.id for event in reversed(events) if event.id), since)
    parts = [_event_json(event) for event in events]
    if reset is not None:
        reason = ujson.dumps({"reason": reset}, ensure_ascii=False)
        parts.insert(0, f'{{"id":null,"event":"reset","data":{reason}}}')
    last = "null" if newest is None else f'"{newest}"'
    handler.send_json(f'{{"events":[{",".join(parts)}],"last_event_id":{last}}}')


def _event_json(event: Event) -> str:
    event_id = "null" if event.id is None else f'"{event.id}"'
    # The data is JSON already.
    return f'{{"id":{event_id},"event":"update","data":{event.data}}}'


def _last_event_id(handler: Handler) -> str:
    """The id that the client has seen last, empty if it says none.

    The header wins: an EventSource that reconnects sends it anew, and the query as it was.
    """
    for text in (
        handler.request.headers.get("Last-Event-ID", ""),
        handler.get_query_argument("lastEventId", "", strip=False),
        handler.get_query_argument("last_event_id", "", strip=False),
    ):
        if text:
            return text
    return ""


def _seconds(handler: Handler) -> float:
    text = handler.get_query_argument("wait", "", strip=False)
    if not text:
        return _USUAL_WAIT
    number = re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text, re.ASCII)
    if number is None or float(text) > _LONGEST_WAIT:
        raise Problem(400, f"wait: must be a number of seconds from 0 to {_LONGEST_WAIT:g}.")
    return float(text)
