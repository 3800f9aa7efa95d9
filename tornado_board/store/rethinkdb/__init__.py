"""Boards and players in RethinkDB; docs/rethinkdb.md says how."""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace
from rethinkdb.errors import ReqlOpFailedError

from tornado_board.inputs import UNSET, BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Board, Number, Player, Ranking, score_of
from tornado_board.store import (
    NotFound,
    Once,
    OutcomeUnknown,
    Place,
    Scores,
    Seasons,
    StoreError,
    StoreUnavailable,
    Submitted,
)
from tornado_board.store.audit import Audited, AuditEntry
from tornado_board.store.rethinkdb import queries, schema
from tornado_board.store.rethinkdb.audit import Record, Trail
from tornado_board.store.rethinkdb.boards import Boards
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.deletion import Deletions
from tornado_board.store.rethinkdb.documents import board_of, check_meta
from tornado_board.store.rethinkdb.dropping import Dropping
from tornado_board.store.rethinkdb.everyone import everyone
from tornado_board.store.rethinkdb.feed import RethinkDBFeed
from tornado_board.store.rethinkdb.identity import Identity
from tornado_board.store.rethinkdb.once import id_from
from tornado_board.store.rethinkdb.pages import Pages
from tornado_board.store.rethinkdb.reading import Reading
from tornado_board.store.rethinkdb.rules import KnownRules
from tornado_board.store.rethinkdb.servers import Servers
from tornado_board.store.rethinkdb.single import Single
from tornado_board.store.rethinkdb.standing import STANDING
from tornado_board.store.rethinkdb.steps import Create, Patch, Step, Submit
from tornado_board.store.rethinkdb.submissions import submit
from tornado_board.store.rethinkdb.turns import Turns
from tornado_board.store.rethinkdb.writes import Writes
from tornado_board.store.scoring import addition

if TYPE_CHECKING:
    from tornado_board.settings import Settings

__all__ = ["RethinkDBStore"]

logger = logging.getLogger(__name__)


class RethinkDBStore:
    """The `Store` on RethinkDB. Made with `open`."""

    #: Several processes may use one database.
    shared = True

    def __init__(
        self, servers: Servers, connection: Connection, settings: Settings, identity: Identity
    ) -> None:
        self.description = f"RethinkDB at {servers}"
        self.identity = identity.text
        self._identity = identity
        self._servers = servers
        self._connection = connection
        self._timeout = timeout = settings.database_timeout
        rules, waiting = KnownRules(), settings.waiting_writes
        self._deletions = Deletions(self._run, timeout)
        self._dropping = Dropping(self._run)
        self._boards = Boards(self._run, self._deletions, self._dropping)
        self._writes = Writes(connection, rules, self._boards.end_if_due, waiting, timeout)
        self._single = Single(self._run, rules, self._boards.end_if_due)
        reading = Reading(self._run, rules)
        self._pages = Pages(connection, self._run, reading, Turns(timeout, waiting))
        self._trail = Trail(self._run, settings.audit)
        self._deletions.complete_all()
        self._dropping.complete_all()
        self._repair = schema.Repair(connection)
        self._feeds: weakref.WeakSet[RethinkDBFeed] = weakref.WeakSet()

    @classmethod
    async def open(cls, url: str, settings: Settings) -> RethinkDBStore:
        """Connect to the database that `url` names, on any of its servers, and make what is missing
        in it.

        Waits up to ``settings.database_wait`` seconds for a server that is not up yet. Raises
        `ValueError` for a bad URL and `StoreUnavailable`, at once where the password is wrong.
        """
        servers = Servers.parse(url, settings.database_ca_certs)
        connection = Connection(
            servers,
            settings.database_timeout,
            settings.waiting_writes,
            settings.database_durability,
        )
        deadline = asyncio.get_running_loop().time() + settings.database_wait
        await connection.open(settings.database_wait)
        try:
            await schema.prepare(connection, servers.database, deadline, audit=settings.audit > 0)
            identity = await Identity.read(connection, servers)
        except BaseException:
            await connection.close()
            raise
        return cls(servers, connection, settings, identity)

    @property
    def waiting(self) -> int:
        return self._connection.waiting

    async def ping(self) -> None:
        """Return if tables and index can be read, and are those of the start."""
        database_id, *_ = await self._run(queries.ping(database=self._identity.database))
        self._identity.check(database_id)

    # Boards

    async def list_boards(self, limit: int, after: str = "") -> list[Board]:
        """Boards in the order of their ids."""
        return await self._boards.list(limit, after)

    async def create_board(
        self, new: NewBoard, once: Once | None = None, *, audited: Audited | None = None
    ) -> Board:
        """Raises `AlreadyExists` or `Invalid`."""
        async with self._trail.recording(audited, new.id) as record:
            return await self._boards.create(new, once, record)

    async def get_board(self, board_id: str, season: int | None = None) -> Board:
        """Raises `NotFound`."""
        return await self._boards.get(board_id, season)

    async def delete_board(self, board_id: str, *, audited: Audited | None = None) -> None:
        """Delete the board, then its players. Raises `NotFound`.

        Where it breaks off half-way, with the board gone and players left, `OutcomeUnknown` says
        so; it is completed in the background, by the next to ask, or by the next to start.
        """
        async with self._trail.recording(audited, board_id) as record:
            if audited is not None:
                # None while it is being deleted, which may be completed here.
                record.change(board_of(await self._run(queries.get_board(board=board_id))), None)
            await self._deletions.delete(board_id)

    async def update_board(
        self,
        board_id: str,
        patch: BoardPatch,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Board:
        """Raises `NotFound`, `HasPlayers` or `Invalid`."""
        async with self._trail.recording(audited, board_id) as record:
            return await self._boards.update(board_id, patch, once, record)

    async def ranking(self, board_id: str, limit: int, season: int | None = None) -> Ranking:
        """The board and its best players. Raises `NotFound`."""
        return await self._pages.ranking(board_id, limit, season)

    # Seasons

    async def end_season(
        self,
        board_id: str,
        season: int | None = None,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Board:
        """End the present season. Raises `NotFound` or `WrongSeason`."""
        async with self._trail.recording(audited, board_id) as record:
            return await self._boards.end_season(board_id, season, once, record)

    async def end_if_due(self, board_id: str) -> bool:
        """End the present season if its time is over."""
        return await self._boards.end_if_due(board_id)

    async def ending_seasons(self, limit: int) -> Sequence[Board]:
        """Boards whose season ends by the calendar, those that end first, first."""
        return await self._boards.ending(limit)

    async def seasons(self, board_id: str, before: int, limit: int) -> Seasons:
        """The board with its seasons that are over. Raises `NotFound`."""
        return await self._boards.seasons(board_id, before, limit)

    # Players

    async def create_player(
        self,
        board_id: str,
        new: NewPlayer,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Player:
        """Raises `NotFound`, `AlreadyExists`, `OutOfRange` or `Invalid`."""
        if once is not None and new.id is None:
            new = replace(new, id=id_from(once, board_id))
        player = new.player()
        check_meta(player.meta)
        async with self._trail.recording(audited, board_id, player.id) as record:
            done = await self._write(board_id, player.id, Create(player), once, record)
        return done.player

    async def get_player(
        self, board_id: str, player_id: str, season: int | None = None, *, hidden: bool = False
    ) -> Player:
        """The player; `hidden`: also where it is that. Raises `NotFound`."""
        _, player = await self._pages.get(board_id, season, player_id, hidden=hidden)
        return player

    async def find_player(
        self, board_id: str, player_id: str, season: int | None = None
    ) -> tuple[Board, Player]:
        """The board as of the season, and the player. Raises `NotFound`."""
        return await self._pages.get(board_id, season, player_id)

    async def update_player(
        self,
        board_id: str,
        player_id: str,
        patch: PlayerPatch,
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> Submitted:
        """Raises `NotFound`, `OutOfRange` or `Invalid`."""
        async with self._trail.recording(audited, board_id, player_id) as record:
            return await self._update_player(board_id, player_id, patch, once, record)

    async def _update_player(
        self,
        board_id: str,
        player_id: str,
        patch: PlayerPatch,
        once: Once | None,
        record: Record,
    ) -> Submitted:
        if patch.meta is not UNSET:
            check_meta(patch.meta)
        step = Patch(player_id, patch)
        try:
            return await self._write(board_id, player_id, step, once, record)
        except NotFound:
            if patch.score is UNSET or not await self._single.mend(
                board_id, player_id, patch.score
            ):
                raise
        # Its score was no number, so it was no player.
        return await self._write(board_id, player_id, step, once, record)

    async def delete_player(
        self, board_id: str, player_id: str, *, audited: Audited | None = None
    ) -> Player:
        """Raises `NotFound`."""
        async with self._trail.recording(audited, board_id, player_id) as record:
            player = await self._single.delete(board_id, player_id)
            record.change(player, None)
        return player

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
        """Add `amount`; writes that wait at the same time go out as one query."""
        step = Submit(addition(player_id, score_of(amount)), create)
        async with self._trail.recording(audited, board_id, player_id) as record:
            return await self._write(board_id, player_id, step, once, record)

    async def submit(
        self,
        board_id: str,
        submissions: Sequence[Submission],
        once: Once | None = None,
        *,
        audited: Audited | None = None,
    ) -> list[Submitted | StoreError]:
        """Hand in scores; those of one player go together, in their order."""
        self._writes.check()
        async with self._trail.recording(audited, board_id) as record:
            results = await submit(self._writes, board_id, submissions, once, record)
        if not any(isinstance(result, Submitted) for result in results):
            await self.get_board(board_id)
        return results

    async def _write(
        self,
        board_id: str,
        player_id: str,
        step: Step,
        once: Once | None,
        record: Record | None = None,
    ) -> Submitted:
        self._writes.check()
        write = self._writes.start(board_id, player_id, [step], once)
        (result,) = await write.answer
        if isinstance(result, StoreError):
            raise result
        if record is not None and result.changed and not (once is not None and once.replayed):
            record.change(write.before, result.player)
        return result

    async def audit(self, board_id: str | None, after: str, limit: int) -> Sequence[AuditEntry]:
        """Entries of the audit trail, the newest first."""
        return await self._trail.entries(board_id, after, limit)

    # Pages

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
        """At most `limit` players behind `place`, or before it. Raises `NotFound`."""
        return await self._pages.after(board_id, season, place, limit, backwards, until)

    async def players_by_id(
        self, board_id: str, ids: Sequence[str], season: int | None = None
    ) -> Sequence[Player]:
        """Those of `ids` that there are. Raises `NotFound`."""
        return await self._pages.by_id(board_id, season, ids)

    async def hidden_players(self, board_id: str, after: str, limit: int) -> Sequence[Player]:
        """Hidden players, by their ids. Raises `NotFound`."""
        return await self._pages.hidden(board_id, after, limit)

    async def player_at(self, board_id: str, rank: int, season: int | None = None) -> Player | None:
        """The first player whose rank is `rank` or greater. Raises `NotFound`."""
        return await self._pages.at(board_id, season, rank)

    def everyone(
        self, board_id: str, season: int | None = None
    ) -> AsyncGenerator[Sequence[Player], None]:
        """All players, a page after the other. Raises `NotFound`."""
        return everyone(self._pages, board_id, season)

    async def count(self, board_id: str, season: int | None = None) -> int:
        """How many players the board has. Raises `NotFound`."""
        return await self._pages.count(board_id, season)

    async def rank(self, board_id: str, score: Number, season: int | None = None) -> int:
        """One more than the number of players with a better score. Raises `NotFound`."""
        return await self._pages.rank(board_id, season, score)

    def scores(
        self, board_id: str, season: int | None = None, *, middle: Number | None = None
    ) -> AsyncGenerator[Scores, None]:
        """All players' scores, in pieces. Raises `NotFound`."""
        return self._pages.scores(board_id, season, middle)

    # Changes

    async def changes(self) -> RethinkDBFeed:
        """Open a changefeed over all boards, on a connection of its own."""
        feed = await RethinkDBFeed.open_at_any(
            self._servers, self._connection.address, self._timeout, self._identity
        )
        self._feeds.add(feed)
        return feed

    async def close(self) -> None:
        """Finish the writes under way and close all connections. May be called twice."""
        await self._writes.drain()
        await self._deletions.close()
        await self._dropping.close()
        await self._trail.close()
        for feed in list(self._feeds):
            await feed.close()
        await self._repair.close()
        await self._connection.close()

    async def _run(self, term: Any, *, write: bool = False, last_step: bool = False) -> Any:
        try:
            return await self._connection.run(term, write=write, last_step=last_step)
        except (StoreUnavailable, OutcomeUnknown) as error:
            if isinstance(error.__cause__, ReqlOpFailedError) and STANDING in str(error):
                self._repair.start()
            raise
