"""What the tests of what every store promises have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from tornado_board.inputs import NewBoard
from tornado_board.models import Change, Number, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import Feed, Store

from .conftest import Opened


async def opened_store(opened: Opened, url: str, settings: Settings) -> Store:
    """A store with one empty board, ``b``, beside the sample."""
    store = await opened.store(url, settings)
    await store.create_board(NewBoard(id="b", name="Board"))
    return store


async def changes_until(feed: Feed, wanted: list[Any]) -> list[Change]:
    """The changes of `feed` up to the one that completes `wanted` (`told`)."""
    seen: list[Change] = []
    missing = list(wanted)
    while missing:
        for change in await asyncio.wait_for(feed.next(), 30):
            seen.append(change)
            missing = [one for one in missing if one != told(change)]
    return seen


def told(change: Change) -> Any:
    """What a change tells of, without its version and what was before."""
    if isinstance(change, PlayerChanged):
        return (change.board_id, change.player_id, change.player)
    return (change.board_id, change.board)


async def rank_of(store: Store, board_id: str, player_id: str) -> int:
    """The rank of a player, by its score."""
    return await store.rank(board_id, (await store.get_player(board_id, player_id)).score)


class Chain:
    """What a feed has told of players' scores: each change tells what was there before it."""

    def __init__(self, *, exact: bool = True) -> None:
        self._exact = exact
        self.scores: dict[tuple[str, str], Number] = {}

    async def read(self, store: Store, *board_ids: str) -> None:
        """Begin with what is there."""
        for board_id in board_ids:
            for player in await store.players_after(board_id, None, 10_000):
                self.scores[board_id, player.id] = player.score

    def follow(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, PlayerChanged):
                key = change.board_id, change.player_id
                if self._exact and change.before is not msgspec.UNSET:
                    assert change.before == self.scores.get(key), change
                self.scores.pop(key, None)
                if change.player is not None:
                    self.scores[key] = change.player.score
            elif change.board is None:
                self.scores = {k: v for k, v in self.scores.items() if k[0] != change.board_id}

    async def follow_until(self, feed: Feed, wanted: list[Any]) -> list[Change]:
        """`changes_until`, followed."""
        changes = await changes_until(feed, wanted)
        self.follow(changes)
        return changes
