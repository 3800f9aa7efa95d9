"""When seasons end by the calendar of a place. No clock: every function is told the time.

A season ends at local times: those of a cron expression of five fields, of which ``day``, ``week``
(from Monday on) and ``month`` are names. Where a local time does not exist, since clocks are put
forward over it, the season ends when they have been; where it exists twice, the first time. Times
are milliseconds since 1970.
"""

from __future__ import annotations

import functools
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from cronsim import CronSim, CronSimError

#: The names of common calendars, as cron expressions.
NAMED: Final = {"day": "0 0 * * *", "week": "0 0 * * 1", "month": "0 0 1 * *"}

#: The longest cron expression and the longest name of a time zone, in characters.
LONGEST_CRON, LONGEST_ZONE = 100, 64

#: Fields of a cron expression: minute, hour, day of the month, month, day of the week.
_FIELDS = 5

#: How far clocks were ever put back: Manila in 1844, Kwajalein and Samoa crossed a day.
_MOST_PUT_BACK = timedelta(hours=25)

#: Calendars whose next end is remembered.
_KNOWN = 1_024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_MINUTE = timedelta(minutes=1)

#: Times that a calendar is asked for lie before that.
_LAST = datetime(9000, 1, 1)

#: What the package raises of expressions that are none.
_BAD_CRON = (CronSimError, ValueError, TypeError, AssertionError, OverflowError)


def check(every: str, timezone: str) -> None:
    """Raises `ValueError`, which says what is expected, unless seasons can end by this calendar."""
    zone_of(timezone)
    expression = NAMED.get(every, every)
    rule = "every: must be day, week, month, or a cron expression of five fields"
    if not expression.isascii() or len(expression) > LONGEST_CRON:
        raise ValueError(f"{rule} and at most {LONGEST_CRON} characters of ASCII")
    if len(expression.split()) != _FIELDS:
        raise ValueError(rule)
    try:
        _times(expression, datetime(2000, 1, 1))
    except _BAD_CRON as error:
        reason = str(error)
        detail = f": {reason[0].lower()}{reason[1:]}" if reason else ""
        raise ValueError(f"{rule}{detail}") from None
    if _first(expression, datetime(2000, 1, 1)) is None:
        raise ValueError("every: the cron expression is of a time that never comes")


def zone_of(name: str) -> tzinfo:
    """The time zone of the IANA database with this name. Raises `ValueError`."""
    if 0 < len(name) <= LONGEST_ZONE:
        try:
            return zoneinfo.ZoneInfo(name)
        except (KeyError, OSError, ValueError):  # not found, or no name of a file
            pass
    raise ValueError("timezone: must be a name of the IANA database, like Europe/Berlin or UTC")


@functools.lru_cache(maxsize=_KNOWN)
def next_end(every: str, timezone: str, after: int) -> int | None:
    """The first end of a season after the time `after`; ``None`` if there is none any more.

    Raises `ValueError` as `check`.
    """
    zone = zone_of(timezone)
    local = _local(after, zone)
    try:
        # Local times up to that are not after it, in whatever order clocks had them.
        for time in _times(NAMED.get(every, every), local):
            if time > _LAST:
                return None
            end = _instant(time, zone)
            if end > after:
                return end
    except _BAD_CRON as error:
        raise ValueError(f"every: {error}") from None
    return None


def previous_end(every: str, timezone: str, at: int) -> int | None:
    """The last end of a season that is not after the time `at`; ``None`` if there is none.

    Raises `ValueError` as `check`.
    """
    zone = zone_of(timezone)
    local = _local(at, zone)
    # The second time round, later local times were had before.
    ahead = _MOST_PUT_BACK if local.fold else _MINUTE
    try:
        for time in _times(NAMED.get(every, every), local.replace(fold=0) + ahead, back=True):
            end = _instant(time, zone)
            if end <= at:
                return end
    except _BAD_CRON as error:
        raise ValueError(f"every: {error}") from None
    return None


def _times(expression: str, start: datetime, *, back: bool = False) -> Iterator[datetime]:
    """The local times after `start`, or before it, the nearest first."""
    times: Iterator[datetime] = CronSim(expression, start.replace(fold=0), reverse=back)
    return times


def _first(expression: str, start: datetime) -> datetime | None:
    return next(_times(expression, start), None)


def _local(at: int, zone: tzinfo) -> datetime:
    """What clocks show at the time `at`."""
    return (_EPOCH + at * _MILLISECOND).astimezone(zone).replace(tzinfo=None)


def _instant(local: datetime, zone: tzinfo) -> int:
    """When clocks show `local` for the first time, or where they skip it, what comes after it."""
    early, late = (local.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    before, after = early.utcoffset(), late.utcoffset()
    assert before is not None
    assert after is not None
    utc = (local - before).replace(tzinfo=UTC)
    if after <= before:
        return _milliseconds(utc)
    # Clocks are put forward over it (PEP 495): the change lies between what both offsets give.
    low, high = (local - after).replace(tzinfo=UTC), utc
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return _milliseconds(high.replace(microsecond=0))


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MILLISECOND
