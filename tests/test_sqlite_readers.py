"""Who reads much costs the others little: reads take turns, and slow ones have one thread."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tornado_board.models import Board
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable, limits
from tornado_board.sqlite import readers as readers_module
from tornado_board.store import StoreUnavailable
from tornado_board.store.sqlite import pages

from .conftest import Opened
from .stream_client import PATIENCE

pytestmark = pytest.mark.gen_test


class Gate:
    """Reads that wait in their threads until they are let through, and note their order."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.begun: list[str] = []

    def read(self, name: str) -> Callable[[sqlite3.Connection], str]:
        def work(_: sqlite3.Connection) -> str:
            self.begun.append(name)
            assert self.open.wait(PATIENCE)
            return name

        return work


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


async def begun(gate: Gate, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(gate.begun) < count:
            await asyncio.sleep(0.005)


async def test_slow_reads_leave_threads_to_quick_ones(settings: Settings, gate: Gate) -> None:
    database = Database.open(settings.database_url)
    slow = [
        asyncio.ensure_future(database.read(gate.read(f"slow {i}"), share="big", slow=True))
        for i in range(50)
    ]
    await begun(gate, 1)
    for board in ("a", "b", "big"):
        assert await database.read(lambda c: c.execute("SELECT 1").fetchone(), share=board)
    assert len(gate.begun) == 1
    gate.open.set()
    assert len(await asyncio.gather(*slow)) == 50
    await database.close()


async def test_boards_take_turns(settings: Settings, gate: Gate) -> None:
    database = Database.open(settings.database_url)
    reads = [
        asyncio.ensure_future(database.read(gate.read(board), share=board, slow=True))
        for board in ["a"] * 20 + ["b"] * 2 + ["c"]
    ]
    await begun(gate, 1)
    gate.open.set()
    await asyncio.gather(*reads)
    assert gate.begun[:6] == ["a", "b", "c", "a", "b", "a"]
    await database.close()


async def test_equal_reads_that_have_not_begun_become_one(settings: Settings, gate: Gate) -> None:
    database = Database.open(settings.database_url)

    def read(key: str) -> asyncio.Future[str]:
        return asyncio.ensure_future(
            database.read(gate.read(key), share=key[0], slow=True, key=key)
        )

    first = read("a1")
    await begun(gate, 1)
    # This one has begun: it may not have seen what the others' clients have just been told of.
    later = [read("a1") for _ in range(30)] + [read("a2")]
    later[0].cancel()
    await asyncio.sleep(0)
    gate.open.set()
    assert await first == "a1"
    assert await asyncio.gather(*later[1:]) == ["a1"] * 29 + ["a2"]
    assert gate.begun == ["a1", "a1", "a2"]
    await database.close()


async def test_a_failure_reaches_all_that_share_the_read(settings: Settings) -> None:
    database = Database.open(settings.database_url)

    def fail(c: sqlite3.Connection) -> None:
        c.execute("SELECT * FROM nowhere")

    reads = [database.read(fail, slow=True, key="k") for _ in range(3)]
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert [str(r) for r in results] == ["board.sqlite3: no such table: nowhere"] * 3
    await database.close()


async def test_one_boards_reads_are_bounded_and_spare_the_others(
    settings: Settings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WAITING_READS_OF_ONE", 5)
    database = Database.open(settings.database_url)
    waiting = [
        asyncio.ensure_future(database.read(gate.read("a"), share="a", slow=True)) for _ in range(5)
    ]
    await begun(gate, 1)
    with pytest.raises(DatabaseUnavailable, match="too many reads are waiting"):
        await database.read(gate.read("a"), share="a")
    assert await database.read(lambda _: 1, share="b") == 1
    gate.open.set()
    await asyncio.gather(*waiting)
    assert await database.read(lambda _: 1, share="a") == 1
    await database.close()


async def test_the_servers_own_reads_go_to_their_thread_together(
    settings: Settings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers_module, "_TOGETHER_TIME", 60.0)
    database = Database.open(settings.database_url)

    def fail(_: sqlite3.Connection) -> str:
        raise ValueError("this one only")

    handed: list[int] = []
    read_all = readers_module.Readers._read_all

    def counted(readers: readers_module.Readers, jobs: Any) -> Any:
        handed.append(len(jobs))
        return read_all(readers, jobs)

    monkeypatch.setattr(readers_module.Readers, "_read_all", counted)
    first = asyncio.ensure_future(database.read(gate.read("first"), own=True))
    await begun(gate, 1)
    works = [gate.read("a"), fail, gate.read("b"), gate.read("gone")]
    later = [asyncio.ensure_future(database.read(work, own=True)) for work in works]
    await asyncio.sleep(0)
    later.pop().cancel()
    await asyncio.sleep(0)
    gate.open.set()
    assert await first == "first"
    a, failed, b = await asyncio.gather(*later, return_exceptions=True)
    assert (a, str(failed), b) == ("a", "this one only", "b")
    assert gate.begun == ["first", "a", "b"]
    assert handed == [1, 3]
    await database.close()


async def test_no_read_waits_for_those_that_were_handed_over_with_it(
    settings: Settings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers_module, "_TOGETHER_TIME", 0.0)
    database = Database.open(settings.database_url)
    first = asyncio.ensure_future(database.read(lambda _: gate.begun.append("first"), own=True))
    held = asyncio.ensure_future(database.read(gate.read("held"), own=True))
    last = asyncio.ensure_future(database.read(lambda _: "last", own=True))
    await asyncio.wait_for(first, PATIENCE)
    await begun(gate, 2)
    assert not held.done()
    gate.open.set()
    assert [await held, await last] == ["held", "last"]
    assert gate.begun == ["first", "held"], "in their order"
    await database.close()


async def test_a_read_is_broken_off_when_it_takes_too_long(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers_module, "_READ_TIME", 0.05)
    database = Database.open(settings.database_url)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    with pytest.raises(DatabaseUnavailable, match=r"board\.sqlite3: a read was broken off after"):
        await database.read(lambda c: c.execute(endless).fetchone())
    assert await database.read(lambda c: c.execute("SELECT 1").fetchone()) == (1,)
    await database.close()


async def test_what_waits_at_the_close_is_refused(settings: Settings, gate: Gate) -> None:
    database = Database.open(settings.database_url)
    reads = [asyncio.ensure_future(database.read(gate.read(str(i)), slow=True)) for i in range(4)]
    await begun(gate, 1)
    closing = asyncio.ensure_future(database.close())
    async with asyncio.timeout(PATIENCE):
        while not any(read.done() for read in reads):
            await asyncio.sleep(0.005)
    gate.open.set()
    await closing
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert results[0] == "0"
    assert all(isinstance(result, DatabaseUnavailable) for result in results[1:])


async def test_ranks_of_one_board_do_not_hold_up_another(
    opened: Opened, settings: Settings, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened.store(settings.database_url, settings)
    counted = pages.rank

    def slowly(c: sqlite3.Connection, board: Board, score: float) -> int:
        gate.read(board.id)(c)
        return counted(c, board, score)

    monkeypatch.setattr(pages, "rank", slowly)
    ranks = [asyncio.ensure_future(store.rank("demo", 19)) for _ in range(50)]
    await begun(gate, 1)
    assert (await store.ranking("demo", 5)).board.id == "demo"
    assert await store.list_boards(5)
    gate.open.set()
    assert set(await asyncio.gather(*ranks)) == {4}
    assert len(gate.begun) <= 2
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.ranking("demo", 5)
