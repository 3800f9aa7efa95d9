"""The timer of seasons: what wakes it, and what it tells operators."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from tornado_board.metrics import NoMetrics
from tornado_board.models import Board, BoardChanged
from tornado_board.realtime.ended_seasons import EndedSeasons
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.season_clock import SeasonClock
from tornado_board.seasons import Season
from tornado_board.settings import Settings
from tornado_board.store import Store, StoreUnavailable

from .seasons import DAY, Clock, clock
from .serving import serving
from .test_metrics import scrape, until
from .test_seasons_api import end, make_cup
from .waiting import PATIENCE

__all__ = ["clock"]

NOW = 1_795_000_000_000


def board(board_id: str = "cup", number: int = 1, **season: Any) -> Board:
    return Board(board_id, board_id, season=Season(number, NOW, **season))


class AskedStore:
    """A store whose answers to what ends first the test gives."""

    def __init__(self) -> None:
        self.asked: asyncio.Queue[asyncio.Future[Sequence[Board]]] = asyncio.Queue()
        self.ended: list[str] = []

    async def ending_seasons(self, limit: int) -> Sequence[Board]:
        future = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(future)
        return cast(Sequence[Board], await future)

    async def end_if_due(self, board_id: str) -> bool:
        self.ended.append(board_id)
        return True


class Counted(NoMetrics):
    ended = 0

    def seasons_ended(self, count: int = 1) -> None:
        self.ended += count


class Parts:
    def __init__(self) -> None:
        self.now = NOW
        self.store = AskedStore()
        self.metrics = Counted()
        self.leads = True
        self.feed = Changefeed(cast(Store, NoFeed()))
        self.timer = SeasonClock(
            cast(Store, self.store),
            self.feed,
            lambda: self.leads,
            lambda: self.now,
            self.metrics,
        )
        self.timer.tick()

    def change(self, changed: Board) -> None:
        self.timer.apply([BoardChanged(changed.id, changed)])

    async def asked(self) -> asyncio.Future[Sequence[Board]]:
        """The timer's next question."""
        async with asyncio.timeout(PATIENCE):
            return await self.store.asked.get()


class NoFeed:
    async def changes(self) -> None:
        raise StoreUnavailable("there is none here")


@asynccontextmanager
async def parts() -> AsyncIterator[Parts]:
    made = Parts()
    try:
        yield made
    finally:
        await made.timer.close()
        await made.feed.close()


@pytest.mark.gen_test
async def test_a_change_while_the_store_is_asked_is_not_missed() -> None:
    async with parts() as p:
        first = await p.asked()
        # Read before the change, and answered after it.
        p.change(board(ends=NOW + 5_000))
        first.set_result([])
        (await p.asked()).set_result([board(ends=NOW + 5_000)])


@pytest.mark.gen_test
async def test_a_season_that_is_not_ended_is_told_of_as_overdue() -> None:
    async with parts() as p:
        assert p.timer.overdue == 0
        (await p.asked()).set_result([board(ends=NOW + 1)])
        second = await p.asked()
        assert p.timer.overdue == 0
        p.now += 90_001
        assert p.timer.overdue == 90  # it is not known yet whether anybody has ended it
        second.set_exception(StoreUnavailable("away"))
        third = await p.asked()
        assert p.timer.overdue == 90
        p.leads = False
        p.timer.tick()
        assert p.timer.overdue == 0  # another process sees to it
        p.leads = True
        p.timer.tick()
        third.set_result([board(ends=p.now)])
        fourth = await p.asked()
        assert p.store.ended == ["cup"]
        fourth.set_result([board(number=2, ends=p.now + DAY)])
        await asyncio.sleep(0)
        assert p.timer.overdue == 0
        p.change(board(number=2, ends=p.now + DAY))
        assert p.metrics.ended == 1


def test_each_end_counts_once_whoever_made_it() -> None:
    now, counted = NOW, 0

    def count(ended: int) -> None:
        nonlocal counted
        counted += ended

    seasons = EndedSeasons(count, lambda: now + DAY)
    seasons.saw("known", board(number=3))
    seasons.saw("known", board(number=3))  # its name, say, has changed
    assert counted == 0
    seasons.saw("known", board(number=4))
    seasons.saw("known", board(number=4))
    assert counted == 1
    # Not known before: it began long ago, or has just begun.
    seasons.saw("old", board(number=7))
    seasons.saw("first", board(number=1))
    assert counted == 1
    seasons.saw("first", board(number=2))
    now -= DAY
    seasons.saw("new", board(number=7))
    assert counted == 3
    # Deleted, and made again.
    seasons.saw("first", None)
    seasons.saw("first", board(number=1))
    seasons.saw("known", Board("known", "known"))
    assert counted == 3


@pytest.mark.gen_test
async def test_ended_seasons_are_in_the_metrics(settings: Settings, clock: Clock) -> None:
    async with serving(settings) as served:
        told = await scrape(served)
        assert told["seasons_ended_total"] == {(): 0}
        assert told["season_overdue_seconds"] == {(): 0}
        await make_cup(served, every="week")
        await end(served)
        await until(served, "seasons_ended_total", (), 1)
        found = (await served.store.get_board("cup")).season
        assert found is not None
        assert found.ends is not None
        clock.forward(found.ends)
        # This write ends the season, whether or not the timer has come first.
        await served.request("POST", "/boards/cup/players/ann/score-add/?create=1")
        told = await until(served, "seasons_ended_total", (), 2)
