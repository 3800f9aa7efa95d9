"""The RethinkDB store's feed: what it tells of, and how it ends."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from typing import Any

import pytest

from tornado_board.models import Board, BoardChanged, Change, Player, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store.rethinkdb.address import r

from .conftest import Opened
from .reql import ReQLServer
from .rethinkdb_admin import Admin, eventually, impatient, lost, opened_store, silence

pytestmark = pytest.mark.usefixtures("io_loop")

boards, players = r.table("boards"), r.table("players")


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return impatient(settings, monkeypatch, timeout=1.0, wait=10.0)


@pytest.mark.gen_test
async def test_the_feed_tells_of_writes_from_anywhere(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    store, admin = await opened_store(opened, either_url, settings), Admin(either_url)
    feed = await store.changes()

    marks = itertools.count(1000)

    async def after(*terms: Any) -> list[Change]:
        """The changes that `terms` make, up to that of a marker that follows them."""
        score = next(marks)
        before = score - 1 if score > 1000 else 19
        mark = PlayerChanged("demo", "mars", Player("mars", "Mars", score), before=before)
        await admin.run(*terms, players.get("mars").update({"score": score}))
        changes: list[Change] = []
        while mark not in changes:
            changes.extend(await asyncio.wait_for(feed.next(), 30))
        changes.remove(mark)
        return changes

    venus = players.get("venus")
    assert await after(venus.update({"score": 40})) == [
        PlayerChanged("demo", "venus", Player("venus", "Venus", 40), before=31)
    ]
    assert await after(venus.update({"clan": "x"})) == []
    assert await after(venus.update({"board": "b"})) == [
        PlayerChanged("demo", "venus", None, before=40),
        PlayerChanged("b", "venus", Player("venus", "Venus", 40), before=None),
    ]
    assert await after(venus.update({"score": "much"})) == [
        PlayerChanged("b", "venus", None, before=40)
    ]
    assert await after(venus.update({"board": 5})) == []
    assert await after(venus.update({"board": "b", "score": 1})) == [
        PlayerChanged("b", "venus", Player("venus", "Venus", 1), before=None)
    ]
    assert await after(venus.delete()) == [PlayerChanged("b", "venus", None, before=1)]
    assert await after(players.insert({"id": "b/x", "board": "b", "score": 1})) == [
        PlayerChanged("b", "x", Player("x", "x", 1), before=None)
    ]
    changes = await after(boards.insert({"id": "b", "name": "B"}))
    changes = changes or list(await asyncio.wait_for(feed.next(), 30))
    assert changes == [BoardChanged("b", Board("b", "B"))]


@pytest.mark.gen_test
async def test_every_end_of_a_feed_is_told(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), settings)

    feed = await store.changes()
    waiting = asyncio.ensure_future(feed.next())
    await asyncio.sleep(0.05)
    reql.drop_connections()
    assert "the changefeed ended" in await lost(waiting)
    await lost(feed.next())
    await feed.close()

    feed = await eventually(store.changes)
    skipped = "Changefeed cache over array size limit, skipped 3 elements."
    reql.put_in_feeds("players", {"error": skipped})
    assert skipped in await lost(feed.next())
    await feed.close()

    feed = await store.changes()
    async with silence(reql):
        assert "heartbeat" in await lost(feed.next())
    await feed.close()

    feed = await eventually(store.changes)
    waiting = asyncio.ensure_future(feed.next())
    await asyncio.sleep(0)
    await feed.close()
    assert "closed" in await lost(waiting)
    await lost(feed.next())

    await asyncio.sleep(0.05)
    assert reql.feeds == 0


@pytest.mark.gen_test
async def test_a_feed_is_quiet_rather_than_lost_when_nothing_happens(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    settings = dataclasses.replace(settings, database_timeout=1.0)
    store = await opened.store(reql.url(), settings)
    feed = await store.changes()
    waiting = asyncio.ensure_future(feed.next())
    await asyncio.sleep(2 * settings.database_timeout)
    assert not waiting.done()
    await store.add_score("demo", "venus", 1)
    assert await waiting == [
        PlayerChanged("demo", "venus", Player("venus", "Venus", 32), before=31)
    ]


@pytest.mark.gen_test
async def test_changes_before_an_error_row_may_go_but_those_after_a_new_feed_come(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened.store(reql.url(), settings)
    feed = await store.changes()
    reql.put_in_feeds("players", {"error": "skipped 1 elements"})
    await store.add_score("demo", "venus", 1)
    await lost(feed.next())
    await feed.close()
    feed = await store.changes()
    await store.add_score("demo", "venus", 1)
    (change,) = await feed.next()
    assert change == PlayerChanged("demo", "venus", Player("venus", "Venus", 33), before=32)
