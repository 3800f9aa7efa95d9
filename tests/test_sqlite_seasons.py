"""Seasons in an SQLite file, where other programs write, too."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, NewBoard, SeasonPlan, Submission
from tornado_board.models import Player, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import NotFound, Store

from .conftest import Opened
from .store_contract import changes_until

pytestmark = pytest.mark.usefixtures("io_loop")


def execute(settings: Settings, *statements: str) -> list[Any]:
    """What the last of `statements` gives, carried out by another program."""
    path = Path(settings.database_url.removeprefix("sqlite:///"))
    found: list[Any] = []
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=20)) as c:
        for statement in statements:
            found = c.execute(statement).fetchall()
    return found


async def second_season(opened: Opened, settings: Settings, **board: Any) -> Store:
    store = await opened.store(settings.database_url, settings)
    await store.create_board(NewBoard(id="cup", season=SeasonPlan(), **board))
    await store.submit("cup", [Submission(id="ann", score=5), Submission(id="bob", score=3)])
    await store.end_season("cup")
    return store


@pytest.mark.gen_test
async def test_other_programs_write_to_the_seasons_partition(
    opened: Opened, settings: Settings
) -> None:
    store = await second_season(opened, settings, order="asc", ties="first")
    feed = await store.changes()
    execute(
        settings,
        "INSERT INTO players (board, id, name, score) SELECT"
        " json_extract(season, '$.number') || ':' || id, 'ann', 'Ann', 7 FROM boards"
        " WHERE id = 'cup'",
        "INSERT INTO players (board, id, name, score) VALUES ('2:cup', 'bob', 'Bob', 6)",
        "UPDATE players SET score = 8 WHERE board = '2:cup' AND id = 'ann'",
    )
    assert [p.id for p in (await store.ranking("cup", 5)).players] == ["bob", "ann"]
    ann = await store.get_player("cup", "ann")
    assert (ann.score, ann.season) == (8, 2)
    assert ann.reached_at > 0
    changes = await changes_until(feed, [("cup", "ann", ann)])
    assert all(c.season == 2 for c in changes if isinstance(c, PlayerChanged))
    # One that is over is written like any other, by its own rules.
    await store.update_board("cup", BoardPatch(name="Cup"))
    execute(settings, "INSERT INTO players (board, id, name, score) VALUES ('cup', 'cy', 'C', 4)")
    assert [p.id for p in (await store.ranking("cup", 5, 1)).players] == ["bob", "cy", "ann"]
    execute(settings, "DELETE FROM players WHERE board = '2:cup' AND id = 'bob'")
    await changes_until(feed, [("cup", "bob", None)])


@pytest.mark.gen_test
async def test_a_season_keeps_its_rules_whoever_writes(opened: Opened, settings: Settings) -> None:
    store = await second_season(opened, settings)
    await store.update_board("cup", BoardPatch(order="asc"))
    execute(settings, "INSERT INTO players (board, id, name, score) VALUES ('cup', 'cy', 'C', 4)")
    execute(settings, "INSERT INTO players (board, id, name, score) VALUES ('2:cup', 'x', 'X', 1)")
    execute(settings, "INSERT INTO players (board, id, name, score) VALUES ('2:cup', 'y', 'Y', 2)")
    assert [p.id for p in (await store.ranking("cup", 5, 1)).players] == ["ann", "cy", "bob"]
    assert [p.id for p in (await store.ranking("cup", 5)).players] == ["x", "y"]
    # Another order, though there are players: those of the season that is over keep theirs.
    execute(settings, "UPDATE boards SET \"order\" = 'desc' WHERE id = 'cup'")
    assert [p.id for p in (await store.ranking("cup", 5)).players] == ["y", "x"]
    assert [p.id for p in (await store.ranking("cup", 5, 1)).players] == ["ann", "cy", "bob"]


@pytest.mark.gen_test
async def test_another_program_can_set_when_a_season_ends(
    opened: Opened, settings: Settings
) -> None:
    store = await second_season(opened, settings)
    execute(
        settings, "UPDATE boards SET season = json_set(season, '$.ends', 1000) WHERE id = 'cup'"
    )
    assert [board.id for board in await store.ending_seasons(5)] == ["cup"]
    assert await store.end_if_due("cup")
    assert (await store.get_board("cup")).number == 3
    assert await store.ending_seasons(5) == []


@pytest.mark.gen_test
@pytest.mark.parametrize("season", ["'[]'", "'x'", "5", "x'00'", "'{\"number\": 0}'", "'{}'"])
async def test_what_is_no_season_is_none(opened: Opened, settings: Settings, season: str) -> None:
    store = await opened.store(settings.database_url, settings)
    await store.create_board(NewBoard(id="cup"))
    statement = f"UPDATE boards SET season = {season} WHERE id = 'cup'"
    with contextlib.suppress(sqlite3.Error):
        execute(settings, statement)
    with contextlib.suppress(sqlite3.Error):
        execute(settings, "PRAGMA ignore_check_constraints = ON", statement)
    assert (await store.get_board("cup")).season is None
    await store.submit("cup", [Submission(id="ann", score=5)])
    assert await store.get_player("cup", "ann") == Player("ann", "ann", 5)
    assert await store.ending_seasons(5) == []
    await store.delete_board("cup")
    with pytest.raises(NotFound):
        await store.get_player("cup", "ann")


@pytest.mark.gen_test
async def test_seasons_are_swept_in_pieces_and_others_stay(
    opened: Opened, settings: Settings
) -> None:
    store = await opened.store(settings.database_url, settings)
    await store.create_board(NewBoard(id="cup", season=SeasonPlan(keep=1)))
    many = [Submission(id=f"p{number}", score=number) for number in range(3_000)]
    for _ in range(3):
        await store.submit("cup", many)
        await store.end_season("cup")
    left = "SELECT board, count(*) FROM players WHERE board LIKE '%cup' GROUP BY board"
    while len(execute(settings, left)) > 1 or execute(settings, "SELECT * FROM tombstones"):
        await store.ping()
    assert execute(settings, left) == [("3:cup", 3_000)]
    assert await store.count("cup", 3) == 3_000
    await store.delete_board("cup")
    while execute(settings, left):
        await store.ping()
    assert execute(settings, "SELECT * FROM past_seasons") == []
