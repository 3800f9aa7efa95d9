"""Whole servers that share RethinkDB and Redis: what their clients see while things break."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
from itertools import pairwise
from pathlib import Path

import pytest

from tornado_board.replay import EventId

from .hopping_client import StreamClient
from .server_cluster import Cluster
from .server_process import ServerProcess
from .waiting import until

#: How often each client goes from one process to another.
HOPS = int(os.environ.get("HOPS", "30"))


def assert_each_once(client: StreamClient) -> None:
    """Every event exactly once and in order: no counter is left out, none comes twice."""
    counters = [id.n for id in client.ids]
    gaps = [n for n, m in pairwise(counters) if m != n + 1]
    assert not gaps, [r for r in client.received if r.event == "reset"]
    assert client.ids == sorted(client.ids)
    assert client.resets == 0, [r for r in client.received if r.event == "reset"]


def assert_no_silent_gap(client: StreamClient) -> None:
    """Nothing comes twice or out of order, and what a client missed while it was away it gets, or
    a reset. (A stream that stays open tells of events without ids by itself.)"""
    last: EventId | None = None
    resumed = False
    for position, received in enumerate(client.received):
        if position in client.begun:
            resumed = True
            if position and client.received[position - 1].without_id:
                last = None  # it came back without a position, and begins anew
        if received.event == "reset":
            last = None
        elif received.id is not None:
            if last is not None:
                assert received.id > last
                if resumed:
                    around = client.received[max(0, position - 5) : position + 2]
                    assert received.id.n == last.n + 1, f"a silent gap after {last}: {around}"
            last, resumed = received.id, False
        else:
            resumed = False  # it is live by now


@pytest.mark.gen_test
async def test_clients_of_three_processes_see_the_same_ids_in_the_same_order(
    cluster: Cluster,
) -> None:
    await cluster.start(3)
    await cluster.make_board()
    clients = [cluster.client(server) for server in cluster.servers for _ in range(3)]
    await until(lambda: all(client.received for client in clients))
    async with cluster.writes():
        await until(lambda: all(len(client.ids) > 50 for client in clients))
    await cluster.settle(*clients)
    log = [id for id, _ in await cluster.log()]
    for client in clients:
        assert_each_once(client)
        assert client.ids == log[-len(client.ids) :]


@pytest.mark.gen_test(timeout=240 + 2 * HOPS)
async def test_clients_that_hop_between_processes_have_every_event_once(cluster: Cluster) -> None:
    await cluster.start(3)
    await cluster.make_board()
    clients = [StreamClient("b") for _ in range(12)]
    await cluster.add()

    async def hop(client: StreamClient) -> None:
        while len(client.begun) < HOPS:
            server = random.choice(cluster.servers)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.random() * 0.8):
                    await client.follow(server.port)
        cluster.tasks.append(
            asyncio.create_task(client.follow_for_good(random.choice(cluster.servers).port))
        )

    async with cluster.writes():
        await asyncio.gather(*map(hop, clients))
    await cluster.settle(*clients)
    for client in clients:
        assert_each_once(client)
    assert await cluster.score() >= cluster.added


@pytest.mark.gen_test
async def test_the_publisher_killed_ten_times_leaves_no_board_stale(cluster: Cluster) -> None:
    await cluster.start(3, "--lease=1")
    await cluster.make_board()
    clients = [cluster.client(server) for server in cluster.servers for _ in range(2)]
    took = []
    async with cluster.writes():
        for _ in range(10):
            await until(lambda: cluster.publisher is not None)
            victim = cluster.publisher
            assert victim is not None
            await asyncio.sleep(0.5)
            victim.process.kill()
            took.append(await cluster.new_publisher(victim))
            await asyncio.to_thread(victim.wait)
            await asyncio.to_thread(victim.restart)
    took.sort()
    print(f"taken over within {took[0]:.2f} to {took[-1]:.2f} s")
    assert took[0] < 5, "the quickest: the others may have waited for the machine"
    await cluster.settle(*clients)
    scores = [score for _, score in await cluster.log()]
    assert scores == sorted(scores), "an older board was published after a newer one"
    assert cluster.added <= await cluster.score()
    for client in clients:
        assert_each_once(client)


@pytest.mark.gen_test
async def test_a_stopped_publisher_that_wakes_up_publishes_nothing(cluster: Cluster) -> None:
    await cluster.start(2)
    await cluster.make_board()
    clients = [cluster.client(server) for server in cluster.servers]
    await until(lambda: all(client.received for client in clients))
    await until(lambda: cluster.publisher is not None)
    stopped = cluster.publisher
    assert stopped is not None
    other = next(s for s in cluster.servers if s is not stopped)
    async with cluster.writes():
        await until(lambda: all(len(client.ids) > 10 for client in clients))
    writing = asyncio.create_task(cluster.add(stopped))  # it is stopped with work under way
    stopped.process.send_signal(signal.SIGSTOP)
    await cluster.new_publisher(stopped)
    for _ in range(5):
        assert await cluster.add(other)
        await asyncio.sleep(0.1)
    score = await cluster.score()
    while (before := await cluster.log())[-1][1] != score:
        await asyncio.sleep(0.02)
    stopped.process.send_signal(signal.SIGCONT)
    await writing
    await asyncio.sleep(1)
    after = await cluster.log()
    scores = [score for _, score in after]
    assert scores == sorted(scores)
    assert len(after) <= len(before) + 1, "only the addition that was under way is new"
    assert cluster.publisher is other
    await cluster.settle(*clients)
    for client in clients:
        assert_each_once(client)


@pytest.mark.gen_test
async def test_a_clean_stop_hands_over_at_once(cluster: Cluster) -> None:
    # Nobody could wait for the end of that lease.
    await cluster.start(2, "--lease=60")
    await cluster.make_board()
    await until(lambda: cluster.publisher is not None)
    for _ in range(3):
        old = cluster.publisher
        assert old is not None
        other = next(s for s in cluster.servers if s is not old)
        client = cluster.client(other)
        await until(lambda client=client: client.received)
        old.process.send_signal(signal.SIGTERM)
        assert await cluster.new_publisher(old) < 30
        assert await cluster.add(other)
        await cluster.settle(client)
        assert_each_once(client)
        assert await asyncio.to_thread(old.wait) == 0
        await asyncio.to_thread(old.restart)


@pytest.mark.gen_test
@pytest.mark.parametrize("way", ["flushall", "kill", "kill appendonly", "kill pubsub", "full"])
async def test_redis_breaks_under_load_and_no_client_is_left_behind(
    cluster: Cluster, way: str
) -> None:
    server, client = cluster.redis, cluster.redis.client
    if way == "kill appendonly":
        server.kill()
        server.options = ("--appendonly", "yes", "--appendfsync", "always")
        server.start()
    await cluster.start(2)
    await cluster.make_board()
    clients = [cluster.client(s) for s in cluster.servers for _ in range(3)]
    hoppers = [StreamClient("b") for _ in range(4)]
    hopping = [asyncio.create_task(_hop(cluster, hopper)) for hopper in hoppers]
    cluster.tasks += hopping
    await until(lambda: all(c.received for c in (*clients, *hoppers)))
    async with cluster.writes():
        for _ in range(3):
            await asyncio.sleep(1)
            if way == "flushall":
                client.flushall()
            elif way == "kill pubsub":
                client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            elif way == "full":
                client.config_set("maxmemory", "1mb")
                await asyncio.sleep(1.5)
                client.config_set("maxmemory", "0")
            else:
                server.kill()
                await asyncio.sleep(1)
                # They are live without it.
                for c in clients:
                    seen = c.newest["players"][0]["score"]
                    await until(lambda c=c, seen=seen: c.newest["players"][0]["score"] > seen)
                server.start()
        await asyncio.sleep(2)
    await cluster.settle(*clients, *hoppers)
    # Ids are back, and what comes from now on is whole again.
    marks = [len(c.ids) for c in (*clients, *hoppers)]
    marked = list(zip((*clients, *hoppers), marks, strict=True))
    async with cluster.writes():
        await until(lambda: all(len(c.ids) > mark + 10 for c, mark in marked))
    await cluster.settle(*clients, *hoppers)
    for c, mark in marked:
        counters = [id.n for id in c.ids[mark:]]
        gaps = [n for n, m in pairwise(counters) if m != n + 1]
    assert not gaps, [r for r in client.received if r.event == "reset"]
    if way == "kill pubsub":
        for c in (*clients, *hoppers):
            assert_each_once(c)
    for c in (*clients, *hoppers):
        assert_no_silent_gap(c)


async def _hop(cluster: Cluster, client: StreamClient) -> None:
    for server in itertools.cycle(cluster.servers):
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(0.3):
                await client.follow(server.port)
        await asyncio.sleep(0.05)


@pytest.mark.gen_test
async def test_processes_on_one_port(cluster: Cluster) -> None:
    await cluster.start(1, "--processes=2")
    [server] = cluster.servers
    await cluster.make_board()
    clients = [cluster.client(server) for _ in range(16)]
    await until(lambda: all(client.received for client in clients))
    pids = _children(server.process.pid)
    assert len(pids) == 2
    async with cluster.writes():
        for pid in pids:  # the publisher is one of them
            await asyncio.sleep(1)
            os.kill(pid, signal.SIGKILL)
            await until(lambda: len(_children(server.process.pid)) == 2)
        marks = [(client, len(client.ids)) for client in clients]
        await until(lambda: all(len(client.ids) > mark + 10 for client, mark in marks))
    await cluster.settle(*clients)
    assert not set(pids) & set(_children(server.process.pid))
    for client in clients:
        assert_each_once(client)
    children = _children(server.process.pid)
    await asyncio.to_thread(server.stop)
    assert server.process.returncode == 0
    for pid in children:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def test_several_processes_need_what_they_can_share(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, "--processes=2")
    assert server.wait() == 1
    assert server.text.count("\n") == 1
    assert "--database-url=rethinkdb://" in server.text
