"""The subscribers of one board over one wire, and the loop that sends an event to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from itertools import repeat
from operator import call
from typing import Protocol

from tornado_board.metrics import Clients
from tornado_board.realtime.wires import Comment, End, Message
from tornado_board.realtime.wires.checksum import Joined

#: Subscribers that are sent to before the event loop may go on to something else: a millisecond
#: or so; and where each has work to do for it, as whoever waits for an answer.
_SLICE, SLICE_OF_WORK = 256, 64


class Member(Protocol):
    """What an audience needs of a subscriber: see `subscriber.Subscriber`."""

    #: The audience that it belongs to, and where in there; the audience sets them.
    audience: Audience | None
    place: int

    @property
    def closed(self) -> bool:
        """Whether `close` was called, or its connection has ended."""

    @property
    def send(self) -> Callable[[Message], int]:
        """Sends a message, and says how many of its bytes were taken; may raise `OSError`."""

    def sent(self, data: Message, count: int) -> None:
        """`send` took only the first `count` bytes of `data`."""

    def refused(self, data: Message, error: OSError) -> None:
        """`send` raised `error`."""

    def is_dead(self, patience: float) -> bool:
        """Whether the peer has been silent for `patience` seconds though it ought to answer."""

    #: What it was sent besides what all others are, where its wire needs that and it is known.
    joined: Joined | None

    def finish(self, end: bytes) -> None:
        """Send `end`, if the socket takes it now and nothing is unfinished, and `close`."""

    def close(self) -> None:
        """Close it; it then calls `Audience.discard`."""


#: What a stream ends with: by why it ends, `Member.joined`, and what the client is sent last before
#: the end.
EndOf = Callable[[End, Joined | None, Message], bytes]

NOTHING = Message()


class Audience:
    """Subscribers, in an order that broadcasts go through in slices while they come and go.

    Their `send` stand in a list of their own: a broadcast to ten thousand who keep up touches
    nothing else of them, and its loop runs in C. While the audience is held (`hold`), who joins
    stands behind `end`, and who leaves leaves a gap until it is released.
    """

    def __init__(
        self,
        end_of: EndOf,
        on_left: Callable[[], None] | None = None,
        clients: Clients | None = None,
        *,
        slice: int = _SLICE,
    ) -> None:
        """`end_of` gives what the stream of a member ends with; `on_left` is called for each member
        that has closed; in `clients` members and messages are counted. `slice` members are sent
        to before the event loop may go on to something else."""
        self.end_of = end_of
        self.slice = slice
        self._clients = clients or Clients()
        self._on_left = on_left
        self._members: list[Member | None] = []
        self._sends: list[Callable[[Message], int]] = []
        self._gaps: list[int] = []
        self._held = False
        #: How many places there were when it was last held.
        self.end = 0

    def __len__(self) -> int:
        return len(self._members) - len(self._gaps)

    @property
    def is_held(self) -> bool:
        return self._held

    def add(self, member: Member) -> None:
        """Have `member` sent everything from now on, but for what is being sent already."""
        member.audience, member.place = self, len(self._members)
        self._clients.open += 1
        self._members.append(member)
        self._sends.append(member.send)

    def take_over(self, other: Audience) -> None:
        """Have the members of `other` from now on, and leave none there; none of both is held."""
        for member in other._members:
            if member is not None:
                self.add(member)
                other._clients.open -= 1
        other._members.clear()
        other._sends.clear()
        other._gaps.clear()

    def discard(self, member: Member) -> None:
        """Forget `member`, which has closed."""
        place = member.place
        member.audience, member.place = None, -1
        self._members[place], self._sends[place] = None, nowhere
        self._gaps.append(place)
        self._clients.open -= 1
        if not self._held:
            self._fill_gaps()
        if self._on_left is not None:
            self._on_left()

    def use(self, place: int, send: Callable[[Message], int]) -> None:
        """Send to the member at `place` by `send` from now on."""
        self._sends[place] = send

    def finish(self, why: End) -> None:
        """Close every member; those that can take it are sent the stream's end before."""
        for member in self._members[:]:
            if member is not None:
                member.finish(self.end_of(why, member.joined, NOTHING))

    def hold(self) -> None:
        """Leave every member at its place until `release`. One at a time may do so."""
        self._held, self.end = True, len(self._members)

    def release(self) -> None:
        """Let places change again."""
        self._held = False
        self._fill_gaps()

    def send_now(self, data: Message) -> bool:
        """Send `data` to all members at once, if these are few and it is not held; whether that was
        so."""
        members = self._members
        if self._held or len(members) > _SLICE:
            return False
        self.count(data)
        if len(members) == 1:
            member = members[0]
            assert member is not None
            try:
                count = self._sends[0](data)
            except OSError as error:
                member.refused(data, error)
            else:
                if count != len(data):
                    member.sent(data, count)
        elif members:
            self.hold()
            for start in range(0, self.end, self.slice):
                self.send_to_slice(start, data)
            self.release()
        return True

    def count(self, data: Message) -> None:
        """Note that the members are sent `data`."""
        if type(data) is not Comment:
            self._clients.sent += len(self._members) - len(self._gaps)

    def send_to_slice(self, start: int, data: Message) -> None:
        """Send `data` to the members at `start` and the places behind it, up to `end`."""
        size = len(data)
        counts: list[int] = []
        sends = map(call, self._sends[start : min(start + self.slice, self.end)], repeat(data))
        while True:
            try:
                counts.extend(sends)
                break
            except OSError as error:
                # Extending stops at the send that failed, and goes on behind it.
                failed = self._members[start + len(counts)]
                counts.append(size)
                if failed is not None:
                    failed.refused(data, error)
        if counts.count(size) != len(counts):
            for place, count in enumerate(counts, start):
                member = self._members[place]
                if count != size and member is not None:
                    member.sent(data, count)

    async def drop_dead(self, patience: float) -> None:
        """Close the members whose peer has vanished: see `Member.is_dead`. It has to be held."""
        for place in range(self.end):
            if place and place % _SLICE == 0:
                await asyncio.sleep(0)
            member = self._members[place]
            if member is not None and member.is_dead(patience):
                member.close()

    def _fill_gaps(self) -> None:
        """Move the last members into the gaps, from behind, so that the last is never one."""
        for place in sorted(self._gaps, reverse=True):
            member, send = self._members.pop(), self._sends.pop()
            if member is not None:
                self._members[place], self._sends[place] = member, send
                member.place = place
        self._gaps.clear()


async def broadcast(messages: Mapping[Audience, Message]) -> None:
    """Send to each audience its message; none of them is held.

    Who is a member when this is called is sent it, who joins later isn't. If this is cancelled
    once it has begun, the rest are sent it all the same, without pauses.
    """
    for audience, data in messages.items():
        audience.count(data)
        audience.hold()
    slices = [
        (audience, start, data)
        for audience, data in messages.items()
        for start in range(0, audience.end, audience.slice)
    ]
    done = 0
    try:
        for done, (audience, start, data) in enumerate(slices):
            if done:
                await asyncio.sleep(0)
            audience.send_to_slice(start, data)
    except asyncio.CancelledError:
        for audience, start, data in slices[done:]:
            audience.send_to_slice(start, data)
        raise
    finally:
        for audience in messages:
            audience.release()


def nowhere(data: Message) -> int:
    """What `send` is of a subscriber that has closed."""
    return len(data)
