"""A live board: its current event, who waits for the next, and who is sent every one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable
from typing import Protocol

from tornado_board.metrics import Clients, Metrics, NoMetrics
from tornado_board.models import shows_private
from tornado_board.realtime.audience import Member
from tornado_board.realtime.listeners import Listeners
from tornado_board.realtime.wires import (
    LONG_POLL,
    SEASON,
    Encode,
    End,
    Message,
    Wire,
    reset,
    type_of,
    update,
)
from tornado_board.realtime.wires.checksum import Content
from tornado_board.replay import Event

#: How often it is looked, in the time in which a quiet stream gets a comment, whether one is due.
KEEPALIVE_STEPS = 4

#: Sets of boards whose clients are sent to before the event loop may go on to something else.
_MULTIPLEXES_AT_ONCE = 64

#: Encodings of the current event that are kept: for each wire, and each reason of a reset.
_MOST_ENCODED = 32


class Multiplex(Protocol):
    """Clients that listen to several boards: see `multiplex.Multiplex`."""

    def hear(self, board_id: str, event: Event, reason: str | None) -> None:
        """Note an event that is to be sent, behind a ``reset`` if there is a `reason`."""

    def lose(self, board_id: str, why: End) -> None:
        """The board gets no more events, or (`End.PRIVATE`) not all may be sent them any more."""

    def deliver_now(self) -> bool:
        """Send what was noted at once, if that takes no more than a moment; whether it did."""

    async def deliver(self) -> None:
        """Return when everything that was noted until now was sent."""


class Topic:
    """A live board.

    An event is encoded once for each wire that somebody listens over, and once for each other way
    in which somebody asks for the current one.
    """

    def __init__(self, board_id: str, event: Event, metrics: Metrics | None = None) -> None:
        self.board_id = board_id
        self._metrics = metrics or NoMetrics()
        #: The newest event.
        self.current = event
        #: Whether it gets no more events: the board was deleted or made room for another, or the
        #: server stops.
        self.ended = False
        self._encoded: dict[tuple[Encode, str | None], Message] = {}
        self._listeners = Listeners(update(event), metrics=self._metrics)
        #: Those who listen to other boards, too, and how many clients these are.
        self._multiplexes: dict[Multiplex, None] = {}
        self._multiplexed = 0
        #: Those who wait for something to happen here, and what they are counted in.
        self.waiters: set[asyncio.Future[None]] = set()
        self.waiting: Clients = self._metrics.clients("board", LONG_POLL)
        #: Held while something is sent.
        self._turn = asyncio.Lock()
        self._sent_at = self._checked_at = time.monotonic()
        self._private = shows_private(event.data)

    @property
    def is_between(self) -> bool:
        """Whether the current event is the end of a season, so that the board is yet to come."""
        return type_of(self.current) is SEASON

    @property
    def streams(self) -> int:
        """Open streams."""
        return len(self._listeners)

    @property
    def listeners(self) -> int:
        """Open streams, of this board and others too, and waiting long-polls."""
        return self.streams + self._multiplexed + len(self.waiters)

    def encoded(self, encode: Encode, reason: str | None = None) -> Message:
        """The current event as `encode` gives it; behind a ``reset``, if there is a `reason`.

        The same object for all who ask.
        """
        key = (encode, reason)
        message = self._encoded.get(key)
        if message is None:
            if len(self._encoded) >= _MOST_ENCODED:
                self._encoded.clear()
            events = [] if reason is None else [reset(reason)]
            message = self._encoded[key] = encode([*events, update(self.current)])
        return message

    def add(
        self, member: Member, wire: Wire, *, in_step: bool = True, own: Content | None = None
    ) -> None:
        """Send `member` each event from now on. It is sent the current one on this stream
        (`in_step`), or has seen it elsewhere. `own` is what it is sent before, as content."""
        self._listeners.add(member, wire, in_step=in_step, own=own)

    def join(self, multiplex: Multiplex, clients: int) -> None:
        """Tell `multiplex` of each event, for so many clients more, or fewer."""
        self._multiplexed += clients
        self._multiplexes[multiplex] = None

    def leave(self, multiplex: Multiplex) -> None:
        """Tell it of no event any more."""
        self._multiplexes.pop(multiplex, None)

    async def wait(self, seconds: float, gone: asyncio.Future[None] | None = None) -> None:
        """Return when `current` has changed, at `wake`, or after `seconds`.

        Also once `gone` is done, which says that nobody waits any longer.
        """
        await wait_for_any((self,), seconds, gone)

    def wake(self) -> None:
        """Have all who wait look again."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def dismiss(self) -> None:
        """Let all go who wait for the next event only."""
        self._listeners.dismiss()
        self.wake()

    async def publish(self, event: Event, reason: str | None = None) -> None:
        """Make `event` the current one and send it to everyone, in one message with a ``reset``
        before it if there is a `reason`; returns when all were sent it.

        If this is cancelled, an event that was begun is sent to the rest all the same, without
        pauses.
        """
        async with self._turn:
            private = shows_private(event.data)
            self.current = event
            self._encoded.clear()
            if private and not self._private:
                # Who may go on listening comes back at once; nobody else is sent what follows.
                self._end(End.PRIVATE)
            self._private = private
            self._sent_at = time.monotonic()
            self._metrics.published()
            if reason is not None:
                self._metrics.reset(reason, self.listeners)
            self.wake()
            events = [update(event)] if reason is None else [reset(reason), update(event)]
            # Noted before anything is awaited, so that who joins any of them knows what is to come.
            for multiplex in self._multiplexes:
                multiplex.hear(self.board_id, event, reason)
            await self._listeners.send(events, lambda wire: self.encoded(wire.message, reason))
        await deliver(self._multiplexes)

    async def keep_alive(self, interval: float) -> None:
        """Send a comment if nothing was sent for about `interval` seconds, and drop dead peers.

        To be called `KEEPALIVE_STEPS` times an interval: called once, it would let up to two
        intervals pass after an event, and there are proxies that count the seconds.
        """
        now = time.monotonic()
        if now - self._checked_at > interval * 0.9:
            self._checked_at = now
            await self._drop_dead(interval * 0.9)
        if time.monotonic() - self._sent_at > interval * 0.9 and not self._turn.locked():
            async with self._turn:
                self._sent_at = time.monotonic()
                await self._listeners.keep_alive()

    def end(self, why: End = End.STOPPING) -> None:
        """End every stream and let the waiting go."""
        self.ended = True
        self._end(why)
        self._multiplexes.clear()
        self.wake()

    def _end(self, why: End) -> None:
        self._listeners.end(why)
        for multiplex in list(self._multiplexes):
            multiplex.lose(self.board_id, why)

    async def _drop_dead(self, patience: float) -> None:
        async with self._turn:
            await self._listeners.drop_dead(patience)


async def wait_for_any(
    topics: Collection[Topic], seconds: float, gone: asyncio.Future[None] | None = None
) -> None:
    """Return when something has happened to one of `topics`, of which there is one at least: see
    `Topic.wait`."""
    future = asyncio.get_running_loop().create_future()
    futures = (future,) if gone is None else (future, gone)
    for topic in topics:
        topic.waiters.add(future)
        counted = topic.waiting
    counted.open += 1
    try:
        await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        counted.open -= 1
        for topic in topics:
            topic.waiters.discard(future)


async def deliver(multiplexes: Iterable[Multiplex]) -> None:
    """Have all of them send what they have noted."""
    for number, multiplex in enumerate(list(multiplexes), 1):
        if not multiplex.deliver_now():
            await multiplex.deliver()
        if number % _MULTIPLEXES_AT_ONCE == 0:
            await asyncio.sleep(0)
