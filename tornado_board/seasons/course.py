"""How seasons begin and end. Pure: every function is told the time, in ms since 1970."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from tornado_board.seasons import KEEP, MOST_NUMBER, PastSeason, Season
from tornado_board.seasons.calendar import check, next_end, previous_end


class Reset(NamedTuple):
    """What becomes of a board's seasons when the present one ends."""

    season: Season
    #: Those that are over and kept, the newest last.
    past: list[PastSeason]
    #: The numbers of those that are not kept any longer.
    dropped: list[int]


def planned(
    season: Season | None,
    now: int,
    *,
    every: str | None,
    timezone: str = "UTC",
    keep: int = KEEP,
) -> Season:
    """The present season with this calendar; the first one where there is none yet. Where the
    calendar is another one it counts from `now` on.

    Raises `ValueError` if it is no calendar.
    """
    if every is not None:
        check(every, timezone)
    else:
        check("day", timezone)  # the time zone all the same
    if season is None:
        season = Season(1, now)
    elif (season.every, season.timezone) == (every, timezone):
        return replace(season, keep=keep)
    ends = None if every is None else next_end(every, timezone, now)
    return replace(season, ends=ends, every=every, timezone=timezone, keep=keep)


def unplanned(season: Season | None) -> Season | None:
    """The season of a board that shall have none any more: ``None`` while it is the first one, and
    otherwise, since its players are that season's, one that ends only by hand."""
    if season is None or season.number == 1:
        return None
    return replace(season, ends=None, every=None)


def reset(season: Season, past: list[PastSeason], now: int, order: str, ties: str) -> Reset:
    """The present season ends, of a board with this order; `past` are those before.

    One whose time is over has ended then. Where several ends went by, when no server ran, say, it
    is followed at once by the season of `now`, which began at the last of these: seasons in which
    nobody could play are not invented.
    """
    is_due = season.is_due(now)
    ended = max(season.started, season.ends if is_due and season.ends is not None else now)
    started, ends = ended, None
    if season.every is not None:
        try:
            if is_due:
                started = max(ended, previous_end(season.every, season.timezone, now) or ended)
            ends = next_end(season.every, season.timezone, max(now, started))
        except ValueError:
            ends = None  # another program has stored what is no calendar
    over = PastSeason(season.number, season.started, ended)
    if order == "asc":
        over = replace(over, order="asc")
    if ties == "first":
        over = replace(over, ties="first")
    known = [one for one in past if one.number < season.number]
    all_past = [*known, over]
    kept = all_past[-season.keep :]
    following = replace(
        season, number=min(season.number + 1, MOST_NUMBER), started=started, ends=ends
    )
    return Reset(following, kept, [one.number for one in all_past[: -season.keep]])
