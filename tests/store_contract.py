"""What the tests of what every store promises have in common."""

from __future__ import annotations

import asyncio
from typing import Any

from tornado_board.inputs import NewBoard
from tornado_board.models import Change, PlayerChanged
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
        for change in await asyncio.wait_for(feed.next(), 10):
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
