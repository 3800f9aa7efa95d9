"""What a client that comes back has missed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from tornado_board.realtime import sse
from tornado_board.realtime.hub import Topic
from tornado_board.replay import Event, EventId, Gap, LogUnavailable, ReplayLog

#: Answers kept for others who ask for the same, since thousands do after a restart; and how many
#: bytes of events they may have together. Each can be as large as the log of a board.
_KEPT = 64
_KEPT_BYTES = 16 * 2**20

#: Reads of the log before a client that a very busy board keeps outrunning gets a reset.
_TRIES = 5

#: Seconds that this process may be behind another, each try.
_BEHIND = 0.5


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
        self._kept_bytes = 0

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
            if current is not None and current < event_id:
                # The client comes from another process, and this one has yet to hear that event.
                await topic.wait(_BEHIND)
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
        old = self._kept.pop(key, None)
        self._kept[key] = catch_up
        self._kept_bytes += len(catch_up.encoded) - (len(old.encoded) if old else 0)
        while len(self._kept) > _KEPT or self._kept_bytes > _KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popitem(last=False)[1].encoded)
        return catch_up


def _reset(topic: Topic, reason: str) -> CatchUp:
    return CatchUp((topic.current,), reason, sse.reset(reason) + topic.current_bytes)
