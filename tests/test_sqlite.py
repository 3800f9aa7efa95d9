"""The threads of an SQLite file, whatever they are given to do."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from tornado_board.replay import Event
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable, limits
from tornado_board.store import StoreUnavailable

from .conftest import Opened


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


@pytest.mark.gen_test(timeout=30)
async def test_clients_that_read_too_much_stop_neither_feed_nor_log(
    opened: Opened, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_READS", 0)
    store = await opened.store(settings.database_url, settings)
    log = await opened.log(settings.replay_url, settings)
    feed = await store.changes()
    event_id = await log.append("demo", "{}")
    with pytest.raises(StoreUnavailable):
        await store.ranking("demo", 5)
    await store.add_score("demo", "mars", 1)
    assert await asyncio.wait_for(feed.next(), 10)
    await feed.close()
    await (await store.changes()).close()
    await log.ping()
    assert await log.head("demo") == Event(event_id, "{}")
    assert await log.board_ids() == ["demo"]
