"""How often something may be done: token buckets, a bounded number of them. No clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

#: Seconds of its rate that a bucket holds: what may be done at once after a while of doing nothing.
BURST = 10.0

#: Buckets that are kept of one kind. Past it, those that have gone unused longest are forgotten,
#: and are full when they are asked again.
MOST_BUCKETS = 50_000


class Rates:
    """A bucket for each who does something, `per_second` of it; 0 for as often as he likes.

    A bucket holds `BURST` seconds' worth, at least 1. One that is not empty lets anything through,
    however much that takes from it: what it lacks then has to come in before the next one.
    """

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._size = max(per_second * BURST, 1.0)
        # What is in each, and when; the one that was asked last stands last.
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def wait(self, who: Hashable, now: float) -> float:
        """How many seconds `who` has to wait until he may go on; 0 for none."""
        if not self._rate:
            return 0.0
        lacking = 1.0 - self._filled(who, now)
        # A sum of many small amounts may fall short of the whole by a rounding.
        return lacking / self._rate if lacking > 1e-9 else 0.0

    def take(self, who: Hashable, now: float, amount: float = 1.0) -> None:
        """Note that `who` has done so much of it."""
        if not self._rate:
            return
        self._buckets[who] = (self._filled(who, now) - amount, now)
        self._buckets.move_to_end(who)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)

    def _filled(self, who: Hashable, now: float) -> float:
        level, then = self._buckets.get(who, (self._size, now))
        return min(level + max(now - then, 0.0) * self._rate, self._size)
