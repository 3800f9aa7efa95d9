"""Boards with seasons, for the contract tests of stores."""

from __future__ import annotations

from typing import Any

from tornado_board.inputs import (
    NewBoard,
    SeasonPlan,
    Submission,
)
from tornado_board.models import Board
from tornado_board.seasons import Season
from tornado_board.settings import Settings
from tornado_board.store import (
    Store,
    Submitted,
)

from .conftest import Opened


async def submit(store: Store, player_id: str, score: float, **more: Any) -> Submitted:
    (result,) = await store.submit("cup", [Submission(id=player_id, score=score, **more)])
    if not isinstance(result, Submitted):
        raise result
    return result


async def opened_cup(opened: Opened, url: str, settings: Settings, **season: Any) -> Store:
    """A store with a board, ``cup``, in its first season, and three players on it."""
    store = await opened.store(url, settings)
    await store.create_board(NewBoard(id="cup", season=SeasonPlan(**season)))
    for player_id, score in (("ann", 5), ("bob", 3), ("cy", 3)):
        await submit(store, player_id, score)
    return store


def present(board: Board) -> Season:
    assert board.season is not None
    return board.season


async def scores_of(store: Store, season: int) -> dict[str, float]:
    found: dict[str, float] = {}
    async for piece in store.scores("cup", season):
        found |= zip(piece.ids, piece.scores, strict=True)
    return found
