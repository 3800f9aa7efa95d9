"""Publisher, followers and going alone: several nodes on one store and one real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tornado_board.models import NewBoard, NewPlayer
from tornado_board.realtime.lease import Lease
from tornado_board.realtime.roles import Role
from tornado_board.replay import Gap
from tornado_board.replay.redis import LEASE_KEY
from tornado_board.settings import Settings
from tornado_board.store import NotFound

from .conftest import Opened
from .nodes import Node, SharedFeed, until
from .redis_server import RedisServer

LEASE = 1.0


class Cluster:
    """Nodes on one store, closed after the test."""

    def __init__(self, store: SharedFeed, url: str, settings: Settings) -> None:
        self.store, self.url, self.settings = store, url, settings
        self.nodes: list[Node] = []

    async def node(self, url: str = "", **changes: float) -> Node:
        changes = {"lease": LEASE, **changes}
        node = await Node.start(self.store, url or self.url, self.settings, **changes)
        self.nodes.append(node)
        return node

    async def pair(self) -> tuple[Node, Node]:
        """One that publishes and one that follows, both with board ``b``."""
        first, second = await self.node(), await self.node()
        assert (first.role, second.role) == (Role.PUBLISHER, Role.FOLLOWER)
        await self.store.create_board(NewBoard(id="b"))
        await self.store.create_player("b", NewPlayer(id="p", name="P"))
        await asyncio.gather(first.hub.open("b"), second.hub.open("b"))
        return first, second

    async def add(self, amount: int = 1, board: str = "b") -> str:
        """Add to the score of player ``p``; what the board shows then."""
        player = await self.store.add_score(board, "p", amount)
        return f'"score":{player.score}'

    async def all_show(self, text: str, board: str = "b", *nodes: Node) -> None:
        for node in nodes or self.nodes:
            await until(lambda node=node: text in node.data(board))

    async def drop(self, node: Node) -> None:
        """Close it, cleanly."""
        self.nodes.remove(node)
        await node.close()


@pytest.fixture
def clusters(
    opened: Opened, io_loop: Any, settings: Settings
) -> Iterator[Callable[[str], Coroutine[Any, Any, Cluster]]]:
    made: list[Cluster] = []

    async def make(url: str) -> Cluster:
        store = await opened.store(settings.database_url, settings)
        made.append(Cluster(SharedFeed(store), url, settings))
        return made[-1]

    yield make

    async def close() -> None:
        for cluster in made:
            for node in cluster.nodes:
                await asyncio.wait_for(node.close(), 10)
            await cluster.store.close()

    io_loop.run_sync(close)


@pytest.mark.gen_test(timeout=30)
async def test_every_process_sends_the_same_ids_in_the_same_order(
    clusters: Any, redis_url: str
) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    third = await cluster.node()
    await third.hub.open("b")
    for _ in range(40):
        text = await cluster.add()
        await asyncio.sleep(0.01)
    await cluster.all_show(text)
    logged = [e.id for e in await first.log.recent("b", 1000)]
    assert len(logged) > 5
    for node in (first, second, third):
        ids = node.hub.ids("b")
        assert ids == logged[-len(ids) :]
        assert [i.n for i in ids] == list(range(ids[0].n, ids[0].n + len(ids)))


@pytest.mark.gen_test(timeout=30)
async def test_a_board_that_nobody_followed_for_a_while_is_shown_as_it_is_now(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.node(), await cluster.node()
    await cluster.store.create_board(NewBoard(id="b"))
    await cluster.store.create_player("b", NewPlayer(id="p", name="P"))
    await second.hub.open("b")  # only the follower's clients want it, and no log of it exists
    assert second.hub.current("b").id.n == 1
    text = await cluster.add()
    await until(lambda: text in second.data("b"))
    first.forget("b")
    second.forget("b")
    await until(lambda: not shared_redis.client.pubsub_channels("mq:*"))
    text = await cluster.add()
    await asyncio.sleep(0.2)
    head = await first.log.head("b")
    assert text not in head.data, "nobody cares for it, nobody publishes it"
    await second.hub.open("b")
    assert text in second.data("b")
    assert second.hub.current("b").id.n == head.id.n + 1


@pytest.mark.gen_test(timeout=30)
async def test_a_missing_or_deleted_board_is_not_found_in_every_process(
    clusters: Any, redis_url: str
) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    for node in (first, second):
        with pytest.raises(NotFound):
            await node.hub.open("none")
    await cluster.store.delete_board("b")
    await until(lambda: not first.hub.board_ids() and not second.hub.board_ids())
    for node in (first, second):
        with pytest.raises(NotFound):
            await node.hub.open("b")
    assert await first.log.head("b") is None


@pytest.mark.gen_test(timeout=30)
async def test_a_clean_stop_hands_over_within_a_second(clusters: Any, redis_url: str) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    await cluster.drop(first)
    took = await until(lambda: second.role is Role.PUBLISHER)
    assert took < 1
    text = await cluster.add()
    await until(lambda: text in second.data("b"))


@pytest.mark.gen_test(timeout=60)
async def test_a_new_publisher_publishes_what_moved_meanwhile(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    cluster = await clusters(redis_url)
    await cluster.pair()
    third = await cluster.node()
    await third.hub.open("b")
    for _ in range(5):
        old, others = (
            next(n for n in cluster.nodes if n.role is Role.PUBLISHER),
            [n for n in cluster.nodes if n.role is Role.FOLLOWER],
        )
        assert len(others) == 2
        await _freeze(old)  # it neither renews nor publishes nor hands back
        text = await cluster.add()
        took = await until(lambda others=others: any(n.role is Role.PUBLISHER for n in others), 5)
        assert took < 5 * LEASE
        await cluster.all_show(text, "b", *others)
        await _thaw(old)
        await until(lambda old=old: old.role is Role.FOLLOWER)
        await cluster.all_show(text)
        old_ids, new_ids = old.hub.ids("b"), others[0].hub.ids("b")
        assert old_ids[-1] == new_ids[-1]


async def _freeze(node: Node) -> None:
    """As if the process had been stopped, and without its giving the lease back."""
    roles = node.roles
    assert roles._task is not None
    roles._task.cancel()
    await asyncio.gather(roles._task, return_exceptions=True)
    assert roles._publishing is not None
    await roles._publishing.close()


async def _thaw(node: Node) -> None:
    node.roles._task = asyncio.create_task(node.roles._run())


@pytest.mark.gen_test(timeout=30)
async def test_a_former_holder_that_believes_it_still_is_publishes_nothing(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    before = first.hub.ids("b")
    usurper = Lease(second.log.link, 60)
    # It runs on, but its key is gone and taken: what a stop at the worst moment looks like.
    first.roles._lease._duration_ms = 10**6
    shared_redis.client.delete(LEASE_KEY)
    assert await usurper.acquire()
    assert first.roles._lease.held
    text = await cluster.add()
    await until(lambda: first.role is Role.FOLLOWER)
    await asyncio.sleep(0.2)
    assert first.hub.ids("b") == before
    assert [e.id for e in await first.log.recent("b", 9)] == before
    await usurper.release()
    await cluster.all_show(text)


@pytest.mark.gen_test(timeout=60)
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


@pytest.mark.gen_test(timeout=60)
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


@pytest.mark.gen_test(timeout=60)
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
    await until(lambda: all(node.role is Role.ALONE for node in cluster.nodes))
    with_board = await cluster.add()
    await cluster.all_show(with_board)

    own_redis.start()
    roles = {Role.PUBLISHER, Role.FOLLOWER}
    await until(lambda: {node.role for node in cluster.nodes} == roles)
    await until(lambda: all(node.hub.current("b").id for node in cluster.nodes))
    head = await first.log.head("b")
    assert head is not None
    assert head.id.n > before.n + 1, "the counter goes on, with a hole"
    for node in cluster.nodes:
        await until(lambda node=node: node.hub.current("b").id == head.id)
        with pytest.raises(Gap):
            await node.log.since("b", before)
    text = await cluster.add()
    await cluster.all_show(text)


@pytest.mark.gen_test(timeout=60)
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


@pytest.mark.gen_test(timeout=60)
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


@pytest.mark.gen_test(timeout=60)
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
        await until(lambda: second.role is Role.ALONE)
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
        self.target = int(url.split(":")[2].split("/")[0])
        self.port = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Proxy:
        await self.mend()
        self.url = f"redis://127.0.0.1:{self.port}/0"
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
