"""Boards and players in RethinkDB; docs/rethinkdb.md says how."""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import TYPE_CHECKING, Any

from rethinkdb.errors import ReqlOpFailedError

from tornado_board.inputs import NewBoard, NewPlayer, PlayerPatch
from tornado_board.models import Board, Number, Player, RankedPlayer, Ranking, score_of
from tornado_board.store import AlreadyExists, NotFound, OutcomeUnknown, StoreUnavailable
from tornado_board.store.rethinkdb import queries, schema
from tornado_board.store.rethinkdb.additions import Additions
from tornado_board.store.rethinkdb.address import Address
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.deletion import Deletions
from tornado_board.store.rethinkdb.documents import (
    STANDING,
    Document,
    board_of,
    document_of,
    new_board,
    player_of,
    qualified,
)
from tornado_board.store.rethinkdb.feed import RethinkDBFeed
from tornado_board.store.rethinkdb.identity import Identity
from tornado_board.store.rethinkdb.turns import Turns

if TYPE_CHECKING:
    from tornado_board.settings import Settings

__all__ = ["RethinkDBStore"]

logger = logging.getLogger(__name__)

#: Documents that a ranking reads at first beyond those that it shows, to make up for some that do
#: not count.
_SPARE = 2


class RethinkDBStore:
    """The `Store` on RethinkDB. Made with `open`."""

    #: Several processes may use one database.
    shared = True

    def __init__(
        self, address: Address, connection: Connection, settings: Settings, identity: Identity
    ) -> None:
        self.description = f"RethinkDB at {address}"
        self.identity = identity.text
        self._identity = identity
        self._address = address
        self._connection = connection
        self._timeout = settings.database_timeout
        self._additions = Additions(connection, settings.waiting_writes, settings.database_timeout)
        self._ranks = Turns(settings.database_timeout, settings.waiting_writes)
        self._deletions = Deletions(self._run, settings.database_timeout)
        self._deletions.complete_all()
        self._repair: asyncio.Task[None] | None = None
        self._feeds: weakref.WeakSet[RethinkDBFeed] = weakref.WeakSet()

    @classmethod
    async def open(cls, url: str, settings: Settings) -> RethinkDBStore:
        """Connect to the database that `url` names and make what is missing in it.

        Waits up to ``settings.database_wait`` seconds for a server that is not up yet. Raises
        `ValueError` for a bad URL and `StoreUnavailable`, at once where the password is wrong.
        """
        address = Address.parse(url, settings.database_ca_certs)
        connection = Connection(
            address,
            settings.database_timeout,
            settings.waiting_writes,
            settings.database_durability,
        )
        deadline = asyncio.get_running_loop().time() + settings.database_wait
        await connection.open(settings.database_wait)
        try:
            await schema.prepare(connection, address, deadline)
            identity = await Identity.read(connection, address)
        except BaseException:
            await connection.close()
            raise
        return cls(address, connection, settings, identity)

    async def ping(self) -> None:
        """Return if tables and index can be read, and are those of the start."""
        database_id, *_ = await self._run(queries.ping(database=self._identity.database))
        self._identity.check(database_id)

    async def list_boards(self, limit: int, after: str = "") -> list[Board]:
        """Boards in the order of their ids."""
        documents = await self._run(queries.list_boards(limit=limit, after=after))
        return [board for board in map(board_of, documents) if board is not None]

    async def create_board(self, new: NewBoard) -> Board:
        """Raises `AlreadyExists`."""
        board = new.board()
        query = queries.create_board(document=new_board(board, new))
        result = await self._run(query, write=True, last_step=True)
        if result["inserted"]:
            return board
        if not result["first_error"].startswith("Duplicate primary key"):
            _raise_first_error(result)
        if board_of(result["changes"][0]["old_val"]) is None:
            self._deletions.complete(board.id)
            raise StoreUnavailable(
                f"the board {board.id!r} that was here before is still being deleted; try again"
            )
        raise AlreadyExists(f"there is a board {board.id!r} already")

    async def get_board(self, board_id: str) -> Board:
        """Raises `NotFound`."""
        board = board_of(await self._run(queries.get_board(board=board_id)))
        if board is None:
            raise _no_board(board_id)
        return board

    async def delete_board(self, board_id: str) -> None:
        """Delete the board, then its players. Raises `NotFound`.

        Where it breaks off half-way, with the board gone and players left, `OutcomeUnknown` says
        so; it is completed in the background, by the next to ask, or by the next to start.
        """
        await self._deletions.delete(board_id)

    async def ranking(self, board_id: str, limit: int) -> Ranking:
        """The board and its best players. Raises `NotFound`."""
        size = limit + _SPARE
        while True:
            found = await self._run(queries.ranking(board=board_id, limit=size))
            board = board_of(found["board"])
            if board is None:
                raise _no_board(board_id)
            shadows = set(found["shadows"])
            players = []
            for document in found["players"]:
                held = player_of(document)
                if held is not None and (document["id"] == held[1].id or held[1].id not in shadows):
                    players.append(held[1])
            if len(players) >= limit or len(found["players"]) < size:
                return Ranking(board, players[:limit])
            size *= 2  # others have written many documents that do not count

    async def create_player(self, board_id: str, new: NewPlayer) -> Player:
        """Raises `NotFound` or `AlreadyExists`."""
        player = new.player()
        plain, other = player.id, qualified(board_id, player.id)
        result = await self._insert(board_id, plain, other, player)
        if not result["inserted"] and not result["taken"] and result["board"]:
            # The plain key is another board's.
            result = await self._insert(board_id, other, plain, player)
        if result["inserted"] and not result["taken"] and result["board"]:
            return player
        if result["inserted"]:
            # While it was inserted somebody deleted the board, or made a player of this id under
            # the other key. Whoever sees the other's document yields.
            await self._run(
                queries.delete_document(document=result["document"]), write=True, last_step=True
            )
        if not result["board"]:
            raise _no_board(board_id)
        raise AlreadyExists(f"there is a player {player.id!r} on the board {board_id!r} already")

    async def _insert(self, board_id: str, key: str, other: str, player: Player) -> dict[str, Any]:
        """Insert `player` with the primary key `key`; what `queries.insert_player` says, and the
        ``document``."""
        document = document_of(board_id, player, key)
        result: dict[str, Any] = await self._run(
            queries.insert_player(board=board_id, document=document, other=other), write=True
        )
        if "error" in result:
            raise StoreUnavailable(f"RethinkDB did not write: {result['error']}")
        return {**result, "document": document}

    async def get_player(self, board_id: str, player_id: str) -> RankedPlayer:
        """Raises `NotFound`."""
        async with self._ranks.turn(board_id):
            row = await self._run(queries.get_player(**_keys(board_id, player_id)))
        found = None if row is None else player_of(row["player"])
        if found is None:
            raise _no_player(board_id, player_id)
        return RankedPlayer.of(found[1], row["above"] + 1)

    async def update_player(self, board_id: str, player_id: str, patch: PlayerPatch) -> Player:
        """Raises `NotFound`."""
        changes = patch.changes()
        update = queries.update_score if "score" in changes else queries.update_player
        query = update(**_keys(board_id, player_id), changes=changes)
        result = await self._run(query, write=True, last_step=True)
        _raise_first_error(result)
        for row in result.get("changes", ()):  # left out where no document was there
            found = player_of(row["new_val"])
            if found is not None and found[0] == board_id:
                return found[1]
        raise _no_player(board_id, player_id)

    async def delete_player(self, board_id: str, player_id: str) -> None:
        """Raises `NotFound`."""
        query = queries.delete_player(**_keys(board_id, player_id))
        result = await self._run(query, write=True, last_step=True)
        _raise_first_error(result)
        if not result["deleted"]:
            raise _no_player(board_id, player_id)

    async def add_score(self, board_id: str, player_id: str, amount: Number) -> Player:
        """Add `amount`; additions that wait at the same time go out as one query."""
        return await self._additions.add(board_id, player_id, score_of(amount))

    async def changes(self) -> RethinkDBFeed:
        """Open a changefeed over all boards, on a connection of its own."""
        feed = await RethinkDBFeed.open(self._address, self._timeout, self._identity)
        self._feeds.add(feed)
        return feed

    async def close(self) -> None:
        """Finish the additions under way and close all connections. May be called twice."""
        await self._additions.drain()
        await self._deletions.close()
        for feed in list(self._feeds):
            await feed.close()
        if self._repair is not None:
            self._repair.cancel()
            await asyncio.wait((self._repair,))
        await self._connection.close()

    async def _run(self, term: Any, *, write: bool = False, last_step: bool = False) -> Any:
        try:
            return await self._connection.run(term, write=write, last_step=last_step)
        except (StoreUnavailable, OutcomeUnknown) as error:
            if isinstance(error.__cause__, ReqlOpFailedError) and STANDING in str(error):
                self._make_index()
            raise

    def _make_index(self) -> None:
        """Somebody dropped the index while we run: make it again, in the background."""
        if self._repair is None or self._repair.done():
            logger.warning("RethinkDB has no index %s any more; making it again", STANDING)
            self._repair = asyncio.create_task(self._repaired())

    async def _repaired(self) -> None:
        try:
            await schema.make_index(self._connection)
        except (StoreUnavailable, OutcomeUnknown) as error:
            logger.warning("the index %s was not made: %s", STANDING, error)


def _keys(board_id: str, player_id: str) -> dict[str, str]:
    """The parameters of queries about one player."""
    return {
        "board": board_id,
        "plain": player_id,
        "qualified": qualified(board_id, player_id),
    }


def _raise_first_error(result: Document) -> None:
    """Raise what a write says of its first document that failed, if any did."""
    if result["errors"]:
        raise StoreUnavailable(f"RethinkDB did not write: {result['first_error']}")


def _no_board(board_id: str) -> NotFound:
    return NotFound(f"there is no board {board_id!r}")


def _no_player(board_id: str, player_id: str) -> NotFound:
    return NotFound(f"there is no player {player_id!r} on the board {board_id!r}")
