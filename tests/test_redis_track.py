"""The thinned track of a board in Redis."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest

from tornado_board.replay import Event, EventId, LogRefused
from tornado_board.replay.track import (
    ENTRY_BYTES,
    Looked,
    Past,
)
from tornado_board.settings import Settings

from .conftest import KEYS, Opened
from .redis_logs import redis_log
from .redis_server import RedisServer

DAY = 86_400_000


# Redis keeps the time itself: what is too old is put there under ids of then.


def _old(redis: RedisServer, key: str, ages: list[int], size: int = 10) -> list[EventId]:
    """Entries of a track, with these ages in ms."""
    now, total, ids = int(time.time() * 1000), 1_000, []
    for n, age in enumerate(ages, 1):
        total += size + ENTRY_BYTES
        ids.append(EventId(now - age, n))
        redis.client.xadd(key, {"data": "x" * size, "total": str(total)}, str(ids[-1]))
    return ids


@pytest.mark.gen_test
async def test_redis_tracks_are_pruned_but_for_the_newest_before_their_edge(
    opened: Opened, redis_url: str, shared_redis: RedisServer, settings: Settings
) -> None:
    log = await redis_log(opened, redis_url, settings)
    seconds, minutes = KEYS.track("seconds", "b"), KEYS.track("minutes", "b")
    hour = 3_600_000
    fine = _old(shared_redis, seconds, [3 * hour, 2 * hour, hour + 60_000, hour - 60_000, 5_000])
    coarse = _old(shared_redis, minutes, [40 * DAY, 35 * DAY, 31 * DAY, 20 * DAY])
    shared_redis.client.set(KEYS.track("seconds", "wrong"), "another program's")
    shared_redis.client.xadd(KEYS.track("minutes", "foreign"), {"of": "another"}, "1-1")
    await log.prune()
    assert [id for id, _ in shared_redis.client.xrange(seconds)] == [str(id) for id in fine[2:]]
    assert [id for id, _ in shared_redis.client.xrange(minutes)] == [str(id) for id in coarse[2:]]
    assert shared_redis.client.pttl(minutes) > 30 * DAY
    looked = await log.at("b", [coarse[3].ms, coarse[2].ms, coarse[2].ms - 1])
    assert [past and past.event.id for past in looked.pasts] == [coarse[3], coarse[2], None]
    assert (looked.oldest, looked.dropped) == (coarse[2].ms, True)


@pytest.mark.gen_test
async def test_redis_puts_the_newest_event_into_the_track_before_it_drops_it(
    opened: Opened, redis_url: str, shared_redis: RedisServer, settings: Settings
) -> None:
    short = dataclasses.replace(settings, replay_retention=1.0)
    log = await redis_log(opened, redis_url, short)
    first = await log.append("b", "1")
    assert shared_redis.client.pttl(KEYS.stream("b")) > 30 * DAY, "or it could be lost at a stop"
    await asyncio.sleep(1.1)
    assert await log.prune() == 1
    assert shared_redis.client.xlen(KEYS.stream("b")) == 0
    assert shared_redis.client.pttl(KEYS.stream("b")) <= 600_000
    for at in (first.ms, first.ms + 30 * DAY):
        assert list((await log.at("b", [at])).pasts) == [Past(Event(first, "1"), 1000)]
    assert list((await log.at("b", [first.ms - 1])).pasts) == [None]
    assert await log.prune() == 0
    second = await log.append("b", "2", after=first)
    looked = await log.at("b", [second.ms - 1, second.ms])
    assert [past and past.event.data for past in looked.pasts] == ["1", "2"]


@pytest.mark.gen_test
async def test_a_full_redis_drops_no_board_that_is_not_in_its_track(
    opened: Opened, own_redis: RedisServer, settings: Settings
) -> None:
    short = dataclasses.replace(settings, replay_retention=1.0)
    log = await redis_log(opened, own_redis.url, short)
    first = await log.append("b", "1")
    await asyncio.sleep(1.1)
    own_redis.client.config_set("maxmemory", "1mb")
    own_redis.client.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(LogRefused):
        await log.append("b", "2", after=first)
    await log.prune()
    assert list((await log.at("b", [first.ms])).pasts) == [Past(Event(first, "1"), 1000)]


@pytest.mark.gen_test
async def test_redis_tracks_take_no_more_than_they_may_nor_a_quarter_of_its_memory(
    opened: Opened, own_redis: RedisServer, settings: Settings
) -> None:
    log = await redis_log(opened, own_redis.url, settings)
    large, small = KEYS.track("minutes", "large"), KEYS.track("minutes", "small")
    _old(own_redis, large, [60_000 * n for n in range(3_000, 0, -1)], size=5_000)
    kept = _old(own_redis, small, [60_000 * n for n in range(30, 0, -1)])
    await log.prune()
    assert own_redis.client.xlen(large) == 3_000
    own_redis.client.config_set("maxmemory", 16 * 2**20)
    own_redis.client.config_set("maxmemory-policy", "noeviction")
    await log.prune()
    assert 4 * 2**20 * 0.9 < own_redis.client.xlen(large) * (5_000 + ENTRY_BYTES) <= 4 * 2**20
    assert own_redis.client.xlen(small) == len(kept)
    newest = own_redis.client.xrevrange(large, count=1)[0][0]
    assert int(newest.split("-")[0]) > (time.time() - 120) * 1000


@pytest.mark.gen_test
async def test_another_programs_keys_keep_no_event_from_being_appended(
    opened: Opened, redis_url: str, shared_redis: RedisServer, settings: Settings
) -> None:
    log = await redis_log(opened, redis_url, settings)
    shared_redis.client.set(KEYS.track("seconds", "b"), "another program's")
    shared_redis.client.xadd(KEYS.track("minutes", "b"), {"of": "another"}, "1-1")
    ms = int(time.time() * 1000) + DAY
    first = await log.append("b", "1", after=EventId(ms, 1))
    second = await log.append("b", "2", after=EventId(ms + 61_000, first.n))
    looked: Looked = await log.at("b", [first.ms, second.ms, 5])
    assert [past and past.event.data for past in looked.pasts] == ["1", "2", None]
