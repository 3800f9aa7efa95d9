"""The multiset of merits against the plain thing: a sorted list."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tornado_board.models import SCORE_LIMIT
from tornado_board.ranking import ranks
from tornado_board.ranking.ranks import Merits, Sorting

#: Some merits often, so that there are ties; others at the limits of what a double tells apart.
merits = st.one_of(
    st.integers(-5, 5),
    st.sampled_from([0.5, -0.5, 2.25, SCORE_LIMIT, SCORE_LIMIT - 1, -SCORE_LIMIT, 1 - SCORE_LIMIT]),
    st.integers(-SCORE_LIMIT, SCORE_LIMIT),
    st.floats(allow_nan=False, allow_infinity=False),
)

STEPS = ["add", "remove", "remove one", "replace"]


@pytest.fixture(scope="module", params=[4, 16, ranks.BLOCK])
def block(request: pytest.FixtureRequest) -> Iterator[int]:
    """Blocks and groups so small that there are many, and those of every day."""
    size: int = request.param
    with pytest.MonkeyPatch.context() as patch:
        if size != ranks.BLOCK:
            patch.setattr(ranks, "BLOCK", size)
            patch.setattr(ranks, "_GROUP", 1)
            patch.setattr(ranks, "SORTED_AT_ONCE", 2 * size)
            patch.setattr(ranks, "_SAMPLE", size // 4)
        yield size


def sorted_merits(values: list[Any]) -> Merits:
    sorting = Sorting()
    for start in range(0, len(values), 7):
        sorting.add(values[start : start + 7])
    found = Merits()
    for step in sorting.steps():
        found.append(step)
    return found


def check(found: Merits, expected: list[Any], probe: Any) -> None:
    assert len(found) == len(expected)
    better = bisect_left(expected, probe)
    assert found.better_than(probe) == better
    next_better = expected[better - 1] if better else None
    assert found.places([probe, probe]) == ([better] * 2, [next_better] * 2)
    equal = bisect_right(expected, probe)
    assert found.better_or_equal(probe) == equal
    for places in (1, 3, len(expected) + 1):
        behind = expected[min(equal - 1 + places, len(expected) - 1)] if expected else None
        assert found.beside(probe, places) == behind
        before = expected[max(better - places, 0)] if expected else None
        assert found.beside(probe, -places) == before
    for rank in (1, better + 1, equal + 1):
        ranked = (m for m in expected if bisect_left(expected, m) + 1 >= rank)
        assert found.at_rank(rank) == next(ranked, None)


@settings(max_examples=150, deadline=None)
@given(
    start=st.lists(merits, max_size=200),
    steps=st.lists(st.tuples(st.sampled_from(STEPS), merits), max_size=80),
    data=st.data(),
)
def test_it_counts_as_a_sorted_list_does(
    block: int, start: list[Any], steps: list[Any], data: st.DataObject
) -> None:
    found, expected = sorted_merits(start), sorted(start)
    assert [found[i] for i in range(len(found))] == expected
    for step, drawn in steps:
        merit = drawn
        if step == "add":
            found.add(merit)
            insort(expected, merit)
        elif step == "replace":
            old = data.draw(st.sampled_from(expected) | merits) if expected else merit
            if found.replace(old, merit):
                expected.remove(old)
                insort(expected, merit)
        else:
            if step == "remove one" and expected:
                merit = data.draw(st.sampled_from(expected))
            assert found.remove(merit) == (merit in expected)
            if merit in expected:
                expected.remove(merit)
        check(found, expected, merit)
    check(found, expected, data.draw(merits))
    assert [found[i] for i in range(len(found))] == expected


@pytest.mark.parametrize("position", [-1, 3])
def test_there_is_no_merit_outside(position: int) -> None:
    with pytest.raises(IndexError, match="3 merits"):
        sorted_merits([1, 2, 3])[position]


@pytest.mark.parametrize("distinct", [1, 2, 50, 2**61 - 1])
def test_many_are_sorted_in_steps_however_many_are_the_same(distinct: int) -> None:
    size = 40 * ranks.SORTED_AT_ONCE
    values = [float(i**3 * 2_654_435_761 % distinct) for i in range(size)]
    sorting = Sorting()
    for start in range(0, size, 1000):
        sorting.add(values[start : start + 1000])
    steps = list(sorting.steps())
    assert [merit for step in steps for merit in step] == sorted(values)
    assert max(map(len, steps)) <= 3 * ranks.SORTED_AT_ONCE


def test_blocks_neither_grow_nor_crumble(block: int) -> None:
    found = Merits()
    size = 20 * block
    for i in range(size):
        found.add(i * 7919 % size)
    assert all(1 <= count <= 2 * block for count in found._counts)
    for i in range(size):
        if i % 20:
            assert found.remove(i)
    assert len(found) == block
    assert len(found._blocks) <= 6
    for i in range(0, size, 20):
        assert found.remove(i)
    assert len(found) == len(found._blocks) == found.better_than(size) == 0
