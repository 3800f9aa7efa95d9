"""The places of players that are watched: looked up once a second, and told where they changed.

A board's places are looked up when something on it has changed, in slices, from its rank index
(`Ranks`), so that thousands of watchers cost a few microseconds each. While there is no index they
are looked up in the store, one after the other, and with pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial

from tornado_board.metrics import Metrics, NoMetrics
from tornado_board.models import Board, Change, Player, PlayerChanged
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import LimitReached
from tornado_board.realtime.places_kept_alive import PlacesKeptAlive
from tornado_board.realtime.ranks import Ranks
from tornado_board.realtime.watched import Standing, Watched
from tornado_board.realtime.wires import End
from tornado_board.seasons import partition_of
from tornado_board.store import NotFound, SeasonGone, Store, StoreError
from tornado_board.tasks import Shared, Tasks

logger = logging.getLogger(__name__)

#: Places that are looked up, and then told, before the event loop may go on to something else: less
#: than a millisecond each. Of 512 that were looked up, the first are no longer in the processor's
#: cache when they are told: that took a tenth more.
_AT_ONCE = 128

#: Players that are read again at a time, after the feed was lost.
_READ_AT_ONCE = 100

#: How much longer than a round of the store's own counting the pause after it is.
_PAUSE = 4.0


class _Board:
    """A board of which places are watched."""

    def __init__(self) -> None:
        self.players: dict[str, Watched] = {}
        #: Whether places may have changed, and whether players have to be read again.
        self.is_stale = self.is_lost = False
        #: The present season, once it is known; and whether another one has begun since players
        #: were read.
        self.number = 0
        self.is_reset = False
        self.working: asyncio.Task[None] | None = None
        self.rests_until = 0.0
        #: Whether only those may watch who have a token for it; ``None``: that is not known yet.
        self.is_private: bool | None = None

    @property
    def clients(self) -> int:
        return sum(watched.clients for watched in self.players.values())

    def note(self, board: Board) -> None:
        """The store has the board like that."""
        if board.private and not self.is_private:
            # Who may go on watching comes back at once.
            for watched in self.players.values():
                watched.end(End.PRIVATE)
        self.is_private = board.private
        if self.number and board.number != self.number:
            self.is_reset = self.is_lost = True
        self.number = board.number


class Places:
    """The watched players of this process. `tick` is to be called once a second."""

    def __init__(
        self,
        store: Store,
        ranks: Ranks,
        feed: Changefeed,
        *,
        per_board: int,
        keepalive: float,
        metrics: Metrics | None = None,
    ) -> None:
        """`per_board` is how many may watch a board's places."""
        self._metrics = metrics or NoMetrics()
        self._store = store
        self._ranks = ranks
        self._feed = feed
        self._per_board = per_board
        self._kept_alive = PlacesKeptAlive(keepalive)
        self._boards: dict[str, _Board] = {}
        self._opening: Shared[tuple[str, str], None] = Shared()
        self._tasks = Tasks()
        self._keeping: asyncio.Task[None] | None = None
        #: Whether the server stops, so that it is no time to wait.
        self.stopping = False

    async def close(self) -> None:
        """End every stream. May be called twice."""
        self.stop_waiting()
        for board in self._boards.values():
            for watched in board.players.values():
                watched.end(End.STOPPING)
        self._boards.clear()
        self._feed.detach(self)
        await self._tasks.cancel()

    def stop_waiting(self) -> None:
        """Have the waiting long-polls answered: the server stops."""
        self.stopping = True
        for board in self._boards.values():
            for watched in board.players.values():
                watched.wake()

    @property
    def size(self) -> int:
        """How many players are watched."""
        return sum(len(board.players) for board in self._boards.values())

    async def open(self, board_id: str, player_id: str) -> Watched:
        """The player with its place; to be joined, or waited for, before anything is awaited.

        Raises `LimitReached`, and what `Store.get_player` raises.
        """
        for _ in range(2):
            board = self._boards.get(board_id)
            watched = None if board is None else board.players.get(player_id)
            if board is not None and watched is not None and watched.is_shown:
                self._check_room(board)
                return watched
            key = (board_id, player_id)
            await self._opening.get(key, partial(self._open, board_id, player_id))
        raise NotFound(f"there is no player {player_id!r} on board {board_id!r}")

    def is_private(self, board_id: str) -> bool:
        """Whether a board of which places are watched is private."""
        board = self._boards.get(board_id)
        return board is not None and bool(board.is_private)

    def _check_room(self, board: _Board) -> None:
        if self.stopping:
            raise LimitReached("the server is stopping")
        if board.clients >= self._per_board:
            raise LimitReached("the board has as many streams as this server allows")

    async def _open(self, board_id: str, player_id: str) -> None:
        self._feed.attach(self)
        board = self._boards.setdefault(board_id, _Board())
        watched = board.players[player_id] = Watched(player_id, self._metrics)
        try:
            stored = await self._store.get_board(board_id)
            if board.is_private is None or stored.number > board.number:
                board.note(stored)  # otherwise the feed has told what is newer
            player = await self._player(stored, player_id)
            if player.season != stored.number:
                await self._wait(board, stored, watched, player)
                return
            if not watched.told:
                watched.player = player  # otherwise the feed has told what is newer
            told = watched.player
            if told is None:
                raise NotFound(f"there is no player {player_id!r} on board {board_id!r}")
            partition = partition_of(board_id, told.season)
            standing = await self._ranks.place(partition, told.score)
            if watched.player is None:
                raise NotFound(f"there is no player {player_id!r} on board {board_id!r}")
            watched.show(standing)
            board.is_stale = True
        except BaseException:
            board.players.pop(player_id, None)
            raise

    async def _player(self, board: Board, player_id: str) -> Player:
        """The player as of the season, or of the one before if it has no score yet in this one.
        Raises `NotFound`."""
        try:
            return await self._store.get_player(board.id, player_id, board.number)
        except NotFound:
            if board.number == 1:
                raise
            with contextlib.suppress(NotFound, SeasonGone):
                return await self._store.get_player(board.id, player_id, board.number - 1)
            raise

    async def _wait(self, board: _Board, stored: Board, watched: Watched, player: Player) -> None:
        """`player`, who has a place in the season before only, is to be watched."""
        of = await self._ranks.count(stored.partition)
        if watched.player is None:  # otherwise the feed has told of it
            watched.waits = True
            watched.show_none(of, player.name)
        else:
            watched.show(await self._ranks.place(stored.partition, watched.player.score))
        board.is_stale = True

    # What the feed tells

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            board = self._boards.get(change.board_id)
            if board is None:
                continue
            board.is_stale = True
            if not isinstance(change, PlayerChanged):
                if change.board is None:
                    board.is_lost = True  # its players are gone, or other ones
                else:
                    board.note(change.board)
                continue
            if change.season > board.number > 0:
                board.is_lost = board.is_reset = True  # the board's own change is yet to come
            watched = board.players.get(change.player_id)
            if watched is not None and change.season == board.number:
                watched.told += 1
                watched.player = change.player

    def resync(self) -> None:
        for board in self._boards.values():
            board.is_stale = board.is_lost = True

    # Time

    def tick(self) -> None:
        """A second has passed."""
        now = time.monotonic()
        for board_id, board in list(self._boards.items()):
            is_idle = board.working is None or board.working.done()
            if is_idle and board.is_stale and now >= board.rests_until:
                board.working = self._tasks.start(self._look_up(board_id, board))
            elif is_idle:
                self._drop_unwatched(board_id, board)
        if not self._boards:
            self._feed.detach(self)
        if self._keeping is None or self._keeping.done():
            self._keeping = self._tasks.start(self._kept_alive.keep(now, self._at_rest()))

    def _drop_unwatched(self, board_id: str, board: _Board) -> None:
        """Forget players that nobody watches; those who open one join it in the same turn."""
        unwatched = [
            player_id
            for player_id, watched in board.players.items()
            if watched.is_shown and not watched.clients
        ]
        for player_id in unwatched:
            del board.players[player_id]
        if not board.players:
            del self._boards[board_id]

    async def _look_up(self, board_id: str, board: _Board) -> None:
        board.is_stale = False
        began = time.monotonic()
        try:
            if board.is_lost:
                board.is_lost = False
                await self._read_again(board_id, board)
            counted = await self._tell(board_id, board)
        except NotFound:
            for watched in list(board.players.values()):
                await self._lose(board, watched)
        except StoreError as error:
            logger.debug("places of board %s were not looked up: %s", board_id, error)
            board.is_stale = True
        except BaseException:
            board.is_stale = board.is_lost = True
            raise
        else:
            if counted:
                now = time.monotonic()
                board.rests_until = now + _PAUSE * (now - began)

    async def _tell(self, board_id: str, board: _Board) -> bool:
        """Look up every place, and tell those that have changed. Whether the store had to count."""
        counted = False
        partition = partition_of(board_id, board.number or 1)
        watched = list(board.players.values())
        for start in range(0, len(watched), _AT_ONCE):
            piece, waiting = [], []
            for one in watched[start : start + _AT_ONCE]:
                if not one.is_shown:
                    continue
                if one.player is not None:
                    piece.append((one, one.player))
                elif one.waits:
                    waiting.append(one)
                else:
                    await self._lose(board, one)
            if waiting:
                of = await self._ranks.count(partition)
                for one in waiting:
                    if one.player is None and one.show_none(of):
                        one.sent_at = time.monotonic()
                        await one.send(one.current)
            index = self._ranks.index(partition)
            if index is None:
                counted = True
                for one, player in piece:
                    standing = await self._ranks.place(partition, player.score)
                    await self._show(board, [(one, player)], [standing])
            else:
                # Of whom a write counts already that the feed has not told: with the score before
                # it, the player would stand behind itself.
                known = [one for one in piece if not index.is_ahead(one[0].player_id)]
                board.is_stale = board.is_stale or len(known) < len(piece)
                piece = known
                standings = index.places([player.score for _, player in piece])
                await asyncio.sleep(0)
                await self._show(board, piece, standings)
                await asyncio.sleep(0)
        return counted

    async def _show(
        self,
        board: _Board,
        piece: Sequence[tuple[Watched, Player]],
        standings: Sequence[Standing],
    ) -> None:
        """Tell each player of `piece` that it stands where it was found to, if that is news."""
        now = time.monotonic()
        for (one, player), standing in zip(piece, standings, strict=True):
            if one.player is not player:
                board.is_stale = True  # the next time
            elif (event := one.show(standing)) is not None:
                one.sent_at = now
                if not one.send_now(event):
                    await one.send(event)

    async def _read_again(self, board_id: str, board: _Board) -> None:
        """Read the players of whom it is not known what happened."""
        stored = await self._store.get_board(board_id)
        board.note(stored)
        is_reset, board.is_reset, board.is_lost = board.is_reset, False, False
        ids = [player_id for player_id, watched in board.players.items() if watched.is_shown]
        for start in range(0, len(ids), _READ_AT_ONCE):
            piece = ids[start : start + _READ_AT_ONCE]
            told = {id: board.players[id].told for id in piece if id in board.players}
            read = await self._store.players_by_id(board_id, piece, stored.number)
            found = {player.id: player for player in read}
            for player_id, before in told.items():
                watched = board.players.get(player_id)
                if watched is not None and watched.told == before:
                    watched.player = found.get(player_id)
                    watched.waits = watched.waits or is_reset

    async def _lose(self, board: _Board, watched: Watched) -> None:
        if board.players.get(watched.player_id) is watched:
            del board.players[watched.player_id]
        await watched.lose()

    def _at_rest(self) -> Iterator[Watched]:
        """The players of boards that are not sent to just now."""
        for board in list(self._boards.values()):
            if board.working is None or board.working.done():
                yield from list(board.players.values())
