"""The index of ranks in every order of things: one board, its feed, this process's writes and
those of others, and scans meanwhile.

Of each player there is a history of scores. The feed tells of some of them, in order and late, and
leaves out any but the last; answers come late, before or after that; a scan reads each player at
some time. What the index counts is compared with a plain count.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tornado_board.models import Number, Ordering, Player, PlayerChanged
from tornado_board.ranking import rank_index
from tornado_board.ranking.rank_index import DOUBT, RankIndex, State

IDS = [f"p{i}" for i in range(5)]
players = st.sampled_from(IDS)


@dataclass
class Write:
    """A write of this process, which has begun."""

    player: str
    since: int
    before: Number | None = None
    after: Number | None = None
    #: Its place in the player's history.
    at: int = -1


@dataclass
class History:
    """All that one player's score has been."""

    scores: list[Number | None]
    #: What the feed has told last, and this process has answered last to the index there is.
    told: int = 0
    answered: int = -1
    #: Whether the feed has told anything since the scan began, and what the scan saw.
    is_told: bool = False
    scanned: int | None = None
    #: Whether somebody else has written since all was told and answered.
    is_mixed: bool = False
    answers: deque[Write] = field(default_factory=deque)

    @property
    def last(self) -> int:
        return len(self.scores) - 1

    @property
    def is_quiet(self) -> bool:
        return self.told == self.last and not self.answers


class RanksOfABoard(RuleBasedStateMachine):
    """Scores are few, so that they come again."""

    order = Ordering("desc")
    is_few = True

    def __init__(self) -> None:
        super().__init__()
        self.position = 0
        self.fresh = 0
        self.begun: list[Write] = []
        self.histories = {id: History([i % 3 if i < 3 else None]) for i, id in enumerate(IDS)}
        self.build()

    def build(self) -> None:
        self.index = RankIndex(self.order)
        self.unread = list(IDS)
        self.pieces: list[list[str]] = []
        self.read: dict[str, int] = {}
        self.steps: Iterator[None] | None = None
        self.scan_ended: dict[str, int] = {}
        for history in self.histories.values():
            history.answered, history.is_told, history.scanned = -1, False, None
            # What the feed is behind by now may set the player back for a while.
            history.is_mixed = history.is_mixed or history.told < history.last

    def score(self, drawn: int | None) -> Number | None:
        if self.is_few:
            return drawn
        self.fresh += 1
        return (drawn or 0) * 1000 + 10 + self.fresh

    # Writes

    @rule(player=players, is_known=st.booleans())
    def begin(self, player: str, is_known: bool) -> None:
        self.begun.append(Write(player, self.position if is_known else -1))

    @precondition(lambda self: self.begun)
    @rule(which=st.integers(0, 3), drawn=st.one_of(st.none(), st.integers(0, 3)))
    def commit(self, which: int, drawn: int | None) -> None:
        write = self.begun.pop(which % len(self.begun))
        history = self.histories[write.player]
        write.before, write.after = history.scores[-1], self.score(drawn)
        history.scores.append(write.after)
        write.at = history.last
        history.answers.append(write)

    @rule(player=players, drawn=st.integers(0, 3))
    def write_at_once(self, player: str, drawn: int) -> None:
        self.begun.append(Write(player, self.position))
        self.commit(len(self.begun) - 1, drawn)
        while self.histories[player].answers:
            self.answer(player)

    @rule(player=players)
    def answer(self, player: str) -> None:
        history = self.histories[player]
        if history.answers:
            write = history.answers.popleft()
            history.answered = write.at
            self.index.wrote(player, write.before, write.after, write.since)

    @rule(player=players)
    def lose_an_answer(self, player: str) -> None:
        history = self.histories[player]
        if history.answers:
            history.answers.popleft()
            history.is_mixed = True

    @rule(player=players, drawn=st.one_of(st.none(), st.integers(0, 3)))
    def another_writes(self, player: str, drawn: int | None) -> None:
        history = self.histories[player]
        history.scores.append(self.score(drawn))
        history.is_mixed = True

    # The feed

    @rule(player=players, left_out=st.integers(0, 2))
    def tell(self, player: str, left_out: int) -> None:
        history = self.histories[player]
        to = min(history.told + 1 + left_out, history.last)
        if to > history.told:
            before, after = history.scores[history.told], history.scores[to]
            self.position += 1
            there = None if after is None else Player(player, "P", after)
            self.index.apply(PlayerChanged("b", player, there, before=before), self.position)
            history.told, history.is_told = to, True

    @rule()
    def tell_all(self) -> None:
        for player in IDS:
            self.tell(player, 1_000)

    # The build

    @precondition(lambda self: self.unread)
    @rule(count=st.integers(1, 3))
    def read_a_piece(self, count: int) -> None:
        piece, self.unread = self.unread[:count], self.unread[count:]
        self.pieces.append(piece)
        for player in piece:
            history = self.histories[player]
            if history.scores[-1] is not None:
                self.read[player] = history.last
        self.scan_ended = {id: history.last for id, history in self.histories.items()}

    @precondition(lambda self: self.pieces)
    @rule()
    def take_a_piece(self) -> None:
        piece = [player for player in self.pieces.pop(0) if player in self.read]
        scores = [self.histories[player].scores[self.read[player]] for player in piece]
        for player in piece:
            history = self.histories[player]
            if history.scanned is None:
                history.scanned = self.read[player]
        self.index.scanned(piece, [score for score in scores if score is not None])

    @precondition(lambda self: self.steps is None)
    @rule(player=players)
    def meet_again(self, player: str) -> None:
        """A player who changes meanwhile may move to where the scan has still to come."""
        history = self.histories[player]
        is_to_come = player in self.unread or any(player in piece for piece in self.pieces)
        if not is_to_come and self.read.get(player, history.last) < history.last:
            self.unread.append(player)

    @precondition(lambda self: not self.unread and not self.pieces)
    @rule(count=st.integers(1, 9))
    def step(self, count: int) -> None:
        if self.steps is None:
            self.steps = self.index.finish(self.position)
        for _ in range(count):
            next(self.steps, None)

    @precondition(lambda self: self.index.state is State.READY)
    @rule()
    def release(self) -> None:
        """So long after the scan that the feed has told, and writes have been answered."""
        for id, last in self.scan_ended.items():
            history = self.histories[id]
            if history.told < last or any(write.at <= last for write in history.answers):
                return
        self.index.release()

    @rule()
    def resync(self) -> None:
        """The feed begins anew: it tells what comes from now on."""
        for history in self.histories.values():
            history.told = history.last
        self.position += 1
        self.build()

    @rule()
    def build_at_once(self) -> None:
        self.build()
        while self.unread:
            self.read_a_piece(3)
            self.take_a_piece()
        self.step(10_000)

    @precondition(lambda self: self.index.state is State.READY)
    @rule()
    def settle(self) -> None:
        """All is told and answered, and time goes by: then it is the board's own count."""
        self.tell_all()
        for player in IDS:
            while self.histories[player].answers:
                self.answer(player)
        if not self.is_few:
            self.compare(Counter(self.scores_of("last")))
        for _ in range(DOUBT):
            self.index.tick()
        for player, since in self.index.doubtful().items():
            self.index.settle(player, self.histories[player].scores[-1], since)
        self.compare(Counter(self.scores_of("last")))
        for history in self.histories.values():
            history.is_mixed = False

    # What has to hold

    def scores_of(self, what: str) -> list[Number]:
        scores = []
        for history in self.histories.values():
            score = history.scores[getattr(history, what)]
            if score is not None:
                scores.append(score)
        return scores

    def view(self) -> list[Number]:
        """What should count: what was answered, of those who are ahead, or else what was told, or
        else what was scanned."""
        scores = []
        for player, history in self.histories.items():
            if player in self.index._ahead:
                at = history.answered
            elif history.is_told:
                at = history.told
            elif history.scanned is not None:
                at = history.scanned
            else:
                continue
            score = history.scores[at]
            newer = history.scores[max(history.answered, 0) :]
            assert history.is_mixed or score in newer, "what was answered has to be seen at once"
            if score is not None:
                scores.append(score)
        return scores

    def compare(self, expected: Counter[Number]) -> None:
        assert self.index.is_ready
        assert len(self.index) == expected.total()
        ordered = sorted(expected.elements(), key=self.order.merit)
        ranks = {s: 1 + sum(self.order.is_better(o, s) for o in ordered) for s in ordered}
        for score, rank in ranks.items():
            assert self.index.better_than(score) == rank - 1
        for rank in range(1, len(ordered) + 2):
            there = [score for score, other in ranks.items() if other >= rank]
            assert self.index.score_at(rank) == (there[0] if there else None)

    @invariant()
    def it_counts_what_was_told_or_answered(self) -> None:
        for player, history in self.histories.items():
            if history.is_quiet and player not in self.index._ahead:
                history.is_mixed = False
        assert self.index.state is not State.LOST, self.index.why_lost
        if not self.index.is_ready:
            return
        mixed = sum(history.is_mixed for history in self.histories.values())
        if not mixed:
            self.compare(Counter(self.view()))
        else:
            count = sum(score is not None for score in self.view())
            assert abs(len(self.index) - count) <= mixed


class RanksOfABoardWithNewScores(RanksOfABoard):
    """Each write leaves a score that there was not yet, so that what the feed tells is certain."""

    order = Ordering("asc")
    is_few = False


def test_a_write_that_began_before_the_feed_was_opened_is_older_than_what_was_read_since() -> None:
    state = RanksOfABoardWithNewScores()
    state.begin(player="p0", is_known=True)
    state.commit(which=0, drawn=None)
    state.another_writes(player="p0", drawn=None)
    state.resync()
    state.build_at_once()
    state.settle()


@pytest.fixture(autouse=True, scope="module")
def _steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rank_index, "_LATE_AT_ONCE", 2)
        yield


TestRanks = RanksOfABoard.TestCase
TestRanksWithNewScores = RanksOfABoardWithNewScores.TestCase
TestRanks.settings = TestRanksWithNewScores.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
