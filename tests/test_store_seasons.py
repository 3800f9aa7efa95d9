"""Seasons, as every store promises them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tornado_board.inputs import (
    BoardPatch,
    NewBoard,
    NewPlayer,
    PlayerPatch,
    SeasonPlan,
    Submission,
)
from tornado_board.models import Board, BoardChanged, Player, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    HasPlayers,
    Invalid,
    NotFound,
    Place,
    SeasonGone,
    Submitted,
    WrongSeason,
)

from .conftest import Opened
from .season_contract import opened_cup, present, scores_of, submit
from .seasons import DAY, Clock, clock
from .store_contract import changes_until

pytestmark = pytest.mark.usefixtures("io_loop")

__all__ = ["clock"]


@pytest.mark.gen_test
async def test_a_season_ends_and_the_next_one_begins_empty(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings)
    board = await store.end_season("cup")
    assert (board.number, board.partition) == (2, "2:cup")
    assert await store.get_board("cup") == board
    assert (await store.ranking("cup", 5)).players == []
    assert await store.count("cup") == 0
    for player_id in ("ann", "bob"):
        with pytest.raises(NotFound):
            await store.get_player("cup", player_id)
        with pytest.raises(NotFound):
            await store.add_score("cup", player_id, 1)
        with pytest.raises(NotFound):
            await store.update_player("cup", player_id, PlayerPatch(score=1))
        with pytest.raises(NotFound):
            await store.delete_player("cup", player_id)
    # The same players, in the next season.
    assert await submit(store, "bob", 1) == Submitted(Player("bob", "bob", 1, season=2), None, True)
    assert (await store.add_score("cup", "bob", 9)).player.score == 10
    assert (await store.add_score("cup", "ann", 4, create=True)).player.season == 2
    made = await store.create_player("cup", NewPlayer(id="dee", name="Dee", score=4))
    assert made == Player("dee", "Dee", 4, season=2)
    with pytest.raises(AlreadyExists):
        await store.create_player("cup", NewPlayer(id="ann", name="Ann"))
    done = await store.update_player("cup", "dee", PlayerPatch(score=6, meta={"a": 1}))
    assert done.player == Player("dee", "Dee", 6, meta={"a": 1}, season=2)
    assert await store.delete_player("cup", "dee") == done.player
    assert [p.id for p in (await store.ranking("cup", 5)).players] == ["bob", "ann"]
    assert await scores_of(store, 2) == {"bob": 10, "ann": 4}


@pytest.mark.gen_test
@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_a_season_that_is_over_is_read_like_the_present_one(
    opened: Opened, database_url: str, settings: Settings, order: Any
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="cup", order=order, season=SeasonPlan()))
    ids = [f"p{number}" for number in range(7)]
    for number, player_id in enumerate(ids):
        await submit(store, player_id, number // 2)
    wanted = ids if order == "asc" else [*ids[6:], *ids[4:6], *ids[2:4], *ids[:2]]
    await store.end_season("cup")
    await submit(store, "p3", 99)
    # The season keeps its order, though the board has another one by now.
    await store.delete_player("cup", "p3")
    other: Any = "desc" if order == "asc" else "asc"
    await store.update_board("cup", BoardPatch(order=other))
    await submit(store, "p1", 7)

    ranking = await store.ranking("cup", 7, 1)
    assert ranking.board.order == order
    assert present(ranking.board).ended is not None
    assert [player.id for player in ranking.players] == wanted
    assert all(player.season == 1 for player in ranking.players)
    assert (await store.get_board("cup", 1)) == ranking.board
    assert (await store.get_player("cup", "p3", 1)).score == 1
    assert await store.count("cup", 1) == 7
    assert await store.rank("cup", 1, 1) == 4 if order == "desc" else 3
    found = await store.players_by_id("cup", ["p0", "p6", "x"], 1)
    assert {player.id for player in found} == {"p0", "p6"}
    third = await store.player_at("cup", 4, 1)
    assert third is not None
    place = Place(third.score, third.reached_at, third.id)
    position = wanted.index(third.id)
    behind = await store.players_after("cup", place, 10, 1)
    assert [player.id for player in behind] == wanted[position + 1 :]
    before = await store.players_after("cup", place, 10, 1, backwards=True)
    assert [player.id for player in before] == wanted[:position][::-1]
    assert await scores_of(store, 1) == {player_id: n // 2 for n, player_id in enumerate(ids)}

    for season in (3, 99):
        with pytest.raises(NotFound, match="season"):
            await store.ranking("cup", 5, season)
    with pytest.raises(NotFound):
        await store.get_player("cup", "nobody", 1)


@pytest.mark.gen_test
async def test_a_submission_for_another_season_is_refused(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings)
    assert (await submit(store, "ann", 6, season=1)).changed
    with pytest.raises(WrongSeason, match="season 2 of board 'cup' has not begun"):
        await submit(store, "ann", 7, season=2)
    await store.end_season("cup")
    for player_id in ("ann", "new"):
        with pytest.raises(WrongSeason, match="season 1 of board 'cup' is over; its season is 2"):
            await submit(store, player_id, 7, season=1)
    assert (await submit(store, "ann", 7, season=2)).changed
    mixed = [Submission(id="ann", score=8, season=2), Submission(id="ann", score=9, season=1)]
    first, second = await store.submit("cup", mixed)
    assert isinstance(first, Submitted)
    assert isinstance(second, WrongSeason)
    assert (await store.get_player("cup", "ann")).score == 8
    assert (await store.get_player("cup", "ann", 1)).score == 6
    # A board without seasons is in its first.
    await store.create_board(NewBoard(id="plain"))
    assert isinstance(
        (await store.submit("plain", [Submission(id="a", score=1, season=1)]))[0], Submitted
    )


@pytest.mark.gen_test
async def test_who_ends_a_season_can_say_which(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings)
    with pytest.raises(WrongSeason):
        await store.end_season("cup", 2)
    assert (await store.end_season("cup", 1)).number == 2
    with pytest.raises(WrongSeason):
        await store.end_season("cup", 1)
    results = await asyncio.gather(
        *(store.end_season("cup", 2) for _ in range(8)), return_exceptions=True
    )
    assert (await store.get_board("cup")).number == 3
    assert all(isinstance(result, WrongSeason | Board) for result in results)
    await store.create_board(NewBoard(id="plain"))
    with pytest.raises(WrongSeason, match="no seasons"):
        await store.end_season("plain")
    with pytest.raises(NotFound):
        await store.end_season("nowhere")


@pytest.mark.gen_test
async def test_seasons_are_listed_and_those_not_kept_are_deleted(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings, keep=2)
    for number in range(2, 6):
        assert (await store.end_season("cup")).number == number
        await submit(store, f"p{number}", number)
    listed = await store.seasons("cup", 99, 10)
    assert [past.number for past in listed.past] == [3, 4]
    assert [past.number for past in (await store.seasons("cup", 4, 10)).past] == [3]
    assert [past.number for past in (await store.seasons("cup", 99, 1)).past] == [4]
    assert listed.board.number == 5
    for past in listed.past:
        assert past.started <= past.ended
    for season in (1, 2):
        for read in (
            store.ranking("cup", 5, season),
            store.get_player("cup", "ann", season),
            store.count("cup", season),
            store.rank("cup", 1, season),
            store.players_after("cup", None, 1, season),
            store.players_by_id("cup", ["ann"], season),
            store.player_at("cup", 1, season),
            scores_of(store, season),
        ):
            with pytest.raises(SeasonGone):
                await read
    assert [p.id for p in (await store.ranking("cup", 5, 3)).players] == ["p3"]
    await store.update_board("cup", BoardPatch(season=SeasonPlan(keep=1)))
    await store.end_season("cup")
    assert [past.number for past in (await store.seasons("cup", 99, 10)).past] == [5]


@pytest.mark.gen_test
async def test_a_season_ends_at_its_time_before_anything_is_written(
    opened: Opened, database_url: str, settings: Settings, clock: Clock
) -> None:
    store = await opened_cup(opened, database_url, settings, every="week", timezone="Asia/Tokyo")
    first = present(await store.get_board("cup"))
    assert first.ends is not None
    assert not await store.end_if_due("cup")
    assert not await store.end_if_due("nowhere")
    (ending,) = await store.ending_seasons(10)
    assert ending == await store.get_board("cup")

    clock.forward(first.ends)
    # All kinds of writes, at once.
    results = await asyncio.gather(
        submit(store, "ann", 1),
        store.add_score("cup", "bob", 2, create=True),
        store.create_player("cup", NewPlayer(id="dee", name="Dee")),
        store.end_if_due("cup"),
    )
    assert [result.player.season for result in results[:2]] == [2, 2]
    assert results[2].season == 2
    second = present(await store.get_board("cup"))
    assert second.number == 2
    assert second.started == first.ends
    assert second.ends == first.ends + 7 * DAY
    (past,) = (await store.seasons("cup", 99, 10)).past
    assert (past.started, past.ended) == (first.started, first.ends)
    assert await scores_of(store, 1) == {"ann": 5, "bob": 3, "cy": 3}

    # Each kind by itself.
    writes: list[Any] = [
        lambda: store.update_player("cup", "ann", PlayerPatch(score=1)),
        lambda: store.delete_player("cup", "ann"),
        lambda: store.update_board("cup", BoardPatch(name="Cup")),
        lambda: submit(store, "ann", 1, season=3),
    ]
    for number, write in enumerate(writes, 3):
        board = await store.get_board("cup")
        ends = present(board).ends
        assert ends is not None
        if number == 3:
            clock.forward(ends + 3 * 7 * DAY + 1)  # several ends were missed
        else:
            clock.forward(ends)
        outcome = await asyncio.gather(write(), return_exceptions=True)
        assert isinstance(outcome[0], NotFound | Board | WrongSeason)
        # A write that is refused may change nothing at all.
        await store.end_if_due("cup")
        season = present(await store.get_board("cup"))
        assert season.number == number
        if number == 3:
            assert season.started == ends + 3 * 7 * DAY
            assert season.ends == ends + 4 * 7 * DAY
            assert (await store.seasons("cup", 99, 1)).past[0].ended == ends


@pytest.mark.gen_test
async def test_the_calendar_can_be_changed_and_taken_away(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    for plan in (
        SeasonPlan(every="year"),
        SeasonPlan(every="* * * *"),
        SeasonPlan(every="day", timezone="Mars"),
        SeasonPlan(timezone="Mars"),
    ):
        with pytest.raises(Invalid, match=r"every: must|timezone: must"):
            await store.create_board(NewBoard(id="bad", season=plan))
        with pytest.raises(Invalid, match=r"every: must|timezone: must"):
            await store.update_board("demo", BoardPatch(season=plan))
    assert (await store.get_board("demo")).season is None
    board = await store.update_board("demo", BoardPatch(season=SeasonPlan(every="day")))
    season = present(board)
    assert (season.number, season.every, season.timezone) == (1, "day", "UTC")
    assert season.ends is not None
    assert (await store.ranking("demo", 1)).players, "those who are there are of the first season"
    changed = await store.update_board("demo", BoardPatch(season=SeasonPlan(keep=3)))
    assert present(changed).ends == season.ends
    changed = await store.update_board("demo", BoardPatch(season=SeasonPlan(every=None)))
    assert present(changed).ends is None
    assert list(await store.ending_seasons(10)) == []
    assert (await store.update_board("demo", BoardPatch(season=None))).season is None
    with pytest.raises(WrongSeason):
        await store.end_season("demo")

    await store.update_board("demo", BoardPatch(season=SeasonPlan(every="month")))
    await store.end_season("demo")
    # Its players would be gone otherwise.
    season = present(await store.update_board("demo", BoardPatch(season=None)))
    assert (season.number, season.every, season.ends) == (2, None, None)


@pytest.mark.gen_test
async def test_order_and_ties_change_while_the_season_has_no_players(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings)
    with pytest.raises(HasPlayers):
        await store.update_board("cup", BoardPatch(order="asc"))
    await store.end_season("cup")
    await store.update_board("cup", BoardPatch(order="asc", ties="first"))
    await submit(store, "late", 1)
    await submit(store, "early", 1, operator="set")
    with pytest.raises(HasPlayers):
        await store.update_board("cup", BoardPatch(order="desc"))
    assert [p.id for p in (await store.ranking("cup", 5, 1)).players] == ["ann", "bob", "cy"]
    players = (await store.ranking("cup", 5)).players
    assert all(player.reached_at for player in players)


@pytest.mark.gen_test
async def test_the_feed_tells_of_the_end_and_of_each_season(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings)
    feed = await store.changes()
    board = await store.end_season("cup")
    await changes_until(feed, [("cup", board)])
    await submit(store, "ann", 2)
    seen = await changes_until(feed, [("cup", "ann", Player("ann", "ann", 2, season=2))])
    assert not any(isinstance(change, BoardChanged) for change in seen)
    (change,) = [change for change in seen if isinstance(change, PlayerChanged)]
    assert (change.season, change.before) == (2, None)
    await submit(store, "ann", 4)
    seen = await changes_until(feed, [("cup", "ann", Player("ann", "ann", 4, season=2))])
    assert [c.before for c in seen if isinstance(c, PlayerChanged)] == [2]


@pytest.mark.gen_test
async def test_a_board_is_deleted_with_all_of_its_seasons(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_cup(opened, database_url, settings)
    for number in (2, 3):
        await store.end_season("cup")
        await submit(store, "ann", number)
    await store.delete_board("cup")
    await store.create_board(NewBoard(id="cup", season=SeasonPlan()))
    for number in (1, 2, 3):
        assert (await store.ranking("cup", 5)).players == []
        assert await submit(store, "bob", 1) == Submitted(
            Player("bob", "bob", 1, season=number), None, True
        )
        assert await scores_of(store, number) == {"bob": 1}
        assert await store.count("cup") == 1
        await store.end_season("cup")
    assert [past.number for past in (await store.seasons("cup", 99, 10)).past] == [1, 2, 3]
