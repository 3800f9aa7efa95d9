"""Clients that listen to several boards on one connection each.

Those who listen to the same boards are sent the same bytes: an event, and an id that says where a
client is in each of the boards after it (`positions`). So an event is encoded once for each set of
boards that somebody listens to, and a set with thousands of listeners costs what a board does.

Each set notes what its boards publish, in order, and one at a time sends it. Who joins while
something is noted and not sent yet has had it already, with what its stream began with; so it is
noted, too, and joins when what is before it was sent.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tornado_board.metrics import Metrics, NoMetrics
from tornado_board.realtime.audience import Member
from tornado_board.realtime.listeners import Listeners
from tornado_board.realtime.parts import Happened, Part
from tornado_board.realtime.positions import GONE, Position, spell_one
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import End, Message, Sent, Wire
from tornado_board.realtime.wires.checksum import Content
from tornado_board.replay import Event
from tornado_board.tasks import Tasks

#: Clients that are sent to at once.
_FEW = 128


class _Join(NamedTuple):
    member: Member
    wire: Wire
    own: Content | None


class Multiplex:
    """Those who listen to the same boards; `topic.Multiplex` says what their topics ask of it."""

    def __init__(
        self,
        topics: Mapping[str, Topic],
        gone: Sequence[str],
        tasks: Tasks,
        on_changed: Callable[[Multiplex], None],
        metrics: Metrics,
    ) -> None:
        """`gone` are boards that were asked for and are not there. `on_changed` is called when a
        board is gone or has become private, or nobody listens any more: then it must not be joined
        again."""
        self._topics = dict(topics)
        self._tasks = tasks
        self._on_changed = on_changed
        #: Where a client is that was sent everything so far.
        self._positions: Mapping[str, Position] = {
            **{board_id: topic.current.id for board_id, topic in topics.items()},
            **dict.fromkeys(gone, GONE),
        }
        self._spelled = {
            board_id: spell_one(board_id, position)
            for board_id, position in self._positions.items()
        }
        self._noted: deque[Happened | _Join] = deque()
        self._listeners = Listeners(on_left=self._on_left, metrics=metrics, of="boards")
        self._turn = asyncio.Lock()
        #: How many there are.
        self.clients = 0
        self._encoded: dict[Wire, Message] = {}
        self._sent_at = self._checked_at = time.monotonic()

    def encoded(self, wire: Wire, make: Callable[[], Message]) -> Message:
        """The boards as they are now, for a client that has seen none of them: what `make` gives,
        unless another client was sent the same."""
        message = self._encoded.get(wire)
        if message is None:
            message = self._encoded[wire] = make()
        return message

    def add(self, member: Member, wire: Wire, own: Content | None) -> None:
        """Send `member` each event from now on; it has had the boards' current ones. `own` is what
        it was sent, as content."""
        self.clients += 1
        for topic in self._topics.values():
            topic.join(self, 1)
        join = _Join(member, wire, own)
        if self._noted or self._turn.locked():
            self._noted.append(join)
        else:
            self._join(join)

    def hear(self, board_id: str, event: Event, reason: str | None) -> None:
        self._encoded.clear()
        self._noted.append(Happened(board_id, event, reason))

    def lose(self, board_id: str, why: End) -> None:
        self._on_changed(self)
        if why is End.PRIVATE:
            self._end(why)  # the topics are told of each who leaves
            return
        del self._topics[board_id]
        if why is End.STOPPING:
            for topic in self._topics.values():
                topic.leave(self)
            self._topics.clear()
            self._end(why)
        else:
            self._noted.append(Happened(board_id, None))
            self._tasks.start(self.deliver())

    def deliver_now(self) -> bool:
        """Send what was noted at once, if there are few clients; whether that was so."""
        if self._turn.locked() or self.clients > _FEW:
            return False
        while self._noted:
            noted = self._noted.popleft()
            if isinstance(noted, Happened):
                sent = self._listeners.send_now(*self._messages_of(noted))
                assert sent, "there are no more listeners than clients"
                self._end_if_last(noted)
            else:
                self._join(noted)
        return True

    async def deliver(self) -> None:
        if self.deliver_now():
            return
        async with self._turn:
            while self._noted:
                noted = self._noted.popleft()
                if isinstance(noted, Happened):
                    await self._listeners.send(*self._messages_of(noted))
                    self._end_if_last(noted)
                else:
                    self._join(noted)

    def _messages_of(
        self, happened: Happened
    ) -> tuple[list[Sent], Callable[[Wire], Message], Callable[[Message, Wire], None]]:
        """What `Listeners.send` is to be called with; from now on the clients have been told."""
        before = self._positions
        self._positions = {**before, happened.board_id: happened.position}
        self._spelled[happened.board_id] = spell_one(happened.board_id, happened.position)
        self._sent_at = time.monotonic()
        events = happened.sent(",".join(filter(None, self._spelled.values())) or None)
        messages: dict[Wire, Message] = {}

        def independent(wire: Wire) -> Message:
            message = messages.get(wire)
            if message is None:
                message = messages[wire] = wire.message(events)
            return message

        def mark(message: Message, wire: Wire) -> None:
            message.part = Part(happened, wire, before)

        return events, independent, mark

    def _end_if_last(self, happened: Happened) -> None:
        if happened.event is None and not self._topics:
            self._end(End.DELETED)

    async def keep_alive(self, interval: float) -> None:
        """See `Topic.keep_alive`."""
        await self.deliver()  # what is still there, if who was to send it was stopped
        now = time.monotonic()
        if self._turn.locked():
            return
        async with self._turn:
            if now - self._checked_at > interval * 0.9:
                self._checked_at = now
                await self._listeners.drop_dead(interval * 0.9)
            if now - self._sent_at > interval * 0.9:
                self._sent_at = now
                await self._listeners.keep_alive()

    def _join(self, join: _Join) -> None:
        if join.member.closed:
            self._on_left()
        else:
            # What its stream began with ends with another event than theirs.
            self._listeners.add(join.member, join.wire, in_step=False, own=join.own)

    def _on_left(self) -> None:
        self.clients -= 1
        for topic in self._topics.values():
            topic.join(self, -1)
            if not self.clients:
                topic.leave(self)
        if not self.clients:
            self._on_changed(self)

    def _end(self, why: End) -> None:
        noted, self._noted = self._noted, deque()
        for join in noted:
            if isinstance(join, _Join):
                self._join(join)
        self._listeners.end(why)


#: Boards that are there, and those that are not.
_Key = tuple[tuple[str, ...], tuple[str, ...]]

#: Sets that are looked after before the event loop may go on to something else.
_AT_ONCE = 64


class Multiplexes:
    """The sets of boards that somebody listens to."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics or NoMetrics()
        self._sets: dict[_Key, Multiplex] = {}
        #: All with clients, also those that are joined no more since a board of theirs is gone.
        self._all: dict[Multiplex, _Key] = {}
        self._tasks = Tasks()

    def of(self, topics: Mapping[str, Topic], gone: Sequence[str]) -> Multiplex:
        """That of these boards, in this order; to be joined before anything is awaited."""
        key = (tuple(topics), tuple(gone))
        multiplex = self._sets.get(key)
        if multiplex is None or not multiplex.clients:
            multiplex = self._sets[key] = Multiplex(
                topics, gone, self._tasks, self._on_changed, self._metrics
            )
            self._all[multiplex] = key
        return multiplex

    async def keep_alive(self, interval: float) -> None:
        """To be called as `Topic.keep_alive`."""
        for number, multiplex in enumerate(list(self._all), 1):
            await multiplex.keep_alive(interval)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _on_changed(self, multiplex: Multiplex) -> None:
        key = self._all.get(multiplex)
        if key is None:
            return
        if self._sets.get(key) is multiplex:
            del self._sets[key]
        if not multiplex.clients:
            del self._all[multiplex]

    async def close(self) -> None:
        await self._tasks.cancel()
