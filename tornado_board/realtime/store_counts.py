"""What the store counts of a season, which is slow where there are many players."""

from __future__ import annotations

from collections.abc import Sequence

from tornado_board.models import Number, Ordering
from tornado_board.seasons import divided
from tornado_board.store import Place, Store


class StoreCounts:
    """Counts and ranks of a season, named by its partition (`seasons.partition_of`).

    Each method raises what the store's raises: `NotFound`, `SeasonGone`, `StoreUnavailable`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    async def ordering(self, partition: str) -> Ordering:
        """The order of the season's players."""
        return (await self._store.get_board(*divided(partition))).ordering

    async def count(self, partition: str) -> int:
        """How many players there are."""
        return await self._store.count(*divided(partition))

    async def better(self, partition: str, score: Number) -> int:
        """How many of them have a better score."""
        board_id, season = divided(partition)
        return await self._store.rank(board_id, score, season) - 1

    async def score_at(self, partition: str, rank: int) -> Number | None:
        """The score of the first player whose rank is `rank` or greater, if any."""
        board_id, season = divided(partition)
        player = await self._store.player_at(board_id, rank, season)
        return None if player is None else player.score

    async def next_better(self, partition: str, score: Number) -> Number | None:
        """The next better score that somebody has, if any."""
        board_id, season = divided(partition)
        place = Place(score, -1, "")
        before = await self._store.players_after(board_id, place, 1, season, backwards=True)
        return before[-1].score if before else None

    async def scores(self, partition: str, ids: Sequence[str]) -> dict[str, Number]:
        """The scores of those of `ids` that there are."""
        board_id, season = divided(partition)
        found = await self._store.players_by_id(board_id, ids, season)
        return {player.id: player.score for player in found}
