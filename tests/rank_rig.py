"""Ranks on a store that is a list, with a feed that tells when it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, cast

from tornado_board.models import Board, Change, Number, Player, PlayerChanged
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.ranks import Ranks, Standing
from tornado_board.settings import Settings
from tornado_board.store import FeedLost, NotFound, Scores, Store, StoreUnavailable


class Feed:
    def __init__(self) -> None:
        self.queue: asyncio.Queue[Sequence[Change] | None] = asyncio.Queue()
        self.is_closed = False

    async def next(self) -> Sequence[Change]:
        changes = await self.queue.get()
        if changes is None:
            raise FeedLost("it was cut")
        return changes

    async def close(self) -> None:
        self.is_closed = True


class Memory:
    """A store that counts what it is asked, and can be held up and be away."""

    def __init__(self) -> None:
        self.boards: dict[str, Board] = {}
        self.players: dict[str, dict[str, Number]] = {}
        self.feeds: list[Feed] = []
        self.counted = self.read = 0
        #: What each reading was told of the middle.
        self.middles: list[Number | None] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.is_away = False

    def board(self, board_id: str, scores: Sequence[Number], order: Any = "desc") -> None:
        self.boards[board_id] = Board(board_id, "B", order=order)
        self.players[board_id] = {f"p{i}": score for i, score in enumerate(scores)}

    def write(self, board_id: str, player_id: str, score: Number | None) -> Number | None:
        """What another process does, and this one too; what was before."""
        players = self.players[board_id]
        before = players.pop(player_id, None)
        if score is not None:
            players[player_id] = score
        return before

    def change(self, board_id: str, player_id: str, before: Any) -> PlayerChanged:
        score = self.players[board_id].get(player_id)
        player = None if score is None else Player(player_id, "P", score)
        return PlayerChanged(board_id, player_id, player, before=before)

    async def tell(self, *changes: Change) -> None:
        self.feeds[-1].queue.put_nowait(changes)
        await asyncio.sleep(0.001)

    async def get_board(self, board_id: str, season: int = 1) -> Board:
        if self.is_away:
            raise StoreUnavailable("it is away")
        if board_id not in self.boards:
            raise NotFound("there is no such board")
        return self.boards[board_id]

    async def count(self, board_id: str, season: int = 1) -> int:
        await self.get_board(board_id)
        self.counted += 1
        return len(self.players[board_id])

    async def rank(self, board_id: str, score: Number, season: int = 1) -> int:
        is_better = (await self.get_board(board_id)).ordering.is_better
        return 1 + sum(is_better(other, score) for other in self.players[board_id].values())

    async def player_at(self, board_id: str, rank: int, season: int = 1) -> Player | None:
        merit = (await self.get_board(board_id)).ordering.merit
        ordered = sorted(self.players[board_id].values(), key=merit)
        ranks: dict[Number, int] = {}
        for position, score in enumerate(ordered, 1):
            ranks.setdefault(score, position)
        at = [score for score, other in ranks.items() if other >= rank]
        return Player("p", "P", at[0]) if at else None

    async def scores(
        self, board_id: str, season: int, *, middle: Number | None = None
    ) -> AsyncGenerator[Scores, None]:
        self.read += 1
        self.middles.append(middle)
        ids = list(self.players[board_id])
        for start in range(0, len(ids), 10):
            await self.goes_on.wait()
            await self.get_board(board_id)
            there = [id for id in ids[start : start + 10] if id in self.players[board_id]]
            yield Scores(there, [self.players[board_id][id] for id in there])

    async def changes(self) -> Feed:
        self.feeds.append(Feed())
        return self.feeds[-1]


class Rig:
    def __init__(self, entries: int = 1_000_000) -> None:
        self.store = Memory()
        self.feed = Changefeed(cast(Store, self.store))
        self.ranks = Ranks(cast(Store, self.store), self.feed, Settings(rank_entries=entries))

    async def check(self, board_id: str = "b") -> None:
        """That every answer is what the store counts."""
        scores = sorted(set(self.store.players[board_id].values()))[:100]
        better = [await self.store.rank(board_id, score) - 1 for score in scores]
        found = await self.ranks.standing(board_id, *scores)
        assert found == Standing(len(self.store.players[board_id]), tuple(better))
        assert await self.ranks.count(board_id) == found.of
        for rank in (1, 2, found.of + 1, max(found.of, 1)):
            player = await self.store.player_at(board_id, rank)
            assert await self.ranks.score_at(board_id, rank) == (player and player.score)

    async def knows(self, board_id: str = "b") -> bool:
        """Whether an answer comes without asking the store."""
        counted = self.store.counted
        await self.ranks.count(board_id)
        return self.store.counted == counted

    async def known(self, board_id: str = "b") -> None:
        while not await self.knows(board_id):
            await asyncio.sleep(0.001)

    def tick(self, count: int) -> None:
        for _ in range(count):
            self.ranks.tick()

    def own_write(self, board_id: str, player_id: str, score: Number | None) -> Number | None:
        since = self.ranks.position
        before = self.store.write(board_id, player_id, score)
        self.ranks.wrote(board_id, player_id, before, score, since)
        return before


def rigged(test: Callable[[Rig], Awaitable[None]], entries: int = 1_000_000) -> None:
    async def main() -> None:
        rig = Rig(entries)
        try:
            await asyncio.wait_for(test(rig), 30)
        finally:
            await rig.ranks.close()
            await rig.feed.close()

    asyncio.run(main())
