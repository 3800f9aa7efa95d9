"""The replay log and the bus on a master that sentinels name, with a failover."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tornado_board.cluster import Role
from tornado_board.replay import EventId, LogUnavailable
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.replay.redis_link import RedisLink
from tornado_board.replay.redis_url import RedisURL
from tornado_board.settings import Settings

from .conftest import IDENTITY, Opened
from .nodes import Node, SharedFeed
from .ports import free_port
from .redis_sentinel import Sentinels
from .redis_server import RedisServer
from .waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("io_loop")


def test_a_url_names_sentinels_and_the_master() -> None:
    url = "rediss+sentinel://me:p%40%2Cw@a:1,b,[::1]:3/board.x/2?ssl_cert_reqs=none"
    parsed = RedisURL.parse(url + "&sentinel_username=s&sentinel_password=q%26")
    assert parsed.sentinels is not None
    assert parsed.sentinels.addresses == (("a", 1), ("b", 26379), ("::1", 3))
    assert parsed.sentinels[1:] == ("board.x", "s", "q&")
    assert parsed.database == 2
    assert parsed.place == "the master board.x of a:1,b:26379,::1:3"
    assert {"host", "port"}.isdisjoint(parsed.options)
    assert (parsed.options["username"], parsed.options["password"]) == ("me", "p@,w")
    assert parsed.options["ssl_cert_reqs"] == "none"
    link = RedisLink(url, 1)
    assert link.tls
    plain = RedisLink("redis+sentinel://a/board", 1)
    assert (plain.tls, plain.database) == (False, 0)
    assert plain.description == "Redis, the master board of a:26379, database 0"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://a:1,b:2",
        "redis+sentinel://a:1,b:2/",
        "redis+sentinel://a:1,,b:2/board",
        "redis+sentinel://a:1,/board",
        "redis+sentinel:///board",
        "redis+sentinel://a:x/board",
        "redis+sentinel://a/bo ard",
        "redis+sentinel://a/s3cret@x/board",
        "redis+sentinel://a/board/x",
        "redis+sentinel://a/board/0/s3cret",
        "redis+sentinel://me:s3cret/w@a/board",
        "redis+sentinel://a/board?socket_timeout=1",
        "redis+sentinel://a/board#s3cret",
        f"redis+sentinel://{','.join('a' * 33)}/board",
    ],
)
def test_a_url_that_names_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="redis_url: ") as caught:
        RedisURL.parse(url)
    assert "s3cret" not in str(caught.value)


@pytest.fixture
def sentinels(tmp_path: Path) -> Iterator[Sentinels]:
    """A master, its replica, and three sentinels."""
    found = Sentinels(tmp_path)
    try:
        yield found.start()
    finally:
        found.close()


async def appended(log: RedisReplayLog, board_id: str, data: str) -> EventId:
    """The id of an event that is appended as soon as that can be."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await log.append(board_id, data)
            except LogUnavailable:
                await asyncio.sleep(0.05)


@pytest.mark.gen_test
async def test_the_log_goes_on_with_the_master_that_takes_over(
    sentinels: Sentinels, settings: Settings
) -> None:
    # The first of them is not there, and another one goes later.
    url = sentinels.url(before=f"127.0.0.1:{free_port()},")
    log = await RedisReplayLog.open(url, settings, IDENTITY)
    try:
        first = await appended(log, "b", "{}")
        master, replica = sentinels.servers
        assert master.key("*:replay:b")
        while not replica.key("*:replay:b"):
            await asyncio.sleep(0.02)
        sentinels.kill_sentinel(0)
        master.kill()
        second = await appended(log, "b", "{}")
        assert second.n > first.n
        assert replica.client.info("replication")["role"] == "master"
        # The former master comes back as a replica, and nothing is written to it.
        await asyncio.to_thread(master.start)
        third = await appended(log, "b", "{}")
        assert third.n == second.n + 1
    finally:
        await log.close()


@pytest.mark.gen_test
async def test_a_master_that_is_made_a_replica_is_left(
    sentinels: Sentinels, settings: Settings
) -> None:
    """A failover that somebody asks for, with nothing broken."""
    log = await RedisReplayLog.open(sentinels.url(), settings, IDENTITY)
    try:
        first = await appended(log, "b", "{}")
        replica = sentinels.servers[1]
        await asyncio.to_thread(fail_over, sentinels)
        second = await appended(log, "b", "{}")
        assert second.n > first.n
        assert replica.client.xlen(replica.key("*:replay:b")) >= 1
    finally:
        await log.close()


def fail_over(sentinels: Sentinels) -> None:
    """Have the replica take over; returns when it has."""
    import redis

    with redis.Redis(port=sentinels.ports[0], protocol=2) as client:
        client.execute_command("SENTINEL", "FAILOVER", "board")
    replica = sentinels.servers[1]
    while replica.client.info("replication")["role"] != "master":
        pass


@pytest.mark.gen_test
async def test_processes_hear_each_other_after_a_failover(
    opened: Opened, sentinels: Sentinels, settings: Settings
) -> None:
    """One publishes, the other follows; and so it is on the new master."""
    store = SharedFeed(await opened.store(settings.database_url, settings))
    nodes = [await Node.start(store, sentinels.url(), settings, lease=1) for _ in range(2)]
    try:
        await until(lambda: {node.role for node in nodes} == {Role.PUBLISHER, Role.FOLLOWER})
        for node in nodes:
            await node.hub.open("demo")
        await store.add_score("demo", "venus", 1)
        await until(lambda: all('"score":32' in node.data("demo") for node in nodes))
        sentinels.servers[0].kill()
        await store.add_score("demo", "venus", 1)
        await until(lambda: all('"score":33' in node.data("demo") for node in nodes))
        roles = {Role.PUBLISHER, Role.FOLLOWER}
        await until(lambda: {node.role for node in nodes} == roles)
        await store.add_score("demo", "venus", 1)
        await until(lambda: all('"score":34' in node.data("demo") for node in nodes))
        await until(lambda: all(node.boards.missing() == [] for node in nodes))
    finally:
        for node in nodes:
            await node.close()
        await store.close()


@pytest.mark.gen_test
async def test_a_start_without_a_master_goes_on_without_ids(
    own_redis: RedisServer, settings: Settings
) -> None:
    """No sentinel answers: as with a Redis that is away."""
    nobody = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{free_port()}/board"
    log = await RedisReplayLog.open(nobody, settings, IDENTITY)
    with pytest.raises(LogUnavailable, match="no sentinel names a master 'board' that is up"):
        await log.append("b", "{}")
    with pytest.raises(LogUnavailable):
        await log.ping()
    await log.close()
