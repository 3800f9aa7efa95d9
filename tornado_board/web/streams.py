"""The event stream and the long-poll of a board.

Both send the same events by the same rules; the formats are in ``realtime/sse.py`` and
``docs/http-api.md``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from email.utils import formatdate

import ujson

from tornado_board.realtime import sse
from tornado_board.realtime.hub import Topic
from tornado_board.realtime.subscriber import SecureSubscriber, Subscriber
from tornado_board.replay import Event, EventId, LogUnavailable
from tornado_board.web.access_log import log_stream_started
from tornado_board.web.connections import Connection
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem

#: Seconds that a long-poll waits at the most, and unless it says otherwise.
_LONGEST_WAIT = 60.0
_USUAL_WAIT = 25.0

#: Seconds that a long-poll waits at least while the log is away and every answer is a reset, so
#: that a client that asks again at once does not do so in circles.
_RESET_WAIT = 1.0

#: The most events that ``history`` gives.
_HISTORY = 1_000


async def serve_stream(handler: Handler, board_id: str) -> None:
    """Answer with the board's event stream, and hand the connection to the hub.

    Raises what `Hub.open` raises.
    """
    text = _last_event_id(handler)
    topic = await handler.hub.open(board_id)
    handler.hub.check_room(topic)
    if not text:
        first = topic.current_bytes
    else:
        try:
            event_id = EventId.parse(text)
        except ValueError:
            # An EventSource can't be told of a mistake without being stopped for good.
            first = sse.reset("that is no event id of this server") + topic.current_bytes
        else:
            first = (await handler.services.catch_ups.after(topic, event_id)).encoded
    # From here to the end nothing is awaited: the topic's current event is the last one in `first`.
    handler.hub.check_room(topic)
    log_stream_started(handler)
    handler.set_header("Content-Type", sse.CONTENT_TYPE)
    handler.set_header("Cache-Control", "no-store, no-transform")
    handler.set_header("X-Accel-Buffering", "no")
    handler.set_header("Connection", "close")
    handler.set_header("Date", formatdate(time.time(), usegmt=True))
    handler.add_header("Vary", "Accept")
    head = handler.header_bytes()
    connection = handler.detach()
    assert isinstance(connection, Connection)
    if connection.closed() or handler.client_gone or topic.ended:
        connection.close()
        return
    subscriber: Subscriber | SecureSubscriber
    if connection.is_secure:
        subscriber = SecureSubscriber(connection, topic.discard)
    else:
        sock, release = connection.hand_over()
        subscriber = Subscriber(sock, handler.hub.poller, topic.discard, release)
    topic.add(subscriber)
    subscriber.deliver(head + sse.retry() + first)


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
        await topic.wait(min(wait, _RESET_WAIT))
        catch_up = await handler.services.catch_ups.after(topic, since)
    while not catch_up.events and not topic.ended and not handler.client_gone:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        handler.hub.check_room(topic)
        await topic.wait(left)
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
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text, re.ASCII) or float(text) > 60:
        raise Problem(400, f"wait: must be a number of seconds from 0 to {_LONGEST_WAIT:g}.")
    return float(text)
