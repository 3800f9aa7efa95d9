"""Redis, and the links to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools

from .deployment import Deployment
from .record import Record
from .relay import Relay, Way
from .scenario import FORGETFUL, Clock, broken, scenario, slow
from .shape import Shape

# Redis


@scenario()
async def redis_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of Redis; it comes back empty."""
    async for _ in clock.every(8):
        await parts.kill_redis()
        await clock.pause(2)
        await parts.start_redis()


@scenario()
async def redis_stopped(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis stopped and started, with its data."""
    async for _ in clock.every(8):
        await parts.stop_redis()
        await clock.pause(2)
        await parts.start_redis()


@scenario()
async def redis_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of Redis."""
    async for _ in clock.every(8):
        assert parts.redis is not None
        parts.mark("SIGSTOP to Redis")
        parts.redis.freeze()
        await asyncio.sleep(clock.random.choice((0.5, 1.5, 4)))
        parts.mark("SIGCONT to Redis")
        parts.redis.thaw()


@scenario()
async def redis_slow(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis slow by 300 ms for everybody, on and off."""
    async for _ in clock.every(8):
        await broken(parts, clock, "Redis is slow by 300 ms", parts.redis_links, slow)


@scenario()
async def publisher_redis_cut(parts: Deployment, clock: Clock, record: Record) -> None:
    """The publisher's link to Redis is cut and refused; the others' is whole."""
    async for _ in clock.every(8):
        server = await parts.publisher()
        what = f"server {server}, the publisher, is refused by Redis"
        await broken(parts, clock, what, [parts.redis_links[server]], Relay.refuse)


@scenario()
async def publisher_redis_swallowed(parts: Deployment, clock: Clock, record: Record) -> None:
    """What the publisher and Redis say to each other vanishes, one way or both."""
    async for _ in clock.every(8):
        server = await parts.publisher()
        ways = clock.random.choice(([Way.UP], [Way.DOWN], list(Way)))
        names = " and ".join(way.value for way in ways)
        what = f"server {server}'s link to Redis swallows {names}"
        links = [parts.redis_links[server]]
        await broken(parts, clock, what, links, functools.partial(Relay.swallow, ways=ways))


@scenario()
async def follower_redis_swallowed(parts: Deployment, clock: Clock, record: Record) -> None:
    """What a follower and Redis say to each other vanishes."""
    async for _ in clock.every(8):
        server = (await parts.publisher() + 1) % len(parts.servers)
        what = f"server {server}'s link to Redis swallows"
        await broken(parts, clock, what, [parts.redis_links[server]], Relay.swallow)


@scenario()
async def redis_evicts(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis with allkeys-lru evicts streams."""
    async for _ in clock.every(2):
        assert parts.redis is not None
        with contextlib.suppress(Exception):
            parts.fill_redis("allkeys-lru")
            for index in range(40):
                parts.redis.client.set(f"other:{index}", "x" * 20_000, px=1_000)
                await asyncio.sleep(0.01)
        parts.redis_command("CONFIG", "SET", "maxmemory", 0)


@scenario()
async def redis_full(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis with noeviction has no memory left."""
    async for _ in clock.every(8):
        parts.fill_redis("noeviction")
        await clock.pause(4)
        parts.redis_command("CONFIG", "SET", "maxmemory", 0)


@scenario()
async def script_flush(parts: Deployment, clock: Clock, record: Record) -> None:
    """SCRIPT FLUSH under load."""
    async for _ in clock.every(0.5):
        parts.redis_command("SCRIPT", "FLUSH")


@scenario()
async def flushall(parts: Deployment, clock: Clock, record: Record) -> None:
    """FLUSHALL under load: the log and the lease are gone."""
    async for _ in clock.every(3):
        parts.redis_command("FLUSHALL")


@scenario()
async def flushall_and_kill(parts: Deployment, clock: Clock, record: Record) -> None:
    """FLUSHALL, and kill -9 of the publisher, which alone knows the counters."""
    async for _ in clock.every(7):
        server = await parts.publisher()
        parts.redis_command("FLUSHALL")
        await parts.kill(server)
        await clock.pause(1)
        await parts.start(server)


@scenario()
async def everything_forgotten(parts: Deployment, clock: Clock, record: Record) -> None:
    """FLUSHALL, and kill -9 of all servers: nobody knows the counters any more."""
    async for _ in clock.every(8):
        parts.redis_command("FLUSHALL")
        servers = range(len(parts.servers))
        await asyncio.gather(*map(parts.kill, servers))
        parts.redis_command("FLUSHALL")
        await asyncio.gather(*map(parts.start, servers))


@scenario(Shape(replica=True), FORGETFUL)
async def replica_promoted(parts: Deployment, clock: Clock, record: Record) -> None:
    """A replica that lacks the last entries takes over."""
    async for _ in clock.every(9):
        assert parts.replica_link is not None
        parts.mark("the replica hears nothing more")
        parts.replica_link.hold()
        await clock.pause(1)
        await parts.promote_replica()
        await clock.pause(3)
        await parts.make_replica()
