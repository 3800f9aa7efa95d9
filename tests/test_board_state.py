"""The board's state machine in every order of things: two processes, one store, one log, no clock.

`World` does what `LiveBoard`, the bus and the log do, one step at a time, and Hypothesis
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

from collections import deque
from contextlib import suppress

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule
from msgspec.structs import replace

from tornado_board.cluster import Role
from tornado_board.models import (
    Player,
    PlayerChanged,
    Ranking,
    shows_end,
)
from tornado_board.ranking.actions import (
    Ask,
    Locate,
    Read,
    Wait,
)
from tornado_board.ranking.board_state import BoardState
from tornado_board.replay import Gap
from tornado_board.seasons import PastSeason

from .board_log import BOARD, PROCESSES, Hopper, P, Process, Q, Refuses
from .board_world import World


class BoardsInTwoProcesses(World):
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
