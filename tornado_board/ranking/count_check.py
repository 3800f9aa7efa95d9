"""Whether as many players are known of a board as the store counts now and then."""

from __future__ import annotations

#: Ticks (seconds) between two counts, at the least; and how much longer than a count took.
_EVERY, _PAUSE = 60, 200

#: Ticks within which the feed has told what the store counted.
_LAG = 3

#: Counts in a row that have to be others: many players may come and go during one.
_ENOUGH = 2


class CountCheck:
    """Compares the number of players that is known of a board with the store's count.

    The feed tells of players later than the store counts them. So a count is right if so many were
    known at any time from before it to `_LAG` ticks after it.
    """

    __slots__ = ("_count", "_differences", "_due", "_fewest", "_most", "_until")

    def __init__(self, ticks: int) -> None:
        self._due = ticks + _EVERY
        self._until: int | None = None
        self._count = self._fewest = self._most = 0
        self._differences = 0

    def is_due(self, ticks: int) -> bool:
        """Whether the store should count now; then `counted` or `failed` is to follow."""
        return self._until is None and ticks >= self._due

    def failed(self, ticks: int) -> None:
        """The store could not count."""
        self._due = ticks + _EVERY

    def counted(self, count: int, seconds: float, before: int, now: int, ticks: int) -> None:
        """The store counted `count` players, which took so many `seconds`; `before` were known
        before it began, and `now` they are so many."""
        self._due = ticks + max(_EVERY, int(_PAUSE * seconds))
        self._until = ticks + _LAG
        self._count, self._fewest, self._most = count, min(before, now), max(before, now)

    def difference(self, known: int, ticks: int) -> int | None:
        """To be asked each tick, with the number of players that are `known`: the store's count, if
        it is another for good."""
        if self._until is None:
            return None
        self._fewest, self._most = min(self._fewest, known), max(self._most, known)
        if ticks < self._until:
            return None
        self._until = None
        if self._fewest <= self._count <= self._most:
            self._differences = 0
            return None
        self._differences += 1
        self._due = ticks
        return self._count if self._differences >= _ENOUGH else None
