"""A live board: its current event, who waits for the next, and who is sent every one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial

from tornado_board.models import shows_private
from tornado_board.realtime.audience import Audience, Member, broadcast
from tornado_board.realtime.wires import Encode, Message, Wire, reset, update
from tornado_board.realtime.wires.checksum import Content, Joined
from tornado_board.replay import Event

#: How often it is looked, in the time in which a quiet stream gets a comment, whether one is due.
KEEPALIVE_STEPS = 4

#: Encodings of the current event that are kept: for each wire, and each reason of a reset.
_MOST_ENCODED = 32


class Topic:
    """A live board.

    An event is encoded once for each wire that somebody listens over, and once for each other way
    in which somebody asks for the current one.
    """

    def __init__(self, board_id: str, event: Event) -> None:
        self.board_id = board_id
        #: The newest event.
        self.current = event
        #: Whether it gets no more events: the board was deleted or made room for another, or the
        #: server stops.
        self.ended = False
        self._encoded: dict[tuple[Encode, str | None], Message] = {}
        # Those who are sent every event after `current`, and have had all up to that.
        self._audiences: dict[Wire, Audience] = {}
        # Of wires that send differences: those who join without being sent `current`, since they
        # have seen it on another stream, until the next event. And those of them whom it is sent.
        self._joining: dict[Wire, Audience] = {}
        self._falling_in: dict[Wire, Audience] = {}
        #: What the streams of `_audiences` end with; ``None`` if it is no event.
        self._sent_last: Event | None = event
        #: Of wires that need it at the end of a stream: all that their clients were sent.
        self._content: dict[Wire, Content] = {}
        self._waiters: set[asyncio.Future[None]] = set()
        #: Held while something is sent.
        self._turn = asyncio.Lock()
        self._sent_at = self._checked_at = time.monotonic()
        self._private = shows_private(event.data)

    @property
    def streams(self) -> int:
        """Open streams."""
        return sum(len(audience) for _, audience in self._all())

    @property
    def listeners(self) -> int:
        """Open streams and waiting long-polls."""
        return self.streams + len(self._waiters)

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
        audiences = self._audiences if in_step or not wire.deltas else self._joining
        audience = audiences.get(wire)
        if audience is None:
            audience = audiences[wire] = Audience(partial(self._end_of, wire))
        audience.add(member)
        if own is not None:
            member.joined = Joined(own, self._content.get(wire, Content()))

    async def wait(self, seconds: float, gone: asyncio.Future[None] | None = None) -> None:
        """Return when `current` has changed, at `wake`, or after `seconds`.

        Also once `gone` is done, which says that nobody waits any longer.
        """
        future = asyncio.get_running_loop().create_future()
        futures = (future,) if gone is None else (future, gone)
        self._waiters.add(future)
        try:
            await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters.discard(future)

    def wake(self) -> None:
        """Have all who wait look again."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def dismiss(self) -> None:
        """Let all go who wait for the next event only."""
        for wire, audience in self._all():
            if wire.once:
                audience.finish()
        self.wake()

    async def publish(self, event: Event, reason: str | None = None) -> None:
        """Make `event` the current one and send it to everyone, in one message with a ``reset``
        before it if there is a `reason`; returns when all were sent it.

        If this is cancelled, an event that was begun is sent to the rest all the same, without
        pauses.
        """
        async with self._turn:
            private = shows_private(event.data)
            if private and not self._private:
                # Who may go on listening comes back at once; nobody else is sent what follows. A
                # long-poll looks at that itself before it answers with the event.
                self._finish(long_polls=False)
            self._private = private
            self.current = event
            self._encoded.clear()
            self._sent_at = time.monotonic()
            self.wake()
            before, self._sent_last = self._sent_last, event
            messages = {
                audience: self._following(wire, before, reason, len(audience))
                for wire, audience in self._audiences.items()
                if audience
            }
            self._falling_in, self._joining = self._joining, {}
            for wire, audience in self._falling_in.items():
                messages[audience] = self.encoded(wire.message, reason)
            self._count({wire: messages[audience] for wire, audience in self._all() if audience})
            try:
                await broadcast(messages)
            finally:
                # They were sent it, also where this was cancelled.
                for wire, audience in self._falling_in.items():
                    self._audiences.setdefault(wire, Audience(audience.end_of)).take_over(audience)
                self._falling_in = {}

    def _following(
        self, wire: Wire, before: Event | None, reason: str | None, listeners: int
    ) -> Message:
        if not wire.deltas:
            return self.encoded(wire.message, reason)
        events = [] if reason is None else [reset(reason)]
        last = None if before is None else update(before)
        return wire.following(last, [*events, update(self.current)], listeners)

    def _count(self, messages: Mapping[Wire, Message]) -> None:
        """Add what the clients of these wires are sent now to what they were sent."""
        for wire, message in messages.items():
            if message.content is not None:
                self._content[wire] = self._content.get(wire, Content()) + message.content

    def _end_of(self, wire: Wire, joined: Joined | None, last: Message) -> bytes:
        sent = None if joined is None else joined.at(self._content.get(wire, Content()))
        if sent is not None and last.content is not None:
            sent += last.content
        return last + wire.end(sent)

    def _all(self) -> list[tuple[Wire, Audience]]:
        groups = (self._audiences, self._joining, self._falling_in)
        return [item for audiences in groups for item in audiences.items()]

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
                self._sent_last = None
                self._count({wire: wire.keepalive for wire, _ in self._all()})
                await broadcast({audience: wire.keepalive for wire, audience in self._all()})

    def end(self) -> None:
        """End every stream and let the waiting go."""
        self.ended = True
        self._finish()
        self.wake()

    def _finish(self, *, long_polls: bool = True) -> None:
        for wire, audience in self._all():
            if long_polls or not wire.once:
                audience.finish()

    async def _drop_dead(self, patience: float) -> None:
        async with self._turn:
            for _, audience in self._all():
                audience.hold()
                try:
                    await audience.drop_dead(patience)
                finally:
                    audience.release()
