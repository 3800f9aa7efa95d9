"""A backup that is restored into the file of a running server shows within seconds."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.models import Player, PlayerChanged
from tornado_board.replay import Event
from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.store import Feed, FeedLost, Store, StoreUnavailable, open_store

from .conftest import Opened
from .sqlite_files import make_file, old_file, restore
from .stream_client import PATIENCE, RawStream, add, http_client, make_board

pytestmark = pytest.mark.gen_test

Serving = Callable[[Settings], Awaitable[Running]]


def edit(path: Path, *statements: str) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


async def drain(feed: Feed) -> None:
    while True:
        await feed.next()


def counter(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
        return int(row.fetchone()[0])


@pytest.mark.parametrize("kind", ["behind", "equal", "ahead", "of another store", "of version 1"])
async def test_streams_polls_and_reads_show_the_restored_board(
    serving: Serving, settings: Settings, tmp_path: Path, kind: str
) -> None:
    path, backup = tmp_path / "board.sqlite3", tmp_path / "backup.sqlite3"
    if kind == "of another store":
        other = dataclasses.replace(settings, database_url=f"sqlite:///{backup}")
        store = await open_store(other.database_url, other)
        await store.create_board(NewBoard(id="b"))
        await store.create_player("b", NewPlayer(id="p", name="p", score=1))
        await store.close()
    if kind == "of version 1":
        old_file(backup, "INSERT INTO boards VALUES ('b', 'b')")
        edit(backup, "INSERT INTO players VALUES ('b', 'p', 'p', 1)")
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1})
        await make_board(client, "gone", {"p": 1})
        if not backup.exists():
            restore(path, backup)
        # The writer of the copy goes its own way, up to the counter wanted; its triggers count.
        await add(client, "b", amount=41)
        await add(client, "b", amount=57)
        if kind in ("equal", "ahead"):
            edit(backup, "DELETE FROM boards WHERE id = 'gone'")
            while counter(backup) < counter(path) + (kind == "ahead"):
                edit(backup, "UPDATE players SET name = name || 'x' WHERE id = 'mars'")
            assert counter(backup) == counter(path) + (kind == "ahead")
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        gone = await RawStream.open(url, "/boards/gone/", "Accept: text/event-stream")
        _, board, _ = await stream.event()
        assert board["players"][0]["score"] == 99
        since = (await client.get("/boards/b/")).headers["last-event-id"]
        poll = asyncio.ensure_future(client.get(f"/boards/b/events/?since={since}&wait=30"))
        await asyncio.sleep(0)

        restore(backup, path)

        async with asyncio.timeout(PATIENCE):
            # The log went back with the boards, so a reset goes before the board.
            while board.get("players", [{}])[0].get("score") != 1:
                _, board, _ = await stream.event()
        assert (await poll).json()["events"][-1]["data"]["players"][0]["score"] == 1
        assert (await client.get("/boards/b/")).json() == board
        fresh = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        assert (await fresh.event())[1] == board
        if kind != "behind":
            await gone.ended()
        # And the server goes on with it.
        assert (await add(client, "b"))["score"] == 2
        while board["players"][0]["score"] != 2:
            _, board, _ = await stream.event()
        assert (await client.get("/readyz")).status_code == 200


async def test_a_feed_is_not_lost_by_what_others_write(opened: Opened, settings: Settings) -> None:
    store = await opened.store(settings.database_url, settings)
    path = Path(settings.database_url.removeprefix("sqlite:///"))
    feed = await store.changes()
    before = 19
    for score in (100, 200, 300):
        edit(path, f"UPDATE players SET score = {score} WHERE id = 'mars'")
        (change,) = await asyncio.wait_for(feed.next(), PATIENCE)
        player = Player("mars", "Mars", score)
        assert change == PlayerChanged("demo", "mars", player, change.version, before)
        before = score + 1
        await store.add_score("demo", "mars", 1)
        (change,) = await asyncio.wait_for(feed.next(), PATIENCE)
    edit(path, "VACUUM")
    await store.add_score("demo", "mars", 1)
    assert await asyncio.wait_for(feed.next(), PATIENCE)


async def test_the_logs_tables_are_made_where_the_restored_file_has_none(
    opened: Opened, settings: Settings, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.sqlite3"
    store = await opened.store(settings.database_url, settings)
    restore(tmp_path / "board.sqlite3", backup)
    log = await opened.log(settings.replay_url, settings)
    await store.add_score("demo", "mars", 1)
    await log.append("demo", "{}")
    restore(backup, tmp_path / "board.sqlite3")
    event_id = await log.append("demo", "{}")
    assert await log.head("demo") == Event(event_id, "{}")


async def test_a_copy_of_what_only_others_wrote_is_told_from_the_original(
    opened: Opened, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of this process has changed the file since the copy was taken."""
    monkeypatch.setattr("tornado_board.sqlite.limits.RENEW", 0.0)
    store = await opened.store(settings.database_url, settings)
    path, backup = tmp_path / "board.sqlite3", tmp_path / "backup.sqlite3"
    feed = await store.changes()
    restore(path, backup)
    edit(path, "UPDATE players SET score = 100 WHERE id = 'mars'")
    assert await asyncio.wait_for(feed.next(), PATIENCE)
    marked = "SELECT seq FROM sqlite_sequence WHERE name = 'store_epoch'"
    with contextlib.closing(sqlite3.connect(backup)) as there:
        (before,) = there.execute(marked).fetchone()
    with contextlib.closing(sqlite3.connect(path)) as here:
        async with asyncio.timeout(PATIENCE):
            while here.execute(marked).fetchone() == (before,):
                await asyncio.sleep(0.02)
    edit(backup, *["UPDATE players SET score = score + 1 WHERE id = 'venus'"] * 5)
    restore(backup, path)
    with pytest.raises(FeedLost, match="replaced"):
        await asyncio.wait_for(drain(feed), PATIENCE)
    assert (await store.get_player("demo", "mars")).score == 19


async def test_a_restored_file_that_can_not_be_used_is_told_until_it_can(
    opened: Opened,
    settings: Settings,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tornado_board.sqlite.limits.PROBE", 0.02)
    store = await opened.store(settings.database_url, settings)
    path, good, other = (tmp_path / name for name in ("board.sqlite3", "good", "other"))
    restore(path, good)
    await store.add_score("demo", "mars", 1)
    make_file(other, "CREATE TABLE invoices (id)")
    restore(other, path)
    await pings(store, "another program's SQLite file")
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="another program's SQLite file"):
            await store.add_score("demo", "mars", 1)
    await asyncio.sleep(0.3)  # in which it is tried again, and not told again
    restore(good, path)
    await pings(store, "")
    assert (await store.add_score("demo", "mars", 1)).player.score == 20
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("tornado_board.sqlite")]
    assert len(ours) == 3, ours


async def pings(store: Store, error: str) -> None:
    """Wait until a ping fails with `error`, or succeeds if that is empty."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await store.ping()
                said = ""
            except StoreUnavailable as raised:
                said = str(raised)
            if error in said and bool(error) == bool(said):
                return
            await asyncio.sleep(0.02)


async def test_the_identity_stays_with_the_file(settings: Settings, tmp_path: Path) -> None:
    identities = []
    for name in ("a", "a", "b"):
        own = dataclasses.replace(settings, database_url=f"sqlite:///{tmp_path}/{name}.sqlite3")
        store = await open_store(own.database_url, own)
        assert not store.shared
        identities.append(store.identity)
        await store.close()
    assert identities[0] == identities[1] != identities[2]
    assert all(id.isalnum() and 1 <= len(id) <= 64 for id in identities)
