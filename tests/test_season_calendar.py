"""When seasons end, against a clock that is read every quarter of an hour for ten years."""

from __future__ import annotations

import bisect
import functools
import itertools
import zoneinfo
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.seasons import calendar

FIRST, YEARS = date(2020, 1, 1), 10
ZONES = ("Europe/Berlin", "America/New_York")


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def days() -> Iterator[date]:
    day = FIRST
    while day.year < FIRST.year + YEARS:
        yield day
        day += timedelta(days=1)


def at(hour: int, minute: int, holds: Callable[[date], bool] = lambda _: True) -> list[datetime]:
    """These local times of those days that `holds` says."""
    return [datetime(d.year, d.month, d.day, hour, minute) for d in days() if holds(d)]


#: Calendars, and at which local times they end a season.
ENDS: dict[str, list[datetime]] = {
    "day": at(0, 0),
    "week": at(0, 0, lambda day: day.isoweekday() == 1),
    "month": at(0, 0, lambda day: day.day == 1),
    # In the hour that is left out in spring and comes twice in autumn, in both zones.
    "30 2 * * *": at(2, 30),
    "30 1 * * sun": at(1, 30, lambda day: day.isoweekday() == 7),
    "0 18 * * 5": at(18, 0, lambda day: day.isoweekday() == 5),
    "15 6 31 * *": at(6, 15, lambda day: day.day == 31),
    "0 12 L * *": at(12, 0, lambda day: (day + timedelta(days=1)).day == 1),
    "45 23 29 2 *": at(23, 45, lambda day: (day.month, day.day) == (2, 29)),
    "0 0 1 1,7 *": at(0, 0, lambda day: (day.month in (1, 7)) and day.day == 1),
}


@functools.cache
def clock(zone: str) -> tuple[list[datetime], list[int]]:
    """The latest local time that was shown until each quarter of an hour; and those, in ms."""
    place = zoneinfo.ZoneInfo(zone)
    moment = datetime(FIRST.year, 1, 1, tzinfo=UTC) - timedelta(days=2)
    end = datetime(FIRST.year + YEARS, 1, 1, tzinfo=UTC) + timedelta(days=2)
    latest, moments = [], []
    shown = datetime.min
    while moment < end:
        shown = max(shown, moment.astimezone(place).replace(tzinfo=None))
        latest.append(shown)
        moments.append(round(moment.timestamp() * 1000))
        moment += timedelta(minutes=15)
    return latest, moments


@functools.cache
def expected(every: str, zone: str) -> list[int]:
    """When the clock showed each of the ends, or a later time, for the first time."""
    latest, moments = clock(zone)
    return sorted({moments[bisect.bisect_left(latest, local)] for local in ENDS[every]})


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", ENDS)
def test_ten_years_of_seasons(every: str, zone: str) -> None:
    wanted = expected(every, zone)
    calendar.check(every, zone)
    found = []
    end = calendar.next_end(every, zone, wanted[0] - 1)
    while end is not None and end <= wanted[-1]:
        found.append(end)
        assert calendar.previous_end(every, zone, end) == end
        assert calendar.previous_end(every, zone, end + 899_999) == end
        end = calendar.next_end(every, zone, end)
    assert found == wanted
    for before, after in itertools.pairwise(wanted):
        assert calendar.previous_end(every, zone, after - 1) == before


@given(every=st.sampled_from(sorted(ENDS)), zone=st.sampled_from(ZONES), data=st.data())
def test_the_ends_around_any_moment(every: str, zone: str, data: st.DataObject) -> None:
    wanted = expected(every, zone)
    moment = data.draw(st.integers(wanted[0], wanted[-1] - 1))
    place = bisect.bisect_right(wanted, moment)
    assert calendar.next_end(every, zone, moment) == wanted[place]
    assert calendar.previous_end(every, zone, moment) == wanted[place - 1]


@pytest.mark.parametrize(
    ("every", "zone", "after", "end"),
    [
        # Clocks went from 02:00 to 03:00, and from 03:00 back to 02:00.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00Z", "2026-03-29T01:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00Z", "2026-10-25T00:30Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30Z", "2026-10-26T01:30Z"),
        # There was no midnight in Beirut on that day, and no 30 December 2011 in Apia.
        ("day", "Asia/Beirut", "2022-03-26T12:00Z", "2022-03-26T22:00Z"),
        ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T12:00Z", "2011-12-30T10:00Z"),
        ("month", "UTC", "2026-01-31T23:59:59.999Z", "2026-02-01T00:00Z"),
        ("month", "Asia/Kathmandu", "2026-01-31T00:00Z", "2026-01-31T18:15Z"),
    ],
)
def test_ends_where_clocks_are_changed(every: str, zone: str, after: str, end: str) -> None:
    after, end = (text.replace("Z", "+00:00") for text in (after, end))
    assert calendar.next_end(every, zone, ms(after)) == ms(end)
    assert calendar.previous_end(every, zone, ms(end)) == ms(end)
    assert calendar.previous_end(every, zone, ms(end) - 1) != ms(end)


@pytest.mark.parametrize(
    "every",
    [
        *("", "year", "* * * *", "* * * * * *", "60 * * * *", "0 0 31 2 *", "0 0 30 2 *"),
        *("* * * * MON#1/2", "0 0 * * 8", "@daily", "0 0 1 1 * 2027", "\u0660 0 * * *"),
        "0 0 31 2 *" + " " * 100,
        "0,1" * 40 + " * * * *",
        "0 0 30 2 2#6",
    ],
)
def test_what_is_no_calendar_is_refused(every: str) -> None:
    with pytest.raises(ValueError, match=r"^every: must be day, week, month"):
        calendar.check(every, "UTC")


@pytest.mark.parametrize(
    "zone", ["", "Europe", "Mars/Olympus", "/etc/localtime", "../UTC", "a\0b", "UTC" * 30]
)
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match=r"^timezone: must be a name"):
        calendar.check("day", zone)
