"""The publishing lease, on a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tornado_board.cluster.lease import Lease
from tornado_board.replay import LogUnavailable, NotPublisher, open_replay_log
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.settings import Settings

from .conftest import IDENTITY, KEYS, Opened
from .redis_server import RedisServer
from .waiting import until


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def _log(opened: Opened, url: str, settings: Settings) -> RedisReplayLog:
    log = await opened.log(url, settings)
    assert isinstance(log, RedisReplayLog)
    return log


@pytest.mark.gen_test
async def test_one_process_holds_it_until_it_hands_it_back(
    opened: Opened, redis_url: str, settings: Settings
) -> None:
    log, other = [await _log(opened, redis_url, settings) for _ in range(2)]
    first, second = Lease(log.link, log.keys, 60), Lease(other.link, other.keys, 60)
    assert not first.held
    assert await first.acquire()
    assert first.held
    assert not await second.acquire()
    assert await first.renew()
    await first.release()
    assert not first.held
    assert not await first.renew()
    assert await second.acquire()
    await first.release()  # does nothing to the other's
    assert await second.renew()


@pytest.mark.gen_test
async def test_every_term_has_a_token_of_its_own(
    opened: Opened, redis_url: str, settings: Settings
) -> None:
    log = await _log(opened, redis_url, settings)
    lease = Lease(log.link, log.keys, 60)
    tokens = set()
    for _ in range(3):
        assert await lease.acquire()
        tokens.add(lease.token)
        await lease.release()
    assert len(tokens) == 3


@pytest.mark.gen_test
async def test_it_is_lost_locally_before_the_key_expires(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    clock = Clock()
    log = await _log(opened, redis_url, settings)
    lease = Lease(log.link, log.keys, 60, clock)
    assert await lease.acquire()
    clock.now += 53.9
    assert lease.held
    clock.now += 0.2
    assert not lease.held
    assert shared_redis.client.pttl(KEYS.lease) > 50_000, "the key is still there"
    assert not await lease.renew(), "a holder that could not renew in time must acquire anew"


@pytest.mark.gen_test
async def test_a_refused_renewal_ends_it_at_once(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await _log(opened, redis_url, settings)
    lease = Lease(log.link, log.keys, 60)
    assert await lease.acquire()
    shared_redis.client.flushall()
    assert not await lease.renew()
    assert not lease.held


@pytest.mark.gen_test
async def test_the_append_script_refuses_a_former_holder(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log, other = [await _log(opened, redis_url, settings) for _ in range(2)]
    log.fence, other.fence = stalled, holder = (
        Lease(log.link, log.keys, 60),
        Lease(other.link, other.keys, 60),
    )
    with pytest.raises(NotPublisher):
        await log.append("b", "nobody holds it")
    assert await stalled.acquire()
    await log.append("b", "1")
    shared_redis.client.delete(KEYS.lease)  # as if it had expired
    with pytest.raises(NotPublisher):
        await log.append("b", "expired")
    assert await holder.acquire()
    assert stalled.held, "its clock says nothing of all that"
    with pytest.raises(NotPublisher):
        await log.append("b", "taken over")
    with pytest.raises(NotPublisher):
        await log.delete("b")
    await other.append("b", "2")
    assert [e.data for e in await log.recent("b", 9)] == ["1", "2"]

    unfenced = await _log(opened, redis_url, settings)
    with pytest.raises(NotPublisher):
        await unfenced.append("b", "no lease at all")


@pytest.mark.gen_test
async def test_an_acquisition_with_an_unknown_outcome_keeps_nobody_waiting(
    opened: Opened, own_redis: RedisServer, settings: Settings
) -> None:
    log = await _log(opened, own_redis.url, settings)
    lease = Lease(log.link, log.keys, 60)
    assert await lease.acquire()  # from now on the server knows the scripts
    await lease.release()
    own_redis.freeze()  # the command reaches the server, its answer comes too late
    with pytest.raises(LogUnavailable):
        await lease.acquire()
    own_redis.thaw()
    await until(lambda: own_redis.client.exists(KEYS.lease))  # it was carried out late
    await asyncio.sleep(0.3)
    assert await lease.acquire()
    assert own_redis.client.get(KEYS.lease) == lease.token


FOREIGN = [
    ("another", lambda c: c.set(KEYS.lease, "other")),
    ("list", lambda c: c.rpush(KEYS.lease, "other")),
    ("stream", lambda c: c.xadd(KEYS.lease, {"x": "y"})),
    ("another store's", lambda c: c.set(KEYS.lease, "elsewhere:host:1:ab", px=60_000)),
]


@pytest.mark.parametrize("put", [put for _, put in FOREIGN], ids=[name for name, _ in FOREIGN])
@pytest.mark.gen_test
async def test_a_key_that_is_no_lease_is_left_alone_and_said_once(
    opened: Opened,
    redis_url: str,
    settings: Settings,
    shared_redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    put: Callable[[Any], None],
) -> None:
    log = await _log(opened, redis_url, settings)
    lease = log.fence = Lease(log.link, log.keys, 3)
    put(shared_redis.client)
    dump = shared_redis.client.dump(KEYS.lease)
    for _ in range(3):
        assert not await lease.acquire()
        assert lease.problem is not None
        assert KEYS.lease in lease.problem
    assert shared_redis.client.dump(KEYS.lease) == dump
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 1
    shared_redis.client.delete(KEYS.lease)
    assert await lease.acquire()
    assert lease.problem is None
    # While it is held, such a key is a lost lease and nothing worse.
    shared_redis.client.delete(KEYS.lease)
    put(shared_redis.client)
    with pytest.raises(NotPublisher):
        await log.append("b", "1")
    with pytest.raises(NotPublisher):
        await log.delete("b")
    assert not await lease.renew()
    await lease.release()


@pytest.mark.parametrize("left", [None, 3_600_000], ids=["for ever", "an hour"])
@pytest.mark.gen_test
async def test_a_token_of_ours_that_would_not_run_out_is_made_to(
    opened: Opened,
    redis_url: str,
    settings: Settings,
    shared_redis: RedisServer,
    left: int | None,
) -> None:
    log = await _log(opened, redis_url, settings)
    gone, waiting = Lease(log.link, log.keys, 3), Lease(log.link, log.keys, 3)
    assert await gone.acquire()
    shared_redis.client.set(KEYS.lease, gone.token, px=left)
    assert not await waiting.acquire()
    assert waiting.problem is not None
    assert 0 < shared_redis.client.pttl(KEYS.lease) <= 3_000
    assert not await waiting.acquire()
    assert waiting.problem is None, "another process holds it, as far as anyone can tell"


@pytest.mark.gen_test
async def test_the_token_says_which_store_is_published(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await _log(opened, redis_url, settings)
    other = await open_replay_log(redis_url, settings, "other-store")
    assert isinstance(other, RedisReplayLog)
    first, second = [Lease(each.link, each.keys, 3) for each in (log, other)]
    assert await first.acquire()
    assert await second.acquire(), "another deployment"
    assert first.token.startswith(f"{IDENTITY}:")
    assert shared_redis.client.get(other.keys.lease).startswith("other-store:")
    await other.close()
