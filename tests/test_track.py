"""The thinned track: its rules, and what both logs keep and find by them."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tornado_board.replay import Event, EventId, ReplayLog, open_replay_log
from tornado_board.replay.sqlite import SQLiteReplayLog
from tornado_board.replay.track import (
    ENTRY_BYTES,
    Past,
    Step,
    evenly,
    fair_cap,
    is_last_of_slot,
    reach_of,
    steps_of,
)
from tornado_board.settings import Settings

from .conftest import IDENTITY, Opened

DAY = 86_400_000


@given(st.lists(st.integers(0, 1000), max_size=20), st.integers(0, 5000))
def test_a_fair_cap_uses_what_there_is_and_cuts_only_the_greatest(
    sizes: list[int], most: int
) -> None:
    cap = fair_cap(sizes, most)
    if cap is None:
        assert sum(sizes) <= most
    else:
        assert sum(sizes) > most
        assert sum(min(size, cap) for size in sizes) <= most
        assert sum(min(size, cap + 1) for size in sizes) > most


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 500))
def test_times_are_even(start: int, span: int, points: int) -> None:
    times = evenly(start, start + span, points)
    assert times[-1] == start + span
    assert len(times) <= points
    assert times == sorted(set(times))
    if points > 1:
        assert times[0] == start
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert not gaps or max(gaps) - min(gaps) <= 1


def test_the_steps_are_those_of_the_settings() -> None:
    fine, coarse = steps_of(Settings())
    assert (fine.ms, fine.kept_ms, coarse.ms, coarse.kept_ms) == (1000, 3_600_000, 60_000, 30 * DAY)
    assert reach_of(Settings()) == 30 * DAY
    none = dataclasses.replace(Settings(), history_retention=0.0)
    assert steps_of(none) == ()
    assert reach_of(none) == 3_600_000
    short = dataclasses.replace(Settings(), history_retention=60.0)
    assert [step.kept_ms for step in steps_of(short)] == [60_000, 60_000]
    coarse_only = dataclasses.replace(Settings(), history_fine_retention=0.0)
    assert [step.name for step in steps_of(coarse_only)] == ["minutes"]


def found_in(events: list[Event], length: int, steps: tuple[Step, ...], at: int) -> Past | None:
    """What a log of `length` events and its track have of `at`, from a plain list of all."""

    def newest(kept: list[Event]) -> Event | None:
        return next((e for e in reversed(kept) if e.id is not None and e.id.ms <= at), None)

    logged = newest(events[-length:])
    if logged is not None:
        return Past(logged, 0)
    for step in steps:
        kept = [
            event
            for event, following in itertools.pairwise(events)
            if event.id and following.id and is_last_of_slot(step, event.id.ms, following.id.ms)
        ]
        tracked = newest(kept)
        if tracked is not None:
            return Past(tracked, step.ms)
    return None


Run = Callable[[Callable[[ReplayLog], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(log_url: str, settings: Settings) -> Iterator[Run]:
    """Runs work on a log of each backend, of five events."""
    short = dataclasses.replace(settings, replay_length=5)
    with asyncio.Runner() as runner:
        log = runner.run(open_replay_log(log_url, short, IDENTITY))
        yield lambda work: runner.run(work(log))
        runner.run(log.close())


GAPS = st.sampled_from([0, 1, 400, 999, 1_000, 5_000, 59_000, 60_000, 600_000])


def test_both_logs_keep_and_find_what_a_plain_list_has(run: Run) -> None:
    boards = (f"b{n}" for n in itertools.count())
    steps = steps_of(Settings())

    @hypothesis_settings(
        max_examples=60, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(
        st.lists(GAPS, min_size=1, max_size=30),
        st.lists(st.integers(-2_000, 3_000_000), max_size=60),
    )
    def check(gaps: list[int], offsets: list[int]) -> None:
        async def work(log: ReplayLog) -> None:
            board_id, events = next(boards), list[Event]()
            start = ms = int(time.time() * 1000) + DAY  # past the log's clock, so that this decides
            last: EventId | None = None
            for number, gap in enumerate(gaps):
                ms += gap
                data = f'{{"{"é" * (number % 7)}": {number}}}'
                after = EventId(ms, last.n if last else ms)
                last = await log.append(board_id, data, after=after)
                assert last.ms == ms
                events.append(Event(last, data))
            times = [*(start + o for o in offsets), *(e.id.ms for e in events if e.id), ms]
            looked = await log.at(board_id, times)
            assert list(looked.pasts) == [found_in(events, 5, steps, at) for at in times]
            if None in looked.pasts:
                kept = [at for at in times if found_in(events, 5, steps, at)]
                assert looked.oldest is not None
                assert all(looked.oldest <= at for at in kept)

        run(work)

    check()


@pytest.mark.gen_test
async def test_a_deleted_board_has_no_past(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    assert list((await log.at("b", [])).pasts) == []
    nothing = await log.at("b", [0, 2**45])
    assert list(nothing.pasts) == [None, None]
    assert nothing.oldest is None
    ms = int(time.time() * 1000) + DAY
    first = await log.append("b", "1", after=EventId(ms, 1))
    second = await log.append("b", "2", after=EventId(ms + 90_000, first.n))
    await log.append("other", "1")
    await log.delete("b")
    assert list((await log.at("b", [first.ms, second.ms])).pasts) == [None, None]
    third = await log.append("b", "3", after=EventId(ms + 180_000, second.n + 5))
    looked = await log.at("b", [second.ms, third.ms])
    assert list(looked.pasts) == [None, Past(Event(third, "3"), 0)]
    assert looked.oldest == third.ms
    assert list((await log.at("other", [2**45])).pasts) != [None]
    await log.prune()
    assert list((await log.at("b", [third.ms])).pasts) == [Past(Event(third, "3"), 0)]


@pytest.mark.gen_test
async def test_without_a_track_the_log_answers_for_as_long_as_it_goes_back(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    none = dataclasses.replace(settings, history_retention=0.0, replay_length=2)
    log = await opened.log(log_url, none)
    ms = int(time.time() * 1000) + DAY
    last = EventId(ms, ms)
    ids = []
    for _ in range(4):
        last = await log.append("b", "{}", after=EventId(last.ms + 61_000, last.n))
        ids.append(last)
    looked = await log.at("b", [id.ms for id in ids])
    assert [past and past.event.id for past in looked.pasts] == [None, None, *ids[2:]]
    assert (looked.oldest, looked.dropped) == (ids[2].ms, True)


class Clock:
    """A clock that is set, in seconds."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.gen_test
async def test_an_sqlite_track_is_pruned_but_for_the_newest_before_its_edge(
    settings: Settings, tmp_path: Path
) -> None:
    clock = Clock()
    log = await SQLiteReplayLog.open(f"sqlite:///{tmp_path}/log", settings, clock=clock)
    try:
        begun = int(clock.now * 1000)
        for number in range(1_500):
            await log.append("b", str(number))
            clock.now += 1.0
        await log.append("quiet", "once")
        clock.now += 2 * 3600.0
        assert await log.prune() == 1_001  # of the 1,500 the log had dropped 500
        # The newest is no longer in the log, and still what the board was.
        now = int(clock.now * 1000)
        for at in (begun + 1_500_000, now, now + DAY):
            [past] = (await log.at("b", [at])).pasts
            assert past is not None
            assert (past.event.data, past.resolution) == ("1499", 1000)
        # Seconds are kept for an hour, but for the newest before that; minutes remain.
        [past] = (await log.at("b", [begun + 90_500])).pasts
        assert past is not None
        assert past.resolution == 60_000
        assert past.event.id is not None
        assert past.event.id.ms == max(
            ms for n in range(90) if (ms := begun + n * 1000) // 60_000 < (ms + 1000) // 60_000
        )
        # A board that does not change keeps its last one, however long.
        clock.now += 40 * 86400.0
        assert await log.prune() == 0
        [old, quiet] = [
            *(await log.at("b", [begun + 100_000])).pasts,
            *(await log.at("quiet", [int(clock.now * 1000)])).pasts,
        ]
        assert old is None
        assert quiet is not None
        assert quiet.event.data == "once"
        looked = await log.at("b", [begun + 100_000])
        assert (looked.oldest, looked.dropped) == (begun + 1_499_000, True)
        assert await _rows(log) == 4  # of each board one in each step
        await log.delete("b")
        await log.prune()
        assert await _rows(log) == 2
    finally:
        await log.close()


async def _rows(log: SQLiteReplayLog) -> int:
    count: int = await log._read(
        lambda c: c.execute("SELECT count(*) FROM track_events").fetchone()[0]
    )
    return count


async def _bytes(log: SQLiteReplayLog) -> tuple[int, int]:
    """What the tracks are said to take, and do."""
    sql = (
        "SELECT (SELECT sum(bytes) FROM tracks),"
        f" (SELECT sum(length(CAST(data AS BLOB)) + {ENTRY_BYTES}) FROM track_events)"
    )
    said, real = await log._read(lambda c: c.execute(sql).fetchone())
    return said, real


@pytest.mark.gen_test
async def test_sqlite_tracks_take_no_more_than_they_may(settings: Settings, tmp_path: Path) -> None:
    clock = Clock()
    small = dataclasses.replace(settings, history_bytes=2**16)
    log = await SQLiteReplayLog.open(f"sqlite:///{tmp_path}/log", small, clock=clock)
    try:
        for number in range(300):
            await log.append("large", f"{number}" + "é" * 400)
            if number % 100 == 0:
                await log.append("small", f"{number}")
            clock.now += 1.0
        said, real = await _bytes(log)
        assert said == real > 2**16
        await log.prune()
        said, real = await _bytes(log)
        assert 2**16 - 2_000 < said == real <= 2**16
        now = int(clock.now * 1000)
        # Of the one that takes the most the newest remain, and of the others everything.
        [newest, lost] = (await log.at("large", [now, now - 299_000])).pasts
        assert newest is not None
        assert newest.event.data.startswith("299")
        first = (await log.at("small", [now - 299_000])).pasts[0]
        assert first is not None
        assert first.event.data == "0"
        assert lost is None or lost.event.id is not None
    finally:
        await log.close()
