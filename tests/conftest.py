"""Fixtures: every backend behind the protocol that its contract tests speak."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import rethinkdb

from tornado_board.cluster.keys import Keys
from tornado_board.replay import ReplayLog, open_replay_log
from tornado_board.server import Running, running
from tornado_board.settings import Settings
from tornado_board.store import Store, open_store
from tornado_board.store.rethinkdb.address import Address
from tornado_board.web import first_board

from .chromium import Chromium, executable
from .redis_server import RedisServer
from .reql import ReQLServer
from .rethinkdb_server import PROGRAM, RethinkDBServer
from .server_cluster import Cluster
from .server_process import ServerProcess
from .turns import (
    pytest_collection_modifyitems as pytest_collection_modifyitems,
)
from .turns import (
    pytest_runtest_protocol as pytest_runtest_protocol,
)
from .turns import (
    pytest_xdist_auto_num_workers as pytest_xdist_auto_num_workers,
)

# How long an example takes to make or to try depends on what else the machine does.
hypothesis.settings.register_profile(
    "busy machine",
    hypothesis.settings.default,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("busy machine")

#: What stands for a store's own in the names of its keys.
IDENTITY = "test"
KEYS = Keys(Settings().redis_prefix, IDENTITY)

STORES = ["sqlite", "reql", "rethinkdb"]
LOGS = ["sqlite", "redis"]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The defaults, with an SQLite file in the test's own folder and a free port.

    What has a name without a folder is in the test's own, too. On a machine that does other things
    as well, a query or a page takes longer than a server may in its ordinary life.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(first_board, "PATIENCE", 20.0)
    return dataclasses.replace(
        Settings(),
        database_url=f"sqlite:///{tmp_path}/board.sqlite3",
        database_timeout=20.0,
        port=0,
        address="127.0.0.1",
    )


@pytest.fixture
def secure(settings: Settings, tmp_path: Path) -> Settings:
    """The settings with a certificate for localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    return dataclasses.replace(settings, tls_certificate=str(certificate), tls_key=str(key))


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The URL of an empty database of each backend in turn."""
    if request.param == "reql":
        reql: ReQLServer = request.getfixturevalue("reql")
        return reql.url()
    if request.param == "rethinkdb":
        url: str = request.getfixturevalue("rethinkdb_url")
        return url
    return settings.database_url


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that do it no harm."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The URL of an empty database."""
    shared_redis.client.flushall()
    return shared_redis.url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test, which may kill it."""
    server = RedisServer(tmp_path)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def reql(io_loop: Any) -> Iterator[ReQLServer]:
    """The ReQL test server, on the test's own event loop."""
    server = ReQLServer()
    io_loop.run_sync(server.start)
    yield server
    io_loop.run_sync(server.stop)


@pytest.fixture(scope="session")
def rethinkdb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real RethinkDB server, without a database: given, or started for the tests."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url.rpartition("/")[0]
    elif PROGRAM is None:
        pytest.skip("no rethinkdb on PATH, and TEST_DATABASE_URL is not set")
    else:
        server = RethinkDBServer(tmp_path_factory.mktemp("rethinkdb"))
        server.start()
        yield server.url("").rpartition("/")[0]
        server.kill()


@pytest.fixture
def rethinkdb_url(rethinkdb_server: str) -> Iterator[str]:
    """The URL of a database on a real RethinkDB server that is not there yet."""
    address = Address.parse(f"{rethinkdb_server}/test_{secrets.token_hex(8)}")
    yield f"{rethinkdb_server}/{address.database}"
    query = rethinkdb.RethinkDB()
    with query.connect(
        address.host, address.port, user=address.user, password=address.password
    ) as connection:
        if address.database in query.db_list().run(connection):
            query.db_drop(address.database).run(connection)


@pytest.fixture(params=["reql", "rethinkdb"])
def either_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database on the ReQL test server, and on a real one."""
    if request.param == "reql":
        reql: ReQLServer = request.getfixturevalue("reql")
        return reql.url()
    url: str = request.getfixturevalue("rethinkdb_url")
    return url


@pytest.fixture
def shared_database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database for several processes: RethinkDB, or the ReQL test server."""
    if PROGRAM is not None or "TEST_DATABASE_URL" in os.environ:
        url: str = request.getfixturevalue("rethinkdb_url")
        return url
    server: ReQLServer = request.getfixturevalue("reql")
    return server.url("board")


@pytest.fixture
def cluster(
    tmp_path: Path, shared_database_url: str, own_redis: RedisServer, io_loop: Any
) -> Iterator[Cluster]:
    made: list[Cluster] = []

    async def make() -> None:
        made.append(Cluster(tmp_path, shared_database_url, own_redis))

    io_loop.run_sync(make)
    yield made[0]
    io_loop.run_sync(made[0].close)


@pytest.fixture(params=LOGS)
def log_url(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The URL of an empty replay log of each backend in turn."""
    if request.param == "redis":
        url: str = request.getfixturevalue("redis_url")
        return url
    return settings.replay_url


class Opened:
    """Opens stores and logs inside a test's event loop, and closes them after it."""

    def __init__(self) -> None:
        self.closers: list[Callable[[], Awaitable[None]]] = []

    async def store(self, url: str, settings: Settings) -> Store:
        store = await open_store(url, settings)
        self.closers.append(store.close)
        return store

    async def log(self, url: str, settings: Settings) -> ReplayLog:
        log = await open_replay_log(url, settings, IDENTITY)
        self.closers.append(log.close)
        return log


@pytest.fixture
def opened(io_loop: Any) -> Iterator[Opened]:
    everything = Opened()
    yield everything

    async def close() -> None:
        for closer in reversed(everything.closers):
            await asyncio.wait_for(closer(), 30)

    io_loop.run_sync(close)


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers as processes of their own, in the test's folder; kills them after it."""
    started: list[ServerProcess] = []

    def start(*flags: str, folder: Path = tmp_path, **environ: Any) -> ServerProcess:
        started.append(ServerProcess(folder, *flags, **environ))
        return started[-1].wait_until_serving()

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()


@pytest.fixture
def browser() -> Iterator[Chromium]:
    """Chromium, for one test."""
    if executable() is None:
        pytest.skip("Chromium is not installed")
    chromium = Chromium()
    yield chromium
    chromium.close()


@pytest.fixture
def serving(io_loop: Any) -> Iterator[Callable[[Settings], Awaitable[Running]]]:
    """Serves inside the test's event loop, on real sockets; stops after the test."""
    stack = contextlib.AsyncExitStack()

    async def serve(settings: Settings) -> Running:
        return await stack.enter_async_context(running(settings))

    yield serve

    async def stop() -> None:
        await asyncio.wait_for(stack.aclose(), 30)

    io_loop.run_sync(stop)
