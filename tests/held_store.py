"""A store whose reads wait until they may go on."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado_board.models import Player, Ranking
from tornado_board.store import Store


class HeldStore:
    """Answers reads of boards and players when it is told to, with how often it was asked."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0
        self.go = asyncio.Event()
        self.go.set()

    async def ranking(self, *args: Any, **more: Any) -> Ranking:
        self.reads += 1
        ranking = await self._store.ranking(*args, **more)
        await self.go.wait()
        return ranking

    async def get_player(self, *args: Any, **more: Any) -> Player:
        self.reads += 1
        player = await self._store.get_player(*args, **more)
        await self.go.wait()
        return player

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
