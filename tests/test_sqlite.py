"""The threads of an SQLite file, whatever they are given to do."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable


@pytest.mark.gen_test(timeout=30)
async def test_the_writer_outlives_whatever_a_write_does(settings: Settings) -> None:
    database = Database.open(settings.database_url)

    def give_up(connection: sqlite3.Connection) -> None:
        connection.execute("ROLLBACK")
        raise MemoryError

    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(database.write(give_up), 10)
    assert await asyncio.wait_for(database.write(lambda c: 1), 10) == 1
    await database.close()
