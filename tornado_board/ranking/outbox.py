"""What a board's subscribers were sent, and what they are to be sent next."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from tornado_board.ranking.actions import Send
from tornado_board.replay import Event

#: What a reset says.
UNLOGGED = "events were sent that could not be logged"
BROKEN = "events before this one are no longer in the log"


class Outbox:
    """Events on their way to the subscribers, in order.

    It sees to it that no counter jumps without a word: the counter of an event is one more than
    that of the event before, or a reset goes before it.
    """

    def __init__(self) -> None:
        #: What was sent last, and when.
        self.shown: Event | None = None
        self.sent_at = float("-inf")
        self._events: deque[tuple[Event, bool, bool]] = deque()

    def __bool__(self) -> bool:
        return bool(self._events)

    def add(self, event: Event, *, broken: bool = False, heard: bool = False) -> None:
        """Send `event`, after a reset in any case if it is known that something is missing.

        `heard`: it came from the publisher just now.
        """
        self._events.append((event, broken, heard))

    def extend(self, events: Iterable[Event], *, broken: bool) -> None:
        """The same for several."""
        self._events.extend((event, broken, False) for event in events)

    def next(self) -> Send:
        """How the first event is to be sent. There has to be one."""
        event, broken, _ = self._events[0]
        before = self.shown
        if before is None or event.id is None:
            return Send(event, None)
        if before.id is None:
            return Send(event, UNLOGGED)
        follows = event.id.n == before.id.n + 1 and not broken
        return Send(event, None if follows else BROKEN)

    def sent(self, now: float) -> tuple[Event, bool, bool]:
        """The first event was sent; it, and what was said of it in `add`."""
        event, broken, heard = self._events.popleft()
        self.shown, self.sent_at = event, now
        return event, broken, heard

    def send_again(self) -> None:
        """Send what was sent last once more, as if to new subscribers, if nothing else is to be
        sent."""
        if self.shown is not None and not self._events:
            event, self.shown = self.shown, None
            self.add(event)
