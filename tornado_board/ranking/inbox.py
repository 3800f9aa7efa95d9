"""What a follower hears of a board, until it is sent on."""

from __future__ import annotations

from collections import deque

from tornado_board.replay import Event, EventId

#: Events heard that may wait to be sent; with more they are read from the log again.
HEARD = 64

#: Seconds that a new board waits to be followed before it is shown as the store has it.
HEARING = 2.0


class Inbox:
    """Events heard, in order."""

    def __init__(self, now: float) -> None:
        #: Whether everything that is published is heard; until when that may take.
        self.hearing = False
        self.hear_by = now + HEARING
        self._events: deque[Event] = deque()
        self._asked_before: EventId | None = None

    def __bool__(self) -> bool:
        return bool(self._events)

    def hear(self, event: Event) -> bool:
        """Keep `event`; ``False`` if that were too many, so that those before it are gone."""
        has_room = len(self._events) < HEARD
        if not has_room:
            self._events.clear()
        self._events.append(event)
        return has_room

    @property
    def first(self) -> Event:
        return self._events[0]

    def drop_first(self) -> None:
        self._events.popleft()

    def take_newest(self) -> Event:
        """The newest; those before it are of no use then."""
        newest = self._events.pop()
        self._events.clear()
        return newest

    def drop_known(self, last: EventId | None) -> None:
        """Forget those that the log had, up to `last`."""
        if last is not None:
            self._events = deque(e for e in self._events if e.id is None or e.id > last)

    def must_ask_before(self, event_id: EventId) -> bool:
        """Whether the log has yet to be asked for what lies before this one; told once."""
        if self._asked_before == event_id:
            return False
        self._asked_before = event_id
        return True

    def start_anew(self, now: float) -> None:
        """This process has another role."""
        self._events.clear()
        self.hearing, self.hear_by = False, now + HEARING
