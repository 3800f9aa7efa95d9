"""What every store promises of boards: their settings, and what these do."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import MOST_TOP, TOP, Board, Meta
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    HasPlayers,
    Invalid,
    NotFound,
    OutOfRange,
    Store,
    StoreUnavailable,
    Submitted,
)

from .conftest import Opened
from .store_contract import changes_until, opened_store

pytestmark = pytest.mark.usefixtures("io_loop")

#: A board all of whose settings are others than the defaults.
META: Meta = {"motto": "Ünï ✓", "rounds": [1, 2.5, True, None], "of": {"x": {}}}
MANY: Meta = {"a": {"b": 1, "c": 2}, "d": [1]}
ALL = Board("all", "All", "asc", "first", "add", 20, -1.5, 2**53, META, ("meta",))


def new(board: Board) -> NewBoard:
    """What makes `board`."""
    fields: dict[str, Any] = msgspec.structs.asdict(board)
    return NewBoard(**{**fields, "show": list(board.show)})


@pytest.mark.gen_test
async def test_settings_are_kept_listed_and_read_again(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    assert await store.create_board(new(ALL)) == ALL
    plain = await store.create_board(NewBoard(id="plain"))
    assert plain == Board("plain", "plain", top=TOP)
    for reopened in (False, True):
        if reopened:
            await store.close()
            store = await opened.store(database_url, settings)
        assert await store.get_board("all") == ALL == (await store.ranking("all", 5)).board
        assert [b for b in await store.list_boards(10) if b.id != "demo"] == [ALL, plain]
    assert type((await store.get_board("all")).meta["rounds"][2]) is bool


@pytest.mark.gen_test
async def test_a_board_is_changed_field_by_field_and_the_feed_tells(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    feed = await store.changes()
    board = await store.get_board("b")
    for patch, changes in (
        (BoardPatch(name="New"), {"name": "New"}),
        (BoardPatch(order="asc"), {"order": "asc"}),
        (BoardPatch(ties="first"), {"ties": "first"}),
        (BoardPatch(operator="set"), {"operator": "set"}),
        (BoardPatch(top=MOST_TOP), {"top": MOST_TOP}),
        (BoardPatch(min=-0.5), {"min": -0.5}),
        (BoardPatch(max=7), {"max": 7}),
        (BoardPatch(min=None, max=None), {"min": None, "max": None}),
        (
            BoardPatch(meta={"a": {"b": 1, "c": 2}, "d": [1]}),
            {"meta": {"a": {"b": 1, "c": 2}, "d": [1]}},
        ),
        (BoardPatch(meta={"a": {"b": None}, "d": {}}), {"meta": {"a": {"c": 2}, "d": {}}}),
        (BoardPatch(meta={"a": None, "d": None}), {"meta": {}}),
        (BoardPatch(show=["meta"]), {"show": ("meta",)}),
        (BoardPatch(show=[], name="B"), {"show": (), "name": "B"}),
        (BoardPatch(order="desc", ties="id"), {"order": "desc", "ties": "id"}),
    ):
        board = msgspec.structs.replace(board, **changes)
        assert await store.update_board("b", patch) == board
        assert await store.get_board("b") == board
        await changes_until(feed, [("b", board)])
    assert await store.update_board("b", BoardPatch()) == board
    with pytest.raises(NotFound, match="'nowhere'"):
        await store.update_board("nowhere", BoardPatch(name="N"))


@pytest.mark.gen_test
async def test_what_can_be_no_board_is_refused_and_changes_nothing(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(new(ALL))
    long = {"text": "x" * 3000}
    for refused in (
        store.create_board(NewBoard(id="c", min=2, max=1)),
        store.create_board(NewBoard(id="c", meta={"text": "x" * 5000})),
        store.update_board("all", BoardPatch(min=5, max=4, name="Other")),
        store.update_board("all", BoardPatch(max=-2)),
        store.update_board("all", BoardPatch(meta={"text": "x" * 5000})),
    ):
        with pytest.raises(Invalid):
            await refused
    with pytest.raises(AlreadyExists):
        await store.create_board(NewBoard(id="all", name="Again"))
    assert [b for b in await store.list_boards(10) if b.id != "demo"] == [ALL]
    # Each would do, but not both.
    await store.update_board("all", BoardPatch(meta=long))
    with pytest.raises(Invalid, match="4096"):
        await store.update_board("all", BoardPatch(meta={"more": "x" * 3000}))
    assert (await store.get_board("all")).meta == {**META, **long}


@pytest.mark.gen_test
async def test_the_order_changes_only_while_there_are_no_players(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_player("b", NewPlayer(id="p", name="P", score=1))
    board = await store.get_board("b")
    for patch in (BoardPatch(order="asc"), BoardPatch(ties="first", name="N")):
        with pytest.raises(HasPlayers):
            await store.update_board("b", patch)
    assert await store.get_board("b") == board
    # What it is already is no change.
    same = BoardPatch(order="desc", ties="id", name="Same")
    assert (await store.update_board("b", same)).name == "Same"
    await store.delete_player("b", "p")
    changed = await store.update_board("b", BoardPatch(order="asc", ties="first"))
    assert (changed.order, changed.ties) == ("asc", "first")
    made = await store.create_player("b", NewPlayer(id="p", name="P", score=1))
    assert made.reached_at > 0


@pytest.mark.gen_test
async def test_the_order_never_changes_under_players_who_are_made_meanwhile(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    """A player has a time if and only if its board has ties that want one."""
    stores = [await opened_store(opened, database_url, settings)]
    if stores[0].shared:
        stores.append(await opened.store(database_url, settings))
    chance = random.Random(5)

    async def reorder(store: Store, ties: Any) -> bool:
        await asyncio.sleep(chance.random() * 0.005)
        try:
            await store.update_board("r", BoardPatch(ties=ties))
        except (HasPlayers, StoreUnavailable):
            return False
        return True

    async def make(store: Store, number: int) -> None:
        await asyncio.sleep(chance.random() * 0.01)
        if number % 3:
            await store.create_player("r", NewPlayer(id=f"p{number}", name="P", score=1))
        else:
            await store.submit("r", [Submission(id=f"p{number}", score=1)])

    changed = 0
    for _ in range(10):
        await stores[0].create_board(NewBoard(id="r"))
        done = await asyncio.gather(
            *[reorder(stores[n % len(stores)], ("first", "id")[n % 2]) for n in range(6)],
            *[make(stores[n % len(stores)], n) for n in range(4)],
        )
        changed += sum(bool(one) for one in done)
        board = await stores[-1].get_board("r")
        players = await stores[-1].players_after("r", None, 10)
        assert len(players) == 4
        assert {player.reached_at > 0 for player in players} == {board.ties == "first"}
        await stores[0].delete_board("r")
    assert changed


@pytest.mark.parametrize("ties", ["id", "first"])
@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.gen_test
async def test_players_stand_in_the_order_of_their_board(
    opened: Opened, database_url: str, settings: Settings, order: Any, ties: Any
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="b", order=order, ties=ties))
    ids = ["d", "B", "a", "c", "~", "A"]
    for id, score in zip(ids, [1, 5, 5, -0.5, 5, 1], strict=True):
        await store.create_player("b", NewPlayer(id=id, name=id, score=score))
        await asyncio.sleep(0.003)
    groups = {5: ["B", "a", "~"], 1: ["d", "A"] if ties == "first" else ["A", "d"], -0.5: ["c"]}
    scores = sorted(groups, reverse=order == "desc")
    expected = [id for score in scores for id in groups[score]]
    assert [p.id for p in (await store.ranking("b", 10)).players] == expected
    better = 0
    for score in scores:
        assert await store.rank("b", score) == better + 1
        better += len(groups[score])
    assert await store.rank("b", 3) == 4
    # Who reaches a score later stands behind those who have it, if times count.
    await store.submit("b", [Submission(id="d", score=5, operator="set")])
    behind = ["B", "a", "~", "d"] if ties == "first" else ["B", "a", "d", "~"]
    players = [p.id for p in (await store.ranking("b", 10)).players if p.score == 5]
    assert players == behind
    # Another name, or the same score again, is no reason to go back.
    await store.update_player("b", "B", PlayerPatch(name="Renamed", score=5))
    await store.submit("b", [Submission(id="B", score=5, operator="set", meta={"x": 1})])
    await store.add_score("b", "B", 0)
    assert [p.id for p in (await store.ranking("b", 10)).players if p.score == 5] == behind
    player = await store.get_player("b", "B")
    assert (player.reached_at > 0) is (ties == "first")
    assert player.name == "Renamed"


@pytest.mark.gen_test
async def test_a_read_has_as_many_players_as_the_board_shows_and_some_more(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="b", top=3, order="asc"))
    many = [Submission(id=f"p{i:03}", score=i) for i in range(300)]
    assert all(isinstance(done, Submitted) for done in await store.submit("b", many))
    for limit, top in ((1, 3), (5, 3), (10, 3), (3, 100), (250, 100)):
        await store.update_board("b", BoardPatch(top=top))
        ranking = await store.ranking("b", limit)
        assert len(ranking.players) == max(limit, 2 * top)
        assert [p.score for p in ranking.players] == list(range(len(ranking.players)))
    assert await store.count("b") == 300
    await store.delete_player("b", "p007")
    assert await store.count("b") == 299


@pytest.mark.gen_test
async def test_new_bounds_hold_for_the_next_write(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    stores = [await opened_store(opened, database_url, settings)]
    if stores[0].shared:
        stores.append(await opened.store(database_url, settings))
    for store in stores:
        await store.submit("b", [Submission(id="p", score=50)])
    for bound in (60, 70, None):
        await stores[0].update_board("b", BoardPatch(max=bound))
        for store in stores:
            add = store.add_score("b", "p", 1000)
            if bound is None:
                await add
                continue
            with pytest.raises(OutOfRange, match=str(bound)):
                await add
            (refused,) = await store.submit("b", [Submission(id="p", score=bound + 0.5)])
            assert isinstance(refused, OutOfRange)
            with pytest.raises(OutOfRange):
                await store.create_player("b", NewPlayer(id="q", name="Q", score=bound + 1))
            (kept,) = await store.submit("b", [Submission(id="p", score=bound - 0.5)])
            assert isinstance(kept, Submitted)
    # What is outside of them already stays until it is written.
    score = (await stores[0].get_player("b", "p")).score
    await stores[0].update_board("b", BoardPatch(max=1))
    for store in stores:
        renamed = await store.update_player("b", "p", PlayerPatch(name="Still"))
        assert (renamed.player.name, renamed.player.score) == ("Still", score)
    await stores[0].update_board("b", BoardPatch(operator="add"))
    for store in stores:
        (refused,) = await store.submit("b", [Submission(id="p", score=-1)])
        assert isinstance(refused, OutOfRange)
        (done,) = await store.submit("b", [Submission(id="n", score=-1)])
        assert isinstance(done, Submitted)


@pytest.mark.gen_test
async def test_a_board_that_is_made_again_has_its_new_settings(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    stores = [await opened.store(database_url, settings)]
    if stores[0].shared:
        stores.append(await opened.store(database_url, settings))
    feed = await stores[0].changes()
    for n in range(4):
        board = Board("r", f"R{n}", order=("desc", "asc")[n % 2], max=n, operator="set")
        await stores[0].create_board(new(board))
        for store in stores:
            ranking = await store.ranking("r", 5)
            assert ranking.board == board
            assert len(ranking.players) == stores.index(store)
            for score in (n, n + 1):
                results = await store.submit("r", [Submission(id="p", score=score)])
                assert isinstance(results[0], Submitted if score == n else OutOfRange)
        await changes_until(feed, [("r", board)])
        await stores[0].delete_board("r")
        await changes_until(feed, [("r", None)])
        for store in stores:
            with pytest.raises(NotFound):
                await store.submit("r", [Submission(id="p", score=0)])
