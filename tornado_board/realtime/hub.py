"""The live boards of this process, and who listens to them."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import Protocol

from tornado.ioloop import PeriodicCallback

from tornado_board.metrics import Metrics, NoMetrics
from tornado_board.realtime.expiries import Expiries
from tornado_board.realtime.multiplex import Multiplexes
from tornado_board.realtime.subscriber import Poller
from tornado_board.realtime.topic import KEEPALIVE_STEPS, Topic
from tornado_board.realtime.websocket import PARTING_TIME
from tornado_board.realtime.wires import End
from tornado_board.replay import Event
from tornado_board.tasks import Shared

#: How often a board is opened that is gone again each time.
_TRIES = 3


class LimitReached(Exception):
    """There are as many streams of a board, or live boards, as the settings allow."""


class Source(Protocol):
    """Where a hub's events come from: it calls `Hub.publish` with each, in order."""

    async def watch(self, board_id: str) -> None:
        """Have the board's events published from now on, its current state at once.

        Raises `store.NotFound`, `store.StoreUnavailable`.
        """

    def is_confirmed(self, board_id: str, *, strictly: bool) -> bool:
        """Whether the board was published as the store had it a moment ago (`strictly`: has), as
        far as anybody can tell."""

    async def confirm(self, board_id: str, *, strictly: bool) -> None:
        """Return when it is, or when that can't be told within a short time."""

    def unwatch(self, board_id: str) -> None:
        """The board is no longer live in the hub: stop publishing it."""


class Hub:
    """The live boards of this process.

    A board becomes live when somebody asks for it (`open`) or its source publishes it, and stays
    so until the limit of live boards is reached and it is the one that was idle longest.
    """

    #: Where events come from; set before the first `open`.
    source: Source

    def __init__(
        self,
        *,
        live_boards: int,
        streams_per_board: int,
        keepalive: float,
        metrics: Metrics | None = None,
    ) -> None:
        self.metrics = metrics or NoMetrics()
        self._live_boards = live_boards
        self._streams_per_board = streams_per_board
        self._keepalive = keepalive
        self._topics: OrderedDict[str, Topic] = OrderedDict()
        self._opening: Shared[str, None] = Shared()
        self._closed = False
        #: Whether the server stops, so that it is no time to wait.
        self.stopping = False
        self.poller = Poller(self.metrics.behind())
        #: Ends the streams of those who may listen for a time only.
        self.expiries = Expiries()
        self.multiplexes = Multiplexes(self.metrics)
        self._keepalives = PeriodicCallback(self._keep_alive, keepalive * 1000 / KEEPALIVE_STEPS)
        self._keepalives.start()

    @property
    def size(self) -> int:
        """How many boards are live."""
        return len(self._topics)

    async def open(self, board_id: str) -> Topic:
        """The live board `board_id`, with its current event.

        Raises `LimitReached`, and what `Source.watch` raises.
        """
        for _ in range(_TRIES):
            topic = self._topics.get(board_id)
            if topic is not None:
                self._topics.move_to_end(board_id)
                return topic
            await self._opening.get(board_id, partial(self._watch, board_id))
            # Where it is not there now, it was deleted since, or made room: ask which.
        raise LimitReached("the board is no longer live; try again")

    def live(self, board_id: str) -> Topic | None:
        """The board, if it is live already."""
        topic = self._topics.get(board_id)
        if topic is not None:
            self._topics.move_to_end(board_id)
        return topic

    def is_confirmed(self, topic: Topic, *, strictly: bool = False) -> bool:
        """Whether the topic's current event is good enough for a client that has seen nothing yet;
        `strictly`: for one that may have seen something newer in another process."""
        return self.source.is_confirmed(topic.board_id, strictly=strictly)

    async def confirm(self, topic: Topic, *, strictly: bool = False) -> None:
        """Have it be so, if that can be; see `Source.confirm`."""
        await self.source.confirm(topic.board_id, strictly=strictly)

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

    def confirmed(self, board_id: str) -> Event | None:
        """The same, if the store had the board like that a moment ago, as far as anybody can
        tell."""
        topic = self._topics.get(board_id)
        return topic.current if topic is not None and self.is_confirmed(topic) else None

    def board_ids(self) -> Sequence[str]:
        """The live boards, the longest idle first."""
        return list(self._topics)

    async def publish(self, board_id: str, event: Event, reset: str | None = None) -> None:
        """Make `event` the board's current one and send it to its subscribers, after a reset that
        says `reset` if there is one.

        Returns when all of them were sent it, so that who publishes faster than that coalesces its
        changes instead of queueing them here; see `Topic.publish`. Raises `LimitReached` if there
        is no room for another live board.
        """
        topic = self._topics.get(board_id)
        if topic is None:
            self._make_room()
            self._topics[board_id] = Topic(board_id, event, self.metrics)
            return
        self._topics.move_to_end(board_id)
        await topic.publish(event, reset)

    def end_board(self, board_id: str) -> None:
        """End the streams of a board that was deleted."""
        self._end(board_id, End.DELETED)

    def end_private(self, board_id: str) -> None:
        """End the streams of a board that is not for everybody any more."""
        self._end(board_id, End.PRIVATE)

    def _end(self, board_id: str, why: End) -> None:
        topic = self._topics.pop(board_id, None)
        if topic is not None:
            topic.end(why)

    def listeners(self, board_id: str) -> int:
        """How many listen to the board."""
        topic = self._topics.get(board_id)
        return 0 if topic is None else topic.listeners

    def drop(self, board_id: str) -> None:
        """Let go of a board to which nobody listens."""
        topic = self._topics.pop(board_id, None)
        if topic is not None:
            topic.end()
        self.source.unwatch(board_id)

    def stop_waiting(self) -> None:
        """Have the waiting long-polls answered, and none wait any more: the server stops."""
        self.stopping = True
        for topic in self._topics.values():
            topic.dismiss()

    def end_streams(self) -> None:
        """End every stream; what has been sent stays sent. May be called twice."""
        self._closed = True
        self._keepalives.stop()
        while self._topics:
            self._topics.popitem()[1].end()
        self.expiries.close()

    async def close(self) -> None:
        """The same, and let clients of WebSockets part, if they do so soon. May be called twice."""
        self.end_streams()
        await self.multiplexes.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PARTING_TIME):
                await self.poller.emptied()
        self.poller.close()

    async def _watch(self, board_id: str) -> None:
        self._who_makes_room()
        await self.source.watch(board_id)

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
            if topic.streams:
                await topic.keep_alive(self._keepalive)
        await self.multiplexes.keep_alive(self._keepalive)
