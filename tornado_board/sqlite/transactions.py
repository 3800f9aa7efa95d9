"""How reads begin and end their transactions."""

from __future__ import annotations

import contextlib
import sqlite3


def begin_read(connection: sqlite3.Connection) -> None:
    """Begin to read the file as it is now. Nothing is left of a read before that could not be
    ended. Raises `sqlite3.Error`."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
    connection.execute("BEGIN")


def end_read(connection: sqlite3.Connection) -> None:
    """End what was begun, if it can be ended. Never raises."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
