"""Roles, and what processes hear of each other: several nodes on one store and one real Redis."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tornado_board.cluster import Role
from tornado_board.cluster.lease import Lease
from tornado_board.cluster.redis_bus import RedisBus
from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.replay import Event, EventId
from tornado_board.settings import Settings
from tornado_board.store import NotFound

from .bus_cluster import LEASE, clusters, freeze, thaw
from .conftest import IDENTITY, KEYS, Opened
from .nodes import Node
from .redis_server import RedisServer
from .waiting import until

__all__ = ["clusters"]  # fixtures


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_a_clean_stop_hands_over_at_once(clusters: Any, redis_url: str) -> None:
    cluster = await clusters(redis_url)
    first, second = await cluster.pair(lease=60.0)  # nobody could wait for its end
    await cluster.drop(first)
    assert await until(lambda: second.role is Role.PUBLISHER) < 30
    text = await cluster.add()
    await until(lambda: text in second.data("b"))


@pytest.mark.gen_test
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
        await freeze(old)  # it neither renews nor publishes nor hands back
        text = await cluster.add()
        await until(lambda others=others: any(n.role is Role.PUBLISHER for n in others))
        await cluster.all_show(text, "b", *others)
        await thaw(old)
        await until(lambda old=old: old.role is Role.FOLLOWER)
        await cluster.all_show(text)
        old_ids, new_ids = old.hub.ids("b"), others[0].hub.ids("b")
        assert old_ids[-1] == new_ids[-1]


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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
