"""RethinkDB, and the links to it: one node, nodes of which each server knows one, clusters."""

from __future__ import annotations

import asyncio
import signal
import time

from .deployment import Deployment
from .record import Record
from .relay import Relay
from .scenario import EARLY, Clock, broken, scenario
from .shape import Shape

# RethinkDB


@scenario(rules=EARLY, harms_rethinkdb=True)
async def rethinkdb_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of RethinkDB, and a start."""
    async for _ in clock.every(9):
        parts.mark("kill -9 of RethinkDB")
        parts.nodes[0].kill()
        await clock.pause(2)
        await asyncio.to_thread(parts.nodes[0].start)
        parts.mark("RethinkDB is back")


@scenario(harms_rethinkdb=True)
async def rethinkdb_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of RethinkDB."""
    async for _ in clock.every(9):
        parts.mark("SIGSTOP to RethinkDB")
        parts.nodes[0].signal(signal.SIGSTOP)
        await asyncio.sleep(clock.random.choice((0.5, 1.5, 4)))
        parts.mark("SIGCONT to RethinkDB")
        parts.nodes[0].signal(signal.SIGCONT)


@scenario()
async def balancer_without_rethinkdb(parts: Deployment, clock: Clock, record: Record) -> None:
    """RethinkDB behind a balancer that accepts and closes for a while."""
    async for _ in clock.every(9):
        what = "the balancer has no RethinkDB: it accepts and closes"
        await broken(parts, clock, what, parts.database_links, Relay.close_at_once)


@scenario()
async def start_without_rethinkdb(parts: Deployment, clock: Clock, record: Record) -> None:
    """A server starts while the balancer in front of RethinkDB accepts and closes."""
    async for _ in clock.every(9):
        server = clock.random.randrange(len(parts.servers))
        await parts.kill(server)
        links = [parts.database_links[server]]
        starting = asyncio.create_task(parts.start(server))
        what = f"server {server}'s balancer accepts and closes"
        await broken(parts, clock, what, links, Relay.close_at_once)
        await starting


@scenario()
async def rethinkdb_refused(parts: Deployment, clock: Clock, record: Record) -> None:
    """RethinkDB's port refuses connections for a while, now and then."""
    async for _ in clock.every(5):
        await broken(parts, clock, "RethinkDB refuses", parts.database_links, Relay.refuse, 1.5)


@scenario()
async def publisher_rethinkdb_refused(parts: Deployment, clock: Clock, record: Record) -> None:
    """Only the publisher has lost its RethinkDB."""
    async for _ in clock.every(12):
        server = await parts.publisher()
        parts.mark(f"server {server}, the publisher, is refused by RethinkDB")
        parts.database_links[server].refuse()
        await _stale_for(parts, server, record)
        parts.mark(f"server {server} reaches RethinkDB again")
        await parts.database_links[server].mend()


async def _stale_for(parts: Deployment, lost: int, record: Record, seconds: float = 10) -> None:
    """Wait until another server publishes, which is what `lost` owes to the others' clients."""
    began = time.monotonic()
    while await parts.publisher() == lost:
        if time.monotonic() - began > seconds:
            record.found.append(
                f"server {lost} still publishes {seconds:g} s after it lost its RethinkDB"
            )
            return
        await asyncio.sleep(0.1)
    parts.mark(f"another publishes after {time.monotonic() - began:.1f} s")
    await asyncio.sleep(1)


@scenario()
async def publisher_rethinkdb_swallowed(parts: Deployment, clock: Clock, record: Record) -> None:
    """What the publisher and RethinkDB say to each other vanishes."""
    async for _ in clock.every(8):
        server = await parts.publisher()
        what = f"server {server}'s link to RethinkDB swallows"
        await broken(parts, clock, what, [parts.database_links[server]], Relay.swallow)


@scenario(Shape(nodes=3), EARLY)
async def rethinkdb_partitioned(parts: Deployment, clock: Clock, record: Record) -> None:
    """One of three RethinkDB nodes is cut off from the others, and serves its clients on."""
    async for _ in clock.every(12):
        assert parts.network is not None
        lone = clock.random.randrange(3)
        notice = clock.random.random() < 0.7
        parts.mark(f"RethinkDB node {lone} is cut off from the others")
        parts.network.part([lone], notice=notice)
        await clock.pause(4 if notice else 8)
        parts.mark("the RethinkDB nodes are together again")
        parts.network.mend()
        await clock.pause(3)


@scenario(Shape(nodes=3), EARLY)
async def rethinkdb_node_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of one of three RethinkDB nodes, the publisher's, and a start."""
    async for _ in clock.every(9):
        lost = await parts.publisher() % 3
        parts.mark(f"kill -9 of RethinkDB node {lost}")
        parts.nodes[lost].kill()
        await clock.pause(3)
        await asyncio.to_thread(parts.nodes[lost].start)
        parts.mark(f"RethinkDB node {lost} is back")


# A RethinkDB cluster all of whose nodes the servers know

_TOGETHER = Shape(nodes=3, together=True)


@scenario(_TOGETHER, EARLY)
async def cluster_primary_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of the node with the primary replicas, for good; the servers go on with another."""
    lost = (await asyncio.to_thread(parts.primaries))[-1]
    parts.mark(f"kill -9 of RethinkDB node {lost}, the primary")
    parts.nodes[lost].kill()
    await clock.rest()


@scenario(_TOGETHER, EARLY)
async def cluster_partitioned(parts: Deployment, clock: Clock, record: Record) -> None:
    """The primary is cut off from the other nodes, and serves its clients on."""
    async for _ in clock.every(14):
        assert parts.network is not None
        lone = (await asyncio.to_thread(parts.primaries))[-1]
        notice = clock.random.random() < 0.7
        parts.mark(f"RethinkDB node {lone}, the primary, is cut off from the others")
        parts.network.part([lone], notice=notice)
        await clock.pause(8)
        parts.mark("the RethinkDB nodes are together again")
        parts.network.mend()
        await clock.pause(3)


@scenario(_TOGETHER, EARLY)
async def cluster_moved(parts: Deployment, clock: Clock, record: Record) -> None:
    """The primary replicas move from node to node."""
    node = 0
    async for _ in clock.every(4):
        node = (node + 1) % 3
        await asyncio.to_thread(parts.move_primaries, node)
