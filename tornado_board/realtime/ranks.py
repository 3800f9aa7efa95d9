"""The ranks of boards that are asked for: built in the background, kept up to date by the feed.

A board's index (`RankIndex`) is built when somebody asks for the board, and dropped when it is lost
or makes room. As long as there is none that can be relied on, the store counts: that is slow where
there are many players, and right.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tornado_board.models import BoardChanged, Change, Number, PlayerChanged
from tornado_board.ranking.rank_index import SCANNED_AT_ONCE, RankIndex, State
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.turns import Turns
from tornado_board.settings import Settings
from tornado_board.store import NotFound, Store, StoreUnavailable
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: Boards that are read at a time.
_BUILDS = 2

#: Seconds that an answer waits for a board to be read. One with few players takes some
#: milliseconds.
_PATIENCE = 0.05

#: Numbers of 8 bytes that a board takes beside its players' scores, roughly.
_EACH = 256

#: Ticks (`Ranks.tick`, one a second) after which a board that nobody asks for is dropped, and after
#: which it may be dropped to make room.
_IDLE, _UNUSED = 900, 10

#: Ticks between two comparisons of a board with the store, at the least; within how many of them
#: the feed tells what the store counted; and how much longer a comparison's pause is than itself.
_COMPARED, _LAG, _PAUSE = 60, 3, 200

#: A board whose index was lost is built again when this many times the seconds have passed that
#: building it took, and one that could not be read, or finds no room, after these many ticks.
_REST, _AGAIN, _NO_ROOM = 10, 2, 30


class Standing(msgspec.Struct, frozen=True):
    """How many players a board has, and how many of them are better than each of some scores."""

    of: int
    better: tuple[int, ...]


@dataclass(eq=False)
class _Comparison:
    """The store's count of players, and the fewest and most that the index had since."""

    count: int
    fewest: int
    most: int
    ticks: int = 0


@dataclass(eq=False)
class _Board:
    """A board that was asked for."""

    id: str
    used_at: int
    index: RankIndex | None = None
    building: asyncio.Task[None] | None = None
    #: Whether answers need not wait for it.
    is_slow: bool = False
    #: When it may be built again, by the event loop's clock and by ticks.
    rests_until: float = 0.0
    again_at: int = 0
    #: How long building it took, in seconds, and when that was done.
    seconds: float = 0.0
    ready_at: float = 0.0
    weight: int = _EACH
    compare_at: int = 0
    comparison: _Comparison | None = None
    #: Comparisons in a row that found another number.
    differences: int = 0


class Ranks:
    """Counts and ranks of any board, right for every write that this process has answered.

    It has the feed open (`Changefeed`) while it keeps any board. `tick` is to be called once a
    second. The methods raise `NotFound` and `StoreUnavailable` as those of the store do.
    """

    def __init__(self, store: Store, feed: Changefeed, settings: Settings) -> None:
        #: Grows with what the feed tells. To be taken before a write begins, for `wrote`.
        self.position = 0
        self._store = store
        self._feed = feed
        self._limit = settings.rank_entries
        #: The least recently asked for first.
        self._boards: OrderedDict[str, _Board] = OrderedDict()
        self._weight = 0
        self._turns = Turns(_BUILDS)
        self._tasks = Tasks()
        self._comparing: asyncio.Task[None] | None = None
        self._ticks = 0
        self._closed = False

    async def close(self) -> None:
        """Stop; from now on the store counts. May be called twice."""
        self._closed = True
        for board_id in list(self._boards):
            self._remove(board_id)
        self._feed.detach(self)
        await self._tasks.cancel()

    # Answers

    async def standing(self, board_id: str, *scores: Number) -> Standing:
        """How many players there are, and how many are better than each score: of one moment, if
        the store need not be asked."""
        index = await self._ready(board_id)
        if index is not None:
            return Standing(len(index), tuple(map(index.better_than, scores)))
        of = await self._store.count(board_id)
        better = [await self._store.rank(board_id, score) - 1 for score in scores]
        return Standing(of, tuple(better))

    def known(self, board_id: str, *scores: Number) -> Standing | None:
        """The same, if nobody has to be asked."""
        index = self._index(board_id)
        if index is None:
            return None
        return Standing(len(index), tuple(map(index.better_than, scores)))

    async def score_at(self, board_id: str, rank: int) -> Number | None:
        """The score of the first player whose rank is `rank`, which is at least 1, or greater;
        ``None`` if there is no such player."""
        index = await self._ready(board_id)
        if index is not None:
            return index.score_at(rank)
        player = await self._store.player_at(board_id, rank)
        return None if player is None else player.score

    async def count(self, board_id: str) -> int:
        """How many players there are."""
        index = await self._ready(board_id)
        return await self._store.count(board_id) if index is None else len(index)

    # What this process has answered

    def wrote(
        self,
        board_id: str,
        player_id: str,
        before: Number | None,
        after: Number | None,
        since: int = -1,
    ) -> None:
        """This process carried out a write that changed the player's score from `before` to `after`
        (``None``: there is no such player): every answer from now on counts that.

        To be called as soon as the store has answered, in the order of its answers, and not for
        what an idempotency key only gave again. `since` is the `position` before the write began;
        without it a write may be seen some milliseconds late where others write the same player.
        """
        board = self._boards.get(board_id)
        if board is not None and board.index is not None:
            board.index.wrote(player_id, before, after, since)
            self._drop_if_lost(board)

    def forget(self, board_id: str) -> None:
        """This process deleted the board, made it, or changed its order."""
        board = self._boards.get(board_id)
        if board is not None:
            self._drop(board)

    # What the feed tells

    def apply(self, changes: Sequence[Change]) -> None:
        self.position += 1
        for change in changes:
            board = self._boards.get(change.board_id)
            if board is None:
                continue
            try:
                self._apply(board, change)
            except Exception:
                logger.exception("the ranks of board %s are built again", board.id)
                self._drop(board, rest=True)

    def _apply(self, board: _Board, change: Change) -> None:
        if isinstance(change, PlayerChanged):
            if board.index is not None:
                board.index.apply(change, self.position)
                self._drop_if_lost(board)
        elif isinstance(change, BoardChanged) and change.board is None:
            self._remove(board.id)
        else:
            # Another order; or it was deleted and made again, of which a feed may tell in one, and
            # it need not tell of each player that went with it.
            self._drop(board, rest=True)

    def resync(self) -> None:
        """The feed was opened: nobody knows what happened until then."""
        for board in self._boards.values():
            if board.index is not None:
                self._drop(board)

    # Time

    def tick(self) -> None:
        """A second has passed."""
        self._ticks += 1
        for board in list(self._boards.values()):
            if self._ticks - board.used_at > _IDLE:
                self._remove(board.id)
            elif board.index is not None:
                board.index.tick()
                self._weigh(board)
                if not self._drop_if_lost(board):
                    self._compare(board, board.index)
        self._make_room()
        if not self._boards:
            self._feed.detach(self)

    def _compare(self, board: _Board, index: RankIndex) -> None:
        """Compare now and then how many players there are with the store's count."""
        comparison = board.comparison
        if comparison is not None:
            comparison.ticks += 1
            comparison.fewest = min(comparison.fewest, len(index))
            comparison.most = max(comparison.most, len(index))
            if comparison.ticks >= _LAG:
                board.comparison = None
                self._conclude(board, comparison)
        elif (
            self._ticks >= board.compare_at
            and index.state is State.READY
            and (self._comparing is None or self._comparing.done())
        ):
            self._comparing = self._tasks.start(self._count(board, index))

    async def _count(self, board: _Board, index: RankIndex) -> None:
        clock = asyncio.get_running_loop().time
        before, began = len(index), clock()
        try:
            count = await self._store.count(board.id)
        except (NotFound, StoreUnavailable):
            board.compare_at = self._ticks + _COMPARED
            return
        board.compare_at = self._ticks + max(_COMPARED, int(_PAUSE * (clock() - began)))
        if board.index is index:
            now = len(index)
            board.comparison = _Comparison(count, min(before, now), max(before, now))

    def _conclude(self, board: _Board, comparison: _Comparison) -> None:
        if comparison.fewest <= comparison.count <= comparison.most:
            board.differences = 0
            return
        board.differences += 1
        if board.differences == 1:
            board.compare_at = self._ticks  # many may have come and gone: look twice
        else:
            logger.warning(
                "the store has %d players on board %s, not %d: its ranks are built again",
                comparison.count,
                board.id,
                comparison.most,
            )
            self._drop(board, rest=True)

    # Which boards have an index

    async def _ready(self, board_id: str) -> RankIndex | None:
        """The board's index; ``None`` while the store has to be asked. If there is none it is
        built, and waited for where that takes no time."""
        index = self._index(board_id)
        if index is not None or self._closed or not self._limit:
            return index
        board = self._boards.get(board_id)
        if board is None:
            board = self._boards[board_id] = _Board(board_id, self._ticks)
            self._weight += board.weight
            self._feed.attach(self)
        self._use(board)
        if board.building is None and board.index is None and self._may_build(board):
            board.is_slow = False
            board.building = self._tasks.start(self._build(board))
        if board.building is not None and not board.is_slow:
            # Those who wait do not cancel it.
            _, pending = await asyncio.wait({board.building}, timeout=_PATIENCE)
            board.is_slow = bool(pending)
        return self._index(board_id)

    def _index(self, board_id: str) -> RankIndex | None:
        board = self._boards.get(board_id)
        if board is None or board.index is None or not self._feed.is_open:
            return None
        self._use(board)
        return board.index if board.index.is_ready else None

    def _use(self, board: _Board) -> None:
        if board.used_at != self._ticks:
            board.used_at = self._ticks
            self._boards.move_to_end(board.id)

    def _may_build(self, board: _Board) -> bool:
        now = asyncio.get_running_loop().time()
        return self._ticks >= board.again_at and now >= board.rests_until

    async def _build(self, board: _Board) -> None:
        try:
            async with self._turns.take(board.id, urgent=False):
                await self._feed.opened()
                await self._read(board)
        except NotFound:
            self._remove(board.id)
        except StoreUnavailable as error:
            logger.debug("board %s was not read for its ranks: %s", board.id, error)
            self._fail(board, _AGAIN)
        except Exception:
            logger.exception("the ranks of board %s were not built", board.id)
            self._fail(board, _NO_ROOM)
        finally:
            if board.building is asyncio.current_task():
                board.building = None

    async def _read(self, board: _Board) -> None:
        """Read the board, in slices that take the event loop no more than a millisecond or two.

        Raises `NotFound` or `StoreUnavailable`.
        """
        clock = asyncio.get_running_loop().time
        began = clock()
        ordering = (await self._store.get_board(board.id)).ordering
        # Whatever is written from now on, the feed tells it to this index.
        index = board.index = RankIndex(ordering)
        async with contextlib.aclosing(self._store.scores(board.id)) as pieces:
            async for piece in pieces:
                for start in range(0, len(piece.ids), SCANNED_AT_ONCE):
                    stop = start + SCANNED_AT_ONCE
                    index.scanned(piece.ids[start:stop], piece.scores[start:stop])
                    await asyncio.sleep(0)
                self._weigh(board)
                if not self._make_room(board):
                    logger.warning("there is no room for the ranks of board %s", board.id)
                    self._fail(board, _NO_ROOM)
                    return
        for _ in index.finish(self.position):
            await asyncio.sleep(0)
        board.ready_at = clock()
        board.seconds = board.ready_at - began
        board.compare_at = self._ticks + _COMPARED
        self._weigh(board)
        if not self._drop_if_lost(board):
            logger.debug("ranks of %d players of board %s are known", len(index), board.id)

    def _fail(self, board: _Board, ticks: int) -> None:
        """The board was not read: its ranks are not tried for a while."""
        board.again_at = self._ticks + ticks
        board.index = None
        self._weigh(board)

    def _drop_if_lost(self, board: _Board) -> bool:
        index = board.index
        if index is None or index.state is not State.LOST:
            return False
        logger.info("the ranks of board %s are built again: %s", board.id, index.why_lost)
        self._drop(board, rest=True)
        return True

    def _drop(self, board: _Board, *, rest: bool = False) -> None:
        """Forget what is known of the board. `rest`: whatever made that necessary must not keep the
        store busy with reading the board."""
        if board.building is not None and board.building is not asyncio.current_task():
            board.building.cancel()
            board.building = None
        board.index = board.comparison = None
        board.differences = 0
        if rest:
            board.rests_until = board.ready_at + _REST * board.seconds
        self._weigh(board)

    def _remove(self, board_id: str) -> None:
        board = self._boards.pop(board_id, None)
        if board is not None:
            self._drop(board)
            self._weight -= board.weight

    def _weigh(self, board: _Board) -> None:
        weight = _EACH + (0 if board.index is None else board.index.entries)
        if self._boards.get(board.id) is board:
            self._weight += weight - board.weight
        board.weight = weight

    def _make_room(self, wanted: _Board | None = None) -> bool:
        """Drop boards until all fit: first those that were not asked for the longest. Whether they
        fit; for `wanted`, a board that is being read, none is dropped that is in use."""
        for board in list(self._boards.values()) if self._weight > self._limit else ():
            if self._weight <= self._limit:
                break
            is_unused = self._ticks - board.used_at >= _UNUSED
            if board is not wanted and (wanted is None or is_unused):
                self._remove(board.id)
        return self._weight <= self._limit
