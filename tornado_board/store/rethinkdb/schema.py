"""Makes what is missing: the database, its tables, the index, and on an empty one a sample."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from rethinkdb.errors import ReqlRuntimeError

from tornado_board.store import SAMPLE_BOARD, SAMPLE_PLAYERS, StoreUnavailable
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import BOARDS, PLAYERS, STANDING, standing_key

_log = logging.getLogger(__name__)

#: Seconds between two looks at what is being waited for.
_POLL = 0.1

#: Seconds between two lines in the log about an index that is being built.
_REPORT = 10.0


async def prepare(connection: Connection, address: Address, patience: float) -> None:
    """Make the database ready to serve. Several processes may do so at once.

    A server that was just started answers before its tables can be used: those are waited for
    `patience` seconds, an index that is being built for as long as it takes. Raises
    `StoreUnavailable`.
    """
    deadline = asyncio.get_running_loop().time() + patience
    await _make(connection, r.db_list(), r.db_create(address.database), address.database)
    for table in (BOARDS, PLAYERS):
        await _make(connection, r.table_list(), r.table_create(table), table)
    while True:
        try:
            await connection.run(r.expr([r.table(t).get("").eq(None) for t in (BOARDS, PLAYERS)]))
            break
        except StoreUnavailable:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(_POLL)
    await make_index(connection)


async def make_index(connection: Connection) -> None:
    """Make the index `STANDING` where it is missing, and wait until it can be used."""
    players = r.table(PLAYERS)
    await _make(
        connection, players.index_list(), players.index_create(STANDING, standing_key), STANDING
    )
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


async def _make(connection: Connection, names: Any, create: Any, name: str) -> None:
    """Run `create` unless `names` has `name`; another process may be faster."""
    if name in await connection.run(names):
        return
    try:
        await connection.run(create)
        _log.info("made %s in RethinkDB", name)
    except (StoreUnavailable, ReqlRuntimeError):
        if name not in await connection.run(names):
            raise


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
