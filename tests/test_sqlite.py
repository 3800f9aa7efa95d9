"""The embedded store's file, written by other programs and by writes that go wrong."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import pytest

from tornado_board.models import NewPlayer, Player
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable
from tornado_board.store import Change, PlayerChanged

from .conftest import Opened


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE players SET score = 99 WHERE id = 'mars'",
        "UPDATE OR IGNORE players SET score = 99 WHERE id = 'mars'",
        "UPDATE OR ABORT players SET score = 99 WHERE id = 'mars'",
        "UPDATE OR FAIL players SET score = 99 WHERE id = 'mars'",
        "UPDATE OR REPLACE players SET score = 99 WHERE id = 'mars'",
        "REPLACE INTO players (board, id, name, score) VALUES ('demo', 'mars', 'Mars', 99)",
        "INSERT INTO players (board, id, name, score) VALUES ('demo', 'mars', 'Mars', 99)"
        " ON CONFLICT DO UPDATE SET score = excluded.score",
    ],
)
@pytest.mark.gen_test(timeout=30)
async def test_each_way_to_write_from_outside_is_told_of(
    opened: Opened, settings: Settings, statement: str
) -> None:
    """SQLite lets the conflict clause of a statement overrule those in its triggers."""
    store = await opened.store(settings.database_url, settings)
    feed = await store.changes()
    seen: list[Change] = []
    for _ in range(2):  # the note of the first change is dropped, that of the second is still there
        await store.add_score("demo", "mars", 1)
        seen.extend(await asyncio.wait_for(feed.next(), 10))
    path = settings.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    while PlayerChanged("demo", "mars", Player("mars", "Mars", 99), seen[-1].version) != seen[-1]:
        seen.extend(await asyncio.wait_for(feed.next(), 10))
    await feed.close()


@pytest.mark.gen_test(timeout=30)
async def test_an_older_files_triggers_are_replaced(opened: Opened, settings: Settings) -> None:
    store = await opened.store(settings.database_url, settings)
    await store.close()
    path = settings.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(
            "DROP TRIGGER player_updated;"
            "CREATE TRIGGER player_updated AFTER UPDATE ON players BEGIN SELECT 1; END;"
        )
    store = await opened.store(settings.database_url, settings)
    feed = await store.changes()
    await store.add_score("demo", "mars", 1)
    (change,) = await asyncio.wait_for(feed.next(), 10)
    assert change.board_id == "demo"
    await feed.close()


@pytest.mark.gen_test(timeout=30)
async def test_the_writer_outlives_whatever_a_write_does(settings: Settings) -> None:
    database = Database.open(settings.database_url)

    def give_up(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise MemoryError

    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(database.write(give_up), 10)
    assert await asyncio.wait_for(database.write(lambda c: 1), 10) == 1
    await database.close()
