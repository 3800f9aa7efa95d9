"""Room in memory for large bodies: nobody may take so much that there is none for the rest."""

from __future__ import annotations

from collections import Counter

from tornado_board.settings import Settings
from tornado_board.web.problems import Problem

#: Bytes of bodies larger than ``max_body`` that are in memory at a time, in all; more where
#: ``max_bulk_body`` is more than a quarter of it. One address has a quarter.
MOST_BYTES = 64 * 2**20
_PART = 4


class Reservation:
    """What one connection has reserved for the body of its request."""

    __slots__ = ("key", "size")

    def __init__(self, key: str) -> None:
        #: What its address is counted under.
        self.key = key
        self.size = 0


class BodyRoom:
    """Counts the bytes of large bodies, in all and by address."""

    def __init__(self, settings: Settings) -> None:
        self.most = max(MOST_BYTES, _PART * settings.max_bulk_body)
        self.most_of_one = self.most // _PART
        self.taken = 0
        self._by_address: Counter[str] = Counter()

    def reserve(self, reservation: Reservation, size: int) -> None:
        """Have room for a body of `size` bytes in `reservation`, which may have some already.

        Raises `Problem` 429 or 503, with nothing changed, where there is none.
        """
        more = size - reservation.size
        if more <= 0:
            return
        if self._by_address[reservation.key] + more > self.most_of_one:
            raise Problem(
                429,
                "Too many large bodies are on their way from this address; wait for the answers to "
                "the others.",
            )
        if self.taken + more > self.most:
            raise Problem(503, "The server has as many large bodies as it can take; try later.")
        self.taken += more
        self._by_address[reservation.key] += more
        reservation.size = size

    def release(self, reservation: Reservation) -> None:
        """The body of `reservation` is no longer needed."""
        self.taken -= reservation.size
        self._by_address[reservation.key] -= reservation.size
        if self._by_address[reservation.key] <= 0:
            del self._by_address[reservation.key]
        reservation.size = 0
