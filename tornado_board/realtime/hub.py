"""The subscribers of each board, and the fan-out of an event to them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from tornado.ioloop import PeriodicCallback

from tornado_board.realtime import sse
from tornado_board.realtime.audience import Audience
from tornado_board.realtime.subscriber import Poller
from tornado_board.replay import Event

#: How often it is looked, in the time in which a quiet stream gets a comment, whether one is due.
_KEEPALIVE_STEPS = 4


class LimitReached(Exception):
    """There are as many streams of a board, or live boards, as the settings allow."""


class Source(Protocol):
    """Where a hub's events come from: it calls `Hub.publish` with each, in order."""

    async def watch(self, board_id: str) -> None:
        """Have the board's events published from now on, its current state at once.

        Raises `store.NotFound`, `store.StoreUnavailable`.
        """

    def unwatch(self, board_id: str) -> None:
        """The board is no longer live in the hub: stop publishing it."""


class Topic:
    """A live board: its current event, who waits for the next, and who gets every one."""

    def __init__(self, board_id: str, event: Event) -> None:
        self.board_id = board_id
        #: The newest event, and the bytes that a stream sends of it.
        self.current = event
        self.current_bytes = sse.update(event)
        #: Whether it gets no more events: the board was deleted or made room for another, or the
        #: server stops.
        self.ended = False
        #: Those who are sent every event after `current`, and have had all up to that.
        self.audience = Audience()
        self._waiters: set[asyncio.Future[None]] = set()
        self._sent_at = self._checked_at = time.monotonic()

    @property
    def listeners(self) -> int:
        """Open streams and waiting long-polls."""
        return len(self.audience) + len(self._waiters)

    async def wait(self, seconds: float, gone: asyncio.Future[None] | None = None) -> None:
        """Return when `current` has changed, the board has ended, or after `seconds`.

        Also once `gone` is done, which says that nobody waits any longer.
        """
        future = asyncio.get_running_loop().create_future()
        futures = (future,) if gone is None else (future, gone)
        self._waiters.add(future)
        try:
            await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters.discard(future)

    async def publish(self, event: Event, reset: str | None = None) -> None:
        """Make `event` the current one and send it to everyone, after a reset that says `reset` if
        there is one; returns when all were sent it.

        If this is cancelled, an event that was begun is sent to the rest all the same, without
        pauses.
        """
        data = sse.update(event)

        def make_current() -> bool:
            self.current, self.current_bytes = event, data
            self._sent_at = time.monotonic()
            self._wake_waiters()
            return True

        await self.audience.send(data if reset is None else sse.reset(reset) + data, make_current)

    async def keep_alive(self, interval: float) -> None:
        """Send a comment if nothing was sent for about `interval` seconds, and drop dead peers.

        To be called `_KEEPALIVE_STEPS` times an interval: called once, it would let up to two
        intervals pass after an event, and there are proxies that count the seconds.
        """
        now = time.monotonic()
        if now - self._checked_at > interval * 0.9:
            self._checked_at = now
            await self.audience.drop_dead(interval * 0.9)
        if time.monotonic() - self._sent_at > interval * 0.9 and not self.audience.busy:
            self._sent_at = time.monotonic()
            await self.audience.send(sse.KEEPALIVE)

    def end(self) -> None:
        """Close every stream and let the waiting go."""
        self.ended = True
        self.audience.close()
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


class Hub:
    """The live boards of this process.

    A board becomes live when somebody asks for it (`open`) or its source publishes it, and stays
    so until the limit of live boards is reached and it is the one that was idle longest.
    """

    #: Where events come from; set before the first `open`.
    source: Source

    def __init__(self, *, live_boards: int, streams_per_board: int, keepalive: float) -> None:
        self._live_boards = live_boards
        self._streams_per_board = streams_per_board
        self._keepalive = keepalive
        self._topics: OrderedDict[str, Topic] = OrderedDict()
        self._opening: dict[str, asyncio.Future[None]] = {}
        self._closed = False
        self.poller = Poller()
        self._keepalives = PeriodicCallback(self._keep_alive, keepalive * 1000 / _KEEPALIVE_STEPS)
        self._keepalives.start()

    async def open(self, board_id: str) -> Topic:
        """The live board `board_id`, with its current event.

        Raises `LimitReached`, and what `Source.watch` raises.
        """
        topic = self._topics.get(board_id)
        if topic is None:
            opening = self._opening.get(board_id)
            if opening is None:
                self._who_makes_room()
                opening = asyncio.ensure_future(self.source.watch(board_id))
                self._opening[board_id] = opening
                opening.add_done_callback(lambda done: self._opened(board_id, done))
            # Shared by all who ask for the board: one who gives up must not cancel it for others.
            await asyncio.shield(opening)
            topic = self._topics.get(board_id)
            if topic is None:
                raise LimitReached("the board is no longer live; try again")
        self._topics.move_to_end(board_id)
        return topic

    def live(self, board_id: str) -> Topic | None:
        """The board, if it is live already."""
        topic = self._topics.get(board_id)
        if topic is not None:
            self._topics.move_to_end(board_id)
        return topic

    def check_room(self, topic: Topic) -> None:
        """Raise `LimitReached` if the board has as many listeners as the settings allow."""
        if self._closed:
            raise LimitReached("the server is stopping")
        if topic.listeners >= self._streams_per_board:
            raise LimitReached("the board has as many streams as this server allows")

    def current(self, board_id: str) -> Event | None:
        """The newest event of a live board, ``None`` if it isn't live."""
        topic = self._topics.get(board_id)
        return None if topic is None else topic.current

    def board_ids(self) -> Sequence[str]:
        """The live boards, the longest idle first."""
        return list(self._topics)

    async def publish(self, board_id: str, event: Event, reset: str | None = None) -> None:
        """Make `event` the board's current one and send it to its subscribers, after a reset that
        says `reset` if there is one.

        Returns when all of them were sent it, so that who publishes faster than that squashes its
        changes instead of queueing them here; see `Topic.publish`. Raises `LimitReached` if there
        is no room for another live board.
        """
        topic = self._topics.get(board_id)
        if topic is None:
            self._make_room()
            self._topics[board_id] = Topic(board_id, event)
            return
        self._topics.move_to_end(board_id)
        await topic.publish(event, reset)

    def end_board(self, board_id: str) -> None:
        """End the streams of a board that was deleted."""
        topic = self._topics.pop(board_id, None)
        if topic is not None:
            topic.end()

    def close(self) -> None:
        """End every stream; what has been sent stays sent. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._keepalives.stop()
        while self._topics:
            self._topics.popitem()[1].end()
        self.poller.close()

    def _opened(self, board_id: str, opening: asyncio.Future[None]) -> None:
        self._opening.pop(board_id, None)
        if not opening.cancelled():
            opening.exception()  # it is no mistake if all who asked have given up

    def _make_room(self) -> None:
        board_id = self._who_makes_room()
        if board_id is not None:
            # Nobody listens, but somebody may be about to: see `Topic.ended`.
            self._topics.pop(board_id).end()
            self.source.unwatch(board_id)

    def _who_makes_room(self) -> str | None:
        """The board that has to go for another to be live, ``None`` where there is room.

        Raises `LimitReached` if all boards have listeners.
        """
        if self._closed:
            raise LimitReached("the server is stopping")
        if len(self._topics) < self._live_boards:
            return None
        for board_id, topic in self._topics.items():
            if not topic.listeners:
                return board_id
        raise LimitReached("as many boards have streams as this server allows")

    async def _keep_alive(self) -> None:
        for topic in list(self._topics.values()):
            if topic.audience:
                await topic.keep_alive(self._keepalive)
