"""The ranks of then: places that are kept once a day, and ``since`` of a page of players."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.cluster import Role
from tornado_board.inputs import NewBoard, NewPlayer, SeasonPlan
from tornado_board.models import Board, Player, board_json, season_in, shows_private
from tornado_board.realtime import daily
from tornado_board.realtime.daily import Daily
from tornado_board.realtime.past_ranks import places_json, ranks_of_board, ranks_of_places
from tornado_board.replay import EventId, NotPublisher, ReplayLog
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.replay.sqlite import SQLiteReplayLog
from tornado_board.seasons import Season
from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.store import Store
from tornado_board.web.times import written

from .conftest import KEYS, Opened
from .redis_server import RedisServer
from .serving import Served, served_by
from .test_history import DAY, HOUR
from .tokens import SECRET, token
from .waiting import until

Serve = Callable[[Settings], Awaitable[Running]]


@given(
    st.lists(st.integers(-3, 3), max_size=12),
    st.booleans(),
    st.sampled_from([None, Season(1, 0), Season(7, 0, 1), Season(12, 0, ended=1)]),
)
def test_ranks_of_places_and_of_a_board_are_competition_ranks(
    scores: list[int], private: bool, season: Season | None
) -> None:
    scores.sort(reverse=True)
    players = [Player(f"p{n}", "P", score) for n, score in enumerate(scores)]
    expected = {player.id: 1 + sum(score > player.score for score in scores) for player in players}
    board = Board("b", "B", private=private, season=season)
    data = places_json(board, players)
    assert ranks_of_places(data) == expected
    assert shows_private(data) is private
    assert season_in(data) == board.number
    assert ranks_of_board(board_json(board, players)) == expected


class _Live:
    """What of the live boards the day's work looks at."""

    def __init__(self, *live: str) -> None:
        self.role: Role | None = Role.PUBLISHER
        self.live = list(live)

    def board_ids(self) -> Sequence[str]:
        return self.live

    def current(self, board_id: str) -> object:
        return board_id if board_id in self.live else None


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


async def _done(work: Daily) -> None:
    work.tick()
    task = work._working
    assert task is not None
    await until(task.done)


def _daily(store: Store, log: ReplayLog, live: _Live, clock: Clock) -> Daily:
    here: Any = live
    return Daily(store, log, here, here, clock)


@pytest.mark.gen_test
async def test_places_are_kept_once_a_day_of_live_boards_that_are_published_here(
    opened: Opened, log_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daily, "PLACES", 3)
    store = await opened.store(settings.database_url, settings)
    log = await opened.log(log_url, settings)
    for board in ("b", "c"):
        await store.create_board(NewBoard(id=board, private=board == "b"))
        for number, score in enumerate((7, 9, 9, 1)):
            await store.create_player(board, NewPlayer(id=f"p{number}", name="P", score=score))
    live, clock = _Live("b", "gone"), Clock()
    work = _daily(store, log, live, clock)
    live.role = Role.FOLLOWER
    work.tick()
    assert work._working is None
    live.role = Role.PUBLISHER
    await _done(work)
    later = int(clock.now * 1000) + DAY
    kept = await log.places_at("b", later)
    assert kept is not None
    assert json.loads(kept.data) == {"private": True, "places": [["p1", "p2"], ["p0"]]}
    assert await log.places_at("c", later) is None
    assert await log.places_at("b", later - 2 * DAY) is None
    # Another process, or the same one in another life, finds them.
    await store.create_player("b", NewPlayer(id="best", name="P", score=99))
    await _done(work)
    await _done(_daily(store, log, live, clock))
    assert await log.places_at("b", later) == kept
    assert not await log.keep_places("b", "{}"), "the log itself sees to it"
    # A board of that name that is made anew has none.
    await log.delete("b")
    assert await log.places_at("b", later) is None
    await work.close()


@pytest.mark.gen_test
async def test_the_past_of_boards_that_are_gone_is_forgotten(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    store = await opened.store(settings.database_url, settings)
    log = await opened.log(log_url, settings)
    await store.create_board(NewBoard(id="there"))
    ms = int(time.time() * 1000) + HOUR
    for board in ("there", "live", "gone"):
        first = await log.append(board, "1", after=EventId(ms, 1))
        await log.append(board, "2", after=EventId(ms + 61_000, first.n))
    await log.keep_places("gone", "{}")
    assert set(await log.past_boards()) == {"there", "live", "gone"}
    work = _daily(store, log, _Live("live"), Clock())
    await _done(work)
    assert set(await log.past_boards()) == {"there", "live"}
    assert list((await log.at("gone", [2**45])).pasts) == [None]
    await work.close()


@pytest.mark.gen_test
async def test_only_the_holder_of_the_lease_keeps_places(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await opened.log(redis_url, settings)
    assert isinstance(log, RedisReplayLog)
    shared_redis.client.set(KEYS.lease, "another process's")
    with pytest.raises(NotPublisher):
        await log.keep_places("b", "{}")
    assert await log.places_at("b", 2**45) is None


@pytest.mark.gen_test
async def test_places_are_kept_for_as_long_as_the_history(
    settings: Settings, tmp_path: Path
) -> None:
    clock = Clock()
    log = await SQLiteReplayLog.open(f"sqlite:///{tmp_path}/log", settings, clock=clock)
    try:
        for day in range(40):
            assert await log.keep_places("b", str(day))
            clock.now += 86_400
        await log.prune()
        now = int(clock.now * 1000)
        assert await log.places_at("b", now - 31 * DAY) is None
        oldest = await log.places_at("b", now - 30 * DAY)
        assert oldest is not None
        assert oldest.data == "10"
        none = dataclasses.replace(settings, history_retention=0.0)
        off = await SQLiteReplayLog.open(f"sqlite:///{tmp_path}/log", none, clock=clock)
        assert not await off.keep_places("b", "{}")
        assert await off.places_at("b", now) is None
        await off.close()
    finally:
        await log.close()


async def _page(served: Served, query: str, headers: dict[str, str] | None = None) -> Any:
    answer = await served.request("GET", f"/boards/b/players/?{query}", headers=headers)
    assert answer.status == 200
    return answer.json()


def _ranks(page: Any) -> dict[str, tuple[int, int | None]]:
    return {row["id"]: (row["rank"], row["previous_rank"]) for row in page["players"]}


@pytest.mark.gen_test
async def test_a_page_has_the_ranks_of_then_where_they_are_known(
    serving: Serve, settings: Settings
) -> None:
    running = await serving(dataclasses.replace(settings, token_secret=SECRET))
    served, log, store = served_by(running), running.services.log, running.services.store
    await store.create_board(NewBoard(id="b"))
    for number, score in enumerate((7, 9, 9, 1)):
        await store.create_player("b", NewPlayer(id=f"p{number}", name="P", score=score))
    then = int(time.time() * 1000) + HOUR
    data = '{"id":"b","players":[{"id":"p3","score":5},{"id":"p0","score":5},{"id":"x","score":1}]}'
    first = await log.append("b", data, after=EventId(then, 1))
    page = await _page(served, f"since={first.ms}&limit=3")
    assert _ranks(page) == {"p1": (1, None), "p2": (1, None), "p0": (3, 1)}
    assert page["since"] == {"time": written(first.ms), "resolution": 0}
    # The next page compares with the same time.
    answer = await served.request("GET", f"/boards/b/players/?since={first.ms}&limit=3")
    target = answer.headers["Link"].split(">")[0][1:]
    assert _ranks((await served.request("GET", target)).json()) == {"p3": (4, 1)}
    # Before it nothing is known; and without the parameter nothing is said.
    before = await _page(served, f"since={first.ms - 3 * HOUR}")
    assert before["since"] is None
    assert {previous for _, previous in _ranks(before).values()} == {None}
    assert (await _page(served, "since=1970-01-01T00:00:00Z"))["since"] is None
    plain = await _page(served, "limit=1")
    assert "since" not in plain
    assert "previous_rank" not in plain["players"][0]
    for wrong in ("since=", "since=x", "since=-1"):
        answer = await served.request("GET", f"/boards/b/players/?{wrong}")
        assert answer.status == 422
    # Places of the day are those of their own time, and of a minute after that.
    assert await log.keep_places("b", '{"places":[["p3"],["p2","p1"]]}')
    kept = await log.places_at("b", then)
    assert kept is not None
    assert kept.id is not None
    day = written(kept.id.ms)[:10]
    page = await _page(served, f"since={day}")
    assert page["since"] == {"time": written(kept.id.ms), "resolution": 0}
    assert _ranks(page) == {"p1": (1, 2), "p2": (1, 2), "p0": (3, None), "p3": (4, 1)}
    assert (await _page(served, f"since={kept.id.ms + 59_001}"))["since"]["resolution"] == 60
    near = await _page(served, f"since={kept.id.ms + 60_000}")
    assert _ranks(near)["p3"] == (4, 1)
    assert _ranks(await _page(served, f"since={kept.id.ms + 60_001}"))["p3"] == (4, None)
    assert (await _page(served, f"since={written(kept.id.ms - DAY)[:10]}"))["since"] is None
    # What the board showed counts for more.
    assert _ranks(await _page(served, f"since={first.ms}"))["p3"] == (4, 1)


@pytest.mark.gen_test
async def test_ranks_of_a_time_are_those_of_the_pages_season(
    serving: Serve, settings: Settings
) -> None:
    """What the board showed at the moment in which a season began is of the season before."""
    running = await serving(settings)
    served, log, store = served_by(running), running.services.log, running.services.store
    await store.create_board(NewBoard(id="b", season=SeasonPlan()))
    await store.create_player("b", NewPlayer(id="p", name="P", score=1))
    first = await store.get_board("b")
    second = await store.end_season("b")
    assert second.season is not None
    await store.create_player("b", NewPlayer(id="p", name="P", score=1))
    players = [Player("better", "P", 2), Player("p", "P", 1)]
    shown = await log.append("b", board_json(first, players))
    assert await log.keep_places("b", places_json(first, players))
    since = max(shown.ms + 1000, second.season.started)
    page = await _page(served, f"since={since}")
    assert page["since"] is None
    assert _ranks(page) == {"p": (1, None)}
    page = await _page(served, f"since={since}&season=1")
    assert page["since"] is not None
    assert _ranks(page) == {"p": (1, 2)}
    await log.append("b", board_json(second, players))
    assert _ranks(await _page(served, "since=9999-12-31T00:00:00Z")) == {"p": (1, 2)}
    assert _ranks(await _page(served, "since=9999-12-31T00:00:00Z&season=1")) == {"p": (1, None)}


@pytest.mark.gen_test
async def test_ranks_of_a_time_when_the_board_was_private_are_for_who_may_read_such(
    serving: Serve, settings: Settings
) -> None:
    running = await serving(dataclasses.replace(settings, token_secret=SECRET))
    served, log = served_by(running), running.services.log
    await running.services.store.create_board(NewBoard(id="b"))
    await running.services.store.create_player("b", NewPlayer(id="p", name="P", score=1))
    assert await log.keep_places("b", '{"private":true,"places":[["x"],["p"]]}')
    kept = await log.places_at("b", 2**45)
    assert kept is not None
    assert kept.id is not None
    reader = {"Authorization": f"Bearer {token(scope='read')}"}
    for headers, previous in (({}, None), (reader, 2)):
        page = await _page(served, f"since={written(kept.id.ms)[:10]}", headers)
        assert _ranks(page) == {"p": (1, previous)}


@pytest.mark.gen_test
async def test_while_redis_is_away_no_rank_of_then_is_known(
    serving: Serve, settings: Settings, own_redis: RedisServer
) -> None:
    served = served_by(await serving(dataclasses.replace(settings, redis_url=own_redis.url)))
    own_redis.kill()
    answer = await served.request("GET", "/boards/demo/players/?since=2026-11-25")
    assert answer.status == 200
    assert answer.json()["since"] is None
