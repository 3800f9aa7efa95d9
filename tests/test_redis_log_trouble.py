"""The replay log while its Redis is killed, full, slow, or used by other programs."""

from __future__ import annotations

import asyncio
import time

import pytest

from tornado_board.replay import (
    BoardRefused,
    EventId,
    Gap,
    LogRefused,
    LogUnavailable,
)
from tornado_board.settings import Settings

from .conftest import KEYS, Opened
from .redis_logs import redis_log
from .redis_server import RedisServer
from .waiting import PATIENCE


@pytest.mark.gen_test
async def test_scripts_that_the_server_forgot_are_sent_again(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await redis_log(opened, redis_url, settings)
    first = await log.append("b", "x")
    for n in range(1, 4):
        shared_redis.client.script_flush()
        assert (await log.append("b", "x")).n == first.n + n


@pytest.mark.gen_test
@pytest.mark.parametrize("kept", [False, True], ids=["emptied", "appendonly"])
async def test_a_killed_server_that_comes_back(
    opened: Opened, own_redis: RedisServer, settings: Settings, kept: bool
) -> None:
    if kept:
        own_redis.kill()
        own_redis.options = ("--appendonly", "yes", "--appendfsync", "always")
        own_redis.start()
    log = await redis_log(opened, own_redis.url, settings)
    ids = [await log.append("b", str(n)) for n in range(5)]
    own_redis.kill()
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(LogUnavailable):
            await log.append("b", "lost", after=ids[-1])
        with pytest.raises(LogUnavailable):
            await log.since("b", ids[0])
        with pytest.raises(LogUnavailable):
            await log.ping()
    assert time.monotonic() - began < 20, "a refused connection is no reason to wait"
    own_redis.start()
    await asyncio.sleep(0.3)
    await log.ping()
    with pytest.raises(Gap, match="started again" if kept else "no events"):
        await log.since("b", ids[0])
    again = await log.append("b", "again", after=ids[-1])
    if kept:
        assert again.n == ids[-1].n + 1
        assert [e.id for e in await log.since("b", ids[0])] == [*ids[1:], again]
    else:
        assert again.n > ids[-1].n + 1
        with pytest.raises(Gap):
            await log.since("b", ids[-1])


@pytest.mark.gen_test
async def test_an_append_is_not_sent_twice_when_its_connection_breaks(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await redis_log(opened, redis_url, settings)
    appended = failed = 0
    for n in range(200):
        appending = asyncio.ensure_future(log.append("b", str(n)))
        await asyncio.sleep(0)
        if n % 10 == 0:
            shared_redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        try:
            await appending
            appended += 1
        except LogUnavailable:
            failed += 1
    data = [e.data for e in await log.recent("b", 1000)]
    assert len(set(data)) == len(data), "some event is there twice"
    assert appended <= len(data) <= appended + failed
    assert appended >= 150


@pytest.mark.gen_test
async def test_an_append_that_was_given_up_is_not_carried_out_late(
    opened: Opened, own_redis: RedisServer, settings: Settings
) -> None:
    log = await redis_log(opened, own_redis.url, settings)
    first = await log.append("b", "1")
    own_redis.freeze()
    began = time.monotonic()
    with pytest.raises(LogUnavailable):
        await log.append("b", "late")
    assert time.monotonic() - began < 10
    own_redis.thaw()
    await asyncio.sleep(0.5)
    assert [e.data for e in await log.recent("b", 9)] == ["1"]
    second = await log.append("b", "2", after=first, lost=1)
    assert [e.data for e in await log.recent("b", 9)] == ["1", "2"]
    assert second.n == first.n + 2


@pytest.mark.gen_test
async def test_a_wrong_idea_of_the_servers_clock_is_put_right(
    opened: Opened, redis_url: str, settings: Settings
) -> None:
    log = await redis_log(opened, redis_url, settings)
    first = await log.append("b", "1")
    assert log.link._clock_offset is not None
    log.link._clock_offset -= 3_600_000
    assert (await log.append("b", "2")).n == first.n + 1
    log.link._clock_offset += 3_600_000
    assert (await log.append("b", "3")).n == first.n + 2


@pytest.mark.gen_test
async def test_a_full_server_refuses_and_tells_the_others_without_an_id(
    opened: Opened, own_redis: RedisServer, settings: Settings
) -> None:
    log = await redis_log(opened, own_redis.url, settings)
    first = await log.append("b", "1")
    ear = own_redis.client.pubsub(ignore_subscribe_messages=True)
    ear.subscribe(log.keys.channel("b"))
    ear.get_message(timeout=PATIENCE)
    own_redis.client.config_set("maxmemory-policy", "noeviction")
    own_redis.client.config_set("maxmemory", "1mb")
    with pytest.raises(LogRefused, match="maxmemory"):
        await log.append("b", "2")
    message = None
    while message is None:
        message = ear.get_message(timeout=PATIENCE)
    ear.close()
    assert message["data"] == "- 2"
    await log.ping()
    assert (await log.head("b")).id == first  # type: ignore[union-attr]
    own_redis.client.config_set("maxmemory", "0")
    assert (await log.append("b", "3", after=first, lost=1)).n == first.n + 2


@pytest.mark.gen_test
async def test_another_programs_keys_do_no_harm(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await redis_log(opened, redis_url, settings)
    shared_redis.client.set(KEYS.stream("text"), "not a stream")
    shared_redis.client.set("other", "x")
    await log.append("b", "1")
    assert list(await log.board_ids()) == ["b"]
    assert await log.prune() == 0
    key = KEYS.stream("text")
    with pytest.raises(BoardRefused, match=f"the key {key} is of the type string"):
        await log.append("text", "1")
    with pytest.raises(BoardRefused, match=f"the key {key} is of the type string"):
        await log.since("text", EventId(1, 1))
    with pytest.raises(BoardRefused, match=f"the key {key} is not a stream"):
        await log.head("text")


@pytest.mark.parametrize("kind", ["string", "stream"])
@pytest.mark.gen_test
async def test_what_a_boards_key_keeps_from_the_log_is_told_to_the_others_without_an_id(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer, kind: str
) -> None:
    log = await redis_log(opened, redis_url, settings)
    if kind == "string":
        shared_redis.client.set(KEYS.stream("b"), "not a stream")
    else:
        shared_redis.client.xadd(KEYS.stream("b"), {"x": "x"}, f"{2**64 - 1}-1")
    with shared_redis.client.pubsub(ignore_subscribe_messages=True) as ear:
        ear.subscribe(log.keys.channel("b"))
        ear.get_message(timeout=PATIENCE)
        with pytest.raises(BoardRefused):
            await log.append("b", "2")
        messages = [ear.get_message(timeout=2) for _ in range(2)]
    assert "- 2" in [message["data"] for message in messages if message]
