"""Each check of the fault harness names a record that breaks its rule, and no other."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tornado_board.replay import EventId

from .faults.checks import clean_output, found, judge, settled, well_formed
from .faults.event_checks import counters, explained_gaps, growing, one_event_an_id, scores_made
from .faults.record import (
    ClientLog,
    Closed,
    Entry,
    Final,
    Malformed,
    Opened,
    Outcome,
    Post,
    Record,
    Reset,
    Restored,
    Update,
)
from .faults.rules import Rules, Violation
from .faults.score_checks import answers, final_scores, has_sum

P = ("b", "p")


def answered(began: float, ended: float, score: int, amount: int = 1) -> Post:
    return Post("b", "p", amount, 0, began, ended, Outcome.ANSWERED, score)


def unknown(began: float, amount: int = 1) -> Post:
    return Post("b", "p", amount, 0, began)


def update(n: int | None, score: int = 0, at: float = 100, ms: int = 0) -> Update:
    return Update(at, 0, None if n is None else EventId(ms, n), {"p": score})


def opened(since: str = "", server: int = 0) -> Opened:
    return Opened(0, server, "stream", since)


RESET = Reset(0, 0, "why")


def record(*posts: Post, score: int | None = None, clients: Iterable[list[Entry]] = ()) -> Record:
    """A run with one board and one player, whose score is 0 at first and `score` at the end."""
    logs = [ClientLog(f"client {i}", "b", entries=list(e)) for i, e in enumerate(clients)]
    rows = {} if score is None else {P: score}
    shown: dict[str, dict[str, int] | None] = {}
    return Record(initial={P: 0}, posts=list(posts), clients=logs, final=Final(0, rows, {}, shown))


def texts(violations: Iterable[Violation]) -> str:
    return "; ".join(v.text for v in violations)


# The final score


@pytest.mark.parametrize(
    ("score", "right"), [(4, False), (5, True), (6, False), (7, True), (8, True), (10, True)]
)
def test_the_final_score_is_the_answered_sum_and_some_of_the_unknown(
    score: int, right: bool
) -> None:
    run = record(answered(0, 1, 5, 5), unknown(0, 2), unknown(0, 3), score=score)
    assert bool(texts(final_scores(run))) is not right


def test_what_was_refused_does_not_count() -> None:
    refused = Post("b", "p", 1, 0, 0, 1, Outcome.REFUSED)
    assert not texts(final_scores(record(refused, score=0)))
    assert "1 is not 0 answered" in texts(final_scores(record(refused, score=1)))


def test_a_player_may_not_be_gone() -> None:
    assert texts(final_scores(record())) == "the player is gone"


def test_after_a_restore_what_was_answered_later_counts() -> None:
    """Until the server has seen the restore an answer may be lost with the old file."""
    run = record(answered(0, 1, 1), answered(5, 6, 1), answered(9, 10, 1), score=1)
    run.restored = [Restored(at=4, settled=8, scores={P: 0})]
    assert not texts(final_scores(run))
    run.final = Final(0, {P: 3}, {}, {})
    assert "3 is not 1 answered and some of 1 unknown" in texts(final_scores(run))


def test_what_is_sent_around_a_restore_goes_to_the_old_store_or_the_new_one() -> None:
    posts = [answered(0, 1, 1), answered(5, 6, 2), answered(9, 10, 1)]
    run = record(*posts, clients=[[update(1, 2, at=7)], [update(2, 1, at=11)]])
    run.restored = [Restored(at=4, settled=8, scores={P: 0})]
    assert not list(answers(run))
    assert not list(scores_made(run))
    run.clients[0].entries = [update(1, 3, at=7)]
    assert list(scores_made(run))
    run.restored = [Restored(at=4, settled=5, scores={P: 0})]
    assert list(answers(run))


@pytest.mark.parametrize("amounts", [[1, 1, 1], [2, 5, 900]])
def test_sums(amounts: list[int]) -> None:
    every = {0}
    for amount in amounts:
        every |= {s + amount for s in every}
    assert {total for total in range(-1, 1_000) if has_sum(amounts, total)} == every


# Answers


@pytest.mark.parametrize(
    ("posts", "wrong"),
    [
        ([answered(0, 1, 1), answered(2, 3, 2)], ""),
        ([answered(0, 3, 2), answered(1, 2, 1)], ""),
        # Two additions at one place of the order: one of them was lost.
        ([answered(0, 1, 1), answered(0, 1, 1)], "1 after adding 1 to 1"),
        # Something was added that nobody sent.
        ([answered(0, 1, 2)], "nobody can have added the 1 between 0 and 2"),
        # The answered one came first, and says that it was the second.
        ([answered(0, 1, 2), answered(2, 3, 1)], "1 after 2 was answered"),
        ([answered(0, 1, 2), unknown(0)], ""),
        # Sent only after the answer that it would explain.
        ([answered(0, 1, 2), unknown(2)], "nobody can have added the 1"),
        # One unknown addition can't explain two gaps.
        ([answered(0, 1, 2), answered(2, 3, 4), unknown(0)], "nobody can have added the 1"),
        ([answered(0, 1, 2), answered(2, 3, 4), unknown(0), unknown(0)], ""),
        ([answered(0, 1, 7, 7), answered(2, 3, 10, 3)], ""),
        ([answered(0, 1, 7, 7), answered(2, 3, 9, 3)], "9 after adding 3 to 7"),
        ([answered(0, 1, 7, 7), answered(2, 3, 15, 3), unknown(0, 5)], ""),
        ([answered(0, 1, 7, 7), answered(2, 3, 15, 3), unknown(0, 4)], "added the 5 between"),
    ],
)
def test_answers_are_those_of_some_order(posts: list[Post], wrong: str) -> None:
    text = texts(answers(record(*posts)))
    assert wrong in text
    assert bool(text) is bool(wrong)


# Counters


@pytest.mark.parametrize(
    ("entries", "wrong"),
    [
        ([opened(), update(1), update(2), opened("0-2"), update(3)], ""),
        ([opened(), update(1), update(3)], "a gap without a reset"),
        ([opened(), update(1), opened("0-1"), update(3)], "a gap without a reset"),
        ([opened(), update(1), RESET, update(3)], ""),
        # It was told, and cut off before the board came: it has to be told again.
        ([opened(), update(1), RESET, opened("0-1"), update(3)], "a gap without a reset"),
        ([opened(), update(2), update(2)], "again without a reset"),
        ([opened(), update(2), update(1)], "back without a reset"),
        ([opened(), update(2), RESET, update(2)], ""),
        ([opened(), update(2), RESET, update(1)], "was given out before"),
        ([opened(), update(2, ms=1), RESET, update(2, ms=2)], "was given out before"),
        # Events without an id that leave as many counters out as they are.
        ([opened(), update(1), update(None), update(3)], ""),
        ([opened(), update(1), update(None), update(4)], "a gap without a reset"),
        # Its position was taken from it: it asks for nothing, and is told nothing.
        ([opened(), update(1), update(None), opened(""), update(9)], ""),
        ([opened(), update(1), update(None), opened("0-1"), update(9)], "a gap"),
        ([opened(), update(1), opened("0-0"), RESET, update(9)], ""),
    ],
)
def test_counters_go_up_by_one(entries: list[Entry], wrong: str) -> None:
    text = texts(counters(record(clients=[entries])))
    assert wrong in text
    assert bool(text) is bool(wrong)


def test_a_slow_client_may_miss_events_and_nothing_else() -> None:
    run = record(clients=[[opened(), update(1), update(5)], [opened(), update(5), update(1)]])
    for client in run.clients:
        client.slow = True
    assert [v.who for v in counters(run)] == ["client 1"]


def test_counters_may_come_again_where_the_log_itself_forgot_them() -> None:
    run = record(clients=[[opened(), update(2), RESET, update(1)]])
    assert not list(counters(run, Rules(counters_reused=True)))
    run = record(clients=[[opened(), update(2), update(1)]])
    assert list(counters(run, Rules(counters_reused=True)))


def test_gaps_that_a_reset_explains_are_counted() -> None:
    gap: list[Entry] = [opened(), update(1), RESET, update(3)]
    assert explained_gaps(record(clients=[gap, gap, [opened(), update(1), update(2)]])) == 2


# Other rules of events


def test_an_id_stands_for_one_event() -> None:
    same = record(clients=[[update(1, 5)], [update(1, 5)], [update(2, 6)], [update(1, 7, ms=1)]])
    assert not list(one_event_an_id(same))
    other = record(clients=[[update(1, 5)], [update(1, 6)]])
    assert [v.who for v in one_event_an_id(other)] == ["client 1"]


@pytest.mark.parametrize("between", [[], [RESET], [Closed(0, 0, "hops"), opened(server=1)]])
def test_scores_that_grow_never_go_back(between: list[Entry]) -> None:
    assert not list(growing(record(clients=[[update(1, 5), *between, update(2, 5)]])))
    back = record(clients=[[update(1, 5), *between, update(2, 4)]])
    assert texts(growing(back)) == "p of b went back from 5 to 4"


def test_another_server_may_be_behind_by_as_long_as_the_machine_is_busy() -> None:
    def goes_back(server: int, after: float, took: float) -> bool:
        seen: list[Entry] = [
            update(1, 5, at=10),
            Update(10 + after, server, EventId(0, 2), {"p": 4}),
        ]
        return bool(list(growing(record(answered(9.9, 9.9 + took, 5), clients=[seen]))))

    assert goes_back(0, 0.01, took=0.01)  # the same server
    assert goes_back(1, 0.2, took=0.01)
    assert not goes_back(1, 0.05, took=0.01)
    assert not goes_back(1, 0.2, took=0.1)
    assert goes_back(1, 0.3, took=0.1)
    assert goes_back(1, 0.6, took=5)


def test_what_was_not_answered_may_be_lost_where_the_store_tells_of_it_too_early() -> None:
    """An answered addition may not, nor what stands before it."""
    seen: list[Entry] = [update(1, 5, at=2), update(2, 4, at=3)]
    lost = record(answered(0, 1, 4, 4), unknown(0), score=4, clients=[seen])
    assert list(growing(lost))
    assert list(scores_made(lost))
    rules = Rules(unanswered_lost=True)
    assert not list(growing(lost, rules))
    assert not list(scores_made(lost, rules))
    # The same score was made again, by an addition that was sent later.
    again = record(answered(0, 1, 4, 4), unknown(0), answered(4, 5, 5), clients=[seen])
    assert not list(growing(again, rules))
    # It was lost, and what came next was added to the score without it.
    base = [answered(0, 1, 4, 4), unknown(0, 7), answered(4, 5, 9, 5)]
    added = record(*base, clients=[[update(1, 11, at=2)]])
    assert list(scores_made(added))
    assert not list(scores_made(added, rules))
    answered_one = record(answered(0, 1, 4, 4), answered(0, 1, 5), clients=[seen])
    assert list(growing(answered_one, rules))
    assert list(scores_made(record(unknown(0), clients=[[update(1, 2)]]), rules))


def test_a_player_does_not_vanish_from_a_board() -> None:
    empty = Update(1, 0, EventId(0, 2), {})
    assert texts(growing(record(clients=[[update(1, 5), empty]]))).endswith("from 5 to None")


def test_scores_may_go_back_when_the_store_was_restored() -> None:
    run = record(clients=[[update(1, 5, at=1), update(2, 3, at=6)]])
    assert list(growing(run))
    run.restored = [Restored(at=3, settled=4, scores={P: 3})]
    assert not list(growing(run))
    run.restored = [Restored(at=7, settled=8, scores={P: 3})]
    assert list(growing(run))
    run = record(clients=[[update(1, 5, at=8), update(2, 3, at=9)]])
    run.restored = [Restored(at=3, settled=4, scores={P: 3})]
    assert list(growing(run))
    run.clients[0].slow = True
    assert not list(growing(run))


@pytest.mark.parametrize(
    ("posts", "score", "at", "right"),
    [
        ([answered(1, 2, 5, 5)], 5, 1.5, True),
        ([answered(1, 2, 5, 5)], 5, 0.5, False),  # before it was sent
        ([answered(1, 2, 5, 5)], 3, 2, False),
        ([answered(1, 2, 5, 5)], 0, 2, True),
        ([answered(1, 2, 5, 5), unknown(1, 2)], 7, 2, True),
        ([answered(1, 2, 5, 5), unknown(1, 2)], 2, 2, True),
        ([answered(1, 2, 5, 5), unknown(1, 2)], 6, 2, False),
        ([answered(1, 2, 5, 5), unknown(3, 2)], 7, 2, False),
        ([answered(1, 2, 8, 5), unknown(1, 3)], 3, 2, True),  # what the answered one added to
        ([], -1, 2, False),
    ],
)
def test_events_show_scores_that_additions_made(
    posts: list[Post], score: int, at: float, right: bool
) -> None:
    run = record(*posts, score=100, clients=[[update(1, score, at)]])
    assert texts(scores_made(run)).endswith("no addition made") is not right


def test_no_event_shows_more_than_there_is_in_the_end() -> None:
    run = record(unknown(0), score=0, clients=[[update(1, 1)]])
    assert texts(scores_made(run)) == "1 of b/p is more than there ever was"


# The end


def test_everybody_shows_what_the_store_has_after_a_quiet_spell() -> None:
    run = record(score=3, clients=[[update(1, 3)], [update(1, 2)]])
    assert run.final is not None
    run.final.shown = {"client 0": {"p": 3}, "client 1": {"p": 2}}
    run.final.answers = {0: {"b": {"p": 3}}, 1: {"b": {"p": 1}}, 2: {"b": "503 not ready"}}
    who = [v.who for v in settled(run)]
    assert who == ["GET of server 1", "GET of server 2", "client 1"]


def test_what_the_protocol_does_not_have_is_wrong() -> None:
    run = record(clients=[[opened(), Malformed(0, 0, "line 'x'")]])
    assert texts(well_formed(run)) == "line 'x'"


def test_tracebacks_are_wrong() -> None:
    run = record()
    trace = "a\nTraceback (most recent call last):\n  File\nValueError: no\nb\n"
    run.output = {"server 0": "all is well\n", "server 1": trace}
    (violation,) = clean_output(run)
    assert (violation.who, violation.text) == ("server 1", "ValueError: no")


def test_what_a_scenario_finds_is_wrong() -> None:
    run = record(score=0)
    assert judge(run) == []
    run.found = ["a ghost"]
    assert texts(found(run)) == "a ghost"
    assert [v.check for v in judge(run)] == ["scenario"]


def test_the_first_violation_comes_first_with_what_shows_it() -> None:
    run = record(
        score=0, clients=[[update(1, at=2), update(5, at=3)], [update(1), update(3, at=1)]]
    )
    run.marks = [(2.5, "Redis is slow")]
    violations = judge(run)
    assert [(v.who, v.at) for v in violations] == [("client 1", 1), ("client 0", 3)]
    assert violations[1].excerpt == [
        "   2.000 server 0 update 0-1 p=0",
        "   2.500 -- Redis is slow",
        "   3.000 server 0 update 0-5 p=0",
    ]
