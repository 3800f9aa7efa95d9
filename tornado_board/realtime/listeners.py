"""Those who are sent the same events, whatever wires they listen over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tornado_board.metrics import Metrics, NoMetrics
from tornado_board.realtime.audience import SLICE_OF_WORK, Audience, Member, broadcast
from tornado_board.realtime.wires import End, Message, Sent, Wire
from tornado_board.realtime.wires.checksum import Content, Joined

#: Members that are sent to at once: see `Audience.send_now`.
_FEW = 256


class Listeners:
    """One audience for each wire in use; an event is encoded once for each.

    One at a time may `send` or `keep_alive`.
    """

    def __init__(
        self,
        last: Sent | None = None,
        on_left: Callable[[], None] | None = None,
        metrics: Metrics | None = None,
        of: str = "board",
    ) -> None:
        """`last` is the event that those have been sent who join in step; `on_left` is called for
        each who leaves; `metrics` counts them as those who listen to what `of` says."""
        self._metrics = metrics or NoMetrics()
        self._of = of
        # Those who are sent every event from now on, and have had all until now.
        self._audiences: dict[Wire, Audience] = {}
        # Of wires that send differences: those who join without being sent the last event, since
        # they have seen it on another stream, until the next one. And those whom that is sent.
        self._joining: dict[Wire, Audience] = {}
        self._falling_in: dict[Wire, Audience] = {}
        #: What the streams of `_audiences` end with; ``None`` if it is no event.
        self._last = last
        #: Of wires that need it at the end of a stream: all that their clients were sent.
        self._content: dict[Wire, Content] = {}
        self._on_left = on_left

    def __len__(self) -> int:
        return sum(len(audience) for _, audience in self._all())

    def add(
        self, member: Member, wire: Wire, *, in_step: bool = True, own: Content | None = None
    ) -> None:
        """Send `member` each event from now on. It is sent the last one on this stream (`in_step`),
        or has seen it elsewhere. `own` is what it is sent before, as content."""
        audiences = self._audiences if in_step or not wire.deltas else self._joining
        self._audience(audiences, wire).add(member)
        if own is not None:
            member.joined = Joined(own, self._content.get(wire, Content()))

    async def send(
        self,
        events: Sequence[Sent],
        independent: Callable[[Wire], Message],
        mark: Callable[[Message, Wire], None] | None = None,
    ) -> None:
        """Send `events`, of which there is one at least; returns when everybody was sent them.

        `independent` gives them for who was not sent what was before; `mark` is called with each
        message that is sent. If this is cancelled once it has begun, the rest are sent them all the
        same, without pauses.
        """
        messages = self._messages(events, independent, mark)
        try:
            await broadcast(messages)
        finally:
            # They were sent it, also where this was cancelled.
            self._fall_in()

    def send_now(
        self,
        events: Sequence[Sent],
        independent: Callable[[Wire], Message],
        mark: Callable[[Message, Wire], None] | None = None,
    ) -> bool:
        """The same at once, if they are few; whether that was so."""
        if len(self._audiences) == 1 and not (self._joining or self._content):
            # Most often: everybody listens over one wire, that sends no differences.
            [(wire, audience)] = self._audiences.items()
            if not wire.deltas and not audience.is_held and len(audience) <= _FEW:
                self._last = events[-1]
                message = independent(wire)
                if mark is not None:
                    mark(message, wire)
                return audience.send_now(message)
        if len(self) > _FEW:
            return False
        for audience, message in self._messages(events, independent, mark).items():
            audience.send_now(message)
        self._fall_in()
        return True

    def _messages(
        self,
        events: Sequence[Sent],
        independent: Callable[[Wire], Message],
        mark: Callable[[Message, Wire], None] | None,
    ) -> dict[Audience, Message]:
        before, self._last = self._last, events[-1]
        messages: dict[Audience, Message] = {}
        for wire, audience in self._audiences.items():
            if audience and wire.deltas:
                messages[audience] = wire.following(before, events, len(audience))
            elif audience:
                messages[audience] = independent(wire)
        self._falling_in, self._joining = self._joining, {}
        for wire, audience in self._falling_in.items():
            messages[audience] = independent(wire)
        everybody = self._all()
        if mark is not None:
            for wire, audience in everybody:
                if audience in messages:
                    mark(messages[audience], wire)
        self._count({wire: messages[audience] for wire, audience in everybody if audience})
        return messages

    def _fall_in(self) -> None:
        for wire, audience in self._falling_in.items():
            self._audience(self._audiences, wire).take_over(audience)
        self._falling_in = {}

    async def keep_alive(self) -> None:
        """Send a comment."""
        self._last = None
        self._count({wire: wire.keepalive for wire, _ in self._all()})
        await broadcast({audience: wire.keepalive for wire, audience in self._all()})

    async def drop_dead(self, patience: float) -> None:
        """Close those whose peer has vanished: see `Member.is_dead`."""
        for _, audience in self._all():
            audience.hold()
            try:
                await audience.drop_dead(patience)
            finally:
                audience.release()

    def end(self, why: End) -> None:
        """End every stream."""
        for _, audience in self._all():
            audience.finish(why)

    def dismiss(self) -> None:
        """Let those go who wait for the next event only."""
        for wire, audience in self._all():
            if wire.once:
                audience.finish(End.STOPPING)

    def _audience(self, audiences: dict[Wire, Audience], wire: Wire) -> Audience:
        audience = audiences.get(wire)
        if audience is None:
            clients = self._metrics.clients(self._of, wire.transport)
            more = {"slice": SLICE_OF_WORK} if wire.once else {}
            audience = Audience(partial(self._end_of, wire), self._on_left, clients, **more)
            audiences[wire] = audience
        return audience

    def _count(self, messages: Mapping[Wire, Message]) -> None:
        """Add what the clients of these wires are sent now to what they were sent."""
        for wire, message in messages.items():
            if message.content is not None:
                self._content[wire] = self._content.get(wire, Content()) + message.content

    def _end_of(self, wire: Wire, why: End, joined: Joined | None, last: Message) -> bytes:
        sent = None if joined is None else joined.at(self._content.get(wire, Content()))
        if sent is not None and last.content is not None:
            sent += last.content
        return last + wire.end(sent, why)

    def _all(self) -> list[tuple[Wire, Audience]]:
        groups = (self._audiences, self._joining, self._falling_in)
        return [item for audiences in groups for item in audiences.items()]
