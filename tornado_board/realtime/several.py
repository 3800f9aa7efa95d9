"""What a stream of several boards begins with."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from tornado_board.realtime.catchup import MOST_BYTES, TOO_FAST, TOO_LARGE, CatchUps, TooMuch
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.parts import Happened
from tornado_board.realtime.positions import GONE, Gone, Position, spell
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Encode, Message, Sent, Wire, content_of
from tornado_board.replay import Event, EventId
from tornado_board.store import NotFound

#: How often boards are opened if one of them makes room for others, or is deleted, each time.
_TRIES = 5

#: Boards of one client of which the log is read at a time.
_READS = 4

#: Reads of the log before a client that very busy boards keep outrunning gets a reset of those.
_ROUNDS = 20


@dataclass
class Start:
    """Where a client begins that asks for several boards, and was at `since`."""

    since: Mapping[str, EventId | Gone]
    #: Those that are there, in the order in which they were asked for, and those that are not.
    topics: dict[str, Topic]
    gone: Sequence[str]
    #: What the client has missed, of boards in which its position is known.
    missed: dict[str, list[Event]] = field(default_factory=dict)
    #: Why that can't be told of others.
    resets: dict[str, str] = field(default_factory=dict)

    @property
    def is_new(self) -> bool:
        """Whether the client has seen nothing, and every board is there."""
        return not (self.gone or self.missed or self.resets)

    def events(self, unlogged: Position = None) -> list[Sent]:
        """What the client is to be sent first, up to the boards' current events.

        `unlogged` is its position in a board whose current event has no id.
        """
        at: dict[str, Position] = {}
        for board_id in self.topics:
            position = self.since.get(board_id)
            at[board_id] = position if isinstance(position, EventId) else None
        for board_id in self.gone:
            at[board_id] = self.since.get(board_id)
        sent: list[Sent] = []
        for board_id in self.gone:
            at[board_id] = GONE
            if not isinstance(self.since.get(board_id), Gone):
                sent += Happened(board_id, None).sent(spell(at))
        missed = [
            (event.id.ms, board_id, event)
            for board_id, events in self.missed.items()
            for event in events
            if event.id is not None
        ]
        # By the log's clock; those of one board stay in their order.
        for _, board_id, event in sorted(missed, key=itemgetter(0)):
            at[board_id] = event.id
            sent += Happened(board_id, event).sent(spell(at))
        for board_id, topic in self.topics.items():
            if board_id not in self.missed:
                at[board_id] = topic.current.id or unlogged
                sent += Happened(board_id, topic.current, self.resets.get(board_id)).sent(spell(at))
        return sent

    def encoded(self, catch_ups: CatchUps, encode: Encode, unlogged: Position = None) -> Message:
        """The same as `encode` gives it; where it is too much, a reset of the boards of which the
        client has missed something. Empty where there is nothing."""
        if not any(self.missed.values()):
            return encode(self.events(unlogged))
        ends = {board_id: topic.current.id for board_id, topic in self.topics.items()}
        resets = tuple(self.resets.items())
        key = (spell(self.since), spell(ends), resets, tuple(self.gone), encode)
        found = catch_ups.found(key)
        if found is not None:
            return found
        try:
            return catch_ups.encoded(key, self.events(unlogged), encode)
        except TooMuch as error:
            for board_id in [name for name, events in self.missed.items() if events]:
                del self.missed[board_id]
                self.resets[board_id] = str(error)
            return encode(self.events(unlogged))


async def open_boards(
    hub: Hub,
    catch_ups: CatchUps,
    board_ids: Sequence[str],
    since: Mapping[str, EventId | Gone],
) -> Start:
    """Where a client begins that has seen `since` of these boards.

    The boards' current events are those of the moment in which this returns. Raises `NotFound` if
    none of them is there, and what `Hub.open` and `Hub.check_room` raise.
    """
    for _ in range(_TRIES):
        opened = await asyncio.gather(
            *(hub.open(board_id) for board_id in board_ids), return_exceptions=True
        )
        topics: dict[str, Topic] = {}
        for board_id, topic in zip(board_ids, opened, strict=True):
            if isinstance(topic, Topic):
                hub.check_room(topic)
                topics[board_id] = topic
            elif not isinstance(topic, NotFound):
                raise topic
        if not topics:
            raise NotFound("there is none of these boards")
        gone = [board_id for board_id in board_ids if board_id not in topics]
        start = Start(since, topics, gone)
        await _catch_up(hub, catch_ups, start)
        if not any(topic.ended for topic in topics.values()):
            for topic in topics.values():
                hub.check_room(topic)
            return start
    raise LimitReached("the boards do not stay live; try again")


def join(
    hub: Hub,
    catch_ups: CatchUps,
    start: Start,
    subscriber: Subscriber,
    head: bytes,
    wire: Wire,
) -> None:
    """Send `head`, what `start` says, and then every event of its boards.

    To be called before anything is awaited since `open_boards` returned.
    """
    for reason in start.resets.values():
        hub.metrics.reset(reason)
    multiplex = hub.multiplexes.of(start.topics, start.gone)

    def make() -> Message:
        return start.encoded(catch_ups, wire.message)

    first = multiplex.encoded(wire, make) if start.is_new else make()
    opening = wire.opening()
    multiplex.add(subscriber, wire, content_of(opening, first))
    subscriber.begin(head + opening, first)


async def _catch_up(hub: Hub, catch_ups: CatchUps, start: Start) -> None:
    """Find what the client has missed, and have the boards confirmed in which it has no position
    (see `Hub.confirm`)."""
    confirmed: set[str] = set()
    at: dict[str, EventId] = {}
    for board_id in start.topics:
        position = start.since.get(board_id)
        if isinstance(position, EventId):
            at[board_id] = position
            start.missed[board_id] = []

    turns = asyncio.Semaphore(_READS)

    async def read(board_id: str) -> None:
        async with turns:
            events = await catch_ups.missed(start.topics[board_id], at[board_id])
            if not isinstance(events, str) and _size([*start.missed.values(), events]) > MOST_BYTES:
                events = TOO_LARGE
        if isinstance(events, str):
            give_up(board_id, events)
        elif events:
            assert events[-1].id is not None
            start.missed[board_id] += events
            at[board_id] = events[-1].id

    def give_up(board_id: str, why: str) -> None:
        del at[board_id], start.missed[board_id]
        start.resets[board_id] = why

    def to_do() -> list[Awaitable[None]]:
        work: list[Awaitable[None]] = []
        for board_id, topic in start.topics.items():
            if board_id in at:
                if topic.current.id != at[board_id]:
                    work.append(read(board_id))
            elif board_id not in confirmed:
                confirmed.add(board_id)
                strictly = board_id in start.resets
                if not hub.is_confirmed(topic, strictly=strictly):
                    work.append(hub.confirm(topic, strictly=strictly))
        return work

    for _ in range(_ROUNDS):
        work = to_do()
        if not work:
            return
        await asyncio.gather(*work)
    for board_id in [b for b, position in at.items() if start.topics[b].current.id != position]:
        give_up(board_id, TOO_FAST)


def _size(missed: Iterable[Sequence[Event]]) -> int:
    return sum(len(event.data) for events in missed for event in events)
