"""What a store answers: plain data."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tornado_board.models import Board, Number, Player
from tornado_board.seasons import PastSeason
from tornado_board.store.errors import NotFound, SeasonGone, StoreError


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """What a submission did, or an addition."""

    #: As it stands after this very submission.
    player: Player
    #: The score before; ``None`` if the player was made.
    previous: Number | None
    #: Whether anything was changed: the score, the name, ``meta``, or whether it is hidden.
    changed: bool
    #: Whether the player was hidden before.
    was_hidden: bool = False


def no_season(board: Board, number: int) -> StoreError:
    """Why there is no season with this number to be read, of a board with its present season."""
    if number < board.number:
        return SeasonGone(f"season {number} of board {board.id!r} is over and no longer kept")
    present = f"its season is {board.number}" if board.season else "it has no seasons"
    return NotFound(f"there is no season {number} of board {board.id!r}; {present}")


class Seasons(msgspec.Struct, frozen=True):
    """A board with its present season, and some of its seasons that are over, by their numbers."""

    board: Board
    past: Sequence[PastSeason]


class Place(msgspec.Struct, frozen=True):
    """Where a player stands, or stood: enough to go on from there, whatever changed since."""

    score: Number
    reached_at: int
    id: str


class Scores(msgspec.Struct, frozen=True):
    """A piece of a board's scores: ids of players and, at the same positions, their scores.

    `version`: as `Ranking.version`; changes that are not newer are in there. 0 where the store has
    no such order.
    """

    ids: Sequence[str]
    scores: Sequence[Number]
    version: int = 0
