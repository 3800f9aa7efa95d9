"""How long to wait before something that failed is tried again."""

from __future__ import annotations

import random

#: Each wait is drawn from this part of its full length up to the whole, so that many that failed
#: together do not all come back together.
_LEAST_PART = 0.5


class Backoff:
    """Waits that double from `first` to `longest` seconds, each with a random part taken off.

    One object belongs to one thing that is tried: `next` after each failure, `reset` after a
    success. Raises `ValueError` unless 0 < `first` <= `longest`.
    """

    __slots__ = ("_first", "_longest", "_wait")

    def __init__(self, first: float, longest: float) -> None:
        if not 0 < first <= longest:
            raise ValueError(f"a wait can't grow from {first} s to {longest} s")
        self._first = self._wait = first
        self._longest = longest

    def next(self) -> float:
        """How many seconds to wait now; the next wait is twice as long."""
        wait, self._wait = self._wait, min(self._wait * 2, self._longest)
        return wait * random.uniform(_LEAST_PART, 1)

    def reset(self) -> None:
        """Something succeeded: the next wait is the shortest again."""
        self._wait = self._first
