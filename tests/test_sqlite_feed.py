"""The table ``changes``: what it notes of other programs' writes, and that it stays small."""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
from collections.abc import Awaitable, Coroutine
from pathlib import Path

import pytest

from tornado_board.inputs import NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import BoardChanged, Player, PlayerChanged
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, limits
from tornado_board.store import FeedLost, NotFound
from tornado_board.store.sqlite import SQLiteStore, schema, triggers
from tornado_board.store.sqlite import feed as feed_module
from tornado_board.store.sqlite.submissions import Slice, submit_slices
from tornado_board.store.sqlite.sweep import Sweeper

from .conftest import Opened
from .store_contract import Chain
from .stream_client import PATIENCE

pytestmark = pytest.mark.gen_test


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of `settings.database_url`."""
    return tmp_path / "board.sqlite3"


def execute(path: Path, *statements: str) -> None:
    """Carry these out in one transaction, as another program."""
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection, connection:
        connection.execute("BEGIN")
        for statement in statements:
            connection.execute(statement)


def count(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection:
        return int(connection.execute("SELECT count(*) FROM changes").fetchone()[0])


INSERT = "INSERT {} INTO players (board, id, name, score) VALUES ('{}', '{}', 'N', {})"


@pytest.mark.parametrize("together", [False, True])
async def test_whatever_other_programs_do_each_change_tells_what_was_before(
    opened: Opened, settings: Settings, path: Path, together: bool
) -> None:
    store = await opened.store(settings.database_url, settings)
    await store.create_board(NewBoard(id="b"))
    await store.create_board(NewBoard(id="first", ties="first", order="asc"))
    feed, chain = await store.changes(), Chain()
    await chain.read(store, "b", "first", "demo")
    statements = [
        INSERT.format("", "b", "p", 1),
        INSERT.format("", "first", "p", 1),
        "UPDATE players SET score = score + 1 WHERE id = 'p'",
        "UPDATE players SET score = score + 1, reached_at = 'now' WHERE id = 'p'",
        INSERT.format("OR REPLACE", "b", "p", 7),
        INSERT.format("OR REPLACE", "first", "p", 7),
        INSERT.format("OR IGNORE", "b", "p", 8),
        INSERT.format("", "b", "p", 8)
        + " ON CONFLICT (board, id) DO UPDATE SET score = score + 100",
        INSERT.format("", "b", "q", 2),
        "UPDATE players SET id = 'r' WHERE board = 'b' AND id = 'q'",
        "UPDATE players SET board = 'first' WHERE board = 'b' AND id = 'r'",
        "UPDATE OR REPLACE players SET board = 'first' WHERE board = 'b' AND id = 'p'",
        "UPDATE players SET board = 'b', score = 5 WHERE board = 'first' AND id = 'r'",
        "DELETE FROM players WHERE board = 'first' AND id = 'p'",
        INSERT.format("", "first", "p", 1),
        "DELETE FROM boards WHERE id = 'first'",
        "INSERT INTO boards (id) VALUES ('first')",
        INSERT.format("", "first", "p", 3),
        "UPDATE players SET board = 'first' WHERE board = 'demo'",
        "UPDATE boards SET id = 'second' WHERE id = 'b'",
        "INSERT INTO boards (id, ties) VALUES ('b', 'first')",
        "UPDATE players SET score = 2 * score",
        "DELETE FROM players WHERE board = 'first' AND id = 'mars'",
        "REPLACE INTO boards (id, \"order\") VALUES ('b', 'asc')",
    ]
    if together:
        execute(path, *statements)
    else:
        for statement in statements:
            execute(path, statement)
            async with asyncio.timeout(PATIENCE):
                chain.follow(await feed.next())
    execute(path, INSERT.format("", "demo", "last", 1))
    await chain.follow_until(feed, [("demo", "last", Player("last", "N", 1))])
    there = Chain()
    await there.read(store, *[board.id for board in await store.list_boards(9)])
    assert chain.scores == there.scores


async def test_players_of_a_board_that_is_swept_were_not_there_before(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Sweeper) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Sweeper, "run", never)
    store = await opened.store(settings.database_url, settings)
    await store.create_board(NewBoard(id="b"))
    feed, chain = await store.changes(), Chain()
    await chain.read(store, "demo")
    many = range(schema.SWEPT_AT_ONCE + 5)
    execute(path, *(INSERT.format("", "b", f"p{i}", i) for i in many))
    async with asyncio.timeout(PATIENCE):
        while len(chain.scores) < 5 + len(many):
            chain.follow(await feed.next())
    execute(
        path,
        "DELETE FROM boards WHERE id = 'b'",
        "INSERT INTO boards (id) VALUES ('b')",
        INSERT.format("", "b", "p5", 1),
        INSERT.format("OR REPLACE", "b", "p6", 2),
        "UPDATE players SET score = score + 1",
        "UPDATE players SET id = 'p7' WHERE id = 'p6'",
        "UPDATE players SET board = 'demo' WHERE id = 'p8'",
    )
    await store.create_player("demo", NewPlayer(id="last", name="L"))
    told = await chain.follow_until(feed, [("demo", "last", Player("last", "L", 0))])
    assert [c.board is None for c in told if isinstance(c, BoardChanged)] == [True, False]
    assert {k[1]: v for k, v in chain.scores.items() if k[0] == "b"} == {"p5": 2, "p7": 3}


async def test_a_burst_is_told_in_pieces_and_each_player_once(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await opened.store(settings.database_url, settings)
    feed, chain = await store.changes(), Chain()
    await chain.read(store, "demo")
    execute(
        path,
        *(INSERT.format("", "demo", f"p{i}", i) for i in range(2500)),
        "UPDATE players SET score = score + 1",
        "UPDATE players SET score = score + 1",
    )
    told = 0
    async with asyncio.timeout(PATIENCE):
        while told < 2505:
            changes = await feed.next()
            assert len(changes) <= 1000
            chain.follow(changes)
            told += len(changes)
    assert told == 2505
    assert chain.scores["demo", "p7"] == 9


async def test_more_than_can_be_told_loses_the_feed(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "MOST_CHANGES", 50)
    store = await opened.store(settings.database_url, settings)
    feed = await store.changes()
    execute(path, *(INSERT.format("", "demo", f"p{i}", i) for i in range(51)))
    with pytest.raises(FeedLost, match="more than 50 changes"):
        await asyncio.wait_for(feed.next(), PATIENCE)
    assert triggers.KEPT_CHANGES > feed_module.MOST_CHANGES


async def test_changes_that_somebody_deletes_lose_the_feed(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await opened.store(settings.database_url, settings)
    feed = await store.changes()
    execute(path, INSERT.format("", "demo", "p", 1), "DELETE FROM changes")
    with pytest.raises(FeedLost, match="before they were read"):
        await asyncio.wait_for(feed.next(), PATIENCE)


async def test_a_statement_that_fails_half_way_is_told_of(
    opened: Opened, settings: Settings, path: Path
) -> None:
    """With OR FAIL what it did before stays, and SQLite does not keep the number of changes."""
    store = await opened.store(settings.database_url, settings)
    feed, chain = await store.changes(), Chain()
    await chain.read(store, "demo")
    half_way = "UPDATE OR FAIL players SET score = CASE id WHEN 'mercury' THEN 'x' ELSE 99 END"
    with (
        contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection,
        pytest.raises(sqlite3.IntegrityError),
    ):
        connection.execute(half_way)
    async with asyncio.timeout(PATIENCE):
        chain.follow(await feed.next())
    await store.add_score("demo", "mars", 1)
    await chain.follow_until(feed, [("demo", "mars", await store.get_player("demo", "mars"))])
    there = Chain()
    await there.read(store, "demo")
    assert chain.scores == there.scores


async def test_what_an_earlier_process_left_goes_though_nobody_writes(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await opened.store(settings.database_url, settings)
    await store.close()
    execute(path, *(INSERT.format("", "demo", f"p{i}", i) for i in range(3500)))
    assert count(path) >= 3500
    store = await opened.store(settings.database_url, settings)
    feed = await store.changes()
    async with asyncio.timeout(PATIENCE):
        while count(path):
            await asyncio.sleep(0.01)
    await store.add_score("demo", "mars", 1)
    (change,) = await asyncio.wait_for(feed.next(), PATIENCE)
    assert isinstance(change, PlayerChanged)
    assert (change.player_id, change.before) == ("mars", 19)


async def test_the_table_stays_small_while_the_feed_is_read(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_TAKEN_CHANGES", 20)
    monkeypatch.setattr(limits, "POLL", 0.01)
    store = await opened.store(settings.database_url, settings)
    feed = await store.changes()
    most = 0
    for _ in range(100):
        await store.add_score("demo", "mars", 1)
        await asyncio.wait_for(feed.next(), PATIENCE)
        most = max(most, count(path))
    assert most < 60


async def test_without_a_server_the_oldest_changes_go(
    opened: Opened, settings: Settings, path: Path
) -> None:
    await (await opened.store(settings.database_url, settings)).close()
    kept = triggers.KEPT_CHANGES
    execute(
        path,
        "DELETE FROM changes",
        f"UPDATE sqlite_sequence SET seq = {2 * kept - 2} WHERE name = 'changes'",
        INSERT.format("", "demo", "p", 1),
        "INSERT INTO changes (seq, board, player) VALUES (5, 'demo', 'x')",
        INSERT.format("", "demo", "q", 1),
        INSERT.format("", "demo", "r", 1),
    )
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT seq FROM changes ORDER BY seq").fetchall()
    assert found == [(2 * kept - 1,), (2 * kept,), (2 * kept + 1,)]


@pytest.mark.parametrize("theirs", [False, True])
async def test_what_was_just_written_is_told_as_it_is_in_the_file(
    opened: Opened, settings: Settings, path: Path, theirs: bool
) -> None:
    """Whatever else is in the transaction, undone in it, or done by somebody's own trigger."""
    store = await opened.store(settings.database_url, settings)
    assert isinstance(store, SQLiteStore)
    if theirs:
        execute(
            path,
            "CREATE TRIGGER theirs AFTER UPDATE ON players WHEN NEW.score > 100"
            " BEGIN UPDATE players SET score = 100 WHERE board = NEW.board AND id = NEW.id; END",
        )
    # Whose rows come first where a trigger of theirs writes, too, is not to be known.
    feed, chain, chance = await store.changes(), Chain(exact=not theirs), random.Random(4)
    await chain.read(store, "demo")
    database = Database.open(settings.database_url)

    def many() -> list[Submission]:
        return [
            Submission(id=f"p{chance.randint(0, 30)}", score=chance.randint(0, 200), operator="set")
            for _ in range(chance.choice([1, 5, 40]))
        ]

    def and_fail(c: sqlite3.Connection) -> None:
        submit_slices(c, [Slice("demo", many(), None)], store._written, store._trail)
        raise NotFound("undone")

    for step in range(40):
        writes: list[Awaitable[object]] = [
            store.submit("demo", many()),
            store.update_player("demo", f"p{chance.randint(0, 30)}", PlayerPatch(name=f"N{step}")),
            store.delete_player("demo", f"p{chance.randint(0, 30)}"),
            *(store.add_score("demo", f"p{i}", 1, create=True) for i in range(12)),
            database.write(and_fail),
            store.submit("demo", many()),
        ]
        chance.shuffle(writes)
        await asyncio.gather(*writes[: chance.randint(1, len(writes))], return_exceptions=True)
        for write in writes:
            assert isinstance(write, Coroutine)
            write.close()
        last = await store.create_player("demo", NewPlayer(id=f"last{step}", name="L"))
        await chain.follow_until(feed, [("demo", last.id, last)])
        there = Chain()
        await there.read(store, "demo")
        assert chain.scores == there.scores
    await database.close()
