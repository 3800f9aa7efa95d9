"""The long-poll of a board."""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

from tornado_board.realtime.catchup import CatchUp, CatchUps
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Message, poll, update
from tornado_board.replay import EventId, LogUnavailable
from tornado_board.web.described import Integer, Seconds
from tornado_board.web.exchange import Answer, Asked, Waiting
from tornado_board.web.problems import Problem
from tornado_board.web.streams import SINCE, last_event_id

#: Seconds that a long-poll waits at the most, and unless it says otherwise.
LONGEST_WAIT = 60.0
USUAL_WAIT = 25.0

#: Seconds that a long-poll waits at least while the log is away and every answer is a reset, so
#: that a client that asks again at once does not do so in circles.
_RESET_WAIT = 1.0

#: The most events that ``history`` gives.
_HISTORY = 1_000

#: The longest event id that is remembered.
_LONGEST_KEPT = 64

WAIT = Seconds(
    name="wait",
    text="How many seconds to wait for an event after the one that was seen last.",
    default=USUAL_WAIT,
    most=LONGEST_WAIT,
)
HISTORY = Integer(
    name="history",
    text="So many of the newest events, at once; 0 for none.",
    default=0,
    low=0,
    high=_HISTORY,
)

_FIELDS = (("Cache-Control", "no-store"), ("Vary", "Accept"))


class _Question(NamedTuple):
    since: EventId | None
    wait: float
    history: int


async def long_poll(asked: Asked, board_id: str) -> Answer:
    """The events after ``since``; waits for one where there are none yet.

    Raises what `Hub.open` raises, and `Problem` for parameters that make no sense.
    """
    asked.hold(board_id)
    since, wait, history = _question(asked)
    services = asked.services
    hub, catch_ups = services.hub, services.catch_ups
    topic = await hub.open(board_id)
    if history:
        return await _history(asked, topic, history)
    if since is None:
        await hub.confirm(topic)
        return poll_answer(topic.encoded(poll.answer))
    catch_up = await _caught_up(hub, topic, since, catch_ups)
    deadline = time.monotonic() + wait
    if catch_up.reset is not None and topic.current.id is None and not hub.stopping:
        # Nothing can be proved at present. The next event may be all that the client lacks, and
        # the log may be back by then.
        hub.check_room(topic)
        await topic.wait(min(wait, _RESET_WAIT), asked.gone)
        asked.check(board_id)
        catch_up = await _caught_up(hub, topic, since, catch_ups)
    while not (catch_up.encoded or topic.ended or hub.stopping or asked.client_gone):
        left = deadline - time.monotonic()
        if left <= 0:
            break
        hub.check_room(topic)
        await topic.wait(left, asked.gone)
        asked.check(board_id)  # while it waited, its token may have expired
        if not topic.ended:
            catch_up = await _caught_up(hub, topic, since, catch_ups)
    if catch_up.reset is not None:
        hub.metrics.reset(catch_up.reset)
    return poll_answer(catch_up.encoded or poll.nothing(since))


def poll_at_once(asked: Asked, board_id: str) -> Answer | Waiting | None:
    """The same, where nobody has to be asked."""
    since, wait, history = _question(asked)
    services = asked.services
    topic = services.hub.live(board_id)
    if topic is None or history or since is None:
        return None
    known = services.catch_ups.known(topic, since, poll.answer)
    if known is None or known.reset is not None:
        return None
    answer: Answer | Waiting
    if known.encoded or wait <= 0 or topic.ended or services.hub.stopping:
        answer = poll_answer(known.encoded or poll.nothing(since))
    else:
        services.hub.check_room(topic)
        answer = Waiting(topic, since, wait)
    asked.hold(board_id)
    return answer


def poll_answer(body: Message) -> Answer:
    """The answer to a long-poll, of what `poll` has encoded."""
    return Answer(200, body, poll.CONTENT_TYPE, _FIELDS)


def _question(asked: Asked) -> _Question:
    text = asked.argument(SINCE) or last_event_id(asked)
    wait, history = WAIT.of(asked), HISTORY.of(asked)
    return _Question(_event_id(text) if text else None, wait, history)


def _event_id(text: str) -> EventId:
    try:
        # All who wait have seen the same event.
        return _parsed(text) if len(text) <= _LONGEST_KEPT else EventId.parse(text)
    except ValueError as error:
        raise Problem(400, f"since: {error}; send the last_event_id of an answer") from None


_parsed = functools.lru_cache(maxsize=64)(EventId.parse)


async def _caught_up(hub: Hub, topic: Topic, since: EventId, catch_ups: CatchUps) -> CatchUp:
    catch_up = await catch_ups.after(topic, since, poll.answer)
    if catch_up.reset is not None:
        await hub.confirm(topic, strictly=True)
        return CatchUp(topic.encoded(poll.answer, catch_up.reset), catch_up.reset)
    return catch_up


async def _history(asked: Asked, topic: Topic, limit: int) -> Answer:
    """The newest events that the log holds, and the current one even where it holds none."""
    current = topic.current
    try:
        events = list(await asked.services.log.recent(topic.board_id, limit))
    except LogUnavailable:
        events = []
    events = [e for e in events if e.id and current.id and e.id <= current.id]
    if not events or events[-1].id != current.id:
        events = [*events, current][-limit:]
    return poll_answer(poll.newest([update(event) for event in events]))
