"""When a request is sent again. No I/O, no clock but the caller's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from tornado_board.backoff import Backoff

#: Answers after which the same request may succeed.
_PASSING = frozenset({408, 429, 502, 503, 504})
#: The longest ``Retry-After`` that is believed, in seconds.
_MOST_PATIENCE = 3600.0


@dataclass(frozen=True)
class Policy:
    """How often a request is sent again, and for how long. Times are in seconds.

    A request is sent at most `retries` times more. Pauses double from `first` to `longest`, are
    drawn between half and all of that, and are no shorter than the server's ``Retry-After``. One
    that would end later than `within` after the first request is not begun.
    """

    retries: int = 5
    first: float = 0.5
    longest: float = 15.0
    within: float = 60.0


class Retries:
    """The tries of one request that began at `now`, by any clock in seconds."""

    def __init__(self, policy: Policy, now: float) -> None:
        self._policy = policy
        self._backoff = Backoff(policy.first, policy.longest)
        self._deadline = now + policy.within
        self._tried = 0

    def pause(self, now: float, status: int | None, retry_after: float = 0) -> float | None:
        """Seconds until it is sent again after the answer `status`, None for no answer at all.

        The result is None where it is not to be sent again.
        """
        self._tried += 1
        # After the first try 409 means that this one is still under way.
        passes = status is None or status in _PASSING or (status == 409 and self._tried > 1)
        pause = max(self._backoff.next(), retry_after)
        if not passes or self._tried > self._policy.retries or now + pause > self._deadline:
            return None
        return pause


def retry_after(value: str | None) -> float:
    """The seconds that a ``Retry-After`` header says; 0 for none, and for a date."""
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 9:
        return 0
    return min(float(value), _MOST_PATIENCE)


def new_key() -> str:
    """An ``Idempotency-Key`` that nobody has used before: 128 random bits."""
    return secrets.token_hex(16)
