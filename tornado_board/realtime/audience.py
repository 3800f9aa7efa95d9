"""The subscribers of one board, and the loop that sends an event to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import repeat
from operator import call
from typing import Protocol

#: Subscribers that are sent to before the event loop may go on to something else: a millisecond
#: or so.
_SLICE = 256


class Member(Protocol):
    """What an audience needs of a subscriber: see `subscriber.Subscriber`."""

    #: The audience that it belongs to, and where in there; the audience sets them.
    audience: Audience | None
    place: int

    @property
    def send(self) -> Callable[[bytes], int]:
        """Sends a message, and says how many of its bytes were taken; may raise `OSError`."""

    def sent(self, data: bytes, count: int) -> None:
        """`send` took only the first `count` bytes of `data`."""

    def refused(self, data: bytes, error: OSError) -> None:
        """`send` raised `error`."""

    def is_dead(self, patience: float) -> bool:
        """Whether the peer has been silent for `patience` seconds though it ought to answer."""

    def close(self) -> None:
        """Close it; it then calls `Audience.discard`."""


class Audience:
    """Subscribers, in an order that is walked in slices while they come and go.

    Their `send` stand in a list of their own: a walk over ten thousand who keep up touches nothing
    else of them, and its loop runs in C. Who joins during a walk stands behind its end; who leaves
    leaves a hole until it is over.
    """

    def __init__(self) -> None:
        self._members: list[Member | None] = []
        self._sends: list[Callable[[bytes], int]] = []
        self._holes: list[int] = []
        self._walk = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._members) - len(self._holes)

    @property
    def busy(self) -> bool:
        """Whether something is being sent."""
        return self._walk.locked()

    def add(self, member: Member) -> None:
        """Have `member` sent everything from now on, but for what is being sent already."""
        member.audience, member.place = self, len(self._members)
        self._members.append(member)
        self._sends.append(member.send)

    def discard(self, member: Member) -> None:
        """Forget `member`, which has closed."""
        place = member.place
        member.audience, member.place = None, -1
        self._members[place], self._sends[place] = None, nowhere
        self._holes.append(place)
        if not self.busy:
            self._fill_holes()

    def use(self, place: int, send: Callable[[bytes], int]) -> None:
        """Send to the member at `place` by `send` from now on."""
        self._sends[place] = send

    def close(self) -> None:
        """Close every member."""
        for member in self._members[:]:
            if member is not None:
                member.close()

    async def send(self, data: bytes, on_start: Callable[[], bool] = lambda: True) -> None:
        """Send `data` to every member, after what is being sent already.

        `on_start` is called when it begins: who is added before that is sent `data`, who is added
        later isn't; if it returns ``False`` nobody is. If this is cancelled once it has begun, the
        rest are sent `data` all the same, without pauses.
        """
        async with self._walk:
            if not on_start():
                return
            end = len(self._members)
            try:
                for start in range(0, end, _SLICE):
                    if start:
                        try:
                            await asyncio.sleep(0)
                        except asyncio.CancelledError:
                            self._send_to_slice(start, end, data)
                            raise
                    self._send_to_slice(start, min(start + _SLICE, end), data)
            finally:
                self._fill_holes()

    async def drop_dead(self, patience: float) -> None:
        """Close the members whose peer has vanished: see `Member.is_dead`."""
        async with self._walk:
            try:
                for place in range(len(self._members)):
                    if place and place % _SLICE == 0:
                        await asyncio.sleep(0)
                    member = self._members[place]
                    if member is not None and member.is_dead(patience):
                        member.close()
            finally:
                self._fill_holes()

    def _send_to_slice(self, start: int, stop: int, data: bytes) -> None:
        size = len(data)
        counts: list[int] = []
        sends = map(call, self._sends[start:stop], repeat(data))
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

    def _fill_holes(self) -> None:
        """Move the last members into the holes, from behind, so that the last is never one."""
        for place in sorted(self._holes, reverse=True):
            member, send = self._members.pop(), self._sends.pop()
            if member is not None:
                self._members[place], self._sends[place] = member, send
                member.place = place
        self._holes.clear()


def nowhere(data: bytes) -> int:
    """What `send` is of a subscriber that has closed."""
    return len(data)
