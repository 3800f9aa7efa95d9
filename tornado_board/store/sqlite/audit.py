"""The audit trail in the table ``audit_trail``, written in the transaction of the change itself."""

from __future__ import annotations

import sqlite3
import time

import msgspec

from tornado_board.models import Board, Player
from tornado_board.store.audit import Audited, AuditEntry, State, state_of

#: Made with the first entry, so that a file of a server without a trail has none of it.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS audit_trail (
        n INTEGER PRIMARY KEY AUTOINCREMENT,
        board TEXT,
        entry BLOB NOT NULL
    )""",
    "CREATE INDEX IF NOT EXISTS audit_of_board ON audit_trail (board, n)",
)

_IS_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'audit_trail'"
_INSERT = "INSERT INTO audit_trail (board, entry) VALUES (?, ?) RETURNING n"
_PRUNE = "DELETE FROM audit_trail WHERE n <= ?"
_READ = "SELECT n, entry FROM audit_trail WHERE n < ?1 {} ORDER BY n DESC LIMIT ?2"
_READ_ALL, _READ_BOARD = _READ.format(""), _READ.format("AND board = ?3")

#: Digits of an id: so many that ids are ordered as texts.
_DIGITS = 16

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AuditEntry).decode


class Trail:
    """The newest entries, `most` at the most. With 0 nothing is noted."""

    def __init__(self, most: int) -> None:
        self.most = most

    def note(
        self,
        c: sqlite3.Connection,
        audited: Audited | None,
        board_id: str,
        player_id: str | None,
        before: Board | Player | None,
        after: Board | Player | None,
    ) -> None:
        """Note a change of a board or a player, unless it changed nothing. In the writer's thread,
        within the change's transaction."""
        if audited is not None and before != after:
            self._add(c, audited, board_id, player_id, state_of(before), state_of(after))

    def note_many(
        self, c: sqlite3.Connection, audited: Audited | None, board_id: str, after: State
    ) -> None:
        """Note many changes of one request by a summary."""
        if audited is not None:
            self._add(c, audited, board_id, None, None, after)

    def _add(
        self,
        c: sqlite3.Connection,
        audited: Audited,
        board_id: str,
        player_id: str | None,
        before: State | None,
        after: State | None,
    ) -> None:
        if not self.most:
            return
        for statement in _TABLES:
            c.execute(statement)
        now = time.time_ns() // 1_000_000
        who = (audited.by, audited.method, audited.resource)
        entry = AuditEntry("", now, *who, board_id, player_id, before, after)
        ((number,),) = c.execute(_INSERT, (board_id, _encode(entry))).fetchall()
        c.execute(_PRUNE, (number - self.most,))


def entries(
    c: sqlite3.Connection, board_id: str | None, after: str, limit: int
) -> list[AuditEntry]:
    """See `Store.audit`."""
    if c.execute(_IS_THERE).fetchone() is None:
        return []
    newest = int(after) if after.isdecimal() and len(after) <= _DIGITS else 10**_DIGITS
    query, values = (_READ_ALL, ()) if board_id is None else (_READ_BOARD, (board_id,))
    return [
        msgspec.structs.replace(_decode(entry), id=f"{number:0{_DIGITS}}")
        for number, entry in c.execute(query, (newest, limit, *values))
    ]
