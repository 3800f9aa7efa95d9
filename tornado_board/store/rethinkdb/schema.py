"""Makes what is missing: the database, its tables, the index, and on an empty one a sample."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

from rethinkdb.errors import ReqlOpFailedError, ReqlPermissionError

from tornado_board.store import SAMPLE_BOARD, SAMPLE_PLAYERS, StoreUnavailable
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import BOARDS, PLAYERS, STANDING, standing_key

_log = logging.getLogger(__name__)

#: Seconds between two looks at what is being waited for.
_POLL = 0.1

#: Seconds between two lines in the log about an index that is being built.
_REPORT = 10.0

#: Seconds after which a lock is taken to be left behind.
_LOCK_PATIENCE = 30.0

_TABLES = (BOARDS, PLAYERS)


async def prepare(connection: Connection, address: Address, patience: float) -> None:
    """Make the database ready to serve. Several processes may do so at once.

    A server that was just started answers before its tables can be used: those are waited for
    `patience` seconds, an index that is being built for as long as it takes. Raises
    `StoreUnavailable`.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    if await _missing(connection, address.database):
        async with _setup_lock(connection, address.database):
            for name, create in await _missing(connection, address.database):
                await connection.run(create)
                _log.info("made %s in RethinkDB at %s", name, address)
    while True:
        try:
            await connection.run(r.expr([r.table(name).get("").eq(None) for name in _TABLES]))
            break
        except StoreUnavailable:
            if loop.time() > deadline:
                raise
        await asyncio.sleep(_POLL)
    await make_index(connection)


async def _missing(connection: Connection, database: str) -> list[tuple[str, Any]]:
    """What is not there of the database and its tables: names, and terms that make them."""
    if database in await connection.run(r.db_list()):
        there = await connection.run(r.table_list())
        return [(name, r.table_create(name)) for name in _TABLES if name not in there]
    tables = [(name, r.table_create(name)) for name in _TABLES]
    return [(database, r.db_create(database)), *tables]


@contextlib.asynccontextmanager
async def _setup_lock(connection: Connection, database: str) -> AsyncIterator[None]:
    """Keep other processes from making tables at the same time.

    RethinkDB makes two tables of one name where two clients ask at once, and neither can be used
    then (rethinkdb/rethinkdb issue 4898). Of two databases of one name a server makes only one: so
    a database is the lock.
    """
    name = f"{database[:100]}_setup_lock"
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _LOCK_PATIENCE
    while True:
        try:
            await connection.run(r.db_create(name))
            break
        except StoreUnavailable as error:
            if isinstance(error.__cause__, ReqlPermissionError):
                break  # one who may not make databases goes without
            if not isinstance(error.__cause__, ReqlOpFailedError):
                raise
            if loop.time() > deadline:
                _log.warning("took over the lock %s, left behind by another process", name)
                break
        await asyncio.sleep(_POLL)
    try:
        yield
    finally:
        with contextlib.suppress(StoreUnavailable):
            await connection.run(r.db_drop(name))


async def make_index(connection: Connection) -> None:
    """Make the index `STANDING` where it is missing, and wait until it can be used."""
    players = r.table(PLAYERS)
    if STANDING not in await connection.run(players.index_list()):
        try:
            await connection.run(players.index_create(STANDING, standing_key))
            _log.info("made the index %s of the table %s", STANDING, PLAYERS)
        except StoreUnavailable:  # perhaps another process was faster
            if STANDING not in await connection.run(players.index_list()):
                raise
    loop = asyncio.get_running_loop()
    report = loop.time() + _REPORT
    while True:
        (status,) = await connection.run(players.index_status(STANDING))
        if status["ready"]:
            return
        if loop.time() >= report:
            report = loop.time() + _REPORT
            done = 100 * status.get("progress", 0)
            _log.info("index %s of the table %s: %.0f%% built", STANDING, PLAYERS, done)
        await asyncio.sleep(_POLL)


async def add_sample(connection: Connection) -> None:
    """Make the sample board if there are no boards and no players."""
    boards, players = r.table(BOARDS), r.table(PLAYERS)
    if not await connection.run(r.and_(boards.is_empty(), players.is_empty())):
        return
    board = {"id": SAMPLE_BOARD.id, "name": SAMPLE_BOARD.name}
    result = await connection.run(boards.insert(board), write=True)
    if not result["inserted"]:
        return  # another process was faster, and makes the players
    documents = [
        {"id": p.id, "board": SAMPLE_BOARD.id, "name": p.name, "score": p.score}
        for p in SAMPLE_PLAYERS
    ]
    await connection.run(players.insert(documents), write=True)
