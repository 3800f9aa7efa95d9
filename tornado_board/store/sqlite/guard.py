"""By what the store knows that a file is as it left it."""

from __future__ import annotations

import re
import secrets
import sqlite3
from pathlib import Path

from tornado_board.sqlite.files import claim, transaction
from tornado_board.store.sample import SAMPLE_BOARD, SAMPLE_PLAYERS
from tornado_board.store.sqlite import writes
from tornado_board.store.sqlite.migrations import migrate
from tornado_board.store.sqlite.schema import EPOCH
from tornado_board.store.sqlite.triggers import set_triggers

_IDENTITY = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


class EpochGuard:
    """A random number in the file that is another after each of this process's commits.

    A backup that was taken before has an earlier number, whatever its counter of changes says, and
    whatever was done to it since; another file has none, or its own. A backup that was taken since
    has nothing less than what the feed has told. The number is a row of ``sqlite_sequence``, a page
    that each change writes anyway, so that it costs no page of its own.

    It is a `Guard` of `sqlite.writer`: all methods run in the writer's thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._epoch: int | None = None
        self._next = 0
        #: The store's identity, once the file was prepared.
        self.identity = ""

    def prepare(self, c: sqlite3.Connection) -> None:
        """Migrate the file, and give it what a store needs: an identity, a board to show."""
        claim(c)
        migrate(c, self._path)
        with transaction(c):
            set_triggers(c)
            identity = _identity(c)
            if c.execute("SELECT 1 FROM boards LIMIT 1").fetchone() is None:
                _add_sample(c)
            self.renew(c)
        self.keep()
        # One that is given back stays the same for as long as the process runs: logs go by it.
        self.identity = self.identity or identity

    def holds(self, c: sqlite3.Connection) -> bool:
        try:
            row = c.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (EPOCH,)).fetchone()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_ERROR:
                return False  # there is no such table: it is another file's content
            raise
        return row is not None and row[0] == self._epoch

    def renew(self, c: sqlite3.Connection) -> None:
        self._next = secrets.randbits(62)
        values = (self._next, EPOCH)
        if c.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = ?", values).rowcount == 0:
            c.execute("INSERT INTO sqlite_sequence (seq, name) VALUES (?, ?)", values)

    def keep(self) -> None:
        self._epoch = self._next


def _identity(c: sqlite3.Connection) -> str:
    """The identity in the file; made where there is none, or none that can be one."""
    row = c.execute("SELECT identity FROM store_identity").fetchone()
    if row is not None and isinstance(row[0], str) and _IDENTITY.fullmatch(row[0]):
        return row[0]
    identity = secrets.token_hex(16)
    c.execute("INSERT OR REPLACE INTO store_identity (one, identity) VALUES (1, ?)", (identity,))
    return identity


def _add_sample(c: sqlite3.Connection) -> None:
    board = SAMPLE_BOARD.board()
    writes.insert_board(c, board, SAMPLE_BOARD)
    for player in SAMPLE_PLAYERS:
        writes.insert_player(c, board, player.player())
