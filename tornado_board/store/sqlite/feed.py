"""The feed of the table ``changes``."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from typing import NamedTuple

from tornado_board.models import BoardChanged, Change, Number, Player, PlayerChanged, is_id
from tornado_board.sqlite import Database, DatabaseUnavailable
from tornado_board.store import FeedLost
from tornado_board.store.sqlite import rows
from tornado_board.store.sqlite.schema import DELETED, MADE, version
from tornado_board.store.sqlite.written import Run, Written
from tornado_board.tasks import Tasks

#: Changes that the feed tells of at once, and rows that one write deletes.
_FEED_BATCH = 1_000

#: Rows that the feed reads at once; where there are more, it is cheaper to read the boards again.
MOST_CHANGES = 100_000

#: Rows that were taken and not yet deleted from the table, at the most, and that one transaction of
#: this process deletes beside what it writes.
_TAKEN_CHANGES = 5_000
_FORGOTTEN_AT_ONCE = 20_000

#: More than any number.
_NEVER = 2**63

_CHANGES = "SELECT seq, board, player, before FROM changes WHERE seq > ? AND seq <= ? ORDER BY seq"


class SQLiteFeed:
    """The `Feed` of what is noted in the table. It is a `Tail` of `sqlite.writer`."""

    def __init__(
        self, database: Database, written: Written, on_deletion: Callable[[], None]
    ) -> None:
        """`on_deletion` is called when a board was deleted, by whomever."""
        self._database = database
        self._written = written
        self._on_deletion = on_deletion
        # In the writer's thread: up to which number what was read was told, and was read; and from
        # which on it is this feed's.
        self._seen = self._next = 0
        self._begun = _NEVER
        #: Up to which number a write of this process has deleted them.
        self._forgotten = 0
        # On the event loop.
        self._waiting: deque[Change] = deque()  # what was read and not told yet
        self._taken = 0
        self._tasks = Tasks()
        self._forgetting: asyncio.Task[None] | None = None
        self._lost: str | None = None
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Hold every change from now on. Raises `DatabaseUnavailable`."""
        await self._database.follow(self)
        # What an earlier process left, or an earlier feed: it is nobody's any more.
        self._forgetting = self._tasks.start(self._forget(self._begun))

    # In the writer's thread

    def begin(self, c: sqlite3.Connection) -> None:
        self._begun = self._seen = self._next = self._forgotten = version(c)

    def start(self) -> None:
        self._written.clear()

    def read(self, c: sqlite3.Connection, *, writes: bool) -> Found | None:
        try:
            newest = version(c)
            if newest == self._seen:
                return None
            found = _changes(c, self._seen, newest, self._written)
        except Exception as error:  # whatever it is, it must not stop the writer
            found = Found(self._seen, lost=f"the changes can't be read: {error}")
        self._next = found.newest
        if writes and found.lost is None:
            # Here, since it costs no transaction of its own.
            self._forgotten = min(found.newest, self._forgotten + _FORGOTTEN_AT_ONCE)
            c.execute("DELETE FROM changes WHERE seq <= ?", (self._forgotten,))
            found = found._replace(rows=found.newest - self._forgotten)
        return found

    def keep(self) -> None:
        self._seen = self._next

    # On the event loop

    def take(self, found: Found) -> None:
        """Take in what was read, if it is new to this feed: an earlier one may have read it."""
        if self._lost is not None:
            return
        if found.lost is not None:
            self.lose(found.lost)
            return
        if found.newest <= self._begun:
            return
        if len(self._waiting) + len(found.changes) > MOST_CHANGES:
            self.lose("changes come faster than they are told of")
            return
        self._waiting.extend(found.changes)
        if found.deletes:
            self._on_deletion()
        self._taken += found.rows
        if self._taken >= _TAKEN_CHANGES and (self._forgetting is None or self._forgetting.done()):
            self._taken = 0
            self._forgetting = self._tasks.start(self._forget(found.newest))
        self._wake.set()

    def lose(self, reason: str) -> None:
        """What the feed has told need no longer be so."""
        self._lost = self._lost or reason
        self._waiting.clear()
        self._wake.set()

    async def next(self) -> Sequence[Change]:
        while not self._waiting:
            if self._lost is not None:
                raise FeedLost(self._lost)
            self._wake.clear()
            await self._wake.wait()
        if len(self._waiting) <= _FEED_BATCH:
            told = list(self._waiting)
            self._waiting.clear()
            return told
        return [self._waiting.popleft() for _ in range(_FEED_BATCH)]

    async def close(self) -> None:
        self.lose("the feed was closed")
        await self._tasks.cancel()

    async def _forget(self, seen: int) -> None:
        """Delete the rows up to the number `seen`, in pieces that keep no other write waiting.

        If that fails, the next call deletes the same rows.
        """
        deleted = _FEED_BATCH
        try:
            while deleted == _FEED_BATCH:
                deleted = await self._database.write(partial(_forget, seen=seen), quiet=True)
        except DatabaseUnavailable:
            return


def _forget(c: sqlite3.Connection, seen: int) -> int:
    return c.execute(
        "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE seq <= ? LIMIT ?)",
        (seen, _FEED_BATCH),
    ).rowcount


class Found(NamedTuple):
    """What was read after a number: up to which, how many rows are to be deleted, and the changes;
    or why the feed can't go on."""

    newest: int
    rows: int = 0
    changes: Sequence[Change] = ()
    #: Whether a board was deleted.
    deletes: bool = False
    lost: str | None = None


def _changes(c: sqlite3.Connection, seen: int, newest: int, written: Written) -> Found:
    """What became of each board and player of whom there is a row after `seen` and up to `newest`,
    the last one, in the order of their last rows."""
    if newest < seen:
        return Found(newest, lost="the file's content went back in time")
    if newest - seen > MOST_CHANGES:
        return Found(newest, lost=f"more than {MOST_CHANGES} changes were made at once")
    count = 0
    deleted: list[Change] = []
    boards: dict[str, int] = {}
    players: dict[str, dict[str, _Row]] = {}
    for row in _rows(c, seen, newest, written):
        if isinstance(row, Run):
            count += row.to - row.after
            _add_run(players.setdefault(row.board_id, {}), row)
            continue
        count += 1
        seq, board_id, player_id, before = row
        if not isinstance(board_id, str) or not isinstance(player_id, str) or not is_id(board_id):
            continue  # nobody can ask for such a board
        if player_id == "":
            if before == DELETED:
                deleted.append(BoardChanged(board_id, None, seq))
            if before in (DELETED, MADE):
                # Its players went with it; and what there was before a board was none's.
                players.pop(board_id, None)
            boards[board_id] = seq
        else:
            of_board = players.setdefault(board_id, {})
            earlier = of_board.get(player_id)
            before = rows.number_of(before) if earlier is None else earlier[1]
            of_board[player_id] = (seq, before, None)
    if count != newest - seen:
        return Found(newest, lost="changes were deleted before they were read")
    changes = deleted
    told = {(change.board_id, change.version) for change in deleted}
    for board_id, seq in boards.items():
        board = rows.find_board(c, board_id)
        if (board_id, seq) not in told or board is not None:
            changes.append(BoardChanged(board_id, board, seq))
    deletes = any(isinstance(change, BoardChanged) and not change.board for change in changes)
    for board_id, of_board in players.items():
        if rows.find_board(c, board_id) is None:
            continue  # of no board
        unknown = [id for id, (_, _, player) in of_board.items() if player is None and is_id(id)]
        now = {player.id: player for player in rows.players(c, board_id, unknown)}
        for player_id, (seq, before, known) in of_board.items():
            if known is None and not is_id(player_id):
                continue
            player = known or now.get(player_id)
            if player is not None and player.hidden:
                player = None
            changes.append(PlayerChanged(board_id, player_id, player, seq, before))
    changes.sort(key=attrgetter("version"))
    return Found(newest, count, changes, deletes)


#: Of a player: the number of its last row, the score before the first, and the player if it is
#: known.
_Row = tuple[int, Number | None, Player | None]


def _rows(
    c: sqlite3.Connection, seen: int, newest: int, written: Written
) -> Iterator[Run | tuple[int, object, object, object]]:
    """The rows after `seen` and up to `newest`, in order, those of a run as one."""
    for run in written.runs:
        yield from c.execute(_CHANGES, (seen, run.after))
        yield run
        seen = run.to
    yield from c.execute(_CHANGES, (seen, newest))


def _add_run(players: dict[str, _Row], run: Run) -> None:
    """Note the rows of `run` in `players`, which has the earlier ones."""
    number, there = run.after, run.before
    for player_id, player in run.players.items():
        number += 1
        earlier = players.get(player_id) if players else None
        if earlier is not None:
            before = earlier[1]
        else:
            was = there.get(player_id)
            before = None if was is None or was.hidden else was.score
        players[player_id] = (number, before, player)
