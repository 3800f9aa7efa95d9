"""What the replay log in Redis does beyond the contract: outages, a full server, many logs."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import time

import pytest

from tornado_board.replay import (
    Event,
    EventId,
    Gap,
    LogUnavailable,
    open_replay_log,
)
from tornado_board.settings import Settings

from .conftest import IDENTITY, KEYS, Opened
from .redis_logs import redis_log
from .redis_server import RedisServer
from .waiting import PATIENCE


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost:notaport/0",
        "redis://localhost/zero",
        "unix://?db=x",
        "redis://localhost/0?colour=red",
        "redis://localhost/0?protocol=3",
    ],
)
@pytest.mark.gen_test
async def test_a_url_that_names_no_server_is_a_value_error(url: str, settings: Settings) -> None:
    with pytest.raises(ValueError, match="redis_url"):
        await open_replay_log(url, settings, IDENTITY)


@pytest.mark.parametrize("password", ["s3c/ret", "s3c?ret", "s3c#ret"])
@pytest.mark.gen_test
async def test_a_password_that_spoils_the_url_is_not_shown(
    password: str, settings: Settings
) -> None:
    with pytest.raises(ValueError, match="redis_url") as error:
        await open_replay_log(f"redis://:{password}@localhost:1/0", settings, IDENTITY)
    assert "s3c" not in str(error.value)
    assert "ret" not in str(error.value).replace("retry", "")


@pytest.mark.gen_test
async def test_the_description_and_errors_show_no_password(
    opened: Opened, own_redis: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    own_redis.client.config_set("requirepass", "s3cret")
    url = f"redis://:s3cret@127.0.0.1:{own_redis.port}/3"  # as the default user
    log = await redis_log(opened, url, settings)
    await log.append("b", "1")
    assert log.description == f"Redis, 127.0.0.1:{own_redis.port}, database 3"
    own_redis.kill()
    with pytest.raises(LogUnavailable) as away:
        await log.append("b", "2")
    assert "s3cret" not in f"{away.value!r} {caplog.text}"


@pytest.mark.gen_test
async def test_a_wrong_password_is_said_at_once(own_redis: RedisServer, settings: Settings) -> None:
    own_redis.client.config_set("requirepass", "s3cret")
    for wrong in ("", ":wr0ng@"):
        with pytest.raises(LogUnavailable) as refused:
            await open_replay_log(
                f"redis://{wrong}127.0.0.1:{own_redis.port}/0", settings, IDENTITY
            )
        assert "wr0ng" not in str(refused.value)


@pytest.mark.gen_test
async def test_a_unix_socket_will_do(
    opened: Opened, own_redis: RedisServer, settings: Settings
) -> None:
    own_redis.kill()
    path = own_redis.folder / "redis.sock"
    own_redis.options = ("--unixsocket", str(path))
    own_redis.start()
    log = await redis_log(opened, f"unix://{path}?db=2", settings)
    assert log.description == f"Redis, {path}, database 2"
    first = await log.append("b", "1")
    assert await log.head("b") == Event(first, "1")
    own_redis.client.select(2)
    assert own_redis.client.keys() == [KEYS.stream("b")]


@pytest.mark.gen_test
async def test_databases_of_one_server_have_channels_of_their_own(
    opened: Opened, redis_url: str, settings: Settings
) -> None:
    log = await redis_log(opened, redis_url, settings)
    other = await redis_log(opened, redis_url[:-1] + "1", settings)
    channel = other.keys.channel("b")
    assert other.keys.board_of_channel(channel) == "b"
    assert log.keys.board_of_channel(channel) is None


@pytest.mark.gen_test
async def test_an_event_is_published_as_it_is_appended(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await redis_log(opened, redis_url, settings)
    ear = shared_redis.client.pubsub(ignore_subscribe_messages=True)
    ear.subscribe(log.keys.channel("b"))
    ear.get_message(timeout=PATIENCE)
    id = await log.append("b", '{"x": "a b"}')
    await log.delete("b")
    messages: list[str] = []
    while len(messages) < 2:
        message = ear.get_message(timeout=PATIENCE)
        if message is not None:
            messages.append(message["data"])
    ear.close()
    assert messages == [f'{id} {{"x": "a b"}}', "gone"]


@pytest.mark.gen_test
async def test_idle_streams_expire_and_no_key_is_left_without_an_expiry(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    short = dataclasses.replace(settings, history_retention=200.0)
    log = await redis_log(opened, redis_url, short, replay_retention=100)
    first = await log.append("b", "1")
    await log.append("b", "2", after=EventId(first.ms + 70_000, first.n))
    keys = list(shared_redis.client.scan_iter())
    assert len(keys) == 3
    for key in keys:
        assert 100_000 < shared_redis.client.pttl(key) <= 1_000_000


@pytest.mark.gen_test
async def test_the_length_cap_is_exact(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await redis_log(opened, redis_url, settings, replay_length=7)
    for n in range(300):
        await log.append("b", str(n))
    assert shared_redis.client.xlen(KEYS.stream("b")) == 7
    assert [e.data for e in await log.recent("b", 99)] == [str(n) for n in range(293, 300)]


@pytest.mark.gen_test
async def test_the_same_counter_after_a_new_beginning_is_a_gap(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    """A trimmed log whose oldest event has, by chance, the counter after the one asked for."""
    log = await redis_log(opened, redis_url, settings, replay_length=3)
    old = [await log.append("b", "old") for _ in range(2)]
    shared_redis.client.flushall()
    await asyncio.sleep(0.002)
    new = [await log.append("b", str(n)) for n in range(5)]
    assert [e.id for e in await log.since("b", new[1])] == new[2:]
    with pytest.raises(Gap):
        await log.since("b", old[1])


@pytest.mark.gen_test
async def test_recorded_gaps_are_gaps_at_once_and_whoever_appends_next(
    opened: Opened, redis_url: str, settings: Settings
) -> None:
    log, other = [await redis_log(opened, redis_url, settings) for _ in range(2)]
    first = await log.append("b", "1")
    await other.record_gap("b", first, 2)
    assert (await log.head("b")).id == first  # type: ignore[union-attr]
    with pytest.raises(Gap):
        await log.since("b", first)
    second = await log.append("b", "2")
    assert second.n == first.n + 3
    with pytest.raises(Gap):
        await log.since("b", first)
    await other.record_gap("b", first, 5)  # that gap is there already
    third = await log.append("b", "3")
    assert third.n == second.n + 1
    await other.record_gap("b", second, 1)  # the log went on before it was told
    assert (await log.append("b", "4")).n == third.n + 2
    with pytest.raises(Gap):
        await log.since("b", second)
    await other.record_gap("none", first, 1)
    assert await log.head("none") is None


@pytest.mark.gen_test
async def test_calls_that_wait_together_share_a_read_and_get_their_own_part(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await redis_log(opened, redis_url, settings)
    ids = [await log.append("b", str(n)) for n in range(50)]
    shared_redis.client.config_resetstat()
    answers = await asyncio.gather(
        *[log.since("b", id) for id in ids],
        log.since("b", EventId(1, 1)),
        return_exceptions=True,
    )
    for n, answer in enumerate(answers[:-1]):
        assert not isinstance(answer, BaseException)
        assert [e.id for e in answer] == ids[n + 1 :]
    assert isinstance(answers[-1], Gap)
    assert shared_redis.client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1


@pytest.mark.gen_test
async def test_a_log_longer_than_a_page_comes_back_whole(
    opened: Opened, redis_url: str, settings: Settings
) -> None:
    log = await redis_log(opened, redis_url, settings, replay_length=2_500)
    first = await log.append("b", "first")
    writers = asyncio.Semaphore(50)

    async def append() -> None:
        async with writers:
            await log.append("b", "x")

    await asyncio.gather(*[append() for _ in range(2_400)])
    events = await log.since("b", first)
    assert [e.id.n - first.n for e in events if e.id] == list(range(1, 2_401))


@pytest.mark.alone
@pytest.mark.gen_test
async def test_ten_thousand_logs_are_pruned_without_stalling_the_loop(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await redis_log(opened, redis_url, settings, replay_retention=60)
    now = await log.link.now_ms()
    pipeline = shared_redis.client.pipeline(transaction=False)
    for board in range(10_000):
        for n, age in ((1, 90_000), (2, 61_000), (3, 1_000)):
            pipeline.xadd(KEYS.stream(str(board)), {"data": "x"}, f"{now - age}-{n}")
        if board % 1_000 == 999:
            pipeline.execute()
    stalls: list[float] = []
    # What a whole run of tests has left is not looked through for garbage meanwhile.
    gc.collect()
    gc.freeze()

    async def watch() -> None:
        # The processor's time, not the clock's: other programs may keep this one waiting.
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            stalls.append(now - before)
            before = now

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    pruned = await log.prune()
    took = time.perf_counter() - began
    watching.cancel()
    gc.unfreeze()
    assert pruned == 20_000
    assert shared_redis.client.xlen(KEYS.stream("0")) == 1
    print(f"pruned in {took:.2f} s, the loop busy for {max(stalls) * 1000:.1f} ms at a time")
    assert max(stalls) < 0.05
