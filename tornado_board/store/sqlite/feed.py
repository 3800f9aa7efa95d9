"""The feed of the table ``changes``."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from tornado_board.models import Board, BoardChanged, Change, Player, PlayerChanged, is_id
from tornado_board.sqlite import Database, DatabaseUnavailable
from tornado_board.store import FeedLost
from tornado_board.store.sqlite.rows import (
    BOARD_COLUMNS,
    IS_ALIVE,
    PLAYER_COLUMNS,
    board_of,
    player_of,
)
from tornado_board.tasks import Tasks

#: Changes that the feed takes at once; the rest stay in the table meanwhile.
_FEED_BATCH = 1_000

#: Changes that were taken and not yet deleted from the table, at the most.
_TAKEN_CHANGES = 5_000

_BOARD_WIDTH = len(Board.__struct_fields__)

_CHANGES = (
    f"SELECT c.seq, c.board, c.player, {BOARD_COLUMNS}, {PLAYER_COLUMNS}"
    " FROM changes c LEFT JOIN boards b ON b.id = c.board"
    f" LEFT JOIN players p ON p.board = c.board AND p.id = c.player AND {IS_ALIVE}"
    " WHERE c.seq > ? ORDER BY c.seq LIMIT ?"
)


class SQLiteFeed:
    """The `Feed` of what was noted after the number `seen`."""

    def __init__(self, database: Database, seen: int, on_deletion: Callable[[], None]) -> None:
        """`on_deletion` is called when a board was deleted, by whomever."""
        self._database = database
        self._seen = seen
        self._on_deletion = on_deletion
        self._taken = _TAKEN_CHANGES  # so that what an earlier process left goes with the first
        self._tasks = Tasks()
        self._forgetting: asyncio.Task[None] | None = None
        self._lost: str | None = None
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """There may be something new."""
        self._wake.set()

    def lose(self, reason: str) -> None:
        """What the feed has told need no longer be so."""
        self._lost = self._lost or reason
        self._wake.set()

    async def next(self) -> Sequence[Change]:
        while True:
            await self._wake.wait()
            if self._lost is not None:
                raise FeedLost(self._lost)
            self._wake.clear()
            try:
                count, newest, head, changes = await self._database.read(
                    partial(_changes, seen=self._seen), own=True
                )
            except BaseException as error:
                self._wake.set()
                if isinstance(error, DatabaseUnavailable):
                    raise FeedLost(str(error)) from error
                raise
            if head < self._seen:
                self.lose("the file's content went back in time")
                continue
            self._seen = newest
            if count == _FEED_BATCH:
                self._wake.set()
            if any(isinstance(change, BoardChanged) and not change.board for change in changes):
                self._on_deletion()
            if changes:
                self._forget_taken(count)
                return changes

    async def close(self) -> None:
        self.lose("the feed was closed")
        await self._tasks.cancel()

    def _forget_taken(self, count: int) -> None:
        self._taken += count
        if self._taken >= _TAKEN_CHANGES and (self._forgetting is None or self._forgetting.done()):
            self._taken = 0
            self._forgetting = self._tasks.start(self._forget(self._seen))

    async def _forget(self, seen: int) -> None:
        """Delete the changes up to the number `seen`, in pieces that keep no other write waiting.

        If that fails, the next call deletes the same rows.
        """
        deleted = _FEED_BATCH
        try:
            while deleted == _FEED_BATCH:
                deleted = await self._database.write(partial(_forget, seen=seen), quiet=True)
        except DatabaseUnavailable:
            return


def version(c: sqlite3.Connection) -> int:
    """The number of the newest change."""
    row = c.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    return row[0] if row else 0


def _forget(c: sqlite3.Connection, seen: int) -> int:
    return c.execute(
        "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE seq <= ? LIMIT ?)",
        (seen, _FEED_BATCH),
    ).rowcount


def _changes(c: sqlite3.Connection, seen: int) -> tuple[int, int, int, list[Change]]:
    """How many rows after `seen` were read, the number of the last of them, that of the newest
    there is, and the changes in those read."""
    changes: list[Change] = []
    count, newest = 0, seen
    for seq, board_id, player_id, *columns in c.execute(_CHANGES, (seen, _FEED_BATCH)):
        count, newest = count + 1, seq
        if not isinstance(board_id, str) or not is_id(board_id):
            continue  # nobody can ask for such a board
        if player_id == "":
            changes.append(BoardChanged(board_id, board_of(columns[:_BOARD_WIDTH]), seq))
        elif isinstance(player_id, str) and is_id(player_id):
            player: Player | None = player_of(columns[_BOARD_WIDTH:])
            changes.append(PlayerChanged(board_id, player_id, player, seq))
    return count, newest, version(c), changes
