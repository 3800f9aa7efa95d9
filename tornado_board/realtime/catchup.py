"""What a client that comes back has missed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import partial
from typing import NamedTuple

from tornado_board.realtime.replays import Replay, Replays
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Encode, Message, Sent, update
from tornado_board.replay import Event, EventId, Gap, LogUnavailable, ReplayLog
from tornado_board.tasks import Shared

#: Answers kept for others who ask for the same, since thousands do after a restart; and how many
#: bytes they may have together.
_KEPT = 64
_KEPT_BYTES = 16 * 2**20

#: The largest catch-up in bytes; instead of a larger one there is a reset.
MOST_BYTES = 8 * 2**20

#: Reads of the log before a client that a very busy board keeps outrunning gets a reset.
_TRIES = 5

#: Seconds that this process may be behind another, each try.
_BEHIND = 0.5

TOO_FAST = "the board changed too fast to catch up"
TOO_LARGE = "what came after that event is more than this server sends at once"
_TOO_MUCH = "too much is on its way to other clients at present"


class TooMuch(Exception):
    """What a client has missed is more than it can be sent. `str(error)` says why."""


class CatchUp(NamedTuple):
    """The events after an id up to a topic's current one, or a reset and the current one.

    `encoded` is empty where there are none.
    """

    encoded: Message
    reset: str | None = None


_NOTHING = CatchUp(Message())

_UNLOGGED = "events are not being logged at present"

_Key = tuple[str, EventId, EventId, Encode]


class CatchUps:
    """Reads the log for clients that come back, once for all who ask for the same."""

    def __init__(self, log: ReplayLog) -> None:
        self._log = log
        self._reads: Shared[tuple[str, EventId], Sequence[Event] | Gap] = Shared()
        self._kept: OrderedDict[Hashable, Replay] = OrderedDict()
        self._kept_bytes = 0
        self._replays = Replays()

    @property
    def size(self) -> int:
        """How many are kept for others."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """How many bytes those have that are kept, or on their way."""
        return self._replays.bytes

    async def after(self, topic: Topic, event_id: EventId, encode: Encode) -> CatchUp:
        """Everything after `event_id` up to the topic's current event, as `encode` gives it.

        The current event is that of the moment in which this returns: whoever joins the topic
        before the next await misses nothing and gets nothing twice.
        """
        for _ in range(_TRIES):
            known = self.known(topic, event_id, encode)
            if known is not None:
                return known
            events = await self.missed(topic, event_id)
            if isinstance(events, str):
                return _reset(topic, events, encode)
            current = topic.current.id
            if current == event_id or (events and events[-1].id == current):
                assert current is not None
                if not events:
                    return _NOTHING
                key = (topic.board_id, event_id, current, encode)
                return self._encoded(topic, key, events)
        return _reset(topic, TOO_FAST, encode)

    async def missed(self, topic: Topic, event_id: EventId) -> list[Event] | str:
        """What there is after `event_id`, up to an event that was current while this was asked; or
        why that can't be told.

        Waits a moment where it is another process's event that this one has yet to hear.
        """
        if topic.current.id is None:
            return _UNLOGGED
        if topic.current.id == event_id:
            return []
        board_id = topic.board_id
        try:
            logged = await self._reads.get(
                (board_id, event_id), partial(self._read_log, board_id, event_id)
            )
        except LogUnavailable:
            return "the replay log can't be reached at present"
        current = topic.current.id
        if current is not None and current < event_id:
            await topic.wait(_BEHIND)
        if isinstance(logged, Gap):
            # Not at once: it may have been heard of meanwhile, and the client not be set back.
            return [] if topic.current.id == event_id else str(logged)
        # The log may be ahead of the topic: those events come to its subscribers yet.
        return [event for event in logged if event.id and current and event.id <= current]

    def known(self, topic: Topic, event_id: EventId, encode: Encode) -> CatchUp | None:
        """The same where it can be told without reading the log; ``None`` where it can't."""
        current = topic.current.id
        if current is None:
            return _reset(topic, _UNLOGGED, encode)
        if current == event_id:
            return _NOTHING
        found = self.found((topic.board_id, event_id, current, encode))
        return None if found is None else CatchUp(found)

    def found(self, key: Hashable) -> Message | None:
        """What is kept under `key`, or on its way to somebody."""
        kept = self._kept.get(key)
        if kept is None:
            return self._replays.find(key)
        self._kept.move_to_end(key)
        return kept

    async def _read_log(self, board_id: str, event_id: EventId) -> Sequence[Event] | Gap:
        try:
            return await self._log.since(board_id, event_id)
        except Gap as gap:
            return gap

    def _encoded(self, topic: Topic, key: _Key, events: Sequence[Event]) -> CatchUp:
        """`events` encoded, and kept; a reset where that is too much."""
        encode = key[-1]
        try:
            return CatchUp(self.encoded(key, [update(event) for event in events], encode))
        except TooMuch as error:
            return _reset(topic, str(error), encode)

    def encoded(self, key: Hashable, events: Sequence[Sent], encode: Encode) -> Message:
        """`events` as `encode` gives them, kept under `key` for others who ask for the same.

        Raises `TooMuch`.
        """
        if (found := self.found(key)) is not None:
            return found
        # The id of an event of several boards may be longer than its data.
        if sum(len(event.data) + len(str(event.id)) for event in events) > MOST_BYTES:
            raise TooMuch(TOO_LARGE)
        data = encode(events)
        if len(data) > MOST_BYTES:
            raise TooMuch(TOO_LARGE)
        while self._kept and not self._replays.has_room(len(data)):
            self._drop_oldest()
        if not self._replays.make_room(len(data)):
            raise TooMuch(_TOO_MUCH)
        replay = self._kept[key] = self._replays.make(key, data)
        self._kept_bytes += len(data)
        while len(self._kept) > _KEPT or self._kept_bytes > _KEPT_BYTES:
            self._drop_oldest()
        return replay

    def _drop_oldest(self) -> None:
        self._kept_bytes -= len(self._kept.popitem(last=False)[1])


def _reset(topic: Topic, reason: str, encode: Encode) -> CatchUp:
    return CatchUp(topic.encoded(encode, reason), reason)
