"""What every replay log promises of the events of another log: `ReplayLog.keep`."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest

from tornado_board.replay import Event, EventId, Gap, ReplayLog
from tornado_board.settings import Settings

from .conftest import Opened

NOW = int(time.time() * 1000)


def event(n: int) -> Event:
    """Counters begin at 100; the clock goes up with them."""
    return Event(EventId(NOW + n, 100 + n), f'{{"n":{n}}}')


def events(first: int, last: int) -> list[Event]:
    return [event(n) for n in range(first, last + 1)]


def id_of(n: int) -> EventId:
    found = event(n).id
    assert found is not None
    return found


async def held(log: ReplayLog) -> list[Event]:
    return list(await log.recent("b", 1000))


@pytest.mark.gen_test
async def test_events_are_kept_under_the_ids_that_they_have(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    await log.keep("b", None, [event(1)])
    await log.keep("b", id_of(1), events(2, 4))
    await log.keep("b", id_of(4), [event(5)])
    assert await held(log) == events(1, 5)
    assert await log.head("b") == event(5)
    assert list(await log.board_ids()) == ["b"]
    for n in range(1, 6):
        assert list(await log.since("b", id_of(n))) == events(n + 1, 5)
    for never in (0, 6):
        with pytest.raises(Gap):
            await log.since("b", id_of(never))


@pytest.mark.gen_test
async def test_what_is_known_before_the_first_event_is_where_others_may_go_on(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    await log.keep("b", id_of(4), events(5, 6))
    assert list(await log.since("b", id_of(4))) == events(5, 6)
    with pytest.raises(Gap):
        await log.since("b", id_of(3))


@pytest.mark.gen_test
async def test_keeping_events_again_changes_nothing(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    await log.keep("b", None, events(1, 3))
    for after, some in ((0, events(1, 3)), (1, events(2, 3)), (2, [event(3)]), (1, [event(2)])):
        await log.keep("b", id_of(after), some)
        assert await held(log) == events(1, 3)
        assert list(await log.since("b", id_of(1))) == events(2, 3)


@pytest.mark.gen_test
async def test_what_reaches_further_back_goes_before_what_is_there(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    await log.keep("b", None, events(6, 9))
    await log.keep("b", id_of(2), events(3, 8))
    assert await held(log) == events(3, 9)
    for n in range(3, 10):
        assert list(await log.since("b", id_of(n))) == events(n + 1, 9)


@pytest.mark.gen_test
async def test_what_is_behind_a_gap_takes_the_place_of_what_is_there(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    await log.keep("b", None, events(1, 3))
    await log.keep("b", id_of(6), events(7, 8))
    assert await held(log) == events(7, 8)
    with pytest.raises(Gap):
        await log.since("b", id_of(3))
    await log.keep("b", id_of(1), events(2, 3))  # of somebody who is behind
    assert await held(log) == events(7, 8)


@pytest.mark.gen_test
async def test_a_new_beginning_takes_everything_from_the_log_also_where_ids_went_back(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    await log.keep("b", None, events(5, 9))
    await log.keep("b", None, [event(3)])
    assert await held(log) == [event(3)]
    assert await log.head("b") == event(3)
    with pytest.raises(Gap):
        await log.since("b", id_of(5))


@pytest.mark.gen_test
async def test_kept_events_have_the_bounds_of_all_others(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, dataclasses.replace(settings, replay_length=3))
    await log.keep("b", None, events(1, 2))
    await log.keep("b", id_of(2), events(3, 6))
    assert await held(log) == events(4, 6)
    await log.keep("b", id_of(1), events(2, 6))
    assert await held(log) == events(4, 6)
    assert list(await log.since("b", id_of(4))) == events(5, 6)
    await log.delete("b")
    assert await held(log) == []


@pytest.mark.gen_test
async def test_two_that_keep_the_same_do_not_get_in_each_others_way(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    await log.keep("b", None, [event(0)])

    async def keep() -> None:
        for n in range(0, 20, 2):
            await log.keep("b", id_of(n), events(n + 1, n + 2))

    await asyncio.gather(keep(), keep())
    assert await held(log) == events(0, 20)
    assert list(await log.since("b", id_of(0))) == events(1, 20)
