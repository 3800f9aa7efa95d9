"""The audit trail in the table ``audit_trail``.

RethinkDB changes one document in one step, so that an entry can't be written with the change that
it is about. It is written before that, without what was changed (``done`` is null), and completed
after it. Whoever dies in between leaves an entry that says who was about to change what, and no
change is without an entry.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from tornado_board.models import Board, Player, new_id
from tornado_board.store import OutcomeUnknown, StoreError, StoreUnavailable
from tornado_board.store.audit import Audited, AuditEntry, State, state_of
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.deletion import Run
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

TRAIL = "audit_trail"

#: [board, id]
OF_BOARD = "of_board"

#: Entries that one query deletes, and after how many new ones of this process, or which part of
#: those that are kept, it is looked whether there are too many.
_PRUNED, _PRUNE_AFTER, _PRUNE_PART = 1_000, 100, 100


class Record:
    """What becomes of one audited write."""

    def __init__(self, board_id: str | None, player_id: str | None) -> None:
        self.board_id = board_id
        self.player_id = player_id
        self.changed = False
        self.before: State | None = None
        self.after: State | None = None

    def change(self, before: Board | Player | None, after: Board | Player | None) -> None:
        """It was changed from `before` to `after`, if they differ."""
        self.changed = before != after
        self.before, self.after = state_of(before), state_of(after)


class Trail:
    """The newest entries, about `most`. With 0 nothing is recorded, and there is no table.

    Args:
        run: runs a query.
        most: how many entries are kept.
    """

    def __init__(self, run: Run, most: int) -> None:
        self._run = run
        self.most = most
        self._since_pruned = 0
        self._tasks = Tasks()
        if most:
            self._tasks.start(self._prune())

    async def close(self) -> None:
        await self._tasks.cancel()

    @contextlib.asynccontextmanager
    async def recording(
        self, audited: Audited | None, board_id: str | None, player_id: str | None = None
    ) -> AsyncIterator[Record]:
        """Record what the context does. Raises `StoreUnavailable` where that can't be begun, before
        anything is changed."""
        record = Record(board_id, player_id)
        if audited is None or not self.most:
            yield record
            return
        key = await self._begin(audited, record)
        try:
            yield record
        except OutcomeUnknown:
            raise  # and so is the entry's
        except StoreError:
            await self._end(_drop(key=key))
            raise
        if record.changed:
            fields = {
                **{"board": record.board_id, "player": record.player_id, "done": True},
                **{"before": record.before, "after": record.after},
            }
            await self._end(_complete(key=key, fields=fields))
        else:
            await self._end(_drop(key=key))

    async def _begin(self, audited: Audited, record: Record) -> str:
        now = int(time.time() * 1000)
        key = f"{now:014}-{new_id()}"
        who = (audited.by, audited.method, audited.resource)
        entry = AuditEntry(key, now, *who, record.board_id, record.player_id, done=None)
        try:
            result = await self._run(_insert(entry=msgspec.to_builtins(entry)), write=True)
        except OutcomeUnknown as error:
            raise StoreUnavailable(f"{error}; nothing was changed but the audit trail") from error
        if result["errors"]:
            raise StoreUnavailable(f"RethinkDB did not write: {result['first_error']}")
        self._since_pruned += 1
        if self._since_pruned >= max(_PRUNE_AFTER, self.most // _PRUNE_PART):
            self._since_pruned = 0
            self._tasks.start(self._prune())
        return key

    async def _end(self, query: Any) -> None:
        """Complete an entry, or take it away. Where that fails the entry says that it is not known
        what was done."""
        try:
            await self._run(query, write=True)
        except StoreError as error:
            logger.warning("an entry of the audit trail was not completed: %s", error)

    async def _prune(self) -> None:
        """Delete the oldest entries beyond those that are kept."""
        try:
            while (await self._run(_prune(keep=self.most), write=True))["deleted"] == _PRUNED:
                pass
        except StoreError as error:
            logger.debug("the audit trail was not pruned: %s", error)

    async def entries(self, board_id: str | None, after: str, limit: int) -> list[AuditEntry]:
        """See `Store.audit`."""
        if not self.most:
            return []
        if board_id is None:
            found = await self._run(_read(before=after or "~", limit=limit))
        else:
            found = await self._run(_read_board(board=board_id, before=after or "~", limit=limit))
        return [entry for document in found if (entry := _entry_of(document)) is not None]


def _entry_of(document: Any) -> AuditEntry | None:
    """The entry that `document` holds, if any: others may have written to the table."""
    try:
        return msgspec.convert(document, AuditEntry)
    except msgspec.ValidationError:
        return None


def index_key(document: Any) -> list[Any]:
    """The key of the index `OF_BOARD`, in ReQL."""
    return [document["board"], document["id"]]


_insert = prepared(lambda p: r.table(TRAIL).insert(p["entry"]))
_complete = prepared(lambda p: r.table(TRAIL).get(p["key"]).update(p["fields"]))
_drop = prepared(lambda p: r.table(TRAIL).get(p["key"]).delete())

#: Delete some of the oldest entries but the newest `keep`.
_prune = prepared(
    lambda p: (
        r.table(TRAIL)
        .between(r.minval, r.maxval, index="id")
        .order_by(index=r.desc("id"))
        .skip(p["keep"])
        .limit(_PRUNED)
        .delete()
    )
)

#: At most `limit` entries before the id `before`, the newest first.
_read = prepared(
    lambda p: (
        r.table(TRAIL)
        .between("", p["before"], index="id")
        .order_by(index=r.desc("id"))
        .limit(p["limit"])
        .coerce_to("array")
    )
)

#: The same of one board.
_read_board = prepared(
    lambda p: (
        r.table(TRAIL)
        .between([p["board"], ""], [p["board"], p["before"]], index=OF_BOARD)
        .order_by(index=r.desc(OF_BOARD))
        .limit(p["limit"])
        .coerce_to("array")
    )
)
