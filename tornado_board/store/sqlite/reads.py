"""What is read of the file."""

from __future__ import annotations

import sqlite3
from collections.abc import (
    AsyncGenerator,
    Callable,
    Hashable,
    Sequence,
)
from functools import partial
from typing import TypeVar

from tornado_board.models import Board, Number, Player, Ranking
from tornado_board.sqlite import Database, DatabaseUnavailable
from tornado_board.store import (
    Place,
    Scores,
    Seasons,
    StoreUnavailable,
)
from tornado_board.store.audit import AuditEntry
from tornado_board.store.sqlite import (
    audit,
    ended,
    pages,
    rows,
    schema,
)
from tornado_board.store.sqlite.everyone import everyone

T = TypeVar("T")


class Reads:
    """The methods of a `Store` that read."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_boards(self, limit: int, after: str = "") -> list[Board]:
        def work(c: sqlite3.Connection) -> list[Board]:
            found = c.execute(
                f"SELECT {rows.BOARD_COLUMNS} FROM boards b WHERE b.id > ?"
                f" AND {schema.is_id('b.id')} ORDER BY b.id LIMIT ?",
                (after, limit),
            )
            return [board for row in found if (board := rows.board_of(row)) is not None]

        return await self._read(work)

    async def get_board(self, board_id: str, season: int | None = None) -> Board:
        return await self._read(lambda c: rows.board_in(c, board_id, season), share=board_id)

    async def ranking(self, board_id: str, limit: int, season: int | None = None) -> Ranking:
        def work(c: sqlite3.Connection) -> Ranking:
            board = rows.board_in(c, board_id, season)
            return Ranking(
                board, pages.players_after(c, board, None, board.depth(limit)), schema.version(c)
            )

        return await self._read(work, share=board_id)

    async def ending_seasons(self, limit: int) -> Sequence[Board]:
        return await self._read(lambda c: ended.ending(c, limit), own=True)

    async def seasons(self, board_id: str, before: int, limit: int) -> Seasons:
        def work(c: sqlite3.Connection) -> Seasons:
            board = rows.board(c, board_id)
            return Seasons(board, rows.past_seasons(c, board_id, before, limit))

        return await self._read(work, share=board_id)

    async def get_player(
        self, board_id: str, player_id: str, season: int | None = None, *, hidden: bool = False
    ) -> Player:
        def work(c: sqlite3.Connection) -> Player:
            return _player(c, rows.board_in(c, board_id, season), player_id, hidden=hidden)

        return await self._read(work, share=board_id)

    async def find_player(
        self, board_id: str, player_id: str, season: int | None = None
    ) -> tuple[Board, Player]:
        def work(c: sqlite3.Connection) -> tuple[Board, Player]:
            board = rows.board_in(c, board_id, season)
            return board, _player(c, board, player_id, hidden=False)

        return await self._read(work, share=board_id)

    async def audit(self, board_id: str | None, after: str, limit: int) -> Sequence[AuditEntry]:
        return await self._read(
            lambda c: audit.entries(c, board_id, after, limit), share=board_id or ""
        )

    async def players_after(
        self,
        board_id: str,
        place: Place | None,
        limit: int,
        season: int | None = None,
        *,
        backwards: bool = False,
        until: Number | None = None,
    ) -> Sequence[Player]:
        def work(c: sqlite3.Connection) -> Sequence[Player]:
            board = rows.board_in(c, board_id, season)
            return pages.players_after(c, board, place, limit, backwards)

        return await self._read(work, share=board_id)

    async def players_by_id(
        self, board_id: str, ids: Sequence[str], season: int | None = None
    ) -> Sequence[Player]:
        def work(c: sqlite3.Connection) -> Sequence[Player]:
            partition = rows.board_in(c, board_id, season).partition
            return [one for one in rows.players(c, partition, set(ids)) if not one.hidden]

        return await self._read(work, share=board_id)

    async def hidden_players(self, board_id: str, after: str, limit: int) -> Sequence[Player]:
        def work(c: sqlite3.Connection) -> Sequence[Player]:
            return pages.hidden_players(c, rows.board(c, board_id), after, limit)

        return await self._read(work, share=board_id)

    async def player_at(self, board_id: str, rank: int, season: int | None = None) -> Player | None:
        return await self._slow_read(
            board_id,
            lambda c: pages.player_at(c, rows.board_in(c, board_id, season), rank),
            ("at", season, rank),
        )

    def everyone(
        self, board_id: str, season: int | None = None
    ) -> AsyncGenerator[Sequence[Player], None]:
        return everyone(self._database, board_id, season)

    async def count(self, board_id: str, season: int | None = None) -> int:
        return await self._slow_read(
            board_id,
            lambda c: pages.count(c, rows.board_in(c, board_id, season)),
            ("count", season, None),
        )

    async def rank(self, board_id: str, score: Number, season: int | None = None) -> int:
        return await self._slow_read(
            board_id,
            lambda c: pages.rank(c, rows.board_in(c, board_id, season), score),
            ("rank", season, score),
        )

    async def scores(
        self, board_id: str, season: int | None = None, *, middle: Number | None = None
    ) -> AsyncGenerator[Scores, None]:
        after: str | None = ""
        number = season or (await self.get_board(board_id)).number
        while after is not None:
            work = partial(pages.piece_of_scores, board_id=board_id, season=number, after=after)
            after, piece = await self._read(work, share=board_id)
            yield piece

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
        self,
        board_id: str,
        work: Callable[[sqlite3.Connection], T],
        key: tuple[str, Hashable, Hashable],
    ) -> T:
        return await self._read(work, share=board_id, slow=True, key=(board_id, *key))


def _player(c: sqlite3.Connection, board: Board, player_id: str, *, hidden: bool) -> Player:
    player = rows.player(c, board, player_id)
    if player.hidden and not hidden:
        raise rows.no_player(board.id, player_id)
    return player
