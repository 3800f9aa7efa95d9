"""A Redis that answers and does not take part, is slow, forgets, or is another one by now."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import AsyncIterator

import pytest

from tornado_board.cluster.listener import Listener
from tornado_board.replay import EventId, Gap, LogRefused, LogUnavailable
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.settings import Settings

from .conftest import KEYS, Opened
from .redis_server import RedisServer
from .waiting import until


class Way:
    """The way to a server: it may be slow, lead to another one, or lose what comes back."""

    def __init__(self, port: int) -> None:
        self.to = port
        self.delay = 0.0
        self.swallow = False
        self.connections = 0
        self.url = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, server: RedisServer) -> AsyncIterator[Way]:
        way = cls(server.port)
        listening = await asyncio.start_server(way._serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        way.url = server.url.replace(f":{server.port}/", f":{port}/")
        async with listening:
            yield way

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            back, there = await asyncio.open_connection("127.0.0.1", self.to)
            await asyncio.wait(
                [
                    asyncio.create_task(self._pass(reader, there, False)),
                    asyncio.create_task(self._pass(back, writer, True)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
            there.close()
        writer.close()

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, back: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                if back and self.swallow:
                    return
                await asyncio.sleep(self.delay / 2)
                sink.write(data)


async def _log(opened: Opened, url: str, settings: Settings) -> RedisReplayLog:
    log = await opened.log(url, settings)
    assert isinstance(log, RedisReplayLog)
    return log


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]


@pytest.mark.gen_test
async def test_an_event_that_may_not_be_published_is_appended_once(
    opened: Opened, own_redis: RedisServer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    log = await _log(opened, own_redis.url, settings)
    first = await log.append("b", "0")
    own_redis.client.execute_command("ACL", "SETUSER", "board", "resetchannels")
    ids = [await log.append("b", str(n)) for n in range(1, 4)]
    assert [id.n for id in ids] == [first.n + n for n in range(1, 4)]
    assert own_redis.client.xlen(KEYS.stream("b")) == 4
    assert len(_warnings(caplog)) == 1
    assert len(log.missing()) == 1
    await log.delete("b")
    own_redis.client.execute_command("ACL", "SETUSER", "board", "&tornado_board:*")
    await log.append("b", "4")
    assert log.missing() == []


@pytest.mark.parametrize("right", ["-xadd", "-get", "-evalsha", "-xinfo", "-time", "off"])
@pytest.mark.gen_test
async def test_a_right_taken_away_is_a_refusal(
    opened: Opened, own_redis: RedisServer, settings: Settings, right: str
) -> None:
    log = await _log(opened, own_redis.url, settings)
    first = await log.append("b", "0")
    own_redis.client.execute_command("ACL", "SETUSER", "board", right)
    if right == "off":
        own_redis.client.client_kill_filter(_type="normal", skipme=True)
    for _ in range(3):
        with pytest.raises(LogUnavailable) as refused:
            await log.append("b", "1", after=first)
        # The first command after a cut connection has no answer.
    assert isinstance(refused.value, LogRefused)
    own_redis.client.execute_command(
        "ACL", "SETUSER", "board", "on" if right == "off" else f"+{right[1:]}"
    )
    await asyncio.sleep(0.25)
    assert (await log.append("b", "1", after=first)).n == first.n + 1
    assert own_redis.client.xlen(KEYS.stream("b")) == 2


@pytest.mark.gen_test
async def test_a_foreign_entry_is_passed_over_and_a_gap(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await _log(opened, redis_url, settings)
    first = await log.append("b", "1")
    shared_redis.client.xadd(KEYS.stream("b"), {"data": "foreign\nlines"})
    head = await log.head("b")
    assert head is None or head.id == first
    with pytest.raises(Gap):
        await log.since("b", first)
    await until(lambda: time.time() * 1000 > first.n + 2)  # counters begin anew at the clock
    second = await log.append("b", "2", after=first)
    assert second.n > first.n + 1
    with pytest.raises(Gap):
        await log.since("b", first)
    third = await log.append("b", "3", after=second)
    assert third.n == second.n + 1
    assert [e.id for e in await log.since("b", second)] == [third]
    assert [e.data for e in await log.recent("b", 9)] == ["1", "2", "3"]
    shared_redis.client.xadd(KEYS.stream("far"), {"data": "x"}, f"{2**63}-{2**63}")
    for _ in range(2):
        with pytest.raises(LogRefused, match="another program"):
            await log.append("far", "1")
    assert set(await log.board_ids()) == {"b"}


@pytest.mark.gen_test
async def test_a_replica_is_left_for_the_server_that_took_its_place(
    opened: Opened, own_redis: RedisServer, shared_redis: RedisServer, settings: Settings
) -> None:
    """An address that leads to another server now: connections to the old one know it not."""
    shared_redis.client.flushall()
    heard: list[str] = []
    subscribed: list[str] = []
    async with Way.open(own_redis) as way:
        log = await _log(opened, way.url, settings)
        channel = KEYS.channel("b")
        listener = Listener(log.link, lambda _, payload: heard.append(payload), subscribed.append)
        await listener.subscribe([channel])
        await until(lambda: subscribed == [channel])
        first = await log.append("b", "1")
        await until(lambda: heard == [f"{first} 1"])
        # Demoted, with every connection as it was.
        own_redis.client.replicaof("127.0.0.1", "1")
        way.to = shared_redis.port
        with pytest.raises(LogRefused, match="READONLY"):
            await log.append("b", "2", after=first)
        second = await log.append("b", "2", after=first)
        assert shared_redis.client.xlen(KEYS.stream("b")) == 1
        await until(lambda: subscribed == [channel, channel])
        third = await log.append("b", "3", after=second)
        await until(lambda: heard[-1] == f"{third} 3")
        await listener.close()


@pytest.mark.gen_test
async def test_an_append_whose_answer_was_lost_is_found_by_the_next_try(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    async with Way.open(shared_redis) as way:
        log = await _log(opened, way.url, settings)
        first = await log.append("b", "1")
        way.swallow = True
        with pytest.raises(LogUnavailable) as lost:
            await log.append("b", "2", after=first)
        assert not isinstance(lost.value, LogRefused)
        way.swallow = False
        await until(lambda: shared_redis.client.xlen(KEYS.stream("b")) == 2)
        second = await log.append("b", "2", after=first)
        assert second.n == first.n + 1
        assert [e.id for e in await log.since("b", first)] == [second]
        # Another process is not this one's second try.
        other = await _log(opened, redis_url, settings)
        assert (await other.append("b", "2", after=first)).n == second.n + 1


@pytest.mark.gen_test
async def test_an_append_that_was_given_up_never_comes_on_top_of_a_newer_one(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    """It lies in a buffer, its connection breaks, and the next one overtakes it."""
    async with Way.open(shared_redis) as way:
        log = await _log(opened, way.url, settings)
        first = await log.append("b", "1")
        shared_redis.client.config_resetstat()
        way.delay = 0.6
        giving_up = asyncio.create_task(log.append("b", "old", after=first))
        await asyncio.sleep(0.1)
        giving_up.cancel()
        await asyncio.gather(giving_up, return_exceptions=True)
        way.delay = 0.0
        second = await log.append("b", "new", after=first)
        while "errorstat_LATE" not in shared_redis.client.info("errorstats"):
            await asyncio.sleep(0.01)  # it has yet to arrive
        assert [e.data for e in await log.recent("b", 9)] == ["1", "new"]
        assert second.n == first.n + 1


@pytest.mark.gen_test
async def test_a_slow_server_loses_and_repeats_nothing(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    async with Way.open(shared_redis) as way:
        log = await _log(opened, way.url, settings)
        last = await log.append("b", "0")
        way.delay = 0.3
        for n in range(1, 6):
            id = await log.append("b", str(n), after=last)
            assert id.n == last.n + 1
            last = id
    assert shared_redis.client.xlen(KEYS.stream("b")) == 6


@pytest.mark.gen_test
async def test_scripts_forgotten_under_load_lose_and_repeat_nothing(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await _log(opened, redis_url, settings)

    async def append(board: str) -> list[EventId]:
        ids: list[EventId] = []
        while len(ids) < 150:
            ids.append(await log.append(board, str(len(ids)), after=ids[-1] if ids else None))
        return ids

    async def forget() -> None:
        while True:
            await asyncio.to_thread(shared_redis.client.script_flush)

    forgetting = asyncio.create_task(forget())
    try:
        everything = await asyncio.gather(*[append(board) for board in "abcd"])
    finally:
        forgetting.cancel()
    for board, ids in zip("abcd", everything, strict=True):
        assert [id.n - ids[0].n for id in ids] == list(range(150))
        assert [e.data for e in await log.since(board, ids[0])] == [*map(str, range(1, 150))]


@pytest.mark.gen_test
@pytest.mark.parametrize("knows", [True, False], ids=["knows", "took over"])
async def test_a_server_that_lost_its_newest_entries_proves_nothing(
    opened: Opened, own_redis: RedisServer, settings: Settings, knows: bool
) -> None:
    """As after a failover to a replica that lagged, or a restored backup."""
    own_redis.kill()
    own_redis.options = ("--appendonly", "yes", "--appendfsync", "always")
    own_redis.start()
    log = await _log(opened, own_redis.url, settings)
    kept = [await log.append("b", str(n)) for n in range(3)]
    files = own_redis.folder / "appendonlydir"
    shutil.copytree(files, own_redis.folder / "backup")
    lost = [await log.append("b", str(n)) for n in range(3, 5)]
    own_redis.kill()
    shutil.rmtree(files)
    shutil.copytree(own_redis.folder / "backup", files)
    own_redis.start()
    await asyncio.sleep(0.3)
    with contextlib.suppress(LogUnavailable):
        await log.ping()
    for id in (*kept, *lost):
        with pytest.raises(Gap):
            await log.since("b", id)
    if not knows:
        log = await _log(opened, own_redis.url, settings)
    new = await log.append("b", "new", after=lost[-1] if knows else None)
    for id in (*kept, lost[0]):
        with pytest.raises(Gap):
            await log.since("b", id)
    if knows:
        assert [e.id for e in await log.since("b", lost[-1])] == [new]
    else:
        with pytest.raises(Gap):
            await log.since("b", lost[-1])
    newer = await log.append("b", "newer", after=new)
    assert [e.id for e in await log.since("b", new)] == [newer]


@pytest.mark.gen_test
async def test_an_evicted_stream_is_a_gap_with_other_counters(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    log = await _log(opened, redis_url, settings)
    old = [await log.append("b", str(n)) for n in range(3)]
    shared_redis.client.delete(KEYS.stream("b"))
    await until(lambda: time.time() * 1000 > old[-1].n + 2)
    new = await log.append("b", "new", after=old[-1])
    assert new.n > old[-1].n + 1
    for id in old:
        with pytest.raises(Gap):
            await log.since("b", id)


@pytest.mark.gen_test
async def test_a_read_is_bounded_by_the_length_cap(
    opened: Opened, redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    """Whatever another process, with another cap, left there."""
    log = await _log(opened, redis_url, settings)
    first = await log.append("b", "0")
    pipeline = shared_redis.client.pipeline(transaction=False)
    fields = {"data": "x", "before": "0-0", "by": "", "run": ""}
    for n in range(1, 5_000):
        pipeline.xadd(KEYS.stream("b"), fields, f"{first.ms + 1}-{first.n + n}")
    pipeline.execute()
    shared_redis.client.config_resetstat()
    with pytest.raises(Gap):
        await log.since("b", first)
    calls = shared_redis.client.info("commandstats")["cmdstat_xrange"]["calls"]
    assert calls <= settings.replay_length / 1_000 + 1
