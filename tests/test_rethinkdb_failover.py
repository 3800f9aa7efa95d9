"""The store with a URL that names several servers of a cluster."""

from __future__ import annotations

import asyncio
import copy
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tornado_board.models import PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import FeedLost, OutcomeUnknown, StoreUnavailable
from tornado_board.store.rethinkdb import RethinkDBStore
from tornado_board.store.rethinkdb.address import Address
from tornado_board.store.rethinkdb.servers import MOST, Servers

from .conftest import Opened
from .ports import free_port
from .reql import ReQLServer
from .rethinkdb_admin import eventually, impatient, lost, opened_store
from .rethinkdb_nodes import move_primaries, replicated, three_servers, url_of
from .rethinkdb_server import RethinkDBServer
from .waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("io_loop")


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return impatient(settings, monkeypatch, timeout=2.0, wait=60.0)


# The URL


def test_a_url_names_servers_with_one_account_and_database() -> None:
    servers = Servers.parse("rethinkdb://me:p%2C%40w@a:1,b,[::1]:3,a:1/db")
    assert servers.addresses == (
        Address("a", 1, "db", "me", "p,@w"),
        Address("b", 28015, "db", "me", "p,@w"),
        Address("::1", 3, "db", "me", "p,@w"),
    )
    assert str(servers) == "a:1,b:28015,[::1]:3/db"
    first, second, third = servers.addresses
    assert servers.beginning_with(second) == (second, third, first)
    assert servers.after(third) == first


@pytest.mark.parametrize(
    "url",
    [
        "rethinkdb://a,/db",
        "rethinkdb://,a/db",
        "rethinkdb://a,,b/db",
        "rethinkdb://a:x,b/db",
        "rethinkdb://a,b:99999/db",
        "rethinkdb://a,b/",
        "rethinkdb://a,b/db?c",
        "rethinkdb://s3cret,w/ord@a,b/db",
        f"rethinkdb://{','.join(['a'] * (MOST + 1))}/db",
    ],
)
def test_a_url_that_names_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="database_url: ") as caught:
        Servers.parse(url)
    assert "s3cret" not in str(caught.value)


# On test servers


@pytest.fixture
def two(io_loop: object, reql: ReQLServer) -> Iterator[tuple[ReQLServer, ReQLServer]]:
    """Two servers with the same tables."""
    other = ReQLServer()
    io_loop.run_sync(other.start)  # type: ignore[attr-defined]
    other.cluster = copy.copy(reql.cluster)  # what is there is the same; what it can do is not
    yield reql, other
    io_loop.run_sync(other.stop)  # type: ignore[attr-defined]


def named(*servers: ReQLServer) -> str:
    places = [server.url().split("/")[2] for server in servers]
    return f"rethinkdb://{','.join(places)}/test"


@pytest.mark.gen_test
async def test_it_starts_with_whichever_server_is_there(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    place = reql.url().split("/")[2]
    nobody = f"127.0.0.1:{free_port()}"
    store = await opened_store(opened, f"rethinkdb://{nobody},{place},{nobody}/test", settings)
    assert store.description == f"RethinkDB at {nobody},{place}/test"
    assert await store.get_player("demo", "venus")
    feed = await store.changes()
    await store.add_score("demo", "venus", 1)
    assert await feed.next()


@pytest.mark.gen_test
async def test_a_server_that_answers_that_it_can_not_is_left_for_one_that_can(
    opened: Opened,
    settings: Settings,
    two: tuple[ReQLServer, ReQLServer],
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = two
    store = await opened_store(opened, named(one, other), settings)
    feed = await store.changes()
    one.cluster.without_quorum = True
    assert "quorum" in await lost(feed.next())
    await eventually(store.ping)
    assert store._connection.address.port == other.port
    assert any("is used in its place" in line for line in caplog.messages)
    feed = await store.changes()
    await store.add_score("demo", "venus", 1)
    assert await feed.next()
    # Where none of them can, it stays with one, and says so.
    other.cluster.without_quorum = True
    await lost(feed.next())
    with pytest.raises(StoreUnavailable, match="quorum"):
        await store.ping()
    one.cluster.without_quorum = False
    await eventually(store.ping)
    assert await eventually(store.changes)


@pytest.mark.gen_test
async def test_a_feed_that_a_server_refuses_is_opened_at_another(
    opened: Opened, settings: Settings, two: tuple[ReQLServer, ReQLServer]
) -> None:
    one, other = two
    store = await opened_store(opened, named(one, other), settings)
    one.cluster.without_quorum = True
    feed = await store.changes()  # at once, before the connection has left it
    await eventually(lambda: store.add_score("demo", "venus", 1))
    assert await feed.next()
    other.cluster.without_quorum = True
    with pytest.raises(StoreUnavailable, match="quorum"):
        await store.changes()


@pytest.mark.gen_test
async def test_a_server_that_can_by_the_time_another_is_found_stays(
    opened: Opened, settings: Settings, two: tuple[ReQLServer, ReQLServer]
) -> None:
    one, other = two
    store = await opened_store(opened, named(one, other), settings)
    # As after a heartbeat that came before the tables were made.
    asked = len(other.queries)
    assert not await store._connection._found_better()
    assert len(other.queries) > asked
    await store.ping()
    assert store._connection.address.port == one.port
    one.cluster.without_quorum = True
    await eventually(store.ping)
    assert store._connection.address.port == other.port


# On a real cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RethinkDBServer]]:
    """Three servers that know each other."""
    with three_servers(tmp_path) as servers:
        yield servers


class Writer:
    """Adds 1 to a player, again and again, and counts what it is told."""

    def __init__(self, store: RethinkDBStore) -> None:
        self._store = store
        self.answered = self.unknown = 0
        self._goes_on = True
        self._task = asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        while self._goes_on:
            try:
                await self._store.add_score("demo", "venus", 1)
                self.answered += 1
            except OutcomeUnknown:
                self.unknown += 1
            except StoreUnavailable:
                pass
            await asyncio.sleep(0.01)

    async def goes_on(self) -> None:
        """Wait until more are answered."""
        wanted = self.answered + 3
        async with asyncio.timeout(PATIENCE):
            while self.answered < wanted:
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._goes_on = False  # after the one that is under way
        await self._task


async def followed(store: RethinkDBStore, score: float) -> None:
    """Wait until a feed, opened anew whenever it is lost, or a read, tells of this score."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                feed = await store.changes()
                if (await store.get_player("demo", "venus")).score >= score:
                    return
                for change in await feed.next():
                    player = change.player if isinstance(change, PlayerChanged) else None
                    if player is not None and player.score >= score:
                        return
            except (FeedLost, StoreUnavailable):
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("fault", ["kill", "stop", "move"])
@pytest.mark.gen_test
async def test_writes_and_feed_go_on_when_the_primary_fails_or_moves(
    opened: Opened, settings: Settings, cluster: list[RethinkDBServer], fault: str
) -> None:
    primary, *others = cluster
    await replicated(primary)
    store = await opened_store(opened, url_of(cluster), settings)
    before = (await store.get_player("demo", "venus")).score
    feed = await store.changes()
    writer = Writer(store)
    await writer.goes_on()
    if fault == "kill":
        primary.kill()
    elif fault == "stop":  # it takes connections, and answers nothing
        primary.signal(signal.SIGSTOP)
    else:
        await move_primaries(others[0], others[1].name)
    assert await wait_lost(feed)
    await writer.goes_on()
    # What was answered counts, once; what nobody knows of may.
    await writer.stop()
    score = (await eventually(lambda: store.get_player("demo", "venus"))).score
    assert before + writer.answered <= score <= before + writer.answered + writer.unknown
    await followed(store, score)
    if fault != "move":
        assert store._connection.address.port != primary.port


async def wait_lost(feed: object) -> bool:
    """Wait until a feed ends."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await feed.next()  # type: ignore[attr-defined]
            except FeedLost:
                return True
