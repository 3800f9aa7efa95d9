"""Roles, and what processes hear of each other: several nodes on one store and one real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tornado_board.cluster import Role
from tornado_board.cluster.lease import Lease
from tornado_board.cluster.redis_bus import RedisBus
from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.replay import Event, EventId, Gap
from tornado_board.settings import Settings
from tornado_board.store import NotFound

from .conftest import IDENTITY, KEYS, Opened
from .nodes import Node, SharedFeed
from .redis_server import RedisServer
from .waiting import until

LEASE = 1.0


class Cluster:
    """Nodes on one store, closed after the test."""

    def __init__(self, store: SharedFeed, url: str, settings: Settings) -> None:
        self.store, self.url, self.settings = store, url, settings
        self.nodes: list[Node] = []

    async def node(self, url: str = "", **changes: Any) -> Node:
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
        player = (await self.store.add_score(board, "p", amount)).player
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
    first_id = second.hub.current("b").id
    assert first_id.n > 1_000_000_000_000, "a new life of a board counts from the clock"
    text = await cluster.add()
    await until(lambda: text in second.data("b"))
    first.forget("b")
    second.forget("b")
    await until(lambda: not shared_redis.client.pubsub_channels(KEYS.channels))
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
    assert node.bus._task is not None
    node.bus._task.cancel()
    await asyncio.gather(node.bus._task, return_exceptions=True)
    node.feed.detach(node.boards)


async def _thaw(node: Node) -> None:
    node.bus._task = asyncio.create_task(node.bus._run())


@pytest.mark.gen_test(timeout=30)
async def test_a_former_holder_that_believes_it_still_is_publishes_nothing(
    clusters: Any, redis_url: str, shared_redis: RedisServer
) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    before = first.hub.ids("b")
    usurper = Lease(second.log.link, second.log.keys, 60)
    # It runs on, but its key is gone and taken: what a stop at the worst moment looks like.
    first.bus._lease._duration_ms = 10**6
    shared_redis.client.delete(KEYS.lease)
    assert await usurper.acquire()
    assert first.bus._lease.held
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


@pytest.mark.parametrize("early", [False, True], ids=["meanwhile", "from the start"])
@pytest.mark.gen_test(timeout=30)
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


@pytest.mark.gen_test(timeout=30)
async def test_two_deployments_that_meet_on_one_redis_see_nothing_of_each_other(
    clusters: Any, redis_url: str, opened: Opened, settings: Settings, tmp_path: Path
) -> None:
    cluster = await clusters(redis_url)
    first, _ = await cluster.pair()
    other_store = await opened.store(f"sqlite:///{tmp_path}/other.sqlite3", settings)
    other = await Node.start(other_store, redis_url, settings, "other", lease=LEASE)
    cluster.nodes.append(other)
    assert other.role is Role.PUBLISHER
    await other_store.create_board(NewBoard(id="b", name="Other"))
    await other.hub.open("b")
    text = await cluster.add()
    await until(lambda: text in first.data("b"))
    assert "Other" in other.data("b")
    assert text not in other.data("b")
    await cluster.store.delete_board("b")
    await until(lambda: not first.hub.board_ids())
    assert await other.log.head("b") is not None
    assert other.hub.board_ids()


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


class Heard:
    """A member that keeps what it is told."""

    def __init__(self) -> None:
        self.roles: list[Role] = []
        self.told: list[tuple[str, object]] = []

    def take_role(self, role: Role) -> None:
        self.roles.append(role)

    def on_following(self, board_id: str) -> None:
        self.told.append((board_id, "following"))

    def on_event(self, board_id: str, event: Event | None) -> None:
        self.told.append((board_id, event))

    def on_wanted(self, board_id: str) -> None:
        self.told.append((board_id, "wanted"))

    def unfit_for(self) -> float:
        return 0.0

    async def can_publish(self) -> bool:
        return True


@pytest.mark.gen_test(timeout=30)
async def test_what_other_processes_say(
    redis_url: str, settings: Settings, shared_redis: RedisServer
) -> None:
    buses = [RedisBus.open(redis_url, settings, IDENTITY) for _ in range(2)]
    members = [Heard(), Heard()]
    for bus, member in zip(buses, members, strict=True):
        await bus.start(member)
    assert [member.roles for member in members] == [[Role.PUBLISHER], [Role.FOLLOWER]]
    publisher, follower = buses
    assert not await publisher.followed(["a", "b"])
    await follower.follow(["b"])
    told = members[1].told
    await until(lambda: ("b", "following") in told)
    assert await publisher.followed(["a", "b"]) == {"b"} == set(await publisher.all_followed())
    await until(lambda: shared_redis.client.pubsub_numsub(KEYS.wanted)[0][1])
    assert await follower.want("b")
    await until(lambda: ("b", "wanted") in members[0].told)
    nonsense = ("", "1", "-", "1-1", "1-1-1 x", "hello there")
    for payload in (*nonsense, "1-1 some data", "- more", "gone"):
        shared_redis.client.publish(KEYS.channel("b"), payload)
    await until(lambda: ("b", None) in told)
    assert told[1:] == [
        ("b", Event(EventId(1, 1), "some data")),
        ("b", Event(None, "more")),
        ("b", None),
    ]
    for bus in buses:
        await bus.close()


@pytest.mark.gen_test(timeout=30)
async def test_who_can_not_follow_the_store_gives_the_lease_up(
    clusters: Any, redis_url: str
) -> None:
    """Its feed is gone, though Redis is there: then others may do better."""
    cluster = await clusters(redis_url)
    first, second = await cluster.pair()
    can_publish = asyncio.Event()

    async def away() -> bool:
        return can_publish.is_set()

    first.boards.unfit_for = lambda: 0.0 if can_publish.is_set() else 60.0
    first.boards.can_publish = away
    await until(lambda: second.role is Role.PUBLISHER and first.role is Role.FOLLOWER)
    await cluster.all_show(await cluster.add())
    await cluster.drop(second)
    await asyncio.sleep(3 * LEASE)
    assert first.role is Role.FOLLOWER, "it would not do better than before"
    can_publish.set()
    await until(lambda: first.role is Role.PUBLISHER)
    await cluster.all_show(await cluster.add())


@pytest.mark.gen_test(timeout=30)
async def test_a_copy_of_a_store_of_ones_own_is_not_followed(
    redis_url: str, settings: Settings
) -> None:
    """Two SQLite files of one identity: the second server shows its own boards."""
    buses = [RedisBus.open(redis_url, settings, IDENTITY, may_follow=False) for _ in range(2)]
    members = [Heard(), Heard()]
    for bus, member in zip(buses, members, strict=True):
        await bus.start(member)
    assert [member.roles for member in members] == [[Role.PUBLISHER], [Role.ISOLATED]]
    assert not buses[0].missing()
    assert "another server" in buses[1].missing()[0]
    for bus in buses:
        await bus.close()


@pytest.mark.gen_test(timeout=60)
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
    await until(lambda: all(node.hub.current("b").id for node in cluster.nodes), 15)
    await cluster.all_show(await cluster.add())


@pytest.mark.gen_test(timeout=30)
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
