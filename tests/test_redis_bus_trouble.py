"""Several processes while Redis, or the link of one to it, is broken."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest

from tornado_board.cluster import Role
from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.replay import Gap

from .bus_cluster import clusters
from .conftest import KEYS
from .redis_server import RedisServer
from .waiting import until

__all__ = ["clusters"]  # fixtures


@pytest.mark.gen_test
async def test_a_killed_subscriber_connection_loses_nothing(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    for _ in range(10):
        shared_redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        for _ in range(5):
            text = await cluster.add()
            await asyncio.sleep(0.03)
    await cluster.all_show(text)
    logged = [e.id for e in await first.log.recent("b", 1000)]
    await until(lambda: second.hub.ids("b") == logged[-len(second.hub.ids("b")) :])
    assert second.hub.ids("b")[-1] == logged[-1]
    ns = [i.n for i in second.hub.ids("b")]
    assert ns == list(range(ns[0], ns[0] + len(ns)))


@pytest.mark.gen_test
async def test_killed_command_connections_leave_no_board_stale_and_no_silent_gap(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    cluster = await clusters(redis_url)
    await cluster.pair()
    for _ in range(10):
        shared_redis.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for _ in range(5):
            text = await cluster.add()
            await asyncio.sleep(0.03)
    await cluster.all_show(text)
    await until(lambda: all(node.hub.current("b").id for node in cluster.nodes))


@pytest.mark.gen_test
@pytest.mark.parametrize("kept", [False, True], ids=["emptied", "appendonly"])
async def test_redis_away_and_back(clusters: Any, own_redis: RedisServer, kept: bool) -> None:
    if kept:
        own_redis.client.config_set("appendfsync", "always")
        own_redis.client.config_set("appendonly", "yes")
        own_redis.options = ("--appendonly", "yes", "--appendfsync", "always")
    cluster = await clusters(own_redis.url)
    first, _ = await cluster.pair()
    text = await cluster.add()
    await cluster.all_show(text)
    before = first.hub.current("b").id
    own_redis.kill()
    for _ in range(3):
        text = await cluster.add()
        await cluster.all_show(text)  # in every process
    assert all(node.hub.current("b").id is None for node in cluster.nodes)
    await until(lambda: all(node.role is Role.ISOLATED for node in cluster.nodes))
    with_board = await cluster.add()
    await cluster.all_show(with_board)

    own_redis.start()
    roles = {Role.PUBLISHER, Role.FOLLOWER}
    await until(lambda: {node.role for node in cluster.nodes} == roles)
    await until(lambda: all(node.hub.current("b").id for node in cluster.nodes))
    head = await first.log.head("b")
    assert head is not None
    assert head.id.n > before.n + 1, "the counter goes on, with a gap"
    for node in cluster.nodes:
        await until(lambda node=node: node.hub.current("b").id == head.id)
        with pytest.raises(Gap):
            await node.log.since("b", before)
    text = await cluster.add()
    await cluster.all_show(text)


@pytest.mark.gen_test
async def test_flushall(clusters: Any, redis_url: str, shared_redis: RedisServer) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    before = await cluster.add()
    await cluster.all_show(before)
    old = first.hub.current("b").id
    shared_redis.client.flushall()
    await until(lambda: Role.PUBLISHER in {node.role for node in cluster.nodes})
    for _ in range(5):
        text = await cluster.add()
        await asyncio.sleep(0.1)
    await cluster.all_show(text)
    await until(lambda: first.hub.current("b").id == second.hub.current("b").id)
    newest = first.hub.current("b").id
    assert newest is not None
    assert newest > old
    assert (await first.log.head("b")).id == newest


@pytest.mark.gen_test
async def test_a_full_redis_stops_ids_and_nothing_else(
    clusters: Any, own_redis: RedisServer
) -> None:
    cluster = await clusters(own_redis.url)
    first, second = await cluster.pair()
    old = first.hub.current("b").id
    own_redis.client.config_set("maxmemory-policy", "noeviction")
    own_redis.client.config_set("maxmemory", "1mb")
    for _ in range(5):
        text = await cluster.add()
        await cluster.all_show(text)
    assert (first.role, second.role) == (Role.PUBLISHER, Role.FOLLOWER)
    assert first.hub.current("b").id is None
    assert second.hub.current("b").id is None
    sent = len(first.hub.sent["b"]), len(second.hub.sent["b"])
    await asyncio.sleep(2)
    assert (len(first.hub.sent["b"]), len(second.hub.sent["b"])) == sent, "nothing new, so quiet"
    own_redis.client.config_set("maxmemory", "0")
    await until(lambda: first.hub.current("b").id and second.hub.current("b").id)
    assert first.hub.current("b") == second.hub.current("b")
    for node in cluster.nodes:
        with pytest.raises(Gap):
            await node.log.since("b", old)


@pytest.mark.parametrize("early", [False, True], ids=["meanwhile", "from the start"])
@pytest.mark.gen_test
async def test_a_boards_key_of_another_type_stops_its_ids_and_nothing_else(
    clusters: Any, redis_url: str, shared_redis: RedisServer, early: bool
) -> None:
    client, key = shared_redis.client, KEYS.stream("b")
    cluster = await clusters(redis_url)
    if early:
        client.set(key, "x")
    first, second = await cluster.pair()
    if not early:
        await cluster.all_show(await cluster.add())
        client.delete(key)
        client.set(key, "x")
    for _ in range(3):
        await cluster.all_show(await cluster.add())
    assert first.hub.current("b").id is second.hub.current("b").id is None
    client.delete(key)
    # The first that is logged shows that the key is free, and those after it have ids as well.
    await cluster.all_show(await cluster.add())
    for node in cluster.nodes:
        await until(lambda node=node: node.hub.current("b").id is not None)
    sent = len(first.hub.sent["b"])
    for _ in range(3):
        await cluster.all_show(await cluster.add())
    assert all(event.id is not None for event in first.hub.sent["b"][sent:])
    assert first.hub.ids("b")[-3:] == second.hub.ids("b")[-3:]


@pytest.mark.gen_test
async def test_only_one_process_loses_its_link(clusters: Any, redis_url: str) -> None:
    cluster = await clusters(redis_url)
    async with Proxy(redis_url) as proxy:
        first = await cluster.node()
        second = await cluster.node(proxy.url)
        await cluster.store.create_board(NewBoard(id="b"))
        await cluster.store.create_player("b", NewPlayer(id="p", name="P"))
        await cluster.store.create_board(NewBoard(id="c"))
        await cluster.store.create_player("c", NewPlayer(id="p", name="P"))
        await first.hub.open("b")
        await second.hub.open("b")
        await second.hub.open("c")
        old = second.hub.current("c").id
        proxy.cut()
        await until(lambda: second.role is Role.ISOLATED)
        b, c = await cluster.add(), await cluster.add(board="c")
        await cluster.all_show(b)
        await cluster.all_show(c, "c", second)
        assert first.role is Role.PUBLISHER
        assert first.hub.current("b").id is not None
        assert second.hub.current("b").id is None
        await proxy.mend()
        await until(lambda: second.role is Role.FOLLOWER)
        await until(lambda: second.hub.current("b") == first.hub.current("b"))
        # Nobody but the process that was cut off knew that its clients saw anything of c.
        await until(lambda: second.hub.current("c").id is not None)
        assert c in second.data("c")
        with pytest.raises(Gap):
            await first.log.since("c", old)


class Proxy:
    """A way to Redis that can be cut."""

    def __init__(self, url: str) -> None:
        self.target = urlsplit(url).port or 6379
        self.redis_url = url
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Proxy:
        await self.mend()
        self.url = self.redis_url.replace(f":{self.target}/", f":{self.port}/")
        return self

    async def mend(self) -> None:
        self.server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def __aexit__(self, *_: object) -> None:
        self.cut()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self.target)
        self.writers |= {writer, other_writer}
        await asyncio.gather(_copy(reader, other_writer), _copy(other_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.mark.gen_test
async def test_a_board_that_can_not_be_logged_is_live_in_every_process(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    """For what is in its place in Redis is another program's."""
    cluster = await clusters(redis_url)
    await cluster.pair()
    await cluster.all_show('"score":0')
    shared_redis.client.delete(KEYS.stream("b"))
    shared_redis.client.set(KEYS.stream("b"), "foreign")
    for _ in range(3):
        await cluster.all_show(await cluster.add())
    third = await cluster.node()  # it hears of nothing that was sent before
    await third.hub.open("b")
    await cluster.all_show('"score":3')
    shared_redis.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    text = await cluster.add()
    await cluster.all_show(text)
    shared_redis.client.delete(KEYS.stream("b"))
    await until(lambda: all(node.hub.current("b").id for node in cluster.nodes))
    await cluster.all_show(await cluster.add())


@pytest.mark.gen_test
async def test_a_key_that_is_no_lease_freezes_nothing_and_is_told_of(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    shared_redis.client.set(KEYS.lease, "other")  # it has no expiry, and is nobody's token
    await until(lambda: all(node.role is Role.ISOLATED for node in cluster.nodes))
    await cluster.all_show(await cluster.add())
    for node in cluster.nodes:
        assert "lease" in " ".join(node.boards.missing())
        assert node.hub.current("b").id is None
    shared_redis.client.delete(KEYS.lease)
    await until(lambda: {n.role for n in cluster.nodes} == {Role.PUBLISHER, Role.FOLLOWER})
    await cluster.all_show(await cluster.add())
    await until(lambda: first.hub.current("b").id is not None)
    await until(lambda: first.hub.current("b") == second.hub.current("b"))
    await until(lambda: not first.boards.missing() and not second.boards.missing())
