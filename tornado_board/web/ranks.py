"""The ranks of scores, as handlers ask for them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tornado_board.models import Number
from tornado_board.store import Store


class Standing(NamedTuple):
    """How many players a board has, and how many are better than each score, of one moment."""

    of: int
    better: tuple[int, ...]


class Ranks(Protocol):
    def wrote(
        self, board_id: str, player_id: str, before: Number | None, after: Number | None
    ) -> None: ...

    async def standing(self, board_id: str, *scores: Number) -> Standing: ...

    async def score_at(self, board_id: str, rank: int) -> Number | None: ...

    async def count(self, board_id: str) -> int: ...


class CountedRanks:
    """Ranks as the store counts them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def wrote(
        self, board_id: str, player_id: str, before: Number | None, after: Number | None
    ) -> None:
        pass

    async def standing(self, board_id: str, *scores: Number) -> Standing:
        of = await self._store.count(board_id)
        better = [await self._store.rank(board_id, score) - 1 for score in scores]
        return Standing(of, tuple(better))

    async def score_at(self, board_id: str, rank: int) -> Number | None:
        player = await self._store.player_at(board_id, rank)
        return None if player is None else player.score

    async def count(self, board_id: str) -> int:
        return await self._store.count(board_id)
