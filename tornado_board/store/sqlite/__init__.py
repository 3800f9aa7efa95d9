"""Boards and players in an SQLite file: the embedded default.

Triggers note in the table ``changes`` which boards and players changed, whoever changed them, so
that ``sqlite3 tornado_board.sqlite3 "update players set score = 99 where ..."`` reaches the
subscribers like any other change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Hashable,
    Sequence,
)
from functools import partial
from typing import ParamSpec, TypeVar

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Board, Number, Player, Ranking
from tornado_board.settings import Settings
from tornado_board.sqlite import Database, DatabaseUnavailable, OutcomeUncertain
from tornado_board.sqlite.files import shown_path
from tornado_board.store import (
    AlreadyExists,
    NotFound,
    Once,
    OutcomeUnknown,
    Place,
    Scores,
    StoreError,
    StoreUnavailable,
    Submitted,
    scoring,
)
from tornado_board.store.audit import Audited, AuditEntry
from tornado_board.store.sqlite import audit, outcomes, pages, rows, schema, submissions, writes
from tornado_board.store.sqlite.audit import Trail
from tornado_board.store.sqlite.bulk import Bulk
from tornado_board.store.sqlite.everyone import everyone
from tornado_board.store.sqlite.feed import Found, SQLiteFeed
from tornado_board.store.sqlite.guard import EpochGuard
from tornado_board.store.sqlite.sweep import Sweeper
from tornado_board.store.sqlite.written import Written
from tornado_board.tasks import Tasks

T = TypeVar("T")
P = ParamSpec("P")


class SQLiteStore:
    """The `Store` in an SQLite file."""

    shared = False

    def __init__(self, database: Database, waiting_writes: int, audited: int) -> None:
        """`audited` is how many entries of the audit trail are kept."""
        self._database = database
        self._waiting_writes = waiting_writes
        self._trail = Trail(audited)
        self._guard = EpochGuard(database.path)
        self._feed: SQLiteFeed | None = None
        self._sweeper = Sweeper(database)
        self._written = Written()
        self._bulk = Bulk(self._write_slice)
        self._submit = partial(submissions.submit_slices, written=self._written, trail=self._trail)
        self._add = partial(submissions.add, written=self._written, trail=self._trail)
        self._tasks = Tasks()
        self._closed = False
        self.description = f"SQLite, {shown_path(database.path)}"

    @classmethod
    async def open(cls, url: str, settings: Settings) -> SQLiteStore:
        """Open the file that `url` names, made with its tables and sample board where missing.

        Raises `ValueError` for a URL that names no file, and `StoreUnavailable`.
        """
        try:
            database = Database.open(url)
        except DatabaseUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        store = cls(database, settings.waiting_writes, settings.audit)
        try:
            await database.watch(store._guard, store._changed)
        except DatabaseUnavailable as error:
            await store.close()
            raise StoreUnavailable(f"{database.path}: {error}") from error
        except BaseException:
            await store.close()
            raise
        store._tasks.start(store._sweeper.run())
        store._sweeper.wake()
        return store

    @property
    def identity(self) -> str:
        """Made with the file, and kept in it."""
        return self._guard.identity

    @property
    def waiting(self) -> int:
        return self._database.waiting_writes

    async def ping(self) -> None:
        if (problem := self._database.problem) is not None:
            raise StoreUnavailable(problem)
        await self._read(lambda c: c.execute("SELECT 1 FROM boards LIMIT 1").fetchone(), own=True)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._tasks.cancel()
            if self._feed is not None:
                await self._feed.close()
            await self._database.close()

    # Boards

    async def list_boards(self, limit: int, after: str = "") -> list[Board]:
        def work(c: sqlite3.Connection) -> list[Board]:
            found = c.execute(
                f"SELECT {rows.BOARD_COLUMNS} FROM boards b WHERE b.id > ?"
                f" AND {schema.is_id('b.id')} ORDER BY b.id LIMIT ?",
                (after, limit),
            )
            return [board for row in found if (board := rows.board_of(row)) is not None]

        return await self._read(work)

    async def create_board(
        self, new: NewBoard, once: Once | None = None, *, audited: Audited | None = None
    ) -> Board:
        board = new.board()

        def work(c: sqlite3.Connection) -> Board:
            writes.check_board(board)
            if not writes.insert_board(c, board, new):
                raise AlreadyExists(f"there is a board {board.id!r} already")
            self._trail.note(c, audited, board.id, None, None, board)
            return board

        return await self._write(work, once, outcomes.BOARD)

    async def get_board(self, board_id: str) -> Board:
        return await self._read(lambda c: rows.board(c, board_id), share=board_id)

    async def delete_board(self, board_id: str, *, audited: Audited | None = None) -> None:
        def work(c: sqlite3.Connection) -> None:
            if audited is not None:
                self._trail.note(c, audited, board_id, None, rows.board(c, board_id), None)
            if c.execute("DELETE FROM boards WHERE id = ?", (board_id,)).rowcount == 0:
                raise NotFound(f"there is no board {board_id!r}")

        await self._write(work)
        self._sweeper.wake()

    async def update_board(
        self,
        board_id: str,
        patch: BoardPatch,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Board:
        def work(c: sqlite3.Connection) -> Board:
            before = None if audited is None else rows.board(c, board_id)
            board = writes.patch_board(c, board_id, patch)
            self._trail.note(c, audited, board_id, None, before, board)
            return board

        return await self._write(work, once, outcomes.BOARD)

    async def ranking(self, board_id: str, limit: int) -> Ranking:
        def work(c: sqlite3.Connection) -> Ranking:
            board = rows.board(c, board_id)
            return Ranking(
                board, pages.players_after(c, board, None, board.depth(limit)), schema.version(c)
            )

        return await self._read(work, share=board_id)

    # Players

    async def create_player(
        self,
        board_id: str,
        new: NewPlayer,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Player:
        def work(c: sqlite3.Connection) -> Player:
            board = rows.board(c, board_id)
            player = new.player(board.ordering.reached_at(writes.now()))
            scoring.check_bounds(board, player.score)
            scoring.check_meta(player)
            if not writes.insert_player(c, board, player):
                raise AlreadyExists(f"board {board_id!r} has a player {player.id!r} already")
            self._trail.note(c, audited, board_id, player.id, None, player)
            return player

        return await self._write(work, once, outcomes.PLAYER)

    async def get_player(self, board_id: str, player_id: str, *, hidden: bool = False) -> Player:
        def work(c: sqlite3.Connection) -> Player:
            player = rows.player(c, board_id, player_id)
            if player.hidden and not hidden:
                raise rows.no_player(board_id, player_id)
            return player

        return await self._read(work, share=board_id)

    async def update_player(
        self,
        board_id: str,
        player_id: str,
        patch: PlayerPatch,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Submitted:
        def work(c: sqlite3.Connection) -> Submitted:
            before = None if audited is None else rows.player(c, board_id, player_id)
            done = writes.patch_player(c, board_id, player_id, patch)
            self._trail.note(c, audited, board_id, player_id, before, done.player)
            return done

        return await self._write(work, once, outcomes.SUBMITTED)

    async def delete_player(
        self, board_id: str, player_id: str, *, audited: Audited | None = None
    ) -> Player:
        def work(c: sqlite3.Connection) -> Player:
            player = writes.delete_player(c, board_id, player_id)
            self._trail.note(c, audited, board_id, player_id, player, None)
            return player

        return await self._write(work)

    async def add_score(
        self,
        board_id: str,
        player_id: str,
        amount: Number,
        *,
        create: bool = False,
        once: Once | None = None,
        audited: Audited | None = None,
    ) -> Submitted:
        addition = submissions.Addition(board_id, player_id, amount, create, once, audited)
        return await self._settled(self._database.write_one_of, self._add, addition)

    async def submit(
        self,
        board_id: str,
        submissions: Sequence[Submission],
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> list[Submitted | StoreError]:
        return await self._bulk.submit(board_id, submissions, once, audited)

    async def audit(self, board_id: str | None, after: str, limit: int) -> Sequence[AuditEntry]:
        return await self._read(
            lambda c: audit.entries(c, board_id, after, limit), share=board_id or ""
        )

    # Pages

    async def players_after(
        self,
        board_id: str,
        place: Place | None,
        limit: int,
        *,
        backwards: bool = False,
        until: Number | None = None,
    ) -> Sequence[Player]:
        def work(c: sqlite3.Connection) -> Sequence[Player]:
            return pages.players_after(c, rows.board(c, board_id), place, limit, backwards)

        return await self._read(work, share=board_id)

    async def players_by_id(self, board_id: str, ids: Sequence[str]) -> Sequence[Player]:
        def work(c: sqlite3.Connection) -> Sequence[Player]:
            rows.board(c, board_id)
            return [one for one in rows.players(c, board_id, set(ids)) if not one.hidden]

        return await self._read(work, share=board_id)

    async def hidden_players(self, board_id: str, after: str, limit: int) -> Sequence[Player]:
        def work(c: sqlite3.Connection) -> Sequence[Player]:
            return pages.hidden_players(c, rows.board(c, board_id).id, after, limit)

        return await self._read(work, share=board_id)

    async def player_at(self, board_id: str, rank: int) -> Player | None:
        return await self._slow_read(
            board_id, lambda c: pages.player_at(c, rows.board(c, board_id), rank), ("at", rank)
        )

    def everyone(self, board_id: str) -> AsyncGenerator[Sequence[Player], None]:
        return everyone(self._database, board_id)

    # Counts and ranks: they count players, of whom there may be a million

    async def count(self, board_id: str) -> int:
        return await self._slow_read(
            board_id, lambda c: pages.count(c, rows.board(c, board_id)), ("count", None)
        )

    async def rank(self, board_id: str, score: Number) -> int:
        return await self._slow_read(
            board_id, lambda c: pages.rank(c, rows.board(c, board_id), score), ("rank", score)
        )

    async def scores(self, board_id: str) -> AsyncIterator[Scores]:
        after: str | None = ""
        while after is not None:
            work = partial(pages.piece_of_scores, board_id=board_id, after=after)
            after, piece = await self._read(work, share=board_id)
            yield piece

    # Changes

    async def changes(self) -> SQLiteFeed:
        if self._feed is not None:
            await self._feed.close()
        feed = self._feed = SQLiteFeed(self._database, self._written, self._sweeper.wake)
        try:
            await feed.open()
        except DatabaseUnavailable as error:
            raise StoreUnavailable(str(error)) from error
        return feed

    def _changed(self, restored: bool, found: Found | None) -> None:
        if self._feed is not None:
            if restored:
                self._feed.lose("the file's content was replaced")
            elif found is not None:
                self._feed.take(found)
        if restored:
            self._sweeper.wake()

    # How the threads' failures read

    async def _read(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        own: bool = False,
        share: str = "",
        slow: bool = False,
        key: Hashable = None,
    ) -> T:
        try:
            return await self._database.read(work, own=own, share=share, slow=slow, key=key)
        except DatabaseUnavailable as error:
            raise StoreUnavailable(str(error)) from error

    async def _slow_read(
        self, board_id: str, work: Callable[[sqlite3.Connection], T], key: tuple[str, Hashable]
    ) -> T:
        return await self._read(work, share=board_id, slow=True, key=(board_id, *key))

    async def _write(
        self,
        work: Callable[[sqlite3.Connection], T],
        once: Once | None = None,
        codec: outcomes.Codec[T] | None = None,
    ) -> T:
        """Carry out `work`; with `once`, if it wasn't yet: `codec` is for its outcome."""
        if once is not None and codec is not None:
            work = partial(_once, work=work, key=once, codec=codec)
        return await self._settled(self._database.write, work)

    async def _write_slice(self, part: submissions.Slice) -> outcomes.Results:
        weight = max(len(part.submissions), 1)
        return await self._settled(self._database.write_one_of, self._submit, part, weight=weight)

    async def _settled(
        self, write: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        if self._database.waiting_writes >= self._waiting_writes:
            raise StoreUnavailable("too many writes are waiting; nothing was changed")
        try:
            return await write(*args, **kwargs)
        except OutcomeUncertain as error:
            raise OutcomeUnknown(f"{error}; the change may have been applied or not") from error
        except DatabaseUnavailable as error:
            raise StoreUnavailable(str(error)) from error


def _once(
    c: sqlite3.Connection,
    work: Callable[[sqlite3.Connection], T],
    key: Once,
    codec: outcomes.Codec[T],
) -> T:
    return outcomes.once(c, key, codec, lambda: work(c))
