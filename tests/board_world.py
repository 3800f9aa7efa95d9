"""A board in two processes with one log, step by step, and what is promised of it."""

from __future__ import annotations

import itertools

from hypothesis.stateful import RuleBasedStateMachine, invariant
from msgspec.structs import replace

from tornado_board.cluster import Role
from tornado_board.models import (
    Player,
    Ranking,
    board_json,
    season_in,
    shows_end,
)
from tornado_board.ranking.actions import (
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
from tornado_board.replay import Event, EventId, Gap
from tornado_board.seasons import Season

from .board_log import BOARD, Hopper, Log, Process, Refuses


class World(RuleBasedStateMachine):
    """What a step does, whatever chooses the steps."""

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

    # Clients that change over

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
