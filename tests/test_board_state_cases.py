"""Single cases of a board's state machine that chance meets too seldom: see `test_board_state`."""

from __future__ import annotations

from collections.abc import Sequence

from tornado_board.cluster import Role
from tornado_board.models import Board, Player, PlayerChanged, Ranking, board_json
from tornado_board.ranking.actions import Action, Append, Ask, Locate, Read, Send, Wait
from tornado_board.ranking.board_state import BoardState
from tornado_board.ranking.inbox import HEARD
from tornado_board.ranking.log_access import FENCED, LATE
from tornado_board.ranking.outbox import BROKEN, UNLOGGED
from tornado_board.ranking.stored import GATHERED
from tornado_board.replay import Event, EventId


def ranking(score: int) -> Ranking:
    return Ranking(Board("b", "Board"), [Player("p", "P", score)], 1)


def data(score: int) -> str:
    return board_json(ranking(score).board, ranking(score).players)


def event(n: int, score: int | None = None) -> Event:
    """The event with counter `n`, whose score is that unless another is given."""
    return Event(EventId(n, n), data(n if score is None else score))


def does(state: BoardState, now: float, *expected: Action | type[Action]) -> None:
    """Each next action is as expected; those that send have succeeded then."""
    for wanted in expected:
        action = state.next(now)
        assert isinstance(action, wanted) if isinstance(wanted, type) else action == wanted
        if isinstance(action, Send):
            state.sent(now)


def publisher(shown: int) -> BoardState:
    """One that has logged and sent the event with this counter, and has nothing to do."""
    state = BoardState(Role.PUBLISHER, 0.0, coalesce=0.0, depth=5)
    does(state, 0.0, Read)
    state.read(ranking(shown), 0.0)
    does(state, 0.0, Locate(None))
    state.located([event(shown)], False)
    does(state, 0.0, Send(event(shown), None), Wait(None))
    return state


def follower(shown: int) -> BoardState:
    """The same, as one that follows."""
    state = BoardState(Role.FOLLOWER, 0.0, coalesce=0.0, depth=5)
    state.following()
    does(state, 0.0, Locate(None))
    state.located([event(shown)], False)
    does(state, 0.0, Read)
    state.read(ranking(shown), 0.0)
    does(state, 0.0, Send(event(shown), None), Wait(None))
    return state


def locates(state: BoardState, after: int, events: Sequence[Event], whole: bool = True) -> None:
    does(state, 0.0, Locate(EventId(after, after)))
    state.located(events, whole)


def test_a_follower_that_heard_too_much_asks_the_log() -> None:
    state = follower(5)
    for n in range(6, 6 + HEARD + 1):
        state.hear(event(n))
    locates(state, 5, [event(n) for n in range(6, 6 + HEARD + 1)])
    does(state, 0.0, *(Send(event(n), None) for n in range(6, 6 + HEARD + 1)), Wait(None))


def test_what_was_heard_and_located_is_sent_once() -> None:
    state = follower(5)
    state.hear(event(7))
    state.hear(event(8))
    locates(state, 5, [event(6), event(7)])
    does(state, 0.0, *(Send(event(n), None) for n in (6, 7, 8)), Wait(None))


def test_events_that_are_not_all_there_were_come_after_a_reset() -> None:
    """Though the counter goes up by one: the log can't prove it."""
    for state in (follower(5), publisher(5)):
        state.following()
        state.wanted()
        locates(state, 5, [event(6)], whole=False)
        does(state, 0.0, Send(event(6), BROKEN))


def test_who_follows_anew_asks_the_log_and_compares() -> None:
    state = follower(5)
    state.following()
    locates(state, 5, [])
    does(state, 0.0, Read)
    state.hear(event(6))  # so the store was read before that
    state.read(ranking(5), 0.0)
    does(state, 0.0, Send(event(6), None), Wait(None))


def test_an_older_event_that_is_heard_says_that_the_log_went_back() -> None:
    state = follower(5)
    state.hear(event(4))
    locates(state, 5, [event(4)], whole=False)
    does(state, 0.0, Read)
    state.read(ranking(4), 0.0)
    does(state, 0.0, Send(event(4), BROKEN), Wait(None))


def test_of_a_log_that_went_back_nothing_is_sent_on_top_of_what_came_later() -> None:
    state = follower(5)
    state.following()
    locates(state, 5, [event(4)], whole=False)
    does(state, 0.0, Read)
    state.following()
    state.read(ranking(4), 0.0)
    locates(state, 5, [event(6, score=4)], whole=False)
    does(state, 0.0, Send(event(6, score=4), BROKEN), Read)
    state.read(ranking(4), 0.0)
    does(state, 0.0, Wait(None))


def test_a_board_as_it_was_is_logged_anew_after_events_without_ids() -> None:
    state = publisher(5)
    state.log_failed(0.0)
    for score in (6, 5):
        state.resync()
        does(state, 1.0, Read)
        state.read(ranking(score), 0.0)
        does(state, 1.0, Send(Event(None, data(score)), None))
    state.log_returned()
    does(state, 2.0, Locate(None))
    state.located([event(5)], False)
    does(state, 2.0, Append(data(5), EventId(5, 5), 2))
    state.appended(EventId(8, 8), data(5))
    does(state, 2.0, Send(event(8, score=5), UNLOGGED), Wait(None))


def test_who_is_fenced_or_got_no_answer_waits() -> None:
    state = publisher(5)
    state.fenced(1.0)
    does(state, 1.0, Wait(FENCED))
    state = publisher(5)
    state.log_failed(1.0)
    state.log_returned()
    state.resync()
    does(state, 1.0, Read)
    state.read(ranking(5), 0.0)
    does(state, 1.0, Wait(None))
    does(state, 1.0 + LATE, Locate)


def test_a_new_publisher_reads_once_its_feed_is_open() -> None:
    state = follower(5)
    state.take_role(Role.PUBLISHER, 1.0)
    does(state, 1.0, Locate)
    state.located([], True)
    does(state, 1.0, Wait(None))
    state.resync()
    does(state, 1.0, Read)


def test_a_follower_compares_with_the_store_where_the_log_refuses() -> None:
    state = follower(5)
    state.following()
    does(state, 0.0, Locate)
    state.refused(0.0)
    does(state, 0.0, Read)
    state.read(ranking(6), 0.0)
    does(state, 0.0, Send(Event(None, data(6)), None))
    assert isinstance(state.next(0.0), Wait)
    state.log_returned()
    does(state, 9.0, Locate(None))
    state.located([event(5)], False)
    does(state, 9.0, Read)
    state.read(ranking(6), 0.0)
    does(state, 9.0, Ask)


def changed(version: int, score: int) -> PlayerChanged:
    return PlayerChanged("b", "p", Player("p", "P", score), version)


def test_changes_that_come_while_the_store_is_read_are_not_lost() -> None:
    for count, is_read_again in ((1, False), (GATHERED, False), (GATHERED + 1, True)):
        state = publisher(5)
        state.resync()
        does(state, 0.0, Read)
        for number in range(count):
            state.apply(changed(2 + number, 6 + number))
        state.read(ranking(5), 0.0)
        if is_read_again:
            does(state, 0.0, Read)
        else:
            does(state, 0.0, Append(data(5 + count), EventId(5, 5), 0))


def test_a_change_is_shown_without_reading_the_store() -> None:
    state = publisher(5)
    state.apply(changed(2, 6))
    does(state, 0.0, Append(data(6), EventId(5, 5), 0))
    state.appended(EventId(6, 6), data(6))
    does(state, 0.0, Send(event(6), None), Wait(None))


def test_what_is_new_is_offered_to_a_log_that_refused_something_else() -> None:
    state = publisher(5)
    for score in (6, 7):
        state.apply(changed(score, score))
        does(state, 0.0, Append(data(score), EventId(5, 5), score - 6))
        state.refused(0.0, data(score))
        does(state, 0.0, Send(Event(None, data(score)), None))
        assert isinstance(state.next(0.0), Wait)


def test_a_role_that_is_new_takes_nothing_over_from_the_one_before() -> None:
    state = publisher(5)
    state.fenced(1.0)
    state.take_role(Role.PUBLISHER, 1.0)
    does(state, 1.0, Locate)
    state.refused(1.0)
    assert isinstance(state.next(1.0), Wait)
    state.take_role(Role.PUBLISHER, 1.0)
    does(state, 1.0, Locate)
    state.located([], True)
    does(state, 1.0, Wait(None))
    state.fenced(1.0)
    does(state, 1.0 + FENCED, Locate)


def test_a_follower_in_doubt_that_shows_what_the_store_has_says_so_at_once() -> None:
    state = follower(5)
    assert state.is_confirmed(0.0)
    assert not state.is_confirmed(0.0, strictly=True)
    assert not state.is_confirmed(1.0)
    state.doubt()
    does(state, 1.0, Read)
    assert state.in_doubt
    state.read(ranking(5), 1.0)
    assert not state.in_doubt
    does(state, 1.0, Wait(None))
    assert state.is_confirmed(1.0)


def test_a_follower_in_doubt_waits_for_the_publisher_and_shows_the_store_where_there_is_none() -> (
    None
):
    for heard, wait in ((True, Wait(1.0)), (False, None)):
        state = follower(5)
        state.doubt()
        does(state, 1.0, Read)
        state.read(ranking(6), 1.0)
        does(state, 1.0, Ask)
        state.asked(1.0, heard)
        if wait is not None:
            does(state, 1.0, wait)
            assert state.in_doubt
        does(state, 2.0, Send(Event(None, data(6)), None))
        assert not state.in_doubt
        assert isinstance(state.next(2.0), Wait)
        does(state, 20.0, Read)  # until the publisher has given it an id
        state.read(ranking(6), 20.0)
        # What the log has of earlier states does not come after it.
        state.hear(event(6, 5))
        does(state, 2.0, Send(event(6, 5), UNLOGGED))


def test_a_follower_in_doubt_that_the_publisher_answers_shows_what_it_says() -> None:
    state = follower(5)
    state.doubt()
    does(state, 1.0, Read)
    state.read(ranking(6), 1.0)
    does(state, 1.0, Ask)
    state.asked(1.0, True)
    state.hear(event(6))
    does(state, 1.0, Send(event(6), None), Wait(None))
    assert not state.in_doubt


def test_a_publisher_is_in_doubt_while_an_event_is_on_its_way_for_long() -> None:
    state = publisher(5)
    assert state.is_confirmed(1.0, strictly=True)
    state.apply(PlayerChanged("b", "p", Player("p", "P", 6), 2))
    assert not state.is_confirmed(0.0, strictly=True)
    assert state.is_confirmed(0.0), "one was sent just now, so the next has some time"
    does(state, 1.0, Append)
    assert not state.is_confirmed(1.0)
    state.doubt()
    state.log_failed(1.0)
    does(state, 1.0, Send(Event(None, data(6)), None))
    assert not state.in_doubt
    assert state.is_confirmed(1.0, strictly=True)


def test_what_was_read_before_an_event_was_heard_is_not_shown_after_it() -> None:
    state = follower(5)
    state.doubt()
    does(state, 1.0, Read)
    state.read(ranking(6), 1.0)
    does(state, 1.0, Ask)
    state.asked(1.0, True)
    state.hear(Event(None, data(7)))  # the log is full
    does(state, 1.1, Send(Event(None, data(7)), None))
    state.doubt()  # somebody else
    does(state, 2.1, Read)


def test_doubts_end_where_the_store_can_not_be_read() -> None:
    state = follower(5)
    state.doubt()
    does(state, 1.0, Read)
    state.read_failed(1.0)
    assert not state.in_doubt


def test_what_the_log_has_is_not_taken_for_what_the_store_has() -> None:
    """The publisher may be cut off from the log, and have sent more without ids."""
    state = BoardState(Role.FOLLOWER, 0.0, coalesce=0.0, depth=5)
    state.following()
    does(state, 0.0, Locate(None))
    state.located([event(5)], False)
    does(state, 0.0, Read)
    state.read(ranking(6), 0.0)
    does(state, 0.0, Ask)
    state.asked(0.0, False)
    does(state, 0.0, Send(event(5), None))
    assert state.ready
    assert not state.is_confirmed(0.0)
    state.doubt()
    does(state, 0.1, Read)
    state.read(ranking(6), 0.1)
    does(state, 0.1, Ask)
    state.asked(0.1, False)
    does(state, 0.1, Send(Event(None, data(6)), None))
    assert not state.in_doubt
    assert state.is_confirmed(0.1)

    state = follower(5)
    state.following()
    locates(state, 5, [event(6)])
    does(state, 1.0, Send(event(6), None))
    assert not state.is_confirmed(1.0)
    state.hear(event(7))
    does(state, 1.0, Send(event(7), None))
    assert state.is_confirmed(1.0), "the publisher has said so"
    state.show_again(2.0)
    does(state, 2.0, Send(event(7), None))
    assert not state.is_confirmed(2.0)


def test_who_comes_while_the_store_is_read_is_told_of_what_is_read_after_that() -> None:
    state = follower(5)
    first = state.doubt()
    does(state, 1.0, Read)
    second = state.doubt()
    state.read(ranking(5), 1.0)
    assert first <= state.answered_doubts < second
    does(state, 1.0, Read)
    state.read(ranking(6), 1.0)
    does(state, 1.0, Ask)
    third = state.doubt()
    state.asked(1.0, False)
    does(state, 1.0, Send(Event(None, data(6)), None))
    assert second <= state.answered_doubts < third
    does(state, 1.0, Read)
    state.read(ranking(6), 1.0)
    assert not state.in_doubt
