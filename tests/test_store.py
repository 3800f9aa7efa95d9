"""What every store promises, whatever its backend."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

import pytest
from msgspec.structs import fields, replace

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, SeasonPlan
from tornado_board.models import (
    SCORE_LIMIT,
    Board,
    Player,
)
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    NotFound,
    OutOfRange,
    StoreUnavailable,
    Submitted,
)
from tornado_board.store.sample import SAMPLE_BOARD, SAMPLE_PLAYERS

from .conftest import Opened
from .store_contract import changes_until, opened_store, rank_of

pytestmark = pytest.mark.usefixtures("io_loop")


@pytest.mark.gen_test
async def test_an_empty_database_gets_a_sample_board(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    ranking = await store.ranking(SAMPLE_BOARD.id or "", 10)
    assert ranking.board == Board(SAMPLE_BOARD.id or "", SAMPLE_BOARD.name or "")
    assert [p.score for p in ranking.players] == sorted(
        (p.score for p in SAMPLE_PLAYERS), reverse=True
    )
    assert {p.id for p in ranking.players} == {p.id for p in SAMPLE_PLAYERS}


@pytest.mark.gen_test
async def test_a_database_with_boards_gets_no_sample_board_and_keeps_what_it_has(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="mine"))
    await store.create_player("mine", NewPlayer(id="p", name="P", score=3))
    await store.delete_board("demo")
    await store.close()
    store = await opened.store(database_url, settings)
    assert [b.id for b in await store.list_boards(10)] == ["mine"]
    assert (await store.get_player("mine", "p")).score == 3


@pytest.mark.gen_test
async def test_boards_are_made_listed_in_pages_and_deleted(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    made = await store.create_board(NewBoard(id="x", name="Ünïcode ✓"))
    assert made == Board("x", "Ünïcode ✓") == await store.get_board("x")
    nameless = await store.create_board(NewBoard())
    assert nameless.name == nameless.id
    with pytest.raises(AlreadyExists):
        await store.create_board(NewBoard(id="x", name="other"))
    assert (await store.get_board("x")).name == "Ünïcode ✓"

    everything = await store.list_boards(10)
    assert [b.id for b in everything] == sorted(["demo", "x", nameless.id])
    assert await store.list_boards(1) == everything[:1]
    assert await store.list_boards(10, after=everything[0].id) == everything[1:]

    await store.create_player("x", NewPlayer(id="p", name="P"))
    await store.delete_board("x")
    for call in (
        store.get_board("x"),
        store.delete_board("x"),
        store.ranking("x", 5),
        store.get_player("x", "p"),
        store.add_score("x", "p", 1),
        store.create_player("x", NewPlayer(name="Q")),
    ):
        with pytest.raises(NotFound):
            await call
    await store.create_board(NewBoard(id="x"))
    assert (await store.ranking("x", 5)).players == []


@pytest.mark.gen_test
async def test_player_ids_are_unique_within_a_board_only(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_board(NewBoard(id="c"))
    await store.create_player("b", NewPlayer(id="p", name="On b", score=1))
    await store.create_player("c", NewPlayer(id="p", name="On c", score=2))
    for board in ("b", "c"):
        with pytest.raises(AlreadyExists):
            await store.create_player(board, NewPlayer(id="p", name="Again"))
    assert (await store.add_score("c", "p", 5)).player.score == 7
    assert (await store.get_player("b", "p")).score == 1
    assert await store.delete_player("b", "p") == Player("p", "On b", 1)
    assert (await store.get_player("c", "p")).name == "On c"
    with pytest.raises(NotFound):
        await store.get_player("b", "p")
    assert (await store.add_score("c", "p", 1)).player.score == 8
    assert [p.id for p in (await store.ranking("c", 5)).players] == ["p"]


@pytest.mark.gen_test
async def test_players_are_read_changed_and_deleted(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    assert await store.create_player("b", NewPlayer(id="p", name="P")) == Player("p", "P", 0)
    made = await store.create_player("b", NewPlayer(name="Q", score=2.5))
    assert made.score == 2.5
    for patch, player, previous, changed in (
        (PlayerPatch(name="R"), Player("p", "R", 0), 0, True),
        (PlayerPatch(score=-4), Player("p", "R", -4), 0, True),
        (PlayerPatch(), Player("p", "R", -4), -4, False),
        (PlayerPatch(name="R", score=-4.0), Player("p", "R", -4), -4, False),
        (PlayerPatch(meta={"a": True}), Player("p", "R", -4, meta={"a": True}), -4, True),
        (PlayerPatch(meta={"a": True}), Player("p", "R", -4, meta={"a": True}), -4, False),
        (PlayerPatch(meta={"a": 1}), Player("p", "R", -4, meta={"a": 1}), -4, True),
    ):
        done = await store.update_player("b", "p", patch)
        assert done == Submitted(player, previous, changed)
        assert await store.get_player("b", "p") == player
    assert type(player.meta["a"]) is int
    assert await rank_of(store, "b", "p") == 2
    assert await store.delete_player("b", "p") == player
    for call in (
        store.delete_player("b", "p"),
        store.get_player("b", "p"),
        store.update_player("b", "p", PlayerPatch(name="S")),
        store.add_score("b", "p", 1),
    ):
        with pytest.raises(NotFound, match="'p'"):
            await call


@pytest.mark.gen_test
async def test_equal_scores_share_a_rank_and_are_ordered_by_id(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for id, score in [("d", 1), ("B", 5), ("a", 5), ("c", 9), ("A", 5), ("~", 1)]:
        await store.create_player("b", NewPlayer(id=id, name=id, score=score))
    players = (await store.ranking("b", 100)).players
    assert [p.id for p in players] == ["c", "A", "B", "a", "d", "~"]
    assert [await rank_of(store, "b", p.id) for p in players] == [1, 2, 2, 2, 5, 5]
    await store.update_board("b", BoardPatch(top=1))
    assert [p.id for p in (await store.ranking("b", 3)).players] == ["c", "A", "B"]


@pytest.mark.gen_test
async def test_whole_numbers_stay_whole_and_fractions_add_as_doubles(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_player("b", NewPlayer(id="p", name="P", score=1.0))
    for amount, after in [(2, 3), (0.5, 3.5), (0.5, 4), (-5, -1), (0.1, -0.9), (0.2, -0.9 + 0.2)]:
        score = (await store.add_score("b", "p", amount)).player.score
        assert score == after
        assert type(score) is type(after)
        read = (await store.get_player("b", "p")).score
        assert (read, type(read)) == (after, type(after))


@pytest.mark.gen_test
async def test_a_sum_out_of_range_changes_nothing(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_player("b", NewPlayer(id="p", name="P", score=SCORE_LIMIT - 1))
    await store.create_player("b", NewPlayer(id="q", name="Q", score=-SCORE_LIMIT))
    results = await asyncio.gather(
        store.add_score("b", "p", 2),
        store.add_score("b", "p", 1),
        store.add_score("b", "q", -1),
        store.add_score("b", "q", 1),
        return_exceptions=True,
    )
    assert [type(r) for r in results] == [OutOfRange, Submitted, OutOfRange, Submitted]
    assert (await store.get_player("b", "p")).score == SCORE_LIMIT
    assert (await store.get_player("b", "q")).score == -SCORE_LIMIT + 1


@pytest.mark.gen_test
async def test_concurrent_additions_each_see_the_score_after_their_own(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for id in ("p", "q"):
        await store.create_player("b", NewPlayer(id=id, name=id))

    async def add(player_id: str) -> int:
        done = await store.add_score("b", player_id, 1)
        assert done.player.id == player_id
        assert done == Submitted(done.player, done.player.score - 1, True)
        return int(done.player.score)

    async def miss() -> None:
        with pytest.raises(NotFound):
            await store.add_score("b", "nobody", 1)

    everyone = [add("p") for _ in range(300)] + [add("q") for _ in range(100)]
    everyone += [miss() for _ in range(20)]  # type: ignore[misc]
    random.Random(7).shuffle(everyone)
    await asyncio.gather(*everyone)
    assert (await store.get_player("b", "p")).score == 300
    assert (await store.get_player("b", "q")).score == 100
    scores = await asyncio.gather(*[add("p") for _ in range(100)])
    assert sorted(scores) == list(range(301, 401))


@pytest.mark.gen_test
async def test_too_many_waiting_writes_are_refused(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(
        opened, database_url, dataclasses.replace(settings, waiting_writes=20)
    )
    await store.create_player("b", NewPlayer(id="p", name="P"))
    results = await asyncio.gather(
        *[store.add_score("b", "p", 1) for _ in range(200)], return_exceptions=True
    )
    refused = [r for r in results if isinstance(r, StoreUnavailable)]
    done = [r for r in results if isinstance(r, Submitted)]
    assert refused
    assert len(done) + len(refused) == 200
    assert (await store.get_player("b", "p")).score == len(done)


def filled(kind: type[NewBoard | NewPlayer | BoardPatch | PlayerPatch], number: int) -> Any:
    """One with a value in each field, others for each number. A new field needs a line here."""
    values: dict[str, list[Any]] = {
        "id": ["v1", "v1"],
        "name": ["One", "Two"],
        "score": [1, 2],
        "meta": [{"a": [1, None, {}], "é": "✓"}, {"a": 2.5, "b": True, "é": "✓"}],
        "order": ["asc", "desc"],
        "ties": ["first", "id"],
        "operator": ["add", "set"],
        "top": [1, 100],
        "min": [-1, 0.5],
        "max": [100, None],
        "show": [["meta"], []],
        "private": [True, False],
        "season": [SeasonPlan(every="week"), SeasonPlan(every="0 18 * * 5", keep=3)],
        "hidden": [False, False],
    }
    return kind(**{field.name: values[field.name][number] for field in fields(kind)})


@pytest.mark.gen_test
async def test_whatever_fields_players_have_are_written_read_and_told_of(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_board(NewBoard(id="c"))
    feed = await store.changes()
    new, patch = filled(NewPlayer, 0), filled(PlayerPatch, 1)
    for board in ("b", "c"):  # on RethinkDB the second is kept under another key
        player = new.player()
        assert await store.create_player(board, new) == player
        changed = patch.apply(player, 0)
        for step, done in (
            (store.update_player(board, "v1", patch), Submitted(changed, 1, True)),
            (store.update_player(board, "v1", patch), Submitted(changed, 2, False)),
            (
                store.update_player(board, "v1", PlayerPatch(name="Two")),
                Submitted(changed, 2, False),
            ),
            (store.update_player(board, "v1", PlayerPatch(score=2)), Submitted(changed, 2, False)),
            (store.add_score(board, "v1", 0), Submitted(changed, 2, False)),
        ):
            assert await step == done
        player = replace(changed, score=3)
        assert await store.add_score(board, "v1", 1) == Submitted(player, 2, True)
        assert await store.get_player(board, "v1") == player
        assert (await store.ranking(board, 5)).players == [player]
        await changes_until(feed, [(board, "v1", player)])


@pytest.mark.gen_test
async def test_whatever_fields_boards_have_are_written_read_and_told_of(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    feed = await store.changes()
    new = filled(NewBoard, 0)
    made = await store.create_board(new)
    # What the store's clock said is in the season.
    began = made.season.started if made.season is not None else 0
    board = new.board(began)
    assert made == board
    for patch in (BoardPatch(), filled(BoardPatch, 1), BoardPatch(meta={"a": None})):
        board = patch.apply(board, began)
        assert await store.update_board(board.id, patch) == board
        assert await store.get_board(board.id) == board
        assert board in await store.list_boards(10)
        assert (await store.ranking(board.id, 5)).board == board
        await changes_until(feed, [(board.id, board)])
