"""What the RethinkDB store promises beyond the contract; on the test server and on a real one."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tornado_board.inputs import NewBoard, NewPlayer, PlayerPatch
from tornado_board.models import ORDERING, SCORE_LIMIT, Board, Player, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    NotFound,
    OutOfRange,
    StoreUnavailable,
    Submitted,
)
from tornado_board.store.rethinkdb import RethinkDBStore
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.standing import STANDING
from tornado_board.store.sample import SAMPLE_PLAYERS

from .conftest import Opened
from .rethinkdb_admin import Admin, opened_store
from .store_contract import rank_of

pytestmark = pytest.mark.usefixtures("io_loop")

boards, players = r.table("boards"), r.table("players")


@pytest.fixture
def admin(either_url: str) -> Admin:
    return Admin(either_url)


async def document(admin: Admin, key: Any) -> Any:
    return await admin.run(players.get(key))


@pytest.mark.gen_test
async def test_a_database_of_an_earlier_user_works_as_it_is(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    database = either_url.rpartition("/")[2]
    if database not in await admin.run(r.db_list()):
        await admin.run(r.db_create(database))
    board = "6f0e2c1a-4b52-4d5f-9a36-0f3f1fd1c3a1"
    player = {"id": "d6b9d6c4-9a3b-4b2f-8a6e-9a1d3c1b7e55", "board": board, "name": "Old"}
    await admin.run(
        r.table_create("boards"),
        r.table_create("players"),
        boards.insert({"id": board}),
        players.insert({**player, "score": 7, "clan": {"tag": "x"}, "seen": [1, 2]}),
    )
    store = await opened_store(opened, either_url, settings)
    assert await store.list_boards(10) == [Board(board, board)]
    assert (await store.ranking(board, 5)).players == [Player(player["id"], "Old", 7)]
    assert (await store.add_score(board, player["id"], 3)).player.score == 10
    await store.update_player(board, player["id"], PlayerPatch(name="New"))
    assert await document(admin, player["id"]) == {
        **player, "name": "New", "score": 10, "clan": {"tag": "x"}, "seen": [1, 2],
    }  # fmt: skip


@pytest.mark.gen_test
async def test_processes_that_start_at_once_make_one_sample_board(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    stores = await asyncio.gather(*[opened_store(opened, either_url, settings) for _ in range(4)])
    for store in stores:
        await store.ping()
    assert await admin.run(boards.count()) == 1
    assert await admin.run(players.count()) == len(SAMPLE_PLAYERS)


@pytest.mark.gen_test
async def test_documents_of_any_shape_are_shown_or_left_out_but_break_nothing(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    await admin.run(
        boards.insert([{"id": "b", "name": 7}, {"id": 5}, {"id": [1]}]),
        players.insert(
            [
                {"id": "good", "board": "b", "name": "Good", "score": 3},
                {"id": "no-score", "board": "b", "name": "No score"},
                {"id": "null", "board": "b", "name": None, "score": None},
                {"id": "text", "board": "b", "name": "Text", "score": "3"},
                {"id": "list", "board": "b", "name": "List", "score": [3]},
                {"id": "huge", "board": "b", "name": "Huge", "score": 1e300},
                {"id": "half", "board": "b", "score": 0.5},
                {"id": "odd", "board": "b", "name": ["odd"], "score": 2},
                {"id": "other", "board": "c", "name": "Other", "score": 9},
                {"id": "no-board", "name": "No board", "score": 9},
                {"id": "number-board", "board": 5, "name": "N", "score": 9},
            ]
        ),
    )
    assert [b.id for b in await store.list_boards(10)] == ["b", "demo"]
    ranking = await store.ranking("b", 100)
    assert ranking.board == Board("b", "7")
    assert ranking.players == [
        Player("huge", "Huge", 1e300),
        Player("good", "Good", 3),
        Player("odd", '["odd"]', 2),
        Player("half", "half", 0.5),
        Player("no-score", "No score", 0),
        Player("null", "null", 0),
    ]
    assert sorted(ranking.players, key=ORDERING.key) == ranking.players
    assert await store.rank("b", 0) == 5
    assert (await store.add_score("b", "null", 2)).player.score == 2
    assert (await store.add_score("b", "half", 1)).player.score == 1.5
    for player_id in ("text", "list", "other", "no-board"):
        before = await document(admin, player_id)
        for call in (
            store.get_player("b", player_id),
            store.add_score("b", player_id, 1),
            store.update_player("b", player_id, PlayerPatch(name="New")),
        ):
            with pytest.raises(NotFound):
                await call
        assert await document(admin, player_id) == before
    with pytest.raises(OutOfRange):
        await store.add_score("b", "huge", -1)
    mended = await store.update_player("b", "text", PlayerPatch(score=4))
    assert mended.player == Player("text", "Text", 4)
    with pytest.raises(AlreadyExists):
        await store.create_player("b", NewPlayer(id="list", name="Again"))
    await store.delete_player("b", "list")
    await store.delete_board("b")
    assert await admin.run(players.filter({"board": "b"}).count()) == 0


@pytest.mark.gen_test
async def test_a_player_whose_plain_id_is_taken_on_another_board_gets_a_qualified_key(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    for board in ("b", "c"):
        await store.create_board(NewBoard(id=board))
        await store.create_player(board, NewPlayer(id="p", name=board, score=5))
    assert (await document(admin, "p"))["board"] == "b"
    assert (await document(admin, "c/p"))["board"] == "c"
    # Equal scores are ordered by the players' ids, not by the primary keys.
    await store.create_player("c", NewPlayer(id="a", name="a", score=5))
    await store.create_player("c", NewPlayer(id="q", name="q", score=5))
    assert [p.id for p in (await store.ranking("c", 5)).players] == ["a", "p", "q"]

    added = await asyncio.gather(
        *[store.add_score(board, "p", n) for n in (1, 2, 3) for board in ("b", "c")]
    )
    assert [a.player.score for a in added if a.player.name == "c"] == [6, 8, 11]
    assert [a.player.score for a in added if a.player.name == "b"] == [6, 8, 11]
    await store.update_player("c", "p", PlayerPatch(score=1))
    assert await rank_of(store, "c", "p") == 3
    await store.delete_player("c", "p")
    with pytest.raises(NotFound):
        await store.add_score("c", "p", 1)
    assert (await store.get_player("b", "p")).score == 11
    # Its key is known as the qualified one, but it may be made anew under the plain one.
    await store.delete_player("b", "p")
    await store.create_player("c", NewPlayer(id="p", name="new"))
    assert (await document(admin, "p"))["board"] == "c"
    assert (await store.add_score("c", "p", 1)).player.score == 1


@pytest.mark.gen_test
async def test_ids_may_be_as_long_as_the_api_lets_them(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, either_url, settings)
    player_id = "p" * 64
    for name in ("b", "c"):
        board = name * 64
        await store.create_board(NewBoard(id=board))
        await store.create_player(board, NewPlayer(id=player_id, name=name, score=1))
        await store.create_player(board, NewPlayer(id="p", name="short", score=1))
        assert (await store.add_score(board, player_id, 1)).player.name == name
        assert await rank_of(store, board, player_id) == 1
        assert [p.id for p in (await store.ranking(board, 5)).players] == [player_id, "p"]
        assert (await store.add_score(board, "p", 1)).player.score == 2
        assert [p.id for p in (await store.ranking(board, 5)).players] == ["p", player_id]
    await store.delete_board("b" * 64)
    await store.delete_player("c" * 64, player_id)


@pytest.mark.gen_test
async def test_of_many_who_make_one_player_one_succeeds(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    other = await opened_store(opened, either_url, settings)
    for board in ("b", "c"):
        await store.create_board(NewBoard(id=board))
    results = await asyncio.gather(
        *[
            maker.create_player(board, NewPlayer(id="p", name=f"{board}{n}", score=n))
            for n in range(10)
            for maker in (store, other)
            for board in ("b", "c")
        ],
        return_exceptions=True,
    )
    made = [result for result in results if isinstance(result, Player)]
    assert sorted(player.name[0] for player in made) == ["b", "c"]
    assert sum(isinstance(result, AlreadyExists) for result in results) == len(results) - 2
    for player in made:
        assert (await store.get_player(player.name[0], "p")).name == player.name
    assert await admin.run(players.filter(lambda d: d["board"].ne("demo")).count()) == 2


@pytest.mark.gen_test
async def test_a_player_made_while_its_board_is_deleted_does_not_stay(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    for _ in range(5):
        await store.create_board(NewBoard(id="b"))
        await asyncio.gather(
            *[store.create_player("b", NewPlayer(name="P")) for _ in range(10)],
            store.delete_board("b"),
            *[store.create_player("b", NewPlayer(name="P")) for _ in range(10)],
            return_exceptions=True,
        )
        assert await admin.run(players.filter({"board": "b"}).count()) == 0


@pytest.mark.gen_test
async def test_1500_additions_of_32_callers_get_1500_consecutive_scores(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    stores = [await opened_store(opened, either_url, settings) for _ in range(2)]
    await stores[0].create_board(NewBoard(id="b"))
    todo = []
    for player_id, number in (("p", 1500), ("q", 300), ("r", 300)):
        await stores[0].create_player("b", NewPlayer(id=player_id, name=player_id))
        todo += [player_id] * number
    random.Random(3).shuffle(todo)
    scores: dict[str, list[Any]] = {"p": [], "q": [], "r": []}

    async def caller(store: RethinkDBStore) -> None:
        while todo:
            player = (await store.add_score("b", todo.pop(), 1)).player
            scores[player.id].append(player.score)

    await asyncio.gather(*[caller(stores[n % 2]) for n in range(32)])
    assert sorted(scores["p"]) == list(range(1, 1501))
    assert sorted(scores["q"]) == sorted(scores["r"]) == list(range(1, 301))


@pytest.mark.gen_test
async def test_additions_to_players_of_one_id_on_several_boards_go_together(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    """Only the first of these players has its id as its key."""
    store = await opened_store(opened, either_url, settings)
    boards = ["b", "c", "d", "e"]
    for board in boards:
        await store.create_board(NewBoard(id=board))
        await store.create_player(board, NewPlayer(id="p", name="P"))
    for total in (1, 2):  # the second time their keys are known
        done = await asyncio.gather(*[store.add_score(board, "p", 1) for board in boards])
        assert [one.player.score for one in done] == [total] * len(boards)


@pytest.mark.gen_test
async def test_each_caller_gets_the_very_sum_that_was_stored_after_its_addition(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, either_url, settings)
    await store.create_board(NewBoard(id="b"))
    await store.create_player("b", NewPlayer(id="p", name="P", score=0.1))
    draw = random.Random(11)
    amounts = [draw.choice((1, -3, 0.1, 0.7, 2**40, -(2**40), 0)) for _ in range(60)]
    done = await asyncio.gather(*[store.add_score("b", "p", amount) for amount in amounts])
    score: float = 0.1
    for amount, one in zip(amounts, done, strict=True):
        assert one.previous == score
        score += amount
        assert one.player.score == score
    assert (await store.get_player("b", "p")).score == score


@pytest.mark.gen_test
async def test_only_the_additions_that_leave_the_range_fail(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, either_url, settings)
    await store.create_board(NewBoard(id="b"))
    await store.create_player("b", NewPlayer(id="p", name="P", score=SCORE_LIMIT - 10))
    await store.create_player("b", NewPlayer(id="q", name="Q"))
    amounts = [SCORE_LIMIT, 4, 7, -1, 7, SCORE_LIMIT, -SCORE_LIMIT, 1]
    results = await asyncio.gather(
        *[store.add_score("b", "p", amount) for amount in amounts],
        store.add_score("b", "q", 1),
        return_exceptions=True,
    )
    score = SCORE_LIMIT - 10
    for amount, result in zip(amounts, results, strict=False):
        if score + amount > SCORE_LIMIT:
            assert isinstance(result, OutOfRange)
        else:
            score += amount
            assert isinstance(result, Submitted)
            assert result.player.score == score
    assert results[-1] == Submitted(Player("q", "Q", 1), 0, True)


@pytest.mark.gen_test
async def test_a_board_with_more_players_than_one_query_deletes(
    opened: Opened,
    either_url: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    admin: Admin,
) -> None:
    monkeypatch.setattr("tornado_board.store.rethinkdb.deletion.SWEEP", 3)
    store = await opened_store(opened, either_url, settings)
    await admin.run(
        boards.insert({"id": "b"}),
        players.insert([{"id": f"p{n}", "board": "b", "score": n} for n in range(10)]),
    )
    await store.delete_board("b")
    assert await admin.run(players.filter({"board": "b"}).count()) == 0
    assert len((await store.ranking("demo", 10)).players) == len(SAMPLE_PLAYERS)
    # What a deletion that broke off left behind, the next one deletes.
    await admin.run(players.insert({"id": "p", "board": "b", "score": 1}))
    await store.delete_board("b")
    with pytest.raises(NotFound):
        await store.delete_board("b")


@pytest.mark.gen_test
async def test_an_index_that_somebody_dropped_is_made_again(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    feed = await store.changes()
    await admin.run(players.index_drop(STANDING))
    with pytest.raises(StoreUnavailable, match="standing"):
        await store.ranking("demo", 5)
    assert (await store.add_score("demo", "venus", 1)).player.score == 32
    (change,) = await asyncio.wait_for(feed.next(), 30)
    assert change == PlayerChanged("demo", "venus", Player("venus", "Venus", 32), before=31)
    for _ in range(100):
        try:
            ranking = await store.ranking("demo", 1)
            break
        except StoreUnavailable:
            await asyncio.sleep(0.1)
    assert ranking.players[:1] == [Player("venus", "Venus", 32)]
    await store.ping()


@pytest.mark.gen_test
async def test_an_account_with_rights_on_its_database_only(
    opened: Opened, rethinkdb_url: str, settings: Settings
) -> None:
    admin, address = Admin(rethinkdb_url), Address.parse(rethinkdb_url)
    account = {"id": "board server", "password": "pä:s/€"}
    url = rethinkdb_url.replace("://", "://board%20server:p%C3%A4%3As%2F%E2%82%AC@")
    await admin.run(
        r.db_create(address.database),
        r.db("rethinkdb").table("users").insert(account, conflict="replace"),
        r.db(address.database).grant(account["id"], {"read": True, "write": True}),
    )
    try:
        with pytest.raises(StoreUnavailable, match="permission"):
            await opened.store(url, settings)  # it may not make tables
        await admin.run(r.db(address.database).grant(account["id"], {"config": True}))
        store = await opened.store(url, settings)
        feed = await store.changes()
        assert (await store.add_score("demo", "venus", 1)).player.score == 32
        assert await feed.next()
        # Where tables and index are there, it needs no right to make them.
        await admin.run(r.db(address.database).grant(account["id"], {"config": False}))
        poor = await opened.store(url, settings)
        await poor.ping()
        feed = await poor.changes()
        assert (await poor.add_score("demo", "venus", 1)).player.score == 33
        assert await feed.next()
        with pytest.raises(StoreUnavailable, match="refused the user 'board server'"):
            await opened.store(url.replace("p%C3%A4", "wrong"), settings)
    finally:
        await admin.run(r.db("rethinkdb").table("users").get(account["id"]).delete())
