"""Hidden players have no place: on every store, whoever hides them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Player
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    HasPlayers,
    NotFound,
    Once,
    Store,
    Submitted,
    open_store,
)
from tornado_board.store.rethinkdb.address import r

from .conftest import Opened
from .rethinkdb_admin import Admin
from .store_contract import Chain, opened_store

pytestmark = pytest.mark.gen_test

HIDE, SHOW = PlayerPatch(hidden=True), PlayerPatch(hidden=False)

#: Writes what `fields` are to a player's row or document, as another program.
Outside = Callable[..., Awaitable[None]]


@pytest.fixture
def outside(database_url: str) -> Outside:
    async def write(board_id: str, player_id: str, **fields: Any) -> None:
        if database_url.startswith("sqlite"):
            sets = ", ".join(f"{field} = ?" for field in fields)
            path = database_url.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as c:
                c.execute(
                    f"UPDATE players SET {sets} WHERE board = ? AND id = ?",
                    (*fields.values(), board_id, player_id),
                )
            return
        keys = player_id, f"{board_id}/{player_id}"
        found = await Admin(database_url).run(r.table("players").get_all(*keys).coerce_to("array"))
        (key,) = (document["id"] for document in found if document["board"] == board_id)
        await Admin(database_url).run(r.table("players").get(key).update(fields))

    return write


async def fill(store: Store, board: str = "b", **scores: float) -> None:
    for player_id, score in scores.items():
        await store.create_player(board, NewPlayer(id=player_id, name=player_id, score=score))


async def shown(store: Store, board: str = "b") -> list[str]:
    """The ids of those who have a place, by every read that tells of them."""
    ids = [player.id for player in await store.players_after(board, None, 99)]
    backwards = await store.players_after(board, None, 99, backwards=True)
    assert [player.id for player in backwards] == ids[::-1]
    assert [player.id for player in (await store.ranking(board, 9)).players] == ids
    assert await store.count(board) == len(ids)
    pieces = [piece async for piece in store.scores(board)]
    assert sorted(id for piece in pieces for id in piece.ids) == sorted(ids)
    known = [*ids, *[player.id for player in await store.hidden_players(board, "", 99)]]
    assert sorted(player.id for player in await store.players_by_id(board, known)) == sorted(ids)
    return ids


@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_a_hidden_player_is_in_no_read_until_it_is_shown_again(
    opened: Opened, database_url: str, settings: Settings, order: Any
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.update_board("b", BoardPatch(order=order))
    await fill(store, p=1, q=2, r=3)
    in_order = ["r", "q", "p"] if order == "desc" else ["p", "q", "r"]
    assert await shown(store) == in_order
    hidden = Player("q", "q", 2, hidden=True)
    assert await store.update_player("b", "q", HIDE) == Submitted(hidden, 2, True, False)
    assert await store.update_player("b", "q", HIDE) == Submitted(hidden, 2, False, True)
    assert await shown(store) == [id for id in in_order if id != "q"]
    last = in_order[-1]
    assert await store.rank("b", {"p": 1, "r": 3}[last]) == 2
    at = await store.player_at("b", 2)
    assert at is not None
    assert at.id == last
    assert await store.player_at("b", 3) is None
    with pytest.raises(NotFound):
        await store.get_player("b", "q")
    assert await store.get_player("b", "q", hidden=True) == hidden
    assert await store.hidden_players("b", "", 9) == [hidden]
    assert await store.update_player("b", "q", SHOW) == Submitted(
        Player("q", "q", 2), 2, True, True
    )
    assert await shown(store) == in_order
    assert await store.hidden_players("b", "", 9) == []


async def test_what_is_written_to_a_hidden_player_is_stored_and_stays_hidden(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await fill(store, p=1, q=2)
    await store.update_player("b", "p", HIDE)
    hidden = Player("p", "p", 5, hidden=True)
    assert await store.submit("b", [Submission(id="p", score=5)]) == [
        Submitted(hidden, 1, True, True)
    ]
    once = Once("k", "r")
    for _ in range(2):
        done = await store.add_score("b", "p", 2, once=once)
        assert done == Submitted(Player("p", "p", 7, hidden=True), 5, True, True)
    assert once.replayed
    renamed = await store.update_player("b", "p", PlayerPatch(name="P", meta={"a": 1}))
    hidden = Player("p", "P", 7, meta={"a": 1}, hidden=True)
    assert renamed == Submitted(hidden, 7, True, True)
    assert (await store.submit("b", [Submission(id="p", score=8, name="Q")]))[0] == Submitted(
        Player("p", "Q", 8, meta={"a": 1}, hidden=True), 7, True, True
    )
    assert await shown(store) == ["q"]
    with pytest.raises(AlreadyExists):
        await fill(store, p=1)
    assert (await store.delete_player("b", "p")).hidden
    await fill(store, p=1)
    assert await shown(store) == ["q", "p"]


async def test_hidden_players_are_listed_by_their_ids(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_board(NewBoard(id="c"))
    ids = [f"p{number}" for number in range(7)]
    for board in ("b", "c"):  # on RethinkDB those of the second are kept under other keys
        await fill(store, board, **dict.fromkeys(ids, 10))
        for id in reversed(ids[1:]):
            await store.update_player(board, id, HIDE)
        assert await shown(store, board) == ids[:1]
        found: list[str] = []
        while page := await store.hidden_players(board, found[-1] if found else "", 4):
            assert len(page) <= 4
            found += [player.id for player in page]
        assert found == ids[1:]
    for call in (store.hidden_players("none", "", 9), store.get_player("b", "none", hidden=True)):
        with pytest.raises(NotFound):
            await call


async def test_a_board_whose_players_are_all_hidden_keeps_its_order(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await fill(store, p=1)
    await store.update_player("b", "p", HIDE)
    with pytest.raises(HasPlayers):
        await store.update_board("b", BoardPatch(order="asc"))
    await store.delete_player("b", "p")
    assert (await store.update_board("b", BoardPatch(order="asc"))).order == "asc"


async def test_a_deleted_boards_hidden_players_go_with_it(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await fill(store, p=1, q=2)
    await store.update_player("b", "p", HIDE)
    await store.delete_board("b")
    await store.create_board(NewBoard(id="b"))
    assert await store.hidden_players("b", "", 9) == []
    await fill(store, p=3)
    assert await shown(store) == ["p"]


async def test_the_feed_tells_of_hiding_and_showing_and_of_nothing_in_between(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_board(NewBoard(id="c"))
    for board in ("b", "c"):
        await fill(store, board, p=1, q=2)
    chain = Chain()
    await chain.read(store, "b", "c")
    feed = await store.changes()
    for board in ("b", "c"):
        await store.update_player(board, "p", HIDE)
        await chain.follow_until(feed, [(board, "p", None)])
        await store.add_score(board, "p", 4)
        await store.add_score(board, "q", 1)
        await chain.follow_until(feed, [(board, "q", Player("q", "q", 3))])
        assert chain.scores.get((board, "p")) is None
        await store.update_player(board, "p", SHOW)
        await chain.follow_until(feed, [(board, "p", Player("p", "p", 5))])
        await store.update_player(board, "p", HIDE)
        await chain.follow_until(feed, [(board, "p", None)])
        await store.delete_player(board, "p")
        await fill(store, board, p=7)
        await chain.follow_until(feed, [(board, "p", Player("p", "p", 7))])


async def test_another_program_may_hide_and_show(
    opened: Opened, database_url: str, settings: Settings, outside: Outside
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_board(NewBoard(id="c"))
    for board in ("b", "c"):
        await fill(store, board, p=1, q=2)
    chain = Chain()
    await chain.read(store, "b", "c")
    feed = await store.changes()
    for board in ("b", "c"):
        await outside(board, "q", hidden=True)
        await chain.follow_until(feed, [(board, "q", None)])
        assert await shown(store, board) == ["p"]
        await outside(board, "q", score=9)
        assert await shown(store, board) == ["p"]
        await outside(board, "q", hidden=False)
        await chain.follow_until(feed, [(board, "q", Player("q", "q", 9))])
        assert await shown(store, board) == ["q", "p"]
        # What is none of the values hides nobody.
        await outside(board, "q", hidden="no")
        assert await shown(store, board) == ["q", "p"]


@pytest.mark.parametrize("database_url", ["reql", "rethinkdb"], indirect=True)
async def test_what_is_hidden_under_the_plain_key_hides_what_others_wrote_under_the_other(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await fill(store, p=1, q=2)
    chain = Chain(exact=False)
    await chain.read(store, "b")
    feed = await store.changes()
    await store.update_player("b", "p", HIDE)
    await Admin(database_url).run(
        r.table("players").insert(
            [
                {"id": "b/p", "board": "b", "score": 50},
                {"id": "b/x", "board": "b", "score": 1, "hidden": True},
                {"id": 7, "board": "b", "score": 1, "hidden": True},
                {"id": "b/b/x", "board": "b", "score": 1, "hidden": True},
                {"id": "word", "board": "b", "score": "one", "hidden": True},
            ]
        )
    )
    await fill(store, r=3)
    await chain.follow_until(feed, [("b", "r", Player("r", "r", 3))])
    assert chain.scores == {("b", "q"): 2, ("b", "r"): 3}
    assert [player.id for player in await store.players_after("b", None, 9)] == ["r", "q"]
    for limit in (1, 2, 9):
        found: list[str] = []
        while page := await store.hidden_players("b", found[-1] if found else "", limit):
            found += [player.id for player in page]
        assert found == ["p", "x"]
    # With the plain one gone the other one is the player.
    await store.delete_player("b", "p")
    await chain.follow_until(feed, [("b", "p", Player("p", "p", 50))])


async def test_hidden_players_stay_hidden_over_a_restart(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await open_store(database_url, settings)
    await store.create_board(NewBoard(id="b"))
    await fill(store, p=1, q=2)
    await store.update_player("b", "p", HIDE)
    await store.close()
    store = await opened.store(database_url, settings)
    assert await shown(store) == ["q"]
