"""The SQLite file goes away, its disk is full, or it can't be used: that is said, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tornado_board.inputs import PlayerPatch
from tornado_board.models import Board, Player
from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable, OutcomeUncertain, limits, path_of
from tornado_board.store import OutcomeUnknown, Store, StoreUnavailable, open_store, scheme_of
from tornado_board.store.sqlite import writes

from .conftest import Opened
from .stream_client import PATIENCE, http_client

pytestmark = pytest.mark.gen_test

Serving = Callable[[Settings], Awaitable[Running]]

ADD = "/boards/demo/players/mars/score-add/"


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def size(path: Path) -> int:
    return path.stat().st_size


def write_text(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of `settings.database_url`."""
    return tmp_path / "board.sqlite3"


def moved(path: Path) -> Callable[[], None]:
    """Move the file with all that belongs to it; what moves it back."""
    away = path.with_name("away")
    away.mkdir()
    ends = ("", "-wal", "-shm")
    for end in ends:
        path.with_name(path.name + end).rename(away / (path.name + end))

    def back() -> None:
        for end in ends:
            (away / (path.name + end)).replace(path.with_name(path.name + end))

    return back


def replaced(path: Path) -> Callable[[], object]:
    """Put another file in its place, as an editor or ``mv`` does; what puts the old one back."""
    old, new = path.with_name("old"), path.with_name("new")
    shutil.copy(path, new)
    path.rename(old)
    new.rename(path)
    return lambda: old.replace(path)


def wal_moved(path: Path) -> Callable[[], object]:
    wal, away = path.with_name(path.name + "-wal"), path.with_name("away")
    wal.rename(away)
    return lambda: away.rename(wal)


def shm_moved(path: Path) -> Callable[[], object]:
    shm, away = path.with_name(path.name + "-shm"), path.with_name("away")
    shm.rename(away)
    return lambda: away.rename(shm)


async def becomes(client: httpx.AsyncClient, path: str, status: int) -> str:
    """Wait until `path` is answered with `status`; its text."""
    async with asyncio.timeout(PATIENCE):
        while (response := await client.get(path)).status_code != status:
            await asyncio.sleep(0.02)
    return response.text


@pytest.mark.parametrize("take_away", [moved, replaced, wal_moved, shm_moved])
async def test_a_file_that_is_taken_away_is_not_written_to(
    serving: Serving,
    settings: Settings,
    path: Path,
    caplog: pytest.LogCaptureFixture,
    take_away: Callable[[Path], Callable[[], None]],
) -> None:
    caplog.set_level(logging.WARNING)
    url = (await serving(settings)).url
    async with http_client(url) as client:
        assert (await client.post(ADD)).json()["score"] == 20
        await becomes(client, "/readyz", 200)
        back = take_away(path)
        # At once, and not when it is noticed by itself; while idle it is, too.
        for _ in range(3):
            response = await client.post(ADD)
            assert response.status_code == 503
            assert path.name in response.json()["detail"]
            assert str(path.parent) not in response.text
        assert path.name in await becomes(client, "/readyz", 503)
        back()
        await becomes(client, "/readyz", 200)
        assert (await client.post(ADD)).json()["score"] == 21
    ours = [r for r in caplog.records if r.name.startswith("tornado_board.sqlite")]
    assert [r.levelno for r in ours if r.levelno >= logging.ERROR] == [logging.ERROR]
    assert "it can be written to again" in ours[-1].getMessage()


async def test_a_file_that_is_deleted_while_nobody_writes_is_missed(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await opened.store(settings.database_url, settings)
    await store.ping()
    moved(path)
    await fails_to_ping(store, "was moved or deleted")
    # No reader made a new one in its place.
    assert (await store.get_board("demo")).id == "demo"
    assert path not in files_in(path.parent)


async def fails_to_ping(store: Store, reason: str) -> None:
    async def ping_until_it_fails() -> None:
        while True:
            await store.ping()
            await asyncio.sleep(0.02)

    with pytest.raises(StoreUnavailable, match=reason):
        await asyncio.wait_for(ping_until_it_fails(), PATIENCE)


async def pings_again(store: Store) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(StoreUnavailable):
                return await store.ping()
            await asyncio.sleep(0.02)


async def test_a_write_whose_file_goes_away_before_its_answer_is_uncertain(
    opened: Opened, settings: Settings, path: Path
) -> None:
    store = await opened.store(settings.database_url, settings)
    database = Database.open(settings.database_url)
    put_back: list[Callable[[], None]] = []

    def work(c: sqlite3.Connection) -> None:
        c.execute("UPDATE players SET score = 77 WHERE id = 'mars'")
        put_back.append(moved(path))

    with pytest.raises(OutcomeUncertain, match="moved or deleted"):
        await database.write(work)
    put_back[0]()
    await pings_again(store)
    assert (await store.get_player("demo", "mars")).score == 77
    await database.close()


async def test_a_client_is_told_that_its_write_may_have_been_applied(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened.store(settings.database_url, settings)
    carry_out = writes.update_player

    def and_move(c: sqlite3.Connection, board: Board, player: Player) -> None:
        carry_out(c, board, player)
        moved(path)

    monkeypatch.setattr(writes, "update_player", and_move)
    with pytest.raises(OutcomeUnknown, match="may have been applied or not"):
        await store.update_player("demo", "mars", PlayerPatch(score=1))


@pytest.fixture
def full_disk() -> Iterator[Callable[[Path], None]]:
    """Files can't grow beyond the size of the one given, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(path: Path | None) -> None:
        soft = before[0] if path is None else path.stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, before[1]))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_ping_tells_of_writes_that_fail_and_of_their_end(
    opened: Opened,
    settings: Settings,
    path: Path,
    full_disk: Callable[[Path | None], None],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(limits, "PROBE", 0.05)
    store = await opened.store(settings.database_url, settings)
    await store.add_score("demo", "mars", 1)
    full_disk(path.with_name(path.name + "-wal"))
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match=r"board\.sqlite3: nothing can be written: "):
            await store.add_score("demo", "mars", 1)
        with pytest.raises(StoreUnavailable, match="nothing can be written"):
            await store.ping()
    full_disk(None)
    await pings_again(store)  # though nobody wrote
    assert (await store.add_score("demo", "mars", 1)).player.score == 21
    levels = [r.levelno for r in caplog.records if r.name.startswith("tornado_board.sqlite")]
    assert levels == [logging.ERROR, logging.WARNING]


async def test_a_wal_that_a_reader_made_large_shrinks_when_it_is_gone(
    opened: Opened, settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LARGE_WAL", 100_000)
    monkeypatch.setattr(limits, "CHECKPOINT", 0.05)
    wal = path.with_name(path.name + "-wal")
    store = await opened.store(settings.database_url, settings)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as stalled:
        stalled.execute("BEGIN")
        stalled.execute("SELECT count(*) FROM players").fetchone()
        for _ in range(30):
            await store.add_score("demo", "mars", 1)
        assert size(wal) > 100_000
    async with asyncio.timeout(PATIENCE):
        while size(wal) > 100_000:
            await asyncio.sleep(0.02)
    assert (await store.get_player("demo", "mars")).score == 49


async def test_a_large_wal_is_cut_when_it_begins_anew(opened: Opened, settings: Settings) -> None:
    await opened.store(settings.database_url, settings)
    database = Database.open(settings.database_url)
    limit = await database.write(lambda c: c.execute("PRAGMA journal_size_limit").fetchone())
    assert limit == (8 * 1024 * 1024,)
    await database.close()


# What can't be opened


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    """Root may read and write everything; then somebody else opens the file."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("folder", "it is a folder; name a file in it"),
        ("unreadable", "this process may not read the file"),
        ("read-only", "the file is read-only"),
        ("locked folder", "may not make files in"),
        ("no database", "file is not a database"),
        ("pipe", "it is no regular file"),
    ],
)
async def test_what_can_not_be_opened_is_told_with_its_name(
    tmp_path: Path, what: str, said: str
) -> None:
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            os.chmod(folder, 0o711)
    os.chmod(tmp_path, 0o777)
    path = tmp_path / "some file"
    if what == "folder":
        os.mkdir(path)
    elif what == "pipe":
        os.mkfifo(path)
    else:
        write_text(path, "text " * 1000 if what == "no database" else "")
        os.chmod(path, {"unreadable": 0, "read-only": 0o444}.get(what, 0o666))
    if what == "locked folder":
        os.chmod(tmp_path, 0o555)
    with another_user(), pytest.raises(DatabaseUnavailable) as refused:
        Database.open(f"sqlite:///{path}")
    os.chmod(tmp_path, 0o777)
    assert str(refused.value).startswith(f"{path}: ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://bob:s3cret@host/file",
        "sqlite:///",
        "sqlite://s3cret",
        "sqlite:///file?password=s3cret",
        "sqlite:///file#s3cret",
        "sqlite:///a%00b",
        "sqlite://[s3cret/file",
    ],
)
async def test_a_url_that_names_no_file_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="write sqlite:///file") as refused:
        path_of(url)
    assert "s3cret" not in str(refused.value)


async def test_a_file_with_two_names_has_one_lock(settings: Settings, path: Path) -> None:
    database = Database.open(settings.database_url)
    link = path.with_name("link")
    os.symlink(path, link)
    with pytest.raises(DatabaseUnavailable, match="in use by another tornado_board process"):
        Database.open(f"sqlite:///{link}")
    await database.close()
    database = Database.open(f"sqlite:///{link}")
    await database.write(lambda c: c.execute("CREATE TABLE replay (x)"))
    assert size(path.with_name(path.name + "-wal"))
    wal_moved(path)
    with pytest.raises(DatabaseUnavailable, match="-wal was removed"):
        await database.write(lambda c: c.execute("INSERT INTO replay VALUES (1)"))
    await database.close()


async def test_stores_are_known_by_their_scheme(settings: Settings) -> None:
    assert not scheme_of("sqlite:///file").shared
    assert scheme_of("rethinkdb://host:28015/db").shared
    for url in ("bob:s3cret@host/db", "mysql://bob:s3cret@host/db", "s3cret word", ""):
        with pytest.raises(ValueError, match="use sqlite:///file or rethinkdb://") as refused:
            await open_store(url, settings)
        assert "s3cret" not in str(refused.value)


async def test_errors_of_one_write_name_the_file_and_spare_the_rest(
    opened: Opened, settings: Settings
) -> None:
    store = await opened.store(settings.database_url, settings)
    database = Database.open(settings.database_url)
    wrong, right = await asyncio.gather(
        database.write(lambda c: c.execute("INSERT INTO nowhere VALUES (1)")),
        store.add_score("demo", "mars", 1),
        return_exceptions=True,
    )
    assert str(wrong) == "board.sqlite3: no such table: nowhere"
    assert not isinstance(right, BaseException)
    assert right.player.score == 20
    await store.ping()
    await database.close()
