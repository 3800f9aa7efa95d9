"""TopK against the plain thing: a sorted list of all the players."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tornado_board.models import ORDERING, Board, Ordering, Player, PlayerChanged, Ranking
from tornado_board.ranking.top import TopK

BOARD = Board("b", "Board")
IDS = [f"p{i:02}" for i in range(30)]


def read(
    players: dict[str, Player], depth: int, version: int = 0, ordering: Ordering = ORDERING
) -> Ranking:
    board = Board("b", "Board", order=ordering.order, ties=ordering.ties)
    return Ranking(board, best(players, depth, ordering), version)


def best(players: dict[str, Player], shown: int, ordering: Ordering = ORDERING) -> list[Player]:
    return sorted(players.values(), key=ordering.key)[:shown]


changes = st.lists(
    st.tuples(
        st.sampled_from(IDS),
        st.one_of(st.none(), st.integers(-3, 12), st.sampled_from([0.5, 2.5, -1.25])),
        st.sampled_from(["A", "B"]),
    ),
    max_size=120,
)


@settings(max_examples=400, deadline=None)
@given(
    start=st.dictionaries(st.sampled_from(IDS), st.integers(-3, 12)),
    depth=st.integers(2, 35),
    shown=st.integers(1, 5),
    changes=changes,
    ordering=st.builds(
        Ordering, st.sampled_from(["desc", "asc"]), st.sampled_from(["id", "first"])
    ),
)
def test_any_sequence_of_changes_shows_what_a_sorted_list_shows(
    start: dict[str, int], depth: int, shown: int, changes: list[Any], ordering: Ordering
) -> None:
    shown = min(shown, depth)
    players = {id: Player(id, "A", score) for id, score in start.items()}
    standings = TopK(read(players, depth, 0, ordering), depth, shown)
    before = best(players, shown, ordering)
    reads = 0
    for now, (id, score, name) in enumerate(changes):
        player = None if score is None else Player(id, name, score, ordering.reached_at(now // 2))
        if player is None:
            players.pop(id, None)
        else:
            players[id] = player
        touched = standings.apply(PlayerChanged("b", id, player))
        if standings.is_short:
            standings = TopK(read(players, depth, 0, ordering), depth, shown)
            reads += 1
            assert not standings.is_short
        after = best(players, shown, ordering)
        assert list(standings.top()) == after
        assert touched or after == before, "a change that shows must be told"
        before = after
    if depth >= len(IDS) + 1:
        assert reads == 0, "a board that fits is read once"


@given(changes=changes, seen=st.integers(0, 120))
def test_changes_that_the_read_has_seen_are_passed_over(changes: list[Any], seen: int) -> None:
    """A read that overtook the feed is not set back by what the feed still brings."""
    players: dict[str, Player] = {}
    feed = []
    ranking = read(players, 10)
    for version, (id, score, name) in enumerate(changes, 1):
        player = None if score is None else Player(id, name, score)
        players.pop(id, None)
        if player is not None:
            players[id] = player
        feed.append(PlayerChanged("b", id, player, version))
        if version == seen:
            ranking = read(players, 10, version)
    standings = TopK(ranking, 10, 5)
    at_read = list(standings.top())
    for change in feed[: ranking.version]:
        assert standings.apply(change) is False
        assert list(standings.top()) == at_read
    stale = False
    for change in feed[ranking.version :]:
        standings.apply(change)
        stale = stale or standings.is_short
    if not stale:
        assert list(standings.top()) == best(players, 5)


def test_it_holds_no_more_than_its_depth() -> None:
    standings = TopK(Ranking(BOARD, []), 10, 5)
    for i in range(1000):
        standings.apply(PlayerChanged("b", f"p{i}", Player(f"p{i}", "P", i)))
    assert [p.score for p in standings.top()] == [999, 998, 997, 996, 995]
    assert len(standings._players) == len(standings._keys) == 10


def test_a_change_below_the_floor_is_not_told() -> None:
    players = {id: Player(id, "P", 100) for id in IDS}
    standings = TopK(read(players, 10), 10, 5)
    assert standings.apply(PlayerChanged("b", "late", Player("late", "P", 1))) is False
    assert standings.apply(PlayerChanged("b", "p09", Player("p09", "P", 99))) is False
    assert standings.apply(PlayerChanged("b", "p03", Player("p03", "New", 100))) is True


@pytest.mark.parametrize(("depth", "shown"), [(5, 6), (5, 0), (0, 0)])
def test_it_cannot_show_more_than_it_holds(depth: int, shown: int) -> None:
    with pytest.raises(ValueError, match="shown"):
        TopK(Ranking(BOARD, []), depth, shown)
