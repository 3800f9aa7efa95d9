"""Stores that are restored, replaced, or changed behind the servers' backs."""

from __future__ import annotations

import asyncio
import time

from .deployment import Deployment
from .ghosts import ghosts
from .record import Record, Restored
from .scenario import FORGETFUL, RESTORED, SQLITE, Clock, scenario
from .sqlite_copies import copy_sqlite, replace_sqlite

# Boards


@scenario()
async def ghost_boards(parts: Deployment, clock: Clock, record: Record) -> None:
    """Boards are changed, deleted within milliseconds and made again while somebody watches."""
    await ghosts(parts, clock.every(0.3), clock.random, record)


@scenario(SQLITE)
async def ghost_boards_sqlite(parts: Deployment, clock: Clock, record: Record) -> None:
    """The same on SQLite."""
    await ghosts(parts, clock.every(0.3), clock.random, record)


@scenario(SQLITE, FORGETFUL)
async def sqlite_restored(parts: Deployment, clock: Clock, record: Record) -> None:
    """A backup is restored into the SQLite file under the running server."""
    async for _ in clock.every(8):
        backup = parts.folder / "backup.sqlite3"
        scores = await asyncio.to_thread(copy_sqlite, parts.file, backup)
        await clock.pause(2)
        parts.mark("a backup is restored into the SQLite file")
        at = time.monotonic()
        await asyncio.to_thread(copy_sqlite, backup, parts.file)
        record.restored.append(Restored(at, time.monotonic() + RESTORED, scores))
        await asyncio.sleep(RESTORED)


@scenario(SQLITE, FORGETFUL)
async def sqlite_replaced(parts: Deployment, clock: Clock, record: Record) -> None:
    """A backup takes the place of the SQLite file; the server says so, and is started again."""
    async for _ in clock.every(12):
        backup = parts.folder / "backup.sqlite3"
        scores = await asyncio.to_thread(copy_sqlite, parts.file, backup)
        await clock.pause(2)
        parts.mark("the SQLite file is replaced by a backup")
        at = time.monotonic()
        await asyncio.to_thread(replace_sqlite, backup, parts.file)
        while (await parts.request("GET", "/readyz"))[0] == 200:
            if time.monotonic() > at + RESTORED:
                record.found.append("the server says that it is ready, on a file that is no more")
                break
            await asyncio.sleep(0.1)
        await clock.pause(1)
        await parts.kill(0)
        record.restored.append(Restored(at, time.monotonic(), scores))
        await parts.start(0)
