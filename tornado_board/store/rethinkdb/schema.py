"""Makes what is missing: the database, its tables, the index, and on an empty one a sample."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from rethinkdb.errors import ReqlOpFailedError, ReqlPermissionError

from tornado_board.store import (
    OutcomeUnknown,
    StoreUnavailable,
)
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.audit import OF_BOARD, TRAIL, index_key
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import (
    BOARDS,
    PLAYERS,
    document_of,
    new_board,
)
from tornado_board.store.rethinkdb.standing import (
    EARLIER_STANDINGS,
    ENDING,
    STANDING,
    ending_key,
    standing_key,
)
from tornado_board.store.sample import SAMPLE_BOARD, SAMPLE_PLAYERS

logger = logging.getLogger(__name__)

#: Seconds between two looks at what is being waited for.
_POLL = 0.1

#: Seconds between two lines in the log about an index that is being built.
_REPORT = 10.0

#: Seconds after which a lock is taken to be left behind.
_LOCK_PATIENCE = 30.0

_TABLES = (BOARDS, PLAYERS)


async def prepare(
    connection: Connection, database: str, deadline: float, *, audit: bool = False
) -> None:
    """Make `database` ready to serve. Several processes may do so at once. `audit`: with the
    table of the audit trail.

    A server that was just started answers before its tables can be used, and so does one in whose
    cluster an election is held: whatever fails is tried again until `deadline`, a time of the
    event loop, but for what the account may not do. An index that is being built is waited for as
    long as it takes. Raises `StoreUnavailable`.
    """
    complained = is_empty = False
    while True:
        try:
            await _make_missing(connection, database, (*_TABLES, TRAIL) if audit else _TABLES)
            await connection.run(queries.heartbeat())
            await make_index(connection)
            await make_index(connection, BOARDS, ENDING, ending_key)
            if audit:
                await make_index(connection, TRAIL, OF_BOARD, index_key)
            # What was found empty once is filled, though an attempt stopped half-way.
            is_empty = is_empty or await _is_empty(connection)
            if is_empty:
                await _add_sample(connection)
            return
        except (StoreUnavailable, OutcomeUnknown) as error:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or isinstance(error.__cause__, ReqlPermissionError):
                raise StoreUnavailable(str(error)) from error
            if not complained:
                complained = True
                logger.warning("%s; waiting up to %.0f s for the tables", error, left)
        await asyncio.sleep(_POLL)


async def _make_missing(connection: Connection, database: str, tables: Sequence[str]) -> None:
    if await _missing(connection, database, tables):
        async with _setup_lock(connection, database):
            for name, create in await _missing(connection, database, tables):
                await connection.run(create)
                logger.info("made %s in RethinkDB at %s", name, connection.address)


async def _missing(
    connection: Connection, database: str, tables: Sequence[str]
) -> list[tuple[str, Any]]:
    """What is not there of the database and its `tables`: names, and terms that make them."""
    if database in await connection.run(r.db_list()):
        there = await connection.run(r.table_list())
        return [(name, r.table_create(name)) for name in tables if name not in there]
    missing = [(name, r.table_create(name)) for name in tables]
    return [(database, r.db_create(database)), *missing]


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
                logger.warning("took over the lock %s, left behind by another process", name)
                break
        await asyncio.sleep(_POLL)
    try:
        yield
    finally:
        with contextlib.suppress(StoreUnavailable):
            await connection.run(r.db_drop(name))


async def make_index(
    connection: Connection,
    name: str = PLAYERS,
    index: str = STANDING,
    key: Callable[[Any], Any] = standing_key,
) -> None:
    """Make the index of the table `name` where it is missing, and wait until it can be used."""
    table = r.table(name)
    indexes = await connection.run(table.index_list())
    if index not in indexes:
        for earlier in EARLIER_STANDINGS if index == STANDING else ():
            if earlier in indexes:
                logger.info(
                    "the index %s of the table %s is of an earlier version; drop it when no "
                    "process of that version runs any more",
                    *(earlier, name),
                )
        try:
            await connection.run(table.index_create(index, key))
            logger.info("made the index %s of the table %s", index, name)
        except StoreUnavailable:  # perhaps another process was faster
            if index not in await connection.run(table.index_list()):
                raise
    loop = asyncio.get_running_loop()
    report = loop.time() + _REPORT
    while True:
        (status,) = await connection.run(table.index_status(index))
        if status["ready"]:
            return
        if loop.time() >= report:
            report = loop.time() + _REPORT
            done = 100 * status.get("progress", 0)
            logger.info("index %s of the table %s: %.0f%% built", index, name, done)
        await asyncio.sleep(_POLL)


class Repair:
    """Makes the index `STANDING` again, in the background, where somebody drops it meanwhile."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """It is missing."""
        if self._task is None or self._task.done():
            logger.warning("RethinkDB has no index %s any more; making it again", STANDING)
            self._task = asyncio.create_task(self._make())

    async def close(self) -> None:
        """Break off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _make(self) -> None:
        try:
            await make_index(self._connection)
        except (StoreUnavailable, OutcomeUnknown) as error:
            logger.warning("the index %s was not made: %s", STANDING, error)


async def _is_empty(connection: Connection) -> bool:
    boards, players = r.table(BOARDS), r.table(PLAYERS)
    return bool(await connection.run(r.and_(boards.is_empty(), players.is_empty())))


async def _add_sample(connection: Connection) -> None:
    """Make the sample board. What another process, or an earlier attempt, has made of it stays."""
    board = SAMPLE_BOARD.board()
    document = new_board(board, SAMPLE_BOARD)
    await connection.run(r.table(BOARDS).insert(document), write=True)
    players = [new.player() for new in SAMPLE_PLAYERS]
    documents = [document_of(board.id, player, player.id) for player in players]
    await connection.run(r.table(PLAYERS).insert(documents), write=True)
