"""The store in a cluster of RethinkDB servers, and when the tables are not what they were."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.models import PlayerChanged
from tornado_board.settings import Settings
from tornado_board.store import OutcomeUnknown, StoreUnavailable
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.standing import STANDING

from .conftest import Opened
from .reql import ReQLServer
from .reql.values import ErrorType, ReQLError
from .rethinkdb_admin import Admin, eventually, impatient, lost, opened_store
from .rethinkdb_nodes import replicated, three_servers
from .rethinkdb_server import RethinkDBServer

pytestmark = pytest.mark.usefixtures("io_loop")

boards, players = r.table("boards"), r.table("players")


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return impatient(settings, monkeypatch, timeout=2.0, wait=60.0)


# On the test server


@pytest.mark.gen_test
async def test_a_node_without_a_quorum_is_not_ready_and_its_feed_is_lost(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened_store(opened, reql.url(), settings)
    feed = await store.changes()
    reql.cluster.without_quorum = True
    assert "quorum" in await lost(feed.next())
    for call in (store.ping, store.changes):
        with pytest.raises(StoreUnavailable, match="quorum"):
            await call()
    reql.cluster.without_quorum = False
    await store.ping()
    feed = await store.changes()
    await store.add_score("demo", "venus", 1)
    assert await feed.next()


@pytest.mark.gen_test
async def test_a_feed_of_tables_that_moved_or_were_made_anew_is_lost(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened_store(opened, reql.url(), settings)
    feed = await store.changes()
    reql.cluster.primary = "another"
    assert "primary" in await lost(feed.next())

    feed = await store.changes()
    tables = reql.databases["test"]
    tables["players"] = type(tables["players"])("players")  # nobody told the feed
    assert "made anew" in await lost(feed.next())

    await Admin(reql.url()).run(players.index_create(STANDING))
    feed = await store.changes()
    await Admin(reql.url()).run(r.table_drop("boards"))
    assert await lost(feed.next())
    with pytest.raises(StoreUnavailable, match="boards"):
        await store.ping()


@pytest.mark.gen_test
async def test_whatever_fails_at_the_start_is_tried_again(
    opened: Opened, settings: Settings, reql: ReQLServer, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (ErrorType.OP_FAILED, ErrorType.OP_INDETERMINATE):
        reql.databases.clear()
        reql.next_errors = [
            *[ReQLError("no primary", kind)] * 2,  # the sample board
            *[None, ReQLError("no primary", kind)],  # its players
        ]
        store = await opened_store(opened, reql.url(), settings)
        assert len((await store.ranking("demo", 10)).players) == 5
        await store.close()
    waits = [line for line in caplog.messages if "no primary" in line and "waiting up" in line]
    assert len(waits) == 2
    reql.next_errors = [ReQLError("no primary", ErrorType.OP_FAILED)] * 1000
    reql.databases.clear()
    hurried = dataclasses.replace(settings, database_wait=0.3)
    with pytest.raises(StoreUnavailable, match="no primary"):
        await opened.store(reql.url(), hurried)


@pytest.mark.gen_test
async def test_not_performed_is_believed_only_of_a_single_document(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    """Of several documents one may have been written before another could not be."""
    store = await opened_store(opened, reql.url(), settings)
    failed = ReQLError("Cannot perform write: no primary", ErrorType.OP_FAILED)
    reql.next_errors = [failed]
    with pytest.raises(StoreUnavailable):
        await store.add_score("demo", "venus", 1)
    reql.next_errors = [failed]
    results = await asyncio.gather(
        store.add_score("demo", "venus", 1),
        store.add_score("demo", "mars", 1),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [OutcomeUnknown] * 2
    reql.next_errors = [failed]
    with pytest.raises(OutcomeUnknown):  # it may fail after it has inserted
        await store.create_player("demo", NewPlayer(name="P"))
    reql.next_errors = [failed]
    with pytest.raises(StoreUnavailable):
        await store.create_board(NewBoard(id="b"))


# Identity


@pytest.mark.gen_test
async def test_the_identity_is_the_databases_own(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    stores = [await opened_store(opened, either_url, settings) for _ in range(2)]
    other = await opened_store(opened, either_url + "_other", settings)
    admin, name = Admin(either_url), either_url.rpartition("/")[2]
    try:
        known = await admin.run(r.db(name).info())
        assert [store.identity for store in stores] == [known["id"]] * 2
        assert other.identity != known["id"]
        assert all(store.shared for store in stores)
    finally:
        await other.close()
        await admin.run(r.db_drop(name + "_other"))


@pytest.mark.gen_test
async def test_a_database_whose_id_nobody_tells_goes_by_its_address(
    opened: Opened, settings: Settings, reql: ReQLServer, caplog: pytest.LogCaptureFixture
) -> None:
    reql.cluster.secret_ids = True
    one, two = [await opened_store(opened, reql.url(), settings) for _ in range(2)]
    other = await opened_store(opened, reql.url("other"), settings)
    assert one.identity == two.identity != other.identity
    assert one.identity.isalnum()
    assert sum("hash of its address" in line for line in caplog.messages) == 3
    await one.ping()
    assert await one.changes()


@pytest.mark.gen_test
async def test_a_database_that_was_made_anew_is_told(
    opened: Opened, settings: Settings, reql: ReQLServer
) -> None:
    store = await opened_store(opened, reql.url("board"), settings)
    feed = await store.changes()
    await Admin(reql.url()).run(r.db_drop("board"))
    await lost(feed.next())
    await opened_store(opened, reql.url("board"), settings)
    for call in (store.ping, store.changes):
        with pytest.raises(StoreUnavailable, match="restart this server"):
            await call()


# A real cluster


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[list[RethinkDBServer]]:
    """Three servers that know each other."""
    with three_servers(tmp_path) as servers:
        yield servers


@pytest.mark.gen_test
async def test_a_primary_that_a_partition_cut_off_is_left(
    opened: Opened, settings: Settings, cluster: list[RethinkDBServer]
) -> None:
    """For some ten seconds it answers plain reads, and its feeds stay open."""
    alone, *others = cluster
    store = await opened_store(opened, await replicated(alone), settings)
    feed = await store.changes()
    await store.add_score("demo", "venus", 1)
    assert await feed.next()
    for server in others:
        server.signal(signal.SIGSTOP)
    began = time.monotonic()
    assert "heartbeat" in await lost(feed.next())
    await feed.close()
    while True:
        try:
            await store.ranking("demo", 5)
        except StoreUnavailable:
            break
        await asyncio.sleep(0.05)
    assert time.monotonic() - began < 8
    with pytest.raises((StoreUnavailable, OutcomeUnknown)):
        await store.add_score("demo", "venus", 1)
    with pytest.raises(StoreUnavailable):
        await store.changes()
    for server in others:
        server.signal(signal.SIGCONT)
    feed = await eventually(store.changes)
    before = (await eventually(lambda: store.get_player("demo", "venus"))).score
    added = await eventually(lambda: store.add_score("demo", "venus", 5))
    assert added.player.score >= before + 5
    change = (await asyncio.wait_for(feed.next(), 30))[0]
    assert isinstance(change, PlayerChanged)


@pytest.mark.gen_test
async def test_start_and_feed_while_a_primary_is_elected(
    opened: Opened, settings: Settings, cluster: list[RethinkDBServer]
) -> None:
    primary, other, third = cluster
    await replicated(primary)
    store = await opened_store(opened, other.url("board"), settings)
    feed = await store.changes()
    primary.kill()
    starting = asyncio.ensure_future(opened_store(opened, third.url("board"), settings))
    assert await lost(feed.next())
    await feed.close()
    feed = await eventually(store.changes)
    late = await starting
    assert late.identity == store.identity
    added = await eventually(lambda: late.add_score("demo", "venus", 1))
    assert added.player.score == 32
    assert await asyncio.wait_for(feed.next(), 30)
    third.kill()  # one of three is left: it can't even be started with
    hurried = dataclasses.replace(settings, database_wait=1.0)
    with pytest.raises(StoreUnavailable):
        await opened.store(other.url("board"), hurried)
    starting = asyncio.ensure_future(opened_store(opened, other.url("board"), settings))
    await asyncio.sleep(1)
    assert not starting.done()
    await asyncio.to_thread(third.start)
    assert (await (await starting).get_player("demo", "venus")).score == 32
