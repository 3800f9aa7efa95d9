"""A test that waits in vain says what it saw."""

from __future__ import annotations

import pytest

from .waiting import until


@pytest.mark.gen_test
async def test_what_a_wait_in_vain_says() -> None:
    told = ["a"]
    with pytest.raises(AssertionError) as info:
        await until(lambda wanted=2: len(told) == wanted, 0.01)
    said = str(info.value)
    assert "not within 0.01 s" in said
    assert "test_waiting.py, line " in said
    assert "told = ['a']" in said
    assert "wanted = 2" in said


@pytest.mark.gen_test
async def test_a_wait_ends_when_it_is_so() -> None:
    told: list[int] = []

    def more() -> bool:
        told.append(1)
        return len(told) == 3

    assert await until(more) < 60
    assert len(told) == 3
