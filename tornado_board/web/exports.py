"""How many exports there may be at a time: each holds a read of the store for long."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from tornado_board.web.problems import Problem
from tornado_board.web.shares import neighbourhood

#: Exports at a time, in all (no more than the stores have long reads), and of one address.
MOST = 4
MOST_OF_ONE = 2

#: Seconds that one may take. While one lasts SQLite's WAL can't begin anew, and grows.
MOST_SECONDS = 120.0


class Exports:
    """Counts the exports that are under way."""

    def __init__(self) -> None:
        self._by_address: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """How many there are."""
        return self._by_address.total()

    @contextlib.contextmanager
    def turn(self, address: str) -> Iterator[None]:
        """Count one from `address` for as long as the context lasts. Raises `Problem` 429 or 503
        where there are as many as there may be."""
        key = neighbourhood(address)
        if self._by_address[key] >= MOST_OF_ONE:
            raise Problem(
                429,
                f"Exports are under way from this address; the most is {MOST_OF_ONE} at a time.",
            )
        if self.under_way >= MOST:
            raise Problem(503, f"Exports are under way; the most is {MOST} at a time.")
        self._by_address[key] += 1
        try:
            yield
        finally:
            self._by_address[key] -= 1
            if not self._by_address[key]:
                del self._by_address[key]
