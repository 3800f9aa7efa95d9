"""The mark of a board that is about to change its order, and what becomes of one left behind."""

from __future__ import annotations

import asyncio

import pytest

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, Submission
from tornado_board.settings import Settings
from tornado_board.store import StoreUnavailable, Submitted
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import REORDERED_BY

from .conftest import Opened
from .rethinkdb_admin import Admin, eventually, impatient, opened_store

pytestmark = pytest.mark.usefixtures("io_loop")

boards, players = r.table("boards"), r.table("players")


@pytest.mark.gen_test
async def test_a_mark_that_was_left_behind_is_taken_away_in_time(
    opened: Opened, either_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = impatient(settings, monkeypatch, timeout=1.0, wait=60.0)
    store, admin = await opened_store(opened, either_url, settings), Admin(either_url)
    await store.create_board(NewBoard(id="b"))
    await admin.run(boards.get("b").update({REORDERED_BY: "somebody"}))
    with pytest.raises(StoreUnavailable, match="change its order"):
        await store.create_player("b", NewPlayer(id="p", name="P"))
    assert await admin.run(players.get("p")) is None
    # Reads, and writes of who is there, do not care.
    assert (await store.ranking("b", 5)).players == []
    made = await eventually(lambda: store.create_player("b", NewPlayer(id="p", name="P")))
    assert made.id == "p"
    assert REORDERED_BY not in await admin.run(boards.get("b"))


@pytest.mark.gen_test
async def test_players_wait_for_a_board_that_changes_its_order(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    store, admin = await opened_store(opened, either_url, settings), Admin(either_url)
    await store.create_board(NewBoard(id="b"))
    await admin.run(boards.get("b").update({REORDERED_BY: "somebody"}))
    making = asyncio.ensure_future(store.submit("b", [Submission(id="p", score=1)]))
    await asyncio.sleep(0.2)
    assert not making.done()
    assert (await store.add_score("demo", "venus", 1)).player.score == 32
    # Whoever changes the board takes the mark over.
    assert (await store.update_board("b", BoardPatch(ties="first"))).ties == "first"
    (made,) = await making
    assert isinstance(made, Submitted)
    assert (await store.get_player("b", "p")).reached_at > 0
