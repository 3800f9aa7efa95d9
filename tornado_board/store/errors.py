"""What a store answers instead of a result."""

from __future__ import annotations


class StoreError(Exception):
    """What a store answers instead of a result. `str(error)` is fit to be shown to a client."""


class NotFound(StoreError):
    """There is no such board, or no such player on it."""


class AlreadyExists(StoreError):
    """The id is taken."""


class HasPlayers(StoreError):
    """The board's order can't be changed while it has players; nothing was changed."""


class WrongSeason(StoreError):
    """The board is in another season than the one that was named, or has none; nothing was
    changed."""


class SeasonGone(StoreError):
    """The season is over, and no longer kept."""


class OutOfRange(StoreError):
    """The score would leave ±2^53 or the board's bounds; nothing was changed."""


class Invalid(StoreError):
    """What was there and the change don't go together: a minimum above the maximum, say, or a
    ``meta`` that would be too long. Nothing was changed."""


class KeyReused(StoreError):
    """The idempotency key was used for another request; nothing was changed."""


class StoreUnavailable(StoreError):
    """The store can't be reached or is overloaded; nothing was changed. Trying again may help."""


class OutcomeUnknown(StoreError):
    """The store was lost while it carried out a write, which may have been applied or not."""
