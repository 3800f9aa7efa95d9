"""Writes while a season ends, as every store promises them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from tornado_board.inputs import (
    NewBoard,
    NewPlayer,
    SeasonPlan,
)
from tornado_board.models import Player
from tornado_board.settings import Settings
from tornado_board.store import (
    KeyReused,
    NotFound,
    Once,
    Submitted,
)

from .conftest import Opened
from .season_contract import opened_cup, scores_of
from .seasons import clock

pytestmark = pytest.mark.usefixtures("io_loop")

__all__ = ["clock"]


@pytest.mark.gen_test
async def test_what_has_a_key_happens_once_though_a_season_ends(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings)

    def add(key: str, request: str = "r") -> tuple[Once, Awaitable[Submitted]]:
        once = Once(key, request)
        return once, store.add_score("cup", "ann", 2, create=True, once=once)

    first = await add("k1")[1]
    assert first.player.score == 7
    end = Once("k2", "end")
    board = await store.end_season("cup", once=end)
    again = Once("k2", "end")
    assert await store.end_season("cup", once=again) == board
    assert again.replayed
    assert (await store.get_board("cup")).number == 2

    once, write = add("k1")
    assert await write == first
    assert once.replayed
    with pytest.raises(KeyReused):
        await add("k1", "another")[1]
    with pytest.raises(NotFound):
        await store.get_player("cup", "ann")
    second = await add("k3")[1]
    assert second.player == Player("ann", "ann", 2, season=2)
    once, write = add("k1")
    assert await write == first
    assert once.replayed
    once, write = add("k3")
    assert await write == second
    assert once.replayed
    assert (await store.get_player("cup", "ann")).score == 2
    once = Once("k4", "made")
    made = await store.create_player("cup", NewPlayer(id="eve", name="Eve"), once)
    await store.end_season("cup")
    once = Once("k4", "made")
    assert await store.create_player("cup", NewPlayer(id="eve", name="Eve"), once) == made
    assert once.replayed


@pytest.mark.gen_test
async def test_no_score_is_lost_or_carried_over_while_seasons_end(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="cup", season=SeasonPlan(keep=50)))
    told: dict[tuple[int, str], list[float]] = {}

    async def add(player_id: str) -> None:
        for _ in range(25):
            done = await store.add_score("cup", player_id, 1, create=True)
            told.setdefault((done.player.season, player_id), []).append(done.player.score)

    async def end() -> None:
        for _ in range(5):
            await asyncio.sleep(0.01)
            await store.end_season("cup")

    await asyncio.gather(*(add(f"p{number % 4}") for number in range(8)), end())
    assert (await store.get_board("cup")).number == 6
    stored = {
        (season, player_id): score
        for season in range(1, 7)
        for player_id, score in (await scores_of(store, season)).items()
    }
    # Each addition counts once, in the season that its answer names.
    assert {place: sorted(scores) for place, scores in told.items()} == {
        place: list(range(1, int(score) + 1)) for place, score in stored.items()
    }
