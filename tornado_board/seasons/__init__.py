"""Seasons of a board: what they are, and where one's players are. Plain data, no I/O, no clock.

Players belong to a season. A store keeps those of one together under its *partition*: the board's
id for the first season, so that the players whom a board already has are in it, and for the others
the season's number before that, ``2:cup``. So a season ends by one write to its board, however many
players there are, and what orders, counts and deletes the players of a board does the same for each
of its seasons. A colon is in no id.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Literal, NotRequired, TypedDict

import msgspec

#: How many seasons that are over a board keeps, unless it says otherwise, and at the most.
KEEP: Final = 12
MOST_KEPT: Final = 366

#: The greatest number that a season has, and the latest time, in ms since 1970.
MOST_NUMBER: Final = 999_999_999
_LATEST: Final = 253_402_300_799_000

_LONGEST: Final = len(str(MOST_NUMBER))


class Season(msgspec.Struct, frozen=True):
    """A season of a board, the present one unless it is `ended`. Times are ms since 1970."""

    number: int
    started: int
    #: When it ends by the calendar; ``None``: when somebody ends it.
    ends: int | None = None
    #: The calendar, see `calendar.next_end`; ``None``: there is none.
    every: str | None = None
    timezone: str = "UTC"
    #: How many seasons that are over stay.
    keep: int = KEEP
    #: When it ended, of one that is over.
    ended: int | None = None

    def is_due(self, now: int) -> bool:
        """Whether its time is over, `now`, ms since 1970."""
        return self.ends is not None and now >= self.ends

    def stored(self) -> dict[str, Any]:
        """It as a store keeps it; `of` reads that."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        del found["ended"]
        return found

    @classmethod
    def of(cls, stored: Any) -> Season | None:
        """What a store has, which anybody may have written; ``None`` if it is no season."""
        try:
            season = msgspec.convert(stored, cls, strict=True)
        except msgspec.ValidationError:
            return None
        times = (season.started, season.ends or 0)
        if not 1 <= season.number <= MOST_NUMBER or not all(0 <= time <= _LATEST for time in times):
            return None
        return season if 1 <= season.keep <= MOST_KEPT and season.ended is None else None


class PastSeason(msgspec.Struct, frozen=True):
    """A season that is over and kept, with the order that its board had then."""

    number: int
    started: int
    ended: int
    order: Literal["desc", "asc"] = "desc"
    ties: Literal["id", "first"] = "id"

    @property
    def season(self) -> Season:
        return Season(self.number, self.started, ended=self.ended)


def past_seasons(stored: Any) -> list[PastSeason]:
    """Those in a list that anybody may have written, by their numbers; what is none is left out."""
    found: dict[int, PastSeason] = {}
    for one in stored if isinstance(stored, list) else ():
        try:
            past = msgspec.convert(one, PastSeason)
        except msgspec.ValidationError:
            continue
        if 1 <= past.number <= MOST_NUMBER and all(
            0 <= time <= _LATEST for time in (past.started, past.ended)
        ):
            found[past.number] = past
    return [found[number] for number in sorted(found)]


def partition_of(board_id: str, number: int = 1) -> str:
    """Where the players of a board's season with this number are."""
    return board_id if number == 1 else f"{number}:{board_id}"


def divided(partition: str) -> tuple[str, int]:
    """The board and the number of the season whose `partition` it is.

    What is no partition comes back as a board's id, which no board has.
    """
    number, colon, board_id = partition.partition(":")
    if not colon:
        return partition, 1
    is_number = 1 <= len(number) <= _LONGEST and number.isascii() and number.isdigit()
    # 1 is that of the plain id, and a number is spelled in one way.
    if not is_number or number[0] == "0" or number == "1":
        return partition, 1
    return board_id, int(number)


def spelled(time: int) -> str:
    """A time, ms since 1970, as the API shows it (RFC 3339): ``2026-11-30T00:00:00Z``."""
    text = datetime.fromtimestamp(time / 1000, UTC).isoformat(
        timespec="milliseconds" if time % 1000 else "seconds"
    )
    return text.replace("+00:00", "Z")


class ShownSeason(TypedDict):
    """A season, as events and boards show it; with its calendar among the settings of a board."""

    number: int
    started: str
    #: Of one that is over.
    ended: NotRequired[str]
    #: Of the present one: ``None`` where it ends by hand.
    ends: NotRequired[str | None]
    every: NotRequired[str | None]
    timezone: NotRequired[str]
    keep: NotRequired[int]


def shown(season: Season) -> ShownSeason:
    """What events and boards show of a season."""
    known: ShownSeason = {"number": season.number, "started": spelled(season.started)}
    if season.ended is not None:
        known["ended"] = spelled(season.ended)
    else:
        known["ends"] = None if season.ends is None else spelled(season.ends)
    return known


def settings(season: Season | None) -> ShownSeason | None:
    """What the settings of a board show of its season."""
    if season is None:
        return None
    return {
        **shown(season),
        "every": season.every,
        "timezone": season.timezone,
        "keep": season.keep,
    }
