"""What every store's feed promises."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from tornado_board.inputs import NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Board, BoardChanged, Change, Player, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import NotFound

from .conftest import Opened
from .store_contract import Chain, changes_until, opened_store, told

pytestmark = pytest.mark.usefixtures("io_loop")


@pytest.mark.gen_test
async def test_the_feed_tells_of_every_kind_of_change(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    feed = await store.changes()
    await store.create_board(NewBoard(id="c", name="C"))
    await store.create_player("c", NewPlayer(id="p", name="P", score=1))
    await changes_until(feed, [("c", Board("c", "C")), ("c", "p", Player("p", "P", 1))])
    await store.add_score("c", "p", 4)
    await changes_until(feed, [("c", "p", Player("p", "P", 5))])
    await store.update_player("c", "p", PlayerPatch(name="Q"))
    await changes_until(feed, [("c", "p", Player("p", "Q", 5))])
    await store.delete_player("c", "p")
    await changes_until(feed, [("c", "p", None)])
    await store.create_player("c", NewPlayer(id="r", name="R"))
    await store.delete_board("c")
    await changes_until(feed, [("c", None)])
    await feed.close()
    await feed.close()


@pytest.mark.gen_test
async def test_the_feed_ends_on_the_newest_state_after_a_burst(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for i in range(5):
        await store.create_player("b", NewPlayer(id=f"p{i}", name="P"))
    feed = await store.changes()
    await asyncio.gather(*[store.add_score("b", f"p{i % 5}", 1) for i in range(500)])
    wanted = [("b", f"p{i}", Player(f"p{i}", "P", 100)) for i in range(5)]
    seen = await changes_until(feed, wanted)
    last = {c.player_id: c.player for c in seen if isinstance(c, PlayerChanged)}
    assert {p.score for p in last.values() if p} == {100}
    versions = [c.version for c in seen]
    assert versions == sorted(versions)


@pytest.mark.gen_test
async def test_a_ranking_knows_which_changes_it_has_seen(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    feed = await store.changes()
    await store.create_player("b", NewPlayer(id="p", name="P", score=1))
    ranking = await store.ranking("b", 5)
    change: Change
    (change,) = [
        c
        for c in await changes_until(feed, [("b", "p", Player("p", "P", 1))])
        if not isinstance(c, BoardChanged)
    ]
    if ranking.version == 0:
        assert change.version == 0
    else:
        assert change.version <= ranking.version
        await store.add_score("b", "p", 1)
        (change,) = await changes_until(feed, [("b", "p", Player("p", "P", 2))])
        assert change.version > ranking.version


@pytest.mark.gen_test
async def test_a_cancelled_wait_for_changes_loses_none(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_player("b", NewPlayer(id="p", name="P"))
    feed = await store.changes()
    for score in range(1, 21):
        waiting = asyncio.ensure_future(feed.next())
        await asyncio.sleep(0.001 * (score % 3))
        adding = asyncio.ensure_future(store.add_score("b", "p", 1))
        await asyncio.sleep(0.001 * (score % 5))
        waiting.cancel()
        try:
            changes = await waiting
        except asyncio.CancelledError:
            changes = []
        await adding
        if not any(told(c) == ("b", "p", Player("p", "P", score)) for c in changes):
            await changes_until(feed, [("b", "p", Player("p", "P", score))])


@pytest.mark.gen_test
async def test_each_change_tells_the_score_that_was_told_before(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    """Whatever happens to players, and however many changes become one."""
    store = await opened_store(opened, database_url, settings)
    await store.create_board(NewBoard(id="c", ties="first"))
    await store.create_player("b", NewPlayer(id="p0", name="P", score=5))
    feed, chain, chance = await store.changes(), Chain(), random.Random(3)
    await chain.read(store, "b", "c", "demo")
    for step in range(30):
        for _ in range(chance.choice([1, 2, 10, 40])):
            board, player = chance.choice("bc"), f"p{chance.randint(0, 4)}"
            what = chance.randint(0, 3)
            with contextlib.suppress(NotFound):
                if what == 0:
                    await store.submit(board, [Submission(id=player, score=step, operator="add")])
                elif what == 1:
                    await store.add_score(board, player, 0.5, create=True)
                elif what == 2:
                    await store.update_player(board, player, PlayerPatch(name=f"N{step}"))
                else:
                    await store.delete_player(board, player)
        if step % 10 == 9:
            await store.delete_board("c")
            await store.create_board(NewBoard(id="c"))
        last = await store.create_player("demo", NewPlayer(id=f"last{step}", name="Last"))
        await chain.follow_until(feed, [("demo", last.id, last)])
    there = Chain()
    await there.read(store, "b", "c", "demo")
    assert chain.scores == there.scores
