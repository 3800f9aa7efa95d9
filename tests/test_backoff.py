"""The waits before another try."""

from __future__ import annotations

import pytest

from tornado_board.backoff import Backoff


def test_waits_double_up_to_the_longest_and_start_again_after_a_success() -> None:
    backoff = Backoff(1, 6)
    for full in (1, 2, 4, 6, 6):
        assert full / 2 <= backoff.next() <= full
    backoff.reset()
    assert backoff.next() <= 1


def test_waits_differ() -> None:
    assert len({Backoff(1, 2).next() for _ in range(20)}) > 1


@pytest.mark.parametrize(("first", "longest"), [(0, 1), (2, 1), (-1, 1)])
def test_a_wait_that_can_not_grow_is_refused(first: float, longest: float) -> None:
    with pytest.raises(ValueError, match="can't grow"):
        Backoff(first, longest)
