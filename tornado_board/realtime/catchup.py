"""What a client that comes back has missed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from tornado_board.realtime import sse
from tornado_board.realtime.hub import Topic
from tornado_board.replay import Event, EventId, Gap, LogUnavailable, ReplayLog

#: Answers kept for others who ask for the same: after a restart, thousands do. Each holds at most
#: the events of one board (settings.replay_length).
_KEPT = 64

#: Reads of the log before a client that a very busy board keeps outrunning gets a reset.
_TRIES = 5


class CatchUp(msgspec.Struct, frozen=True):
    """The events after an id up to a topic's current one; or `reset`, why they can't be had."""

    events: Sequence[Event]
    reset: str | None
    #: The same as a stream sends it; after a reset, with the current board.
    encoded: bytes


_NOTHING = CatchUp((), None, b"")


class CatchUps:
    """Reads the log for clients that come back, once for all who ask for the same."""

    def __init__(self, log: ReplayLog) -> None:
        self._log = log
        self._under_way: dict[tuple[str, EventId], asyncio.Future[Sequence[Event] | Gap]] = {}
        self._kept: OrderedDict[tuple[str, EventId, EventId], CatchUp] = OrderedDict()

    async def after(self, topic: Topic, event_id: EventId) -> CatchUp:
        """Everything after `event_id` up to the topic's current event.

        The current event is that of the moment in which this returns: whoever joins the topic
        before the next await misses nothing and gets nothing twice.
        """
        for _ in range(_TRIES):
            known = self.known(topic, event_id)
            if known is not None:
                return known
            try:
                logged = await self._read(topic.board_id, event_id)
            except Gap as gap:
                return _reset(topic, str(gap))
            except LogUnavailable:
                return _reset(topic, "the replay log can't be reached at present")
            # The log may be ahead of the topic: those events come to its subscribers yet.
            current = topic.current.id
            events = [e for e in logged if e.id and current and e.id <= current]
            if current == event_id or (events and events[-1].id == current):
                assert current is not None
                return self._keep(
                    (topic.board_id, event_id, current),
                    CatchUp(events, None, b"".join(map(sse.update, events))),
                )
        return _reset(topic, "the board changed too fast to catch up")

    def known(self, topic: Topic, event_id: EventId) -> CatchUp | None:
        """The same where it can be told without reading the log; ``None`` where it can't."""
        current = topic.current.id
        if current is None:
            return _reset(topic, "events are not being logged at present")
        if current == event_id:
            return _NOTHING
        key = (topic.board_id, event_id, current)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
        return kept

    async def _read(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        key = (board_id, event_id)
        reading = self._under_way.get(key)
        if reading is None:
            reading = self._under_way[key] = asyncio.ensure_future(
                self._read_log(board_id, event_id)
            )
            reading.add_done_callback(lambda _: self._under_way.pop(key, None))
        # Shared by all who ask for the same: one who gives up must not cancel it for others.
        result = await asyncio.shield(reading)
        if isinstance(result, Gap):
            raise result
        return result

    async def _read_log(self, board_id: str, event_id: EventId) -> Sequence[Event] | Gap:
        try:
            return await self._log.since(board_id, event_id)
        except Gap as gap:
            return gap

    def _keep(self, key: tuple[str, EventId, EventId], catch_up: CatchUp) -> CatchUp:
        self._kept[key] = catch_up
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return catch_up


def _reset(topic: Topic, reason: str) -> CatchUp:
    return CatchUp((topic.current,), reason, sse.reset(reason) + topic.current_bytes)
