"""What the tests of seasons have in common."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

DAY = 24 * 3600 * 1000


class Clock:
    """The time that stores go by, which can be put forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0
        time_ns: Callable[[], int] = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: time_ns() + self.ahead * 1_000_000)
        monkeypatch.setattr(time, "time", lambda: time.time_ns() / 1e9)

    @property
    def now(self) -> int:
        """Milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def forward(self, to: int) -> None:
        """Put it forward to a time, ms since 1970."""
        assert to > self.now
        self.ahead += to - self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
