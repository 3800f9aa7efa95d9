"""The board's state machine in every order of things: two processes, one store, one log, no clock.

The world below does what `LiveBoard`, the bus and the log do, one step at a time, and Hypothesis
chooses the steps: what is done, what fails and how, and what comes in meanwhile. The invariants are
promises 2 and 3 of ARCHITECTURE.md. Clients hop between the processes with the id that they have
seen last.

By name: two processes never append at once (`append` fences all but the publisher); events
without an id leave a gap, whoever publishes next (`who_comes_back_is_told_of_unlogged_events`); a
new publisher and a new follower leave nothing unsent and nothing stale (`takes_over`, `teardown`).
What stays open is `is_killed`: what a process sent without ids, and told nobody of, is known to
nobody then.
"""

from __future__ import annotations

import enum
import itertools
from collections import deque
from contextlib import suppress
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from tornado_board.cluster import Role
from tornado_board.models import (
    Board,
    Player,
    PlayerChanged,
    Ranking,
    board_json,
    season_in,
    shows_end,
)
from tornado_board.ranking.actions import (
    Action,
    Append,
    Ask,
    End,
    Locate,
    Read,
    Report,
    Send,
    State,
    Wait,
)
from tornado_board.ranking.board_state import BoardState
from tornado_board.ranking.comparison import FRESH
from tornado_board.replay import Event, EventId, Gap, check_whole
from tornado_board.seasons import PastSeason, Season

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


class BoardsInTwoProcesses(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.score = 0
        self.version = 0
        #: The number of the season, and the final boards of those that are over.
        self.number = 1
        self.ends: dict[int, Ranking] = {}
        self.log = Log()
        self.processes = [Process(Role.PUBLISHER, 0.0), Process(Role.FOLLOWER, 0.0)]
        #: For each event without id that was sent as something new: the id before it.
        self.unlogged: list[EventId] = []
        #: Every id that any client may have seen last, whatever became of the log since.
        self.seen: dict[EventId, str] = {}
        #: The store's states, counted, and for each board that was one: the first and the last.
        self.states = 0
        self.stored_in: dict[str, tuple[int, int]] = {}
        self.restored_in: list[int] = []
        #: The newest of them, and when the others made room.
        self.newest = ""
        self.replaced_at: dict[str, float] = {}
        #: What the publisher told of when it was no more: its feed is yet to be opened, or behind.
        self.told_late: set[str] = set()
        self.is_stored()

    # The world

    def ranking(self) -> Ranking:
        player = Player("p", "P", self.score)
        season = None if self.number == 1 else Season(self.number, 0)
        return Ranking(replace(BOARD, season=season), [player], self.version)

    def stored(self) -> str:
        ranking = self.ranking()
        return board_json(ranking.board, ranking.players)

    def is_stored(self) -> None:
        """The store has changed."""
        self.states += 1
        self.replaced_at[self.newest] = self.now
        self.newest = self.stored()
        first, _ = self.stored_in.get(self.newest, (self.states, 0))
        self.stored_in[self.newest] = (first, self.states)

    def publish(self, event: Event) -> None:
        if event.data != self.stored():
            self.told_late.add(event.data)
        for process in self.processes:
            if process.linked and process.role is Role.FOLLOWER and not process.subscribing:
                process.heard.append(event)

    @property
    def publisher(self) -> Process | None:
        return next((p for p in self.processes if p.role is Role.PUBLISHER), None)

    # One step of a process

    def step(self, process: Process, outcome: str = "well") -> bool:
        """Begin an action, or end the one under way; whether there was something to do."""
        state = process.state
        if process.ended:
            return False
        if process.action is None:
            action = state.next(self.now)
            assert isinstance(state.state, State)
            self.hoppers_look(process)
            if isinstance(action, Wait):
                return False
            process.action = action
            if isinstance(action, Read):
                process.read = self.ranking()
                if action.season is not None:
                    process.read = self.ends[action.season]
            return True
        action, process.action = process.action, None
        if isinstance(action, Read):
            if outcome == "well":
                assert process.read is not None
                if action.season is None:
                    state.read(process.read, self.now)
                else:
                    state.read_end(action.season, process.read)
            else:
                state.read_failed(self.now)
                process.hoppers.clear()  # nobody can tell them
        elif isinstance(action, Send):
            process.sent.append((action.event, action.reset))
            if action.event.id is not None:
                self.seen[action.event.id] = action.event.data
            if action.event.id is None and process.role is not Role.FOLLOWER:
                self.unlogged.append(state.last or EventId(0, 0))
            state.sent(self.now)
        elif isinstance(action, Ask):
            heard = self.publisher is not None and process.linked
            if heard and self.publisher is not None:
                self.publisher.wants += 1
            state.asked(self.now, heard)
        elif isinstance(action, End):
            process.ended = True
        elif not process.linked:
            state.log_failed(self.now)
        elif isinstance(action, Append):
            self.append(process, action, outcome)
        elif outcome == "ill":
            state.log_failed(self.now)
        elif isinstance(action, Locate):
            if self.log.refuses is Refuses.ALL:
                state.refused(self.now)
            else:
                self.locate(state, action)
        elif isinstance(action, Report):
            if self.log.refuses:
                state.refused(self.now)
                return True
            self.log.record_gap(action.after, action.count)
            state.reported()
        return True

    def append(self, process: Process, action: Append, outcome: str) -> None:
        if process is not self.publisher:
            process.state.fenced(self.now)
        elif self.log.refuses:
            self.publish(Event(None, action.data))
            process.state.refused(self.now, action.data)
        elif outcome == "ill":
            process.state.log_failed(self.now)  # it never arrived
        else:
            id = self.log.append(action.data, action.after, action.lost)
            self.publish(Event(id, action.data))
            if outcome == "well":
                process.state.appended(id, action.data)
            else:
                process.state.log_failed(self.now)  # it was carried out, and nobody heard

    def locate(self, state: BoardState, action: Locate) -> None:
        if action.after is not None:
            try:
                state.located(self.log.since(action.after), True)
                return
            except Gap:
                pass
        state.located([self.log.entries[-1].event] if self.log.entries else [], False)

    # What Hypothesis chooses from

    @rule(which=PROCESSES, outcome=st.sampled_from(["well", "well", "well", "ill", "unknown"]))
    def goes_on(self, which: int, outcome: str) -> None:
        self.step(self.processes[which], outcome)

    @rule(which=PROCESSES, steps=st.integers(1, 12))
    def goes_well(self, which: int, steps: int) -> None:
        for _ in range(steps):
            self.step(self.processes[which])

    @rule(rounds=st.integers(1, 30), changes=st.integers(0, 3))
    def all_goes_well(self, rounds: int, changes: int) -> None:
        """Time passes in which nothing fails that works at present."""
        for _ in range(changes):
            self.change(1)
            self.run(rounds)

    @rule(rounds=st.integers(5, 30))
    def all_goes_on(self, rounds: int) -> None:
        self.run(rounds)

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            busy = False
            for which, process in enumerate(self.processes):
                self.feed_arrives(which)
                self.messages_arrive(which, 100)
                if process.state._log.is_away or not self.log.refuses:
                    self.log_may_be_back(which)
                busy = self.step(process) or busy
            if not busy:
                self.time_passes(0.1)

    @rule(by=st.integers(-2, 3).filter(bool))
    def change(self, by: int) -> None:
        self.score += by
        self.version += 1
        self.is_stored()
        for process in self.processes:
            if process.feed is not None:
                player = Player("p", "P", self.score)
                change = PlayerChanged("b", "p", player, self.version, season=self.number)
                process.feed.append(change)

    @rule()
    def season_ends(self) -> None:
        ranking = self.ranking()
        past = ranking.board.of_season(PastSeason(self.number, 0, 1))
        self.ends[self.number] = replace(ranking, board=past)
        self.number += 1
        self.version += 1
        self.is_stored()
        for process in self.processes:
            if process.feed is not None:
                process.feed.append(None)

    @rule(which=PROCESSES)
    def feed_arrives(self, which: int) -> None:
        process = self.processes[which]
        while process.feed:
            change = process.feed.popleft()
            if change is None:
                process.state.resync()
            else:
                process.state.apply(change)

    @rule(which=PROCESSES)
    def feed_is_opened(self, which: int) -> None:
        process = self.processes[which]
        if process.role is not Role.FOLLOWER:
            process.feed = deque()
            process.state.resync()

    @rule(which=PROCESSES, count=st.integers(1, 70))
    def messages_arrive(self, which: int, count: int) -> None:
        process = self.processes[which]
        if process.subscribing and process.linked and process.role is Role.FOLLOWER:
            process.subscribing = False
            process.state.following()
        for _ in range(min(count, len(process.heard))):
            process.told.add(process.heard[0].data)
            process.state.hear(process.heard.popleft())
        while process.wants:
            process.wants -= 1
            process.state.wanted()

    @rule(which=PROCESSES)
    def log_may_be_back(self, which: int) -> None:
        if self.processes[which].linked:
            self.processes[which].state.log_returned()

    @rule(which=PROCESSES)
    def client_hops(self, which: int) -> None:
        """A client comes from the other process, and may have seen something newer there."""
        process, other = self.processes[which], self.processes[1 - which]
        if other.shown is None or shows_end(other.shown.data):
            return
        if (id := other.shown.id) is not None and process.linked:
            is_logged = process.shown is None or process.shown.id is not None
            with suppress(Gap):
                self.log.since(id)
                if is_logged:
                    return  # it is told of everything since, and gets no reset
        self.comes(process, self.stored_in[other.shown.data][0], strictly=True)

    @rule(which=PROCESSES)
    def client_comes(self, which: int) -> None:
        """One that has read the store, or had an answer to what it wrote, but has no event yet."""
        self.comes(self.processes[which], self.states, strictly=False)

    def comes(self, process: Process, saw: int, *, strictly: bool) -> None:
        on_its_way = frozenset(event.data for event in process.heard)
        process.hoppers.append(Hopper(saw, strictly, on_its_way))
        self.hoppers_look(process)

    def hoppers_look(self, process: Process) -> None:
        """Those who wait take what is shown, once it was compared with the store."""
        state, waiting = process.state, process.hoppers
        process.hoppers = []
        for hopper in waiting:
            # The end of a season is no board: see `Topic.is_between`.
            is_shown = process.shown is not None and not shows_end(process.shown.data)
            if not is_shown or not state.ready:
                process.hoppers.append(hopper)
            elif hopper.doubt is None:
                if state.is_confirmed(self.now, strictly=hopper.strictly):
                    self.shows_as_much(process, hopper)
                else:
                    process.hoppers.append(hopper._replace(doubt=state.doubt()))
            elif hopper.doubt > state.answered_doubts:
                process.hoppers.append(hopper)
            else:
                self.shows_as_much(process, hopper)

    def shows_as_much(self, process: Process, hopper: Hopper) -> None:
        assert process.shown is not None
        if process.role is not Role.FOLLOWER and (process.feed is None or process.feed):
            return  # its feed is yet to be opened, or behind
        shown = process.shown.data
        was_stored = shown == self.newest or self.now - self.replaced_at[shown] <= FRESH
        is_fresh = process.role is not Role.FOLLOWER or shown in process.told or was_stored
        if not hopper.strictly and hopper.doubt is None and is_fresh:
            return
        if any(self.stored_in[shown][1] < state <= hopper.saw for state in self.restored_in):
            return  # what was before that may be on its way anywhere
        if shown in hopper.on_its_way or shown in self.told_late:
            return  # network and feed may be slow
        assert self.stored_in[shown][1] >= hopper.saw, f"a client is shown {shown} again"

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.log.clock += int(seconds * 1000)

    @rule(which=PROCESSES)
    def link_breaks(self, which: int) -> None:
        process = self.processes[which]
        process.linked = False
        process.heard.clear()
        process.subscribing = process.role is Role.FOLLOWER

    @rule(which=PROCESSES)
    def link_is_mended(self, which: int) -> None:
        self.processes[which].linked = True

    @rule()
    def log_is_lost(self) -> None:
        self.log.lose()

    @rule(what=st.sampled_from([None, *Refuses]))
    def log_refuses(self, what: Refuses | None) -> None:
        self.log.refuses = what

    @rule()
    def store_is_restored(self) -> None:
        """To something else, and every feed is lost by it."""
        self.score -= 5
        self.version = 0
        self.is_stored()
        self.restored_in.append(self.states)
        for which in (P, Q):
            self.feed_is_opened(which)

    def take(self, process: Process, role: Role) -> None:
        was, process.role = process.role, role
        process.state.take_role(role, self.now)
        process.heard.clear()
        process.wants = 0
        process.subscribing = role is Role.FOLLOWER
        if role is Role.FOLLOWER:
            process.feed = None
        elif was is Role.FOLLOWER:
            process.feed = None  # opened later: see `feed_is_opened`

    @rule(which=PROCESSES)
    def takes_over(self, which: int) -> None:
        process, other = self.processes[which], self.processes[1 - which]
        if not process.linked or process.role is Role.PUBLISHER:
            return
        if other.role is Role.PUBLISHER:
            self.take(other, Role.FOLLOWER if other.linked else Role.ISOLATED)
        self.take(process, Role.PUBLISHER)

    @rule(which=PROCESSES)
    def is_isolated(self, which: int) -> None:
        if not self.processes[which].linked:
            self.take(self.processes[which], Role.ISOLATED)

    @rule(which=PROCESSES, changes=st.integers(0, 3), rounds=st.integers(1, 20))
    def is_isolated_for_a_while(self, which: int, changes: int, rounds: int) -> None:
        """Only this process's link breaks; the other one publishes meanwhile, or takes over."""
        self.link_breaks(which)
        self.is_isolated(which)
        self.takes_over(1 - which)
        self.feed_is_opened(which)
        self.feed_is_opened(1 - which)
        for _ in range(changes):
            self.change(1)
            self.run(rounds)
        self.link_is_mended(which)
        self.returns_as_follower(which)
        self.run(rounds)

    @rule(changes=st.integers(1, 3), rounds=st.integers(2, 20), is_new=st.booleans())
    def clients_come_while_the_publisher_is_cut_off(
        self, changes: int, rounds: int, is_new: bool
    ) -> None:
        """To a process that hears nothing of it; `is_new`: and gets the board live for it."""
        if self.publisher is None:
            return
        which = self.processes.index(self.publisher)
        self.link_breaks(which)
        if is_new:
            self.makes_room_and_is_live_again(1 - which)
        for _ in range(changes):
            self.change(1)
            self.run(rounds)
        self.client_hops(1 - which)
        self.client_comes(1 - which)
        self.run(rounds)

    @rule(which=PROCESSES)
    def returns_as_follower(self, which: int) -> None:
        process = self.processes[which]
        if process.linked and process.role is Role.ISOLATED:
            self.take(process, Role.FOLLOWER)

    @rule()
    def is_deleted_and_made_again(self) -> None:
        """What is under way ends first; then the log is forgotten, and a new life begins."""
        for process in self.processes:
            process.state.deleted()
            while process.action is not None:
                self.step(process)
            sent = len(process.sent)
            while self.step(process):
                pass
            assert process.ended
            assert len(process.sent) == sent, "nothing is sent after the end"
        self.log.lose()
        self.unlogged.clear()
        self.score, self.number = 0, 1
        self.ends.clear()
        self.stored_in.clear()
        self.is_stored()
        for process in self.processes:
            process.begin(self.now)
            process.sent.clear()
            process.heard.clear()
            process.subscribing = process.role is Role.FOLLOWER

    @rule(which=PROCESSES)
    def is_killed(self, which: int) -> None:
        """And started again, as a follower; its lease has run out by then."""
        process = self.processes[which]
        if process.state.unlogged or any(event.id is None for event, _ in process.sent):
            self.unlogged.clear()
        process.role = Role.FOLLOWER
        process.begin(self.now)
        process.sent.clear()
        process.heard.clear()
        process.wants = 0
        process.feed = None
        process.subscribing = True

    @rule(which=PROCESSES)
    def makes_room_and_is_live_again(self, which: int) -> None:
        process = self.processes[which]
        state = process.state
        left = (state.last, state.unlogged) if state.last and state.unlogged else None
        if left is None and state.unlogged:
            return  # nothing is known of the log: see `LiveBoards._drop`
        process.begin(self.now, left)
        process.sent.clear()
        process.heard.clear()
        process.subscribing = process.role is Role.FOLLOWER

    # What is promised

    @invariant()
    def counters_go_up_by_one_or_a_reset_goes_before(self) -> None:
        for process in self.processes:
            for (before, _), (event, reset) in zip(process.sent, process.sent[1:], strict=False):
                if event.id is not None and reset is None:
                    assert before.id is not None
                    assert event.id.n == before.id.n + 1

    @invariant()
    def who_comes_back_gets_everything_or_a_reset(self) -> None:
        """Whatever the log gives out as all that came after an id has every event that any process
        sent since."""
        for id in self.seen:
            try:
                given = {event.id for event in self.log.since(id)}
            except Gap:
                continue
            missing = {other for other in self.seen if id < other} - given
            assert not missing, f"a client that has {id} is not told of {missing}"

    @invariant()
    def what_has_an_id_was_logged_under_it(self) -> None:
        for entry in self.log.entries:
            for process in self.processes:
                for event, _ in process.sent:
                    if event.id == entry.event.id:
                        assert event.data == entry.event.data

    @invariant()
    def between_two_seasons_stands_the_end_of_the_first(self) -> None:
        """In the log, where nothing is missing between two events."""
        events = [entry.event for entry in self.log.entries]
        for before, event in itertools.pairwise(events):
            assert before.id is not None
            assert event.id is not None
            if event.id.n != before.id.n + 1:
                continue
            earlier, later = season_in(before.data), season_in(event.data)
            if shows_end(before.data):
                assert not shows_end(event.data), "a season ends once"
            elif shows_end(event.data):
                end = self.ends[later]
                assert event.data == board_json(end.board, end.players)
                assert earlier == later
            else:
                assert earlier >= later, "a season begins without a word"

    @invariant()
    def who_comes_back_is_told_of_unlogged_events(self) -> None:
        """Where the log proves that nothing is missing, no process sent anything unlogged.

        Only once nobody has still to tell the log of such events, and events have followed.
        """
        if any(process.state.unlogged for process in self.processes) or not self.log.entries:
            return
        for before in self.unlogged:
            if before == (0, 0) or self.log.last is None or self.log.last <= before:
                continue
            try:
                events = self.log.since(before)
            except Gap:
                continue
            assert not events, f"a client that has {before} is told that it missed only {events}"

    def teardown(self) -> None:
        """Once everything works and changes cease, every process shows what the store has.

        Without ids it does so while the log refuses.
        """
        for process in self.processes:
            process.linked = True
            if process.ended:
                return
        if self.publisher is None:
            self.take(self.processes[P], Role.PUBLISHER)
        for which, process in enumerate(self.processes):
            if process.role is Role.ISOLATED:
                self.take(process, Role.FOLLOWER)
            if process.feed is None:  # one that is open has to do
                self.feed_is_opened(which)
        if self.log.refuses:
            self.run(300)
            for process in self.processes:
                assert process.shown is not None
                assert process.shown.data == self.stored()
                assert process.state.ready
                assert not process.state.in_doubt
            self.log.refuses = None
        self.run(300)
        # One that has just lost everything tells nobody of what the other process was sent last.
        head = self.log.entries[-1].event if self.log.entries else None
        for process in self.processes:
            assert process.shown is not None
            assert process.shown.id is not None
            assert process.shown.data == self.stored()
            assert process.shown == head or head is None
            assert process.state.ready
            assert not process.state.in_doubt


BoardsInTwoProcesses.TestCase.settings = settings(
    max_examples=1000,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBoardsInTwoProcesses = BoardsInTwoProcesses.TestCase


def test_a_follower_whose_role_changed_while_it_asked_has_something_to_do() -> None:
    """What it had read before is of no use, and it has shown nothing yet."""
    state = BoardState(Role.FOLLOWER, 0.0, coalesce=0.05, depth=5)
    state.following()
    assert isinstance(state.next(0.0), Locate)
    state.located([], True)
    assert isinstance(state.next(0.0), Read)
    state.read(Ranking(BOARD, [], 1), 0.0)
    assert isinstance(state.next(0.0), Ask)
    state.take_role(Role.ISOLATED, 0.1)
    state.take_role(Role.FOLLOWER, 0.2)
    state.asked(0.3, True)
    state.following()
    assert isinstance(state.next(5.0), Locate)
    state.located([], True)
    action = state.next(6.0)
    if isinstance(action, Wait):
        assert action.seconds is not None
        action = state.next(6.0 + action.seconds)
    assert isinstance(action, Read)
