"""What goes to a server and comes from it, as data. Fields that it may add are passed over."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

Operator = Literal["best", "set", "add"]
Score = int | float


class Player(msgspec.Struct, frozen=True):
    """A player; `rank`, `meta` and `previous_rank` where the answer has them."""

    id: str
    name: str
    score: Score
    rank: int | None = None
    meta: dict[str, Any] | None = None
    previous_rank: int | None = None


class Season(msgspec.Struct, frozen=True):
    """A season: when it `ends` by the calendar, if it does, or when it has `ended`."""

    number: int
    started: datetime
    ends: datetime | None = None
    ended: datetime | None = None


class ListedSeason(Season, frozen=True, kw_only=True):
    """A season with its best players, and how many it has, where that is known at once."""

    top: tuple[Player, ...]
    players: int | None


class Board(msgspec.Struct, frozen=True):
    """A board with its best players, best first; `count`, where asked for, is how many it has;
    `season` where it has seasons."""

    id: str
    name: str
    players: tuple[Player, ...]
    count: int | None = None
    season: Season | None = None


class Then(msgspec.Struct, frozen=True):
    """Of which time previous ranks are, and of how many seconds before it they may be; or the final
    ones of which season."""

    time: datetime
    resolution: int
    season: int | None = None


class Page(msgspec.Struct, frozen=True):
    """A page of the ranking.

    `count` is how many players the board has, `missing` has those ids that were asked for and are
    not there. `since` is of when the previous ranks are, None where none are known. `next` and
    `prev` are the addresses of the pages behind and before it.
    """

    count: int
    players: tuple[Player, ...]
    missing: tuple[str, ...] = ()
    since: Then | None = None
    next: str | None = None
    prev: str | None = None


class Previous(msgspec.Struct, frozen=True):
    """The score before, and the rank that it had, where that is known."""

    score: Score
    rank: int | None = None


class Submitted(msgspec.Struct, frozen=True):
    """What a submission did. `previous` is None for a player that it made."""

    id: str
    name: str
    score: Score
    changed: bool
    rank: int | None = None
    of: int | None = None
    previous: Previous | None = None


class Submission(msgspec.Struct, frozen=True, omit_defaults=True):
    """One of many: the player's `id`, and what `submit` takes."""

    id: str
    score: Score
    operator: Operator | None = None
    name: str | None = None
    meta: dict[str, Any] | None = None
    season: int | None = None


class Result(msgspec.Struct, frozen=True):
    """What became of one of many: the `status` that it would have been answered alone, and for an
    error its `detail`; else what `Submitted` has."""

    status: int
    detail: str | None = None
    id: str | None = None
    name: str | None = None
    score: Score | None = None
    changed: bool = False
    rank: int | None = None
    of: int | None = None
    previous: Previous | None = None

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return self.status < 400


class Place(msgspec.Struct, frozen=True):
    """Where a player stands among `of`; `to_next` is what is missing to the next better score, None
    for the first. In a season in which the player has no score yet it and the rank are None."""

    id: str
    name: str
    score: Score | None
    rank: int | None
    of: int
    to_next: Score | None = None


class Update(msgspec.Struct, frozen=True):
    """The board as it stands after the event `id`, empty while the server can't give one."""

    id: str
    board: Board


class SeasonEnd(msgspec.Struct, frozen=True):
    """A season is over: the final `board` of it; that of the next one follows. `id` as of
    `Update`."""

    id: str
    board: Board


class Reset(msgspec.Struct, frozen=True):
    """Events were missed for good, since `reason`; the board as it is follows."""

    reason: str
