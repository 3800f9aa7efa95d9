"""What every store promises, whatever its backend."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from typing import Any

import pytest
from msgspec.structs import fields, replace

from tornado_board.inputs import NewBoard, NewPlayer, PlayerPatch
from tornado_board.models import (
    SCORE_LIMIT,
    Board,
    BoardChanged,
    Change,
    Number,
    Player,
    PlayerChanged,
    RankedPlayer,
)
from tornado_board.settings import Settings
from tornado_board.store import (
    SAMPLE_BOARD,
    SAMPLE_PLAYERS,
    AlreadyExists,
    Feed,
    NotFound,
    OutOfRange,
    Store,
    StoreUnavailable,
)

from .conftest import Opened

pytestmark = pytest.mark.usefixtures("io_loop")


async def opened_store(opened: Opened, url: str, settings: Settings) -> Store:
    """A store with one empty board, ``b``, beside the sample."""
    store = await opened.store(url, settings)
    await store.create_board(NewBoard(id="b", name="Board"))
    return store


async def changes_until(feed: Feed, wanted: set[Any]) -> list[Change]:
    """The changes of `feed` up to the one that completes `wanted` (versions left out)."""
    seen: list[Change] = []
    missing = set(wanted)
    while missing:
        for change in await asyncio.wait_for(feed.next(), 10):
            seen.append(change)
            missing.discard(without_version(change))
    return seen


def without_version(change: Change) -> Any:
    if isinstance(change, PlayerChanged):
        return (change.board_id, change.player_id, change.player)
    return (change.board_id, change.board)


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
    assert (await store.add_score("c", "p", 5)).score == 7
    assert (await store.get_player("b", "p")).score == 1
    await store.delete_player("b", "p")
    assert (await store.get_player("c", "p")).name == "On c"
    with pytest.raises(NotFound):
        await store.get_player("b", "p")
    assert (await store.add_score("c", "p", 1)).score == 8
    assert [p.id for p in (await store.ranking("c", 5)).players] == ["p"]


@pytest.mark.gen_test
async def test_players_are_read_changed_and_deleted(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    assert await store.create_player("b", NewPlayer(id="p", name="P")) == Player("p", "P", 0)
    made = await store.create_player("b", NewPlayer(name="Q", score=2.5))
    assert made.score == 2.5
    assert await store.update_player("b", "p", PlayerPatch(name="R")) == Player("p", "R", 0)
    assert await store.update_player("b", "p", PlayerPatch(score=-4)) == Player("p", "R", -4)
    assert await store.update_player("b", "p", PlayerPatch()) == Player("p", "R", -4)
    got = await store.get_player("b", "p")
    assert (got.id, got.name, got.score, got.rank) == ("p", "R", -4, 2)
    await store.delete_player("b", "p")
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
    assert [(await store.get_player("b", p.id)).rank for p in players] == [1, 2, 2, 2, 5, 5]
    assert [p.id for p in (await store.ranking("b", 3)).players] == ["c", "A", "B"]


@pytest.mark.gen_test
async def test_whole_numbers_stay_whole_and_fractions_add_as_doubles(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_player("b", NewPlayer(id="p", name="P", score=1.0))
    for amount, after in [(2, 3), (0.5, 3.5), (0.5, 4), (-5, -1), (0.1, -0.9), (0.2, -0.9 + 0.2)]:
        score = (await store.add_score("b", "p", amount)).score
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
    assert [type(r) for r in results] == [OutOfRange, Player, OutOfRange, Player]
    assert (await store.get_player("b", "p")).score == SCORE_LIMIT
    assert (await store.get_player("b", "q")).score == -SCORE_LIMIT + 1


@pytest.mark.gen_test(timeout=60)
async def test_concurrent_additions_each_see_the_score_after_their_own(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for id in ("p", "q"):
        await store.create_player("b", NewPlayer(id=id, name=id))

    async def add(player_id: str) -> int:
        player = await store.add_score("b", player_id, 1)
        assert player.id == player_id
        return int(player.score)

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


@pytest.mark.gen_test(timeout=30)
async def test_the_feed_tells_of_every_kind_of_change(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    feed = await store.changes()
    await store.create_board(NewBoard(id="c", name="C"))
    await store.create_player("c", NewPlayer(id="p", name="P", score=1))
    await changes_until(feed, {("c", Board("c", "C")), ("c", "p", Player("p", "P", 1))})
    await store.add_score("c", "p", 4)
    await changes_until(feed, {("c", "p", Player("p", "P", 5))})
    await store.update_player("c", "p", PlayerPatch(name="Q"))
    await changes_until(feed, {("c", "p", Player("p", "Q", 5))})
    await store.delete_player("c", "p")
    await changes_until(feed, {("c", "p", None)})
    await store.create_player("c", NewPlayer(id="r", name="R"))
    await store.delete_board("c")
    await changes_until(feed, {("c", None)})
    await feed.close()
    await feed.close()


@pytest.mark.gen_test(timeout=30)
async def test_the_feed_ends_on_the_newest_state_after_a_burst(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for i in range(5):
        await store.create_player("b", NewPlayer(id=f"p{i}", name="P"))
    feed = await store.changes()
    await asyncio.gather(*[store.add_score("b", f"p{i % 5}", 1) for i in range(500)])
    wanted = {("b", f"p{i}", Player(f"p{i}", "P", 100)) for i in range(5)}
    seen = await changes_until(feed, wanted)
    last = {c.player_id: c.player for c in seen if isinstance(c, PlayerChanged)}
    assert {p.score for p in last.values() if p} == {100}
    versions = [c.version for c in seen]
    assert versions == sorted(versions)


@pytest.mark.gen_test(timeout=30)
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
        for c in await changes_until(feed, {("b", "p", Player("p", "P", 1))})
        if not isinstance(c, BoardChanged)
    ]
    if ranking.version == 0:
        assert change.version == 0
    else:
        assert change.version <= ranking.version
        await store.add_score("b", "p", 1)
        (change,) = await changes_until(feed, {("b", "p", Player("p", "P", 2))})
        assert change.version > ranking.version


@pytest.mark.gen_test(timeout=30)
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
        if not any(without_version(c) == ("b", "p", Player("p", "P", score)) for c in changes):
            await changes_until(feed, {("b", "p", Player("p", "P", score))})


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
    done = [r for r in results if isinstance(r, Player)]
    assert refused
    assert len(done) + len(refused) == 200
    assert (await store.get_player("b", "p")).score == len(done)


def filled(kind: type[Board | Player], number: int) -> dict[str, Any]:
    """A value for each field, others for each number. A field of another type needs a line here."""
    values: dict[Any, Any] = {str: f"v{number}", Number: number}
    return {field.name: values[field.type] for field in fields(kind)}


@pytest.mark.gen_test
async def test_whatever_fields_players_have_are_written_read_and_told_of(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.create_board(NewBoard(id="c"))
    feed = await store.changes()
    for board in ("b", "c"):  # on RethinkDB the second is kept under another key
        player = Player(**filled(Player, 1))
        assert await store.create_player(board, NewPlayer(**filled(Player, 1))) == player
        changed = {name: value for name, value in filled(Player, 2).items() if name != "id"}
        player = replace(player, **changed)
        for step in (
            store.update_player(board, player.id, PlayerPatch(**changed)),
            store.update_player(board, player.id, PlayerPatch(name=player.name)),
            store.update_player(board, player.id, PlayerPatch(score=player.score)),
            store.add_score(board, player.id, 0),
        ):
            assert await step == player
        player = replace(player, score=3)
        assert await store.add_score(board, player.id, 1) == player
        assert await store.get_player(board, player.id) == RankedPlayer.of(player, 1)
        assert (await store.ranking(board, 5)).players == [player]
        await changes_until(feed, {(board, player.id, player)})


@pytest.mark.gen_test
async def test_whatever_fields_boards_have_are_written_read_and_told_of(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    feed = await store.changes()
    board = Board(**filled(Board, 1))
    assert await store.create_board(NewBoard(**filled(Board, 1))) == board
    assert await store.get_board(board.id) == board
    assert board in await store.list_boards(10)
    assert (await store.ranking(board.id, 5)).board == board
    await changes_until(feed, {(board.id, board)})
