"""How long outcomes of writes are kept, and what one failing write does to the others."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import time
from pathlib import Path

import pytest

from tornado_board.inputs import Submission
from tornado_board.settings import Settings
from tornado_board.sqlite import Database
from tornado_board.store import Once, StoreUnavailable, Submitted
from tornado_board.store.sqlite import outcomes

from .conftest import Opened
from .sqlite_files import make_file

pytestmark = pytest.mark.gen_test


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of `settings.database_url`."""
    return tmp_path / "board.sqlite3"


def keys(path: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute("SELECT key FROM outcomes ORDER BY n")]


async def test_outcomes_are_forgotten_after_a_day(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await opened.store(settings.database_url, settings)
    for number in range(3):
        await store.add_score("demo", "mars", 1, once=Once(f"k{number}", "request"))
    day = int(1000 * Once.KEPT)
    now = time.time_ns() // 1_000_000
    for key, at in (("k0", now - day - 1000), ("k1", now - day + 60_000), ("k2", now - day - 1000)):
        make_file(path, f"UPDATE outcomes SET at = {at} WHERE key = '{key}'")
    for key, replayed in (("k1", True), ("k2", False), ("k0", False)):
        once = Once(key, "request" if replayed else "another request")
        await store.add_score("demo", "mars", 1, once=once)
        assert once.replayed is replayed
    assert keys(path) == ["k1", "k2", "k0"]
    make_file(path, f"UPDATE outcomes SET at = {now - day - 1000} WHERE key IN ('k1', 'k2')")
    await store.add_score("demo", "mars", 1, once=Once("new", "request"))
    assert keys(path) == ["k0", "new"]
    assert (await store.get_player("demo", "mars")).score == 19 + 3 + 2 + 1


async def test_the_oldest_outcomes_go_where_there_are_too_many(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcomes, "MOST_BYTES", 5_000)
    store = await opened.store(settings.database_url, settings)
    for number in range(60):
        await store.add_score("demo", "mars", 1, once=Once(f"k{number}", "request"))
    kept = keys(path)
    assert 5 < len(kept) < 20
    assert kept == [f"k{number}" for number in range(60 - len(kept), 60)]
    # One that takes more than all may is kept for as long as it is the newest.
    many = [Submission(id=f"p{i}", score=1, meta={"a": f"{i * 7919:x}" * 40}) for i in range(900)]
    await store.submit("demo", many, Once("bulk", "request"))
    await store.add_score("demo", "mars", 1)
    once = Once("bulk", "request")
    await store.submit("demo", many, once)
    assert once.replayed


@pytest.mark.parametrize("mixed", [False, True])
async def test_a_write_that_the_file_refuses_spares_those_beside_it(
    opened: Opened, settings: Settings, path: Path, mixed: bool
) -> None:
    """Somebody may have added a trigger, say."""
    store = await opened.store(settings.database_url, settings)
    make_file(
        path,
        "CREATE TRIGGER theirs BEFORE UPDATE ON players WHEN OLD.id = 'mars'"
        " BEGIN SELECT raise(ABORT, 'not mars'); END",
    )
    database = Database.open(settings.database_url)
    writes = [
        store.add_score("demo", id, 1)
        for id in ("venus", "mars", "earth", "mars", "venus", "pluto")
    ]
    if mixed:
        writes.insert(3, database.write(lambda c: c.execute("SELECT 5").fetchone()))
    results = await asyncio.gather(*writes, return_exceptions=True)
    done = [r.player.score for r in results if isinstance(r, Submitted)]
    assert done == [32, 28, 33]
    refused = [str(r) for r in results if isinstance(r, StoreUnavailable)]
    assert refused == ["board.sqlite3: not mars"] * 2
    assert [p.score for p in await store.players_by_id("demo", ["mars"])] == [19]
    with pytest.raises(StoreUnavailable, match="not mars"):
        await store.submit("demo", [Submission(id="mars", score=100)])
    await store.ping()
    await database.close()
