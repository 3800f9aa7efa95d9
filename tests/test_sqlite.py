"""The threads of an SQLite file, whatever they are given to do."""

from __future__ import annotations

import asyncio
import sqlite3
import threading

import pytest

from tornado_board.replay import Event
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable, limits
from tornado_board.store import StoreUnavailable

from .conftest import Opened


@pytest.mark.gen_test
async def test_the_writer_outlives_whatever_a_write_does(settings: Settings) -> None:
    database = Database.open(settings.database_url)

    def give_up(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise MemoryError

    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(database.write(give_up), 30)
    assert await asyncio.wait_for(database.write(lambda c: 1), 30) == 1
    await database.close()


@pytest.mark.gen_test
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
    assert await asyncio.wait_for(feed.next(), 30)
    await feed.close()
    await (await store.changes()).close()
    await log.ping()
    assert await log.head("demo") == Event(event_id, "{}")
    assert await log.board_ids() == ["demo"]


@pytest.mark.gen_test
async def test_heavy_writes_have_transactions_of_their_own(settings: Settings) -> None:
    database = Database.open(settings.database_url)
    gate = threading.Event()
    calls: list[list[str]] = []

    def work(_: sqlite3.Connection, items: list[str]) -> list[str]:
        calls.append(items)
        return items

    waiting: list[asyncio.Future[object]] = [
        asyncio.ensure_future(database.write(lambda c: gate.wait(10)))
    ]
    await asyncio.sleep(0.05)
    for item in ("a", "b", "A", "B", "C", "D", "c", "E"):
        weight = limits.HEAVY_BATCH // 3 + 1 if item.isupper() else 1
        waiting.append(asyncio.ensure_future(database.write_one_of(work, item, weight)))
    await asyncio.sleep(0)
    gate.set()
    assert (await asyncio.gather(*waiting))[1:] == ["a", "b", "A", "B", "C", "D", "c", "E"]
    assert calls == [["a", "b"], ["A", "B", "C"], ["D"], ["c"], ["E"]]
    await database.close()


@pytest.mark.gen_test
async def test_writes_that_one_call_takes_are_together_whatever_waits_between(
    settings: Settings,
) -> None:
    database = Database.open(settings.database_url)
    gate = threading.Event()
    calls: list[list[int]] = []

    def work(_: sqlite3.Connection, items: list[int]) -> list[int | ValueError]:
        calls.append(items)
        if 3 in items and len(items) > 1:
            raise ValueError("not three with others")
        return [ValueError("two") if item == 2 else 10 * item for item in items]

    waiting: list[asyncio.Future[object]] = [
        asyncio.ensure_future(database.write(lambda c: gate.wait(10)))
    ]
    await asyncio.sleep(0.05)
    for item in (1, 2, 3, 4):
        waiting.append(asyncio.ensure_future(database.write_one_of(work, item)))
        waiting.append(asyncio.ensure_future(database.write(lambda c: "other")))
    await asyncio.sleep(0)
    gate.set()
    results = (await asyncio.gather(*waiting, return_exceptions=True))[1:]
    assert [str(result) for result in results[::2]] == ["10", "two", "30", "40"]
    assert results[1::2] == ["other"] * 4
    assert calls == [[1, 2, 3, 4], [1], [2], [3], [4]]
    await database.close()
