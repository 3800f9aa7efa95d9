"""Nothing broken, and servers."""

from __future__ import annotations

import asyncio

from .deployment import Deployment
from .record import Record
from .scenario import SQLITE, Clock, scenario

# Nothing broken, and servers


@scenario()
async def calm(parts: Deployment, clock: Clock, record: Record) -> None:
    """Nothing breaks."""
    await clock.rest()


@scenario(SQLITE)
async def calm_sqlite(parts: Deployment, clock: Clock, record: Record) -> None:
    """Nothing breaks, on SQLite."""
    await clock.rest()


@scenario()
async def server_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of any server, and a start."""
    async for _ in clock.every(4):
        server = clock.random.randrange(len(parts.servers))
        await parts.kill(server)
        await clock.pause(0.5)
        await parts.start(server)


@scenario(SQLITE)
async def server_killed_sqlite(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of the only server, on SQLite, and a start."""
    async for _ in clock.every(4):
        await parts.kill(0)
        await clock.pause(0.5)
        await parts.start(0)


@scenario()
async def publisher_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of the publisher, and a start."""
    async for _ in clock.every(6):
        server = await parts.publisher()
        await parts.kill(server)
        await clock.pause(1)
        await parts.start(server)


@scenario()
async def publisher_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of the publisher, for longer and shorter than its lease."""
    async for _ in clock.every(6):
        server = await parts.publisher()
        parts.freeze(server)
        await asyncio.sleep(clock.random.choice((0.3, 1.2, 3)))
        parts.thaw(server)


@scenario()
async def server_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of any server."""
    async for _ in clock.every(4):
        server = clock.random.randrange(len(parts.servers))
        parts.freeze(server)
        await asyncio.sleep(clock.random.choice((0.3, 1, 2.5)))
        parts.thaw(server)


@scenario()
async def rolling_restart(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGTERM to one server after the other, each started again."""
    server = 0
    async for _ in clock.every(3):
        await parts.stop(server)
        await parts.start(server)
        server = (server + 1) % len(parts.servers)
