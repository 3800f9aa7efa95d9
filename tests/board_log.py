"""One board's replay log and the processes that use it, as a board meets them."""

from __future__ import annotations

import enum
from collections import deque
from typing import NamedTuple

from hypothesis import strategies as st

from tornado_board.cluster import Role
from tornado_board.models import (
    Board,
    PlayerChanged,
    Ranking,
)
from tornado_board.ranking.actions import (
    Action,
)
from tornado_board.ranking.board_state import BoardState
from tornado_board.replay import Event, EventId, Gap, check_whole

BOARD = Board("b", "Board")
P, Q = 0, 1
PROCESSES = st.sampled_from([P, Q])


class Entry(NamedTuple):
    event: Event
    before: EventId
    by: tuple[object, ...]


class Refuses(enum.Enum):
    """What a log does not do for the board."""

    WRITES = "it is full"
    ALL = "what is in the board's place is another program's"


class Log:
    """The replay log as `ReplayLog.append` and `since` describe it."""

    def __init__(self) -> None:
        self.clock = 1_000
        self.entries: list[Entry] = []
        self.last: EventId | None = None
        self.refuses: Refuses | None = None

    def append(self, data: str, after: EventId | None, lost: int) -> EventId:
        self.clock += 1
        by = (data, after, lost)
        if after is not None and self.entries and self.entries[-1].by == by:
            return self.entries[-1].event.id or EventId(0, 0)
        last, known = self.last or EventId(0, 0), after or EventId(0, 0)
        n = max(last.n, known.n) + 1 + lost
        if self.last is None:
            n = max(n, self.clock)
        id = EventId(max(self.clock, last.ms, known.ms), n)
        self.entries.append(Entry(Event(id, data), max(last, known), by))
        self.last = id
        return id

    def since(self, after: EventId) -> list[Event]:
        entries = [entry for entry in self.entries if entry.event.id and entry.event.id > after]
        check_whole(after, 0, self.last, [entry.event for entry in entries])
        if entries and entries[0].before != after:
            raise Gap("this log never gave out that event id")
        return [entry.event for entry in entries]

    def record_gap(self, after: EventId, count: int) -> None:
        if self.last is not None and self.last >= after:
            try:
                self.since(after)
            except Gap:
                return
            self.last = EventId(self.last.ms, self.last.n + count)

    def lose(self) -> None:
        self.clock += 1
        self.entries, self.last = [], None


class Hopper(NamedTuple):
    """A client that has seen the board elsewhere, and takes what is shown here for the board."""

    #: The first of the store's states that can be what it has seen.
    saw: int
    #: Whether it says so, and gets a reset: else what was heard a moment ago is good enough.
    strictly: bool
    #: What the publisher had told of when it came, and nobody had heard here yet.
    on_its_way: frozenset[str]
    #: What it waits for, once the board is shown: see `BoardState.doubt`.
    doubt: int | None = None


class Process:
    """One process: its state machine, and everything that is on its way to it."""

    def __init__(self, role: Role, now: float) -> None:
        self.role = role
        self.linked = True  # to the log, and to what it publishes
        self.action: Action | None = None  # under way
        self.read: Ranking | None = None  # what the read under way has seen
        #: Changes of players, and ``None`` for one of the board.
        self.feed: deque[PlayerChanged | None] | None = None
        if role is not Role.FOLLOWER:
            self.feed = deque()
        self.heard: deque[Event] = deque()
        self.subscribing = role is Role.FOLLOWER
        self.wants = 0
        self.sent: list[tuple[Event, str | None]] = []
        self.ended = False
        self.hoppers: list[Hopper] = []
        #: What the publisher told of.
        self.told: set[str] = set()
        self.begin(now)

    def begin(self, now: float, left: tuple[EventId, int] | None = None) -> None:
        self.state = BoardState(self.role, now, coalesce=0.05, depth=5, left=left)
        self.action = None
        self.ended = False
        self.hoppers.clear()

    @property
    def shown(self) -> Event | None:
        return self.sent[-1][0] if self.sent else None
