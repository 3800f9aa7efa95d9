"""Documents that others have written: what the API can't name, and two of one player."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tornado_board.inputs import BoardPatch, NewBoard, PlayerPatch
from tornado_board.models import Board, BoardChanged, Player, PlayerChanged, is_id
from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.store import Feed, NotFound
from tornado_board.store.rethinkdb import RethinkDBStore
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import player_of, public_id, qualified
from tornado_board.store.rethinkdb.standing import HIDDEN, STANDING, standing_key

from .conftest import Opened
from .rethinkdb_admin import Admin, opened_store
from .waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("io_loop")

boards, players = r.table("boards"), r.table("players")

#: What others may have stored for a time.
REACHED: list[Any] = [7, 0.5, "7", [], True]

#: Ids that no path of the API names.
STRANGE = [3, 1.5, True, ["x"], "", " ", "a b", "a/b", "ü", ".", "..", "x" * 65, "a\n", "%41"]


@pytest.fixture
def admin(either_url: str) -> Admin:
    return Admin(either_url)


@pytest.mark.gen_test
async def test_boards_that_the_api_can_not_name_are_not_listed(
    serving: Callable[[Settings], Awaitable[Running]],
    settings: Settings,
    either_url: str,
    admin: Admin,
) -> None:
    running = await serving(dataclasses.replace(settings, database_url=either_url))
    ids = [f"b{n}" for n in range(5)]
    await admin.run(boards.insert([{"id": key} for key in [*STRANGE, *ids]]))
    async with httpx.AsyncClient(base_url=running.url, timeout=PATIENCE) as client:
        seen, url = [], "/boards/?limit=1"
        while url:
            answer = await client.get(url)
            assert answer.status_code == 200, answer.text
            seen += [board["id"] for board in answer.json()["boards"]]
            url = answer.links.get("next", {}).get("url", "")
        assert seen == [*ids, "demo"]
        for board_id in seen:
            assert (await client.get(f"/boards/{board_id}/")).status_code == 200


@pytest.mark.gen_test
async def test_players_that_the_api_can_not_name_are_not_ranked_counted_or_told_of(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    feed = await store.changes()
    strange = [*STRANGE, "bcd/a/b", "bc/p", "x/p", "/p", "bcd/", "bcd/.", "bcd/a b"]
    await admin.run(
        boards.insert([{"id": "bcd"}, {"id": "a/b"}, {"id": 7}]),
        players.insert([{"id": key, "board": "bcd", "score": 9} for key in strange if key != ""]),
        players.insert({"id": "elsewhere", "board": "a/b", "score": 1}),
        players.insert({"id": "", "board": "bcd", "score": 9}),
        players.insert({"id": "good", "board": "bcd", "score": 1}),
        players.insert({"id": "bcd/also", "board": "bcd", "score": 1}),
    )
    ranking = await store.ranking("bcd", 100)
    assert ranking.players == [Player("also", "also", 1), Player("good", "good", 1)]
    assert await store.rank("bcd", 1) == 1
    assert await store.count("bcd") == 2
    assert [list(piece.ids) async for piece in store.scores("bcd")] == [["also", "good"]]
    assert await store.players_after("bcd", None, 10) == ranking.players
    for player in ranking.players:
        assert (await store.add_score("bcd", player.id, 1)).player.score == 2
    told: set[Any] = set()
    while not {("bcd", "good", 2), ("bcd", "also", 2)} <= told:
        for change in await feed.next():
            if isinstance(change, PlayerChanged) and change.player is not None:
                told.add((change.board_id, change.player_id, change.player.score))
            else:
                assert change == BoardChanged("bcd", Board("bcd", "bcd"))
    assert {place[1] for place in told} == {"good", "also"}
    await store.delete_board("bcd")
    assert await admin.run(players.filter({"board": "bcd"}).count()) == 0


@pytest.mark.gen_test
async def test_the_index_agrees_with_the_documents(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    await opened_store(opened, either_url, settings)
    long_board, long_id = "b" * 64, "p" * 64
    cases = [
        {"id": key, "board": board, "score": score}
        for board in ("bcd", long_board, "a/b")
        for key in [
            *("p", ".", "a b", 3, "bcd/p", "bc/p", "xbcd/p", "bcdbcd/p", "bcd/x/y", "/p", "bcd/"),
            *(qualified(long_board, long_id), "b" * 62 + "/" + long_id[:63], "b/p", "p" * 65),
            *("bcd/..", "a\n", "", "ü", "/" + long_id, "b" * 64 + "/" + long_id[:62], "p/", "//"),
        ]
        for score in (1, "1")
    ]
    cases += [
        {"id": "p", "board": "bcd", "score": 1, "reached_at": reached_at} for reached_at in REACHED
    ]
    for case in cases:
        board, place, reached_at, key = await admin.run(r.expr(case).do(standing_key))
        held = player_of(case)
        assert board == case["board"]
        assert reached_at == case.get("reached_at", 0)
        if is_id(str(case["board"])) and isinstance(case["board"], str):
            assert place == ("" if held is None else -1), case
            assert held is None or key == held[1].id == public_id(case), case
    for hidden in (True, False, None, 1, "true", {"hidden": True}):
        case = {"id": "bcd/p", "board": "bcd", "score": 1, "hidden": hidden}
        found = await admin.run(r.expr(case).do(standing_key))
        held = player_of(case)
        assert held is not None
        assert found == (["bcd", HIDDEN, "p"] if held[1].hidden else ["bcd", -1, 0, "p"])


@pytest.mark.gen_test
async def test_an_index_of_an_earlier_version_stays_beside_the_new_one(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    await admin.run(
        players.index_create("standing", lambda d: [d["board"], d["score"]]),
        players.index_drop(STANDING),
    )
    await store.close()
    store = await opened_store(opened, either_url, settings)
    assert sorted(await admin.run(players.index_list())) == ["standing", STANDING]
    assert len((await store.ranking("demo", 10)).players) == 5


@pytest.mark.gen_test
async def test_of_two_documents_of_one_player_that_with_the_plain_key_counts(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    await store.create_board(NewBoard(id="b"))
    await admin.run(players.insert({"id": "b/p", "board": "b", "name": "Other", "score": 9}))
    assert (await store.add_score("b", "p", 1)).player.score == 10  # its key is known now
    await admin.run(players.insert({"id": "p", "board": "b", "name": "Plain", "score": 5}))
    other = await admin.run(players.get("b/p"))

    assert (await store.ranking("b", 10)).players == [Player("p", "Plain", 5)]
    assert (await store.get_player("b", "p")).score == 5
    assert (await store.add_score("b", "p", 1)).player.score == 6
    assert (await store.update_player("b", "p", PlayerPatch(name="New"))).player.name == "New"
    assert (await store.update_player("b", "p", PlayerPatch(score=7))).player.score == 7
    assert await admin.run(players.get("b/p")) == other
    assert (await store.ranking("b", 10)).players == [Player("p", "New", 7)]

    await admin.run(players.get("p").update({"score": "none"}))  # no player: the other one counts
    assert (await store.get_player("b", "p")).score == 10
    assert (await store.update_player("b", "p", PlayerPatch(score=11))).player.score == 11
    assert (await admin.run(players.get("p")))["score"] == "none"
    await admin.run(players.get("p").update({"score": 7}))

    await store.delete_player("b", "p")
    assert (await store.ranking("b", 10)).players == [Player("p", "Other", 11)]
    assert (await store.add_score("b", "p", 1)).player.score == 12
    await store.delete_player("b", "p")
    with pytest.raises(NotFound):
        await store.delete_player("b", "p")


@pytest.mark.gen_test
async def test_documents_that_do_not_count_take_no_place_on_a_short_list(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    await store.create_board(NewBoard(id="b"))
    await admin.run(
        players.insert([{"id": f"b/p{n}", "board": "b", "score": 100 + n} for n in range(9)]),
        players.insert([{"id": f"p{n}", "board": "b", "score": n} for n in range(9)]),
    )
    await store.update_board("b", BoardPatch(top=1))
    assert [p.score for p in (await store.ranking("b", 2)).players] == [8, 7]
    for limit in (1, 2, 5):
        page = await store.players_after("b", None, limit)
        assert [p.score for p in page] == list(range(8, 8 - limit, -1))
        page = await store.players_after("b", None, limit, backwards=True)
        assert [p.score for p in page] == list(range(limit))
    assert [p.score for p in (await store.ranking("b", 100)).players] == list(range(8, -1, -1))


class Followed:
    """The players of a board as somebody knows them who only reads the feed."""

    def __init__(self, feed: Feed, admin: Admin, board_id: str) -> None:
        self._feed, self._admin, self._board_id = feed, admin, board_id
        self._marks = itertools.count(1000)
        self.players: dict[str, Player] = {}

    async def catch_up(self) -> None:
        """Take in all that was written until now."""
        mark = next(self._marks)
        await self._admin.run(players.get("mars").update({"score": mark}))
        while True:
            for change in await self._feed.next():
                assert isinstance(change, PlayerChanged)
                if change.board_id == self._board_id and change.player is None:
                    self.players.pop(change.player_id, None)
                elif change.board_id == self._board_id:
                    assert change.player is not None
                    self.players[change.player_id] = change.player
                elif change.player is not None and change.player.score == mark:
                    return


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.gen_test
async def test_the_feed_the_ranking_and_a_read_agree_whoever_writes_which_document(
    opened: Opened, either_url: str, settings: Settings, admin: Admin, seed: int
) -> None:
    store: RethinkDBStore = await opened_store(opened, either_url, settings)
    await store.create_board(NewBoard(id="b"))
    feed = await store.changes()
    followed = Followed(feed, admin, "b")
    draw = random.Random(seed)
    for step in range(60):
        for _ in range(draw.randint(1, 3)):
            key = draw.choice(("p", "b/p", "q", "b/q"))
            document = {"id": key, "board": draw.choice(("b", "b", "b", "c")), "score": step}
            if draw.random() < 0.15:
                document["score"] = "none"
            if draw.random() < 0.3:
                await admin.run(players.get(key).delete())
            else:
                await admin.run(players.insert(document, conflict="replace"))
        await followed.catch_up()
        ranking = (await store.ranking("b", 10)).players
        assert followed.players == {player.id: player for player in ranking}
        assert len(ranking) == len(followed.players)
        for player_id in ("p", "q"):
            if player_id in followed.players:
                score = (await store.get_player("b", player_id)).score
                assert score == followed.players[player_id].score
            else:
                with pytest.raises(NotFound):
                    await store.get_player("b", player_id)
