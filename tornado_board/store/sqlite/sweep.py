"""Deletes the players of deleted boards, in pieces that keep no other write waiting."""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from tornado_board.backoff import Backoff
from tornado_board.sqlite import Database, DatabaseUnavailable

logger = logging.getLogger(__name__)

#: Players that one write deletes: a few milliseconds.
_PIECE = 500

#: The board that is swept. Not passed by Python, to which it may be no text.
_BOARD = "(SELECT board FROM tombstones LIMIT 1)"

#: Some of its players that wait to be swept, from one on.
_DOOMED = (
    f"SELECT id FROM players p WHERE board = {_BOARD} AND id >= ?1 AND NOT EXISTS"
    " (SELECT 1 FROM made_since m WHERE m.board = p.board AND m.player = p.id)"
    " ORDER BY id LIMIT ?2"
)

_SOME_MADE_SINCE = (
    "DELETE FROM made_since WHERE (board, player) IN (SELECT board, player FROM made_since LIMIT ?)"
)

#: Bounds, in seconds, of the waits before a sweep that failed goes on.
_AGAIN = (0.5, 30.0)


class Sweeper:
    """Sweeps what has a tombstone; what is left when the process ends, the next one sweeps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = asyncio.Event()
        #: The player up to which the first board with a tombstone is swept.
        self._after: str | bytes = ""

    def wake(self) -> None:
        """There may be something to sweep."""
        self._wake.set()

    async def run(self) -> None:
        """Sweep whenever there is something. Returns only by being cancelled."""
        backoff = Backoff(*_AGAIN)
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if await self._database.read(_is_something_left, own=True):
                    while await self._database.write(self._sweep_a_piece, quiet=True):
                        backoff.reset()
            except DatabaseUnavailable as error:
                logger.debug("a deleted board's players are still there: %s", error)
                self._wake.set()
                await asyncio.sleep(backoff.next())

    # In the writer's thread

    def _sweep_a_piece(self, c: sqlite3.Connection) -> bool:
        """Delete some rows; whether any may be left."""
        if c.execute("SELECT 1 FROM tombstones LIMIT 1").fetchone() is None:
            # These mean nothing without a tombstone, nor to the next one of the same board.
            return c.execute(_SOME_MADE_SINCE, (_PIECE,)).rowcount > 0
        doomed = c.execute(_DOOMED, (self._after, _PIECE)).fetchall()
        if doomed:
            c.execute(
                f"DELETE FROM players WHERE board = {_BOARD} AND id IN ({_DOOMED})",
                (self._after, _PIECE),
            )
            (self._after,) = doomed[-1]
        elif self._after:
            # The board may have been deleted again meanwhile, with players before this one.
            self._after = ""
        else:
            c.execute(f"DELETE FROM tombstones WHERE board = {_BOARD}")
        return True


def _is_something_left(c: sqlite3.Connection) -> bool:
    return any(
        c.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None
        for table in ("tombstones", "made_since")
    )
