"""A board with many players is gone at once, and its rows go in pieces."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import TypeGuard

import pytest

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.models import ORDERING, BoardChanged, Change, Player, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import Feed, NotFound, Store, StoreUnavailable, open_store
from tornado_board.store.sqlite import schema, sweep
from tornado_board.store.sqlite.sweep import Sweeper

from .conftest import Opened
from .stream_client import PATIENCE

pytestmark = pytest.mark.gen_test

MANY = schema.SWEPT_AT_ONCE + 500


def fill(path: Path, board: str, players: int = MANY) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection, connection:
        connection.executemany(
            "INSERT INTO players (board, id, name, score) VALUES (?, ?, 'N', ?)",
            [(board, f"p{i}", i) for i in range(players)],
        )


def execute(path: Path, statement: str) -> int:
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection, connection:
        return connection.execute(statement).rowcount


def count(path: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def swept(path: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while count(path, "tombstones") or count(path, "made_since"):
            await asyncio.sleep(0.01)


async def changes_until(feed: Feed, last: Change) -> list[Change]:
    seen: list[Change] = []
    while not any(type(c) is type(last) and same(c, last) for c in seen):
        seen.extend(await asyncio.wait_for(feed.next(), PATIENCE))
    return seen


def is_of(change: Change, board: str) -> TypeGuard[PlayerChanged]:
    return isinstance(change, PlayerChanged) and change.board_id == board


def same(a: Change, b: Change) -> bool:
    names = [name for name in a.__struct_fields__ if name not in ("version", "before")]
    return all(getattr(a, name) == getattr(b, name) for name in names)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of `settings.database_url`."""
    return tmp_path / "board.sqlite3"


@pytest.fixture
def no_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep does not come to anything."""

    async def run(_: Sweeper) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Sweeper, "run", run)


async def with_a_big_board(opened: Opened, settings: Settings, path: Path) -> Store:
    store = await opened.store(settings.database_url, settings)
    await store.create_board(NewBoard(id="big"))
    fill(path, "big")
    assert await store.rank("big", 0) == MANY
    return store


@pytest.mark.usefixtures("no_sweep")
@pytest.mark.parametrize("outside", [False, True])
async def test_it_is_gone_for_everybody_before_it_is_swept(
    opened: Opened, settings: Settings, path: Path, outside: bool
) -> None:
    store = await with_a_big_board(opened, settings, path)
    if outside:
        assert execute(path, "DELETE FROM boards WHERE id = 'big'") == 1
    else:
        await store.delete_board("big")
    assert count(path, "players WHERE board = 'big'") == MANY  # the rows are there
    for remade in (False, True):
        if remade:
            await store.create_board(NewBoard(id="big"))
            assert (await store.ranking("big", 5)).players == []
        for call in (
            store.get_player("big", "p1"),
            store.add_score("big", "p1", 1),
            store.delete_player("big", "p1"),
        ):
            with pytest.raises(NotFound):
                await call


@pytest.mark.usefixtures("no_sweep")
async def test_a_board_made_meanwhile_has_its_own_players_and_keeps_them(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await with_a_big_board(opened, settings, path)
    await store.delete_board("big")
    await store.create_board(NewBoard(id="big"))
    feed = await store.changes()
    mine = {f"p{i}": Player(f"p{i}", "Mine", i * 10) for i in range(8)}  # of ids that are swept
    for player in mine.values():
        await store.create_player("big", NewPlayer(player.name, player.id, player.score))
    # Others write as ever, with any conflict clause, over rows that wait to be swept.
    row = "INTO players (board, id, name, score) VALUES ('big', '{}', 'Mine', 1)"
    for clause, id in (("", "p100"), ("OR REPLACE", "p101"), ("OR IGNORE", "p102")):
        assert execute(path, f"INSERT {clause} {row.format(id)}") == 1
        mine[id] = Player(id, "Mine", 1)
    upsert = "ON CONFLICT (board, id) DO UPDATE SET score = score + 50"
    assert execute(path, f"INSERT {row.format('p103')} {upsert}") == 1
    mine["p103"] = Player("p103", "Mine", 1)
    assert execute(path, "UPDATE players SET board = 'big', id = 'p104' WHERE id = 'mars'") == 1
    mine["p104"] = Player("p104", "Mars", 19)
    execute(path, "UPDATE players SET score = score + 1")
    mine = {id: Player(id, p.name, p.score + 1) for id, p in mine.items()}
    last = PlayerChanged("demo", "venus", Player("venus", "Venus", 32))
    told = {c.player_id: c.player for c in await changes_until(feed, last) if is_of(c, "big")}
    assert {id: player for id, player in told.items() if player} == mine
    assert len(told) == len(mine)  # nothing is told of the others

    async def shown() -> list[Player]:
        return list((await store.ranking("big", 100)).players)

    expected = sorted(mine.values(), key=ORDERING.key)
    assert await shown() == expected
    assert await store.rank("big", 1) == len(mine)
    await store.delete_player("big", "p7")
    expected = [p for p in expected if p.id != "p7"]
    with pytest.raises(NotFound):
        await store.get_player("big", "p7")

    await store.close()  # as after a crash: the next process goes on with the sweep
    monkeypatch.undo()
    monkeypatch.setattr(sweep, "_PIECE", 100)
    store = await opened.store(settings.database_url, settings)
    await swept(path)
    assert await shown() == expected
    assert count(path, "players WHERE board = 'big'") == len(expected)
    assert (await store.add_score("big", "p0", 1)).player.score == 2
    await feed.close()


async def test_the_feed_tells_of_the_deletion_once_and_of_no_swept_player(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await with_a_big_board(opened, settings, path)
    feed = await store.changes()
    await store.delete_board("big")
    seen = await changes_until(feed, BoardChanged("big", None))
    await store.create_board(NewBoard(id="big"))
    await store.create_player("big", NewPlayer("N", "p0"))
    await swept(path)
    await store.create_player("demo", NewPlayer("Last", "last"))
    last = PlayerChanged("demo", "last", Player("last", "Last", 0))
    seen += await changes_until(feed, last)
    assert [c for c in seen if isinstance(c, BoardChanged) and c.board is None] == [
        BoardChanged("big", None, seen[0].version)
    ]
    players = [c for c in seen if isinstance(c, PlayerChanged)]
    assert [(c.player_id, c.player) for c in players] == [
        ("p0", Player("p0", "N", 0)),
        ("last", Player("last", "Last", 0)),
    ]


async def test_it_may_be_deleted_again_while_it_is_swept(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_PIECE", 3)
    store = await with_a_big_board(opened, settings, path)
    for _ in range(3):
        await store.delete_board("big")
        await store.create_board(NewBoard(id="big"))
        for id in ("a", "p5", "z"):
            await store.create_player("big", NewPlayer("N", id))
    await swept(path)
    assert count(path, "players WHERE board = 'big'") == 3
    assert [p.id for p in (await store.ranking("big", 9)).players] == ["a", "p5", "z"]


async def test_a_stranger_who_deletes_a_board_starts_the_sweep(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await with_a_big_board(opened, settings, path)
    feed = await store.changes()
    execute(path, "DELETE FROM boards WHERE id = 'big'")
    await changes_until(feed, BoardChanged("big", None))
    await swept(path)
    assert count(path, "players WHERE board = 'big'") == 0


async def test_other_writes_pass_between_the_pieces(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "_PIECE", 10)
    store = await with_a_big_board(opened, settings, path)
    await store.delete_board("big")
    passed = 0
    while count(path, "tombstones"):
        await store.add_score("demo", "mars", 1)
        passed += 1
    assert passed > 10


async def test_a_sweep_that_fails_goes_on(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tornado_board.sqlite.limits.BUSY", 0.1)
    monkeypatch.setattr(sweep, "_AGAIN", (0.01, 0.02))
    await (await open_store(settings.database_url, settings)).close()
    execute(path, "INSERT INTO boards (id) VALUES ('big')")
    fill(path, "big")
    execute(path, "DELETE FROM boards WHERE id = 'big'")
    assert count(path, "tombstones") == 1
    store = await opened.store(settings.database_url, settings)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable):
            await store.add_score("demo", "mars", 1)
        stranger.execute("ROLLBACK")
    await swept(path)
    assert count(path, "players WHERE board = 'big'") == 0
