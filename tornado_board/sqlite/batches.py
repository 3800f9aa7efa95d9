"""Writes of one transaction, and what becomes of each."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tornado_board.sqlite.files import DatabaseUnavailable

#: A future, its result, and its exception.
Outcome = tuple["asyncio.Future[Any]", Any, Exception | None]


@dataclass(slots=True)
class Write:
    """What is to be written, and who waits for it."""

    #: With an `item`, it takes a list of such, too, and returns as many results or exceptions.
    work: Callable[..., Any]
    outcome: asyncio.Future[Any]
    #: Whether it changes nothing that the tail reads.
    quiet: bool = False
    #: Whether it makes its own transactions.
    bare: bool = False
    #: How many plain writes take as long.
    weight: int = 1
    #: Those with the same work that wait one behind the other are carried out in one call.
    item: Any = None


class Apart(Exception):
    """The writes of a batch have to be carried out one by one, each in its own transaction: one of
    them can't be, and nothing was done."""


def together(batch: list[Write]) -> list[Write]:
    """`batch` with the writes that one call carries out beside each other. None of those who wait
    has been answered, so that each order is as good."""
    kinds: dict[object, list[Write]] = {}
    for write in batch:
        kinds.setdefault(_kind(write), []).append(write)
    return [write for run in kinds.values() for write in run]


def carry_out(batch: list[Write], connection: sqlite3.Connection, name: str) -> list[Outcome]:
    """What became of each of `batch`, in the transaction that has begun. Where nothing was to be
    done, that is over.

    `name` is the file's, for messages. Raises `Apart`, and `sqlite3.Error` where SQLite gave up the
    whole transaction.
    """
    runs = [list(run) for _, run in groupby(batch, _kind)]
    if len(runs) == 1:
        return _carry_out_alone(runs[0], connection, name)
    return [outcome for run in runs for outcome in _carry_out(run, connection, name)]


def code_of(error: sqlite3.Error) -> int | None:
    """SQLite's primary result code; ``None`` for an error of the module's own."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _kind(write: Write) -> object:
    """What is the same of writes that are carried out in one call."""
    return id(write) if write.item is None else write.work


def _carry_out_alone(run: list[Write], connection: sqlite3.Connection, name: str) -> list[Outcome]:
    """What became of a run that has the transaction to itself.

    It goes without a savepoint. In one, SQLite keeps the pages that it changes in a journal, and
    goes through that at the end of each statement: 1,000 of them took three times as long.
    """
    try:
        return _outcomes(run, connection)
    except Exception as error:
        if not connection.in_transaction or _concerns_all(error):
            raise
        connection.execute("ROLLBACK")
        if len(run) > 1:
            raise Apart from error
        return [_failed(run[0], error, name)]


def _carry_out(run: list[Write], connection: sqlite3.Connection, name: str) -> list[Outcome]:
    """What became of the writes of a run, one of several."""
    connection.execute("SAVEPOINT write")
    try:
        outcomes = _outcomes(run, connection)
    except Exception as error:
        if not connection.in_transaction or _concerns_all(error):
            raise  # SQLite gave up the whole transaction (a full disk, say); so must the batch
        connection.execute("ROLLBACK TO write")
        connection.execute("RELEASE write")
        if len(run) > 1:
            # It is one's fault; not the others'.
            return [outcome for write in run for outcome in _carry_out([write], connection, name)]
        return [_failed(run[0], error, name)]
    connection.execute("RELEASE write")
    return outcomes


def _outcomes(run: list[Write], connection: sqlite3.Connection) -> list[Outcome]:
    if run[0].item is None:
        return [(run[0].outcome, run[0].work(connection), None)]
    results = run[0].work(connection, [write.item for write in run])
    return [
        (write.outcome, None, result)
        if isinstance(result, Exception)
        else (write.outcome, result, None)
        for write, result in zip(run, results, strict=True)
    ]


def _failed(write: Write, error: Exception, name: str) -> Outcome:
    if isinstance(error, sqlite3.Error):
        error = DatabaseUnavailable(f"{name}: {error}")
    return write.outcome, None, error


def _concerns_all(error: Exception) -> bool:
    """Whether `error` is of the file or the disk, and not of one statement."""
    return isinstance(error, sqlite3.Error) and code_of(error) not in (
        None,
        sqlite3.SQLITE_ERROR,
        sqlite3.SQLITE_CONSTRAINT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_TOOBIG,
        sqlite3.SQLITE_RANGE,
    )
