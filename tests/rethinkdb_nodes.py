"""Three real RethinkDB servers that know each other."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tornado_board.store.rethinkdb.address import r

from .rethinkdb_admin import Admin
from .rethinkdb_server import PROGRAM, RethinkDBServer

NAMES = ("one", "two", "three")


@contextlib.contextmanager
def three_servers(folder: Path) -> Iterator[list[RethinkDBServer]]:
    """Started, with their data in `folder`; killed at the end, stopped or not."""
    if PROGRAM is None:
        pytest.skip("no rethinkdb on PATH")
    servers = []
    for name in NAMES:
        (folder / name).mkdir()
        servers.append(RethinkDBServer(folder / name, cache_size=64, name=name))
    for server in servers:
        server.join(other for other in servers if other is not server)
        server.start(wait=0)
    for server in servers:
        server.await_connections()
    try:
        yield servers
    finally:
        for server in servers:
            with contextlib.suppress(AssertionError, ProcessLookupError):
                server.signal(signal.SIGCONT)
            server.kill()


async def replicated(server: RethinkDBServer) -> str:
    """The URL of a database whose tables are on all three servers; `server` has the primaries."""
    url = server.url("board")
    await Admin(url).run(r.db_create("board"))
    for table in ("boards", "players"):
        create = r.table_create(
            table, replicas=dict.fromkeys(NAMES, 1), primary_replica_tag=server.name
        )
        await Admin(url).run(create)
    await Admin(url).run(r.db("board").wait())
    return url


async def move_primaries(asked: RethinkDBServer, primary: str) -> None:
    """Have the server called `primary` take over both tables."""
    for table in ("boards", "players"):
        change = r.table(table).reconfigure(
            shards=1, replicas=dict.fromkeys(NAMES, 1), primary_replica_tag=primary
        )
        await Admin(asked.url("board")).run(change)


def url_of(servers: Sequence[RethinkDBServer]) -> str:
    """The URL that names all of these."""
    hosts = ",".join(f"{server.host}:{server.port}" for server in servers)
    return f"rethinkdb://{hosts}/board"
