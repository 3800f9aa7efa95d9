"""Several "processes" in one event loop: each with its own hub, log and role, on one store."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Any

from tornado_board.cluster import Role
from tornado_board.cluster.redis_bus import RedisBus
from tornado_board.models import Change
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.replay import Event, EventId
from tornado_board.replay.redis import RedisReplayLog
from tornado_board.settings import Settings
from tornado_board.store import Store

from .conftest import IDENTITY


class RecordingHub(Hub):
    """A hub that keeps what it sent to a board's subscribers."""

    def __init__(self) -> None:
        super().__init__(live_boards=1_000, streams_per_board=1_000, keepalive=60)
        self.sent: dict[str, list[Event]] = {}

    async def publish(self, board_id: str, event: Event, reset: str | None = None) -> None:
        self.sent.setdefault(board_id, []).append(event)
        await super().publish(board_id, event, reset)

    def ids(self, board_id: str) -> list[EventId]:
        return [e.id for e in self.sent.get(board_id, []) if e.id is not None]


class Node:
    """What one process has beside its HTTP server."""

    def __init__(
        self, store: Store, log: RedisReplayLog, bus: RedisBus, settings: Settings
    ) -> None:
        self.log = log
        self.bus = bus
        log.fence = bus.fence
        self.hub = RecordingHub()
        self.feed = Changefeed(store)
        self.boards = self.hub.source = LiveBoards(store, log, self.hub, bus, self.feed, settings)

    @classmethod
    async def start(
        cls,
        store: Store,
        url: str,
        settings: Settings,
        identity: str = IDENTITY,
        **changes: Any,
    ) -> Node:
        settings = dataclasses.replace(settings, **changes)
        log = await RedisReplayLog.open(url, settings, identity)
        node = cls(store, log, RedisBus.open(url, settings, identity), settings)
        await node.bus.start(node.boards)
        return node

    @property
    def role(self) -> Role | None:
        return self.boards.role

    def data(self, board_id: str) -> str:
        """What a subscriber of the board sees at present."""
        current = self.hub.current(board_id)
        return "" if current is None else current.data

    def forget(self, board_id: str) -> None:
        """What the hub does with a board that was idle for long."""
        del self.hub._topics[board_id]
        self.boards.unwatch(board_id)

    async def close(self) -> None:
        await self.boards.close()
        await self.feed.close()
        await self.bus.close()
        await self.hub.close()
        await self.log.close()


class SharedFeed:
    """One feed of a store, told to any number of readers: SQLite has but one."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers: dict[asyncio.Queue[Sequence[Change]], None] = {}
        self._task: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def changes(self) -> Reader:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await self._ready.wait()
        return Reader(self._readers)

    async def _run(self) -> None:
        feed = await self._store.changes()
        self._ready.set()
        try:
            while True:
                changes = await feed.next()
                for reader in self._readers:
                    reader.put_nowait(changes)
        finally:
            await feed.close()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


class Reader:
    """The feed of one reader."""

    def __init__(self, readers: dict[asyncio.Queue[Sequence[Change]], None]) -> None:
        self._readers = readers
        self._queue: asyncio.Queue[Sequence[Change]] = asyncio.Queue()
        readers[self._queue] = None

    async def next(self) -> Sequence[Change]:
        return await self._queue.get()

    async def close(self) -> None:
        self._readers.pop(self._queue, None)
