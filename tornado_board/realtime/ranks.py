"""The ranks of boards that are asked for: built in the background, kept up to date by the feed.

A board's index (`RankIndex`) is built when somebody asks for the board, and dropped when it is lost
or makes room. As long as there is none that can be relied on, the store counts: that is slow where
there are many players, and right.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from tornado_board.models import Change, Number, PlayerChanged
from tornado_board.ranking.count_check import CountCheck
from tornado_board.ranking.rank_index import RankIndex, State
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.rank_scan import give_memory_back, scan
from tornado_board.realtime.ranked_board import MANY, RankedBoard
from tornado_board.realtime.ranked_board import Standing as Standing
from tornado_board.realtime.ranked_boards import RankedBoards
from tornado_board.realtime.store_counts import StoreCounts
from tornado_board.realtime.turns import Turns
from tornado_board.seasons import partition_of
from tornado_board.settings import Settings
from tornado_board.store import NotFound, SeasonGone, Store, StoreUnavailable
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: Boards that are read at a time.
_BUILDS = 2

#: Seconds that an answer waits for a board to be read. One with few players takes some
#: milliseconds.
_PATIENCE = 0.05

#: As how many scores a board's index counts, in memory, beside its players'.
_EACH = 256

#: Ticks (`Ranks.tick`, one a second) after which a board that nobody asks for is dropped, and after
#: which it may be dropped to make room.
_IDLE, _UNUSED = 900, 10

#: A board whose index was lost is built again when this many times the seconds have passed that
#: building it took, and one that could not be read, or finds no room, after these many ticks; the
#: last at least so many times as long as it took to find that.
_REST, _AGAIN, _NO_ROOM, _PAUSE = 10, 2, 30, 100


class Ranks:
    """Counts and ranks of any season of any board, right for every write that this process has
    answered. A season is named by its partition (`seasons.partition_of`).

    It has the feed open (`Changefeed`) while it keeps any board. `tick` is to be called once a
    second. The methods raise `NotFound` and `StoreUnavailable` as those of the store do.
    """

    def __init__(self, store: Store, feed: Changefeed, settings: Settings) -> None:
        #: Grows with what the feed tells. To be taken before a write begins, for `wrote`.
        self.position = 0
        self._store = store
        self._counts = StoreCounts(store)
        self._feed = feed
        self._limit = settings.rank_entries
        #: The least recently asked for first.
        self._boards = RankedBoards()
        self._weight = 0
        self._turns = Turns(_BUILDS)
        self._tasks = Tasks()
        self._counting: asyncio.Task[None] | None = None
        self._ticks = 0
        self._closed = False

    @property
    def size(self) -> int:
        """How many boards have ranks, or are being read for them."""
        return len(self._boards)

    @property
    def entries(self) -> int:
        """As how many scores they count, of `Settings.rank_entries`."""
        return self._weight

    async def close(self) -> None:
        """Stop; from now on the store counts. May be called twice."""
        self._closed = True
        for partition in list(self._boards):
            self._remove(partition)
        self._feed.detach(self)
        await self._tasks.cancel()

    # Answers

    async def standing(self, partition: str, *scores: Number) -> Standing:
        """How many players there are, and how many are better than each score: of one moment, if
        the store need not be asked."""
        index = await self._ready(partition)
        if index is not None:
            return Standing(len(index), tuple(map(index.better_than, scores)))
        of = await self._counts.count(partition)
        better = [await self._counts.better(partition, score) for score in scores]
        return Standing(of, tuple(better))

    def known(self, partition: str, *scores: Number, wanted: bool = True) -> Standing | None:
        """The same, if nobody has to be asked; `wanted`: otherwise the board is read, for later."""
        index = self.index(partition)
        if index is None:
            if wanted:
                self._want(partition)
            return None
        return Standing(len(index), tuple(map(index.better_than, scores)))

    async def score_at(self, partition: str, rank: int) -> Number | None:
        """The score of the first player whose rank is `rank`, which is at least 1, or greater;
        ``None`` if there is no such player."""
        index = await self._ready(partition)
        if index is not None:
            return index.score_at(rank)
        return await self._counts.score_at(partition, rank)

    async def place(self, partition: str, score: Number) -> tuple[int, int, Number | None]:
        """How many players there are, how many are better than `score`, and the next better score
        that somebody has, if any."""
        index = await self._ready(partition)
        if index is not None:
            return index.places((score,))[0]
        counts = self._counts
        of, better = await counts.count(partition), await counts.better(partition, score)
        return of, better, await counts.next_better(partition, score)

    async def count(self, partition: str) -> int:
        """How many players there are."""
        index = await self._ready(partition)
        return await self._counts.count(partition) if index is None else len(index)

    # What this process has answered

    def keeps(self, partition: str) -> bool:
        """Whether `wrote` has to be told of the season."""
        return (board := self._boards.get(partition)) is not None and board.index is not None

    def wrote(
        self,
        partition: str,
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
        board = self._boards.get(partition)
        if board is not None and board.index is not None:
            board.index.wrote(player_id, before, after, since)
            self._drop_if_lost(board)

    def forget(self, board_id: str) -> None:
        """This process deleted the board, made it, or changed its order."""
        for board in self._boards.of_board(board_id):
            self._drop(board)

    # What the feed tells

    def apply(self, changes: Sequence[Change]) -> None:
        self.position += 1
        for change in changes:
            for board in self._concerned(change):
                try:
                    self._apply(board, change)
                except Exception:
                    logger.exception("the ranks of board %s are built again", board.id)
                    self._drop(board, rest=True)

    def _concerned(self, change: Change) -> Sequence[RankedBoard]:
        if not isinstance(change, PlayerChanged):
            return self._boards.of_board(change.board_id)
        board = self._boards.get(partition_of(change.board_id, change.season))
        return () if board is None else (board,)

    def _apply(self, board: RankedBoard, change: Change) -> None:
        index = board.index
        if isinstance(change, PlayerChanged):
            if index is not None:
                index.apply(change, self.position)
                self._drop_if_lost(board)
        elif change.board is None:
            self._remove(board.id)
        # A season that is over keeps its order.
        elif index is None or (
            board.id == change.board.partition and index.ordering != change.board.ordering
        ):
            self._drop(board)

    def resync(self) -> None:
        """The feed was opened: nobody knows what happened until then."""
        # A write that began before is older than what is read from now on.
        self.position += 1
        for board in self._boards.values():
            if board.index is not None:
                self._drop(board)

    # Time

    def tick(self) -> None:
        """A second has passed."""
        self._ticks += 1
        for board in list(self._boards.values()):
            if self._ticks - board.used_at > (_NO_ROOM if board.index is None else _IDLE):
                self._remove(board.id)
            elif board.index is not None:
                if board.index.tick() >= MANY:
                    self._trim()
                self._weigh(board)
                self._drop_if_lost(board)
                self._ask_about_doubtful(board)
                self._check(board)
        self._make_room()
        if not self._boards:
            self._feed.detach(self)

    def _ask_about_doubtful(self, board: RankedBoard) -> None:
        if board.index is not None and (doubtful := board.index.doubtful()):
            self._tasks.start(self._settle(board.id, board.index, doubtful))

    async def _settle(self, partition: str, index: RankIndex, doubtful: Mapping[str, int]) -> None:
        try:
            scores = await self._counts.scores(partition, list(doubtful))
        except (NotFound, SeasonGone, StoreUnavailable):
            return
        for player_id, since in doubtful.items():
            index.settle(player_id, scores.get(player_id), since)

    def _check(self, board: RankedBoard) -> None:
        """Compare now and then how many players are known with the store's count."""
        index, check = board.index, board.check
        if index is None or check is None:
            return
        count = check.difference(len(index), self._ticks)
        if count is not None:
            why = "the store has %d players on board %s, not %d: its ranks are built again"
            logger.warning(why, count, board.id, len(index))
            self._drop(board, rest=True)
        elif check.is_due(self._ticks) and (self._counting is None or self._counting.done()):
            self._counting = self._tasks.start(self._count(board.id, index, check))

    async def _count(self, partition: str, index: RankIndex, check: CountCheck) -> None:
        clock = asyncio.get_running_loop().time
        before, began = len(index), clock()
        try:
            count = await self._counts.count(partition)
        except (NotFound, SeasonGone, StoreUnavailable):
            check.failed(self._ticks)
        else:
            check.counted(count, clock() - began, before, len(index), self._ticks)

    # Which boards have an index

    async def _ready(self, partition: str) -> RankIndex | None:
        """The board's index; ``None`` while the store has to be asked. If there is none it is
        built, and waited for where that takes no time."""
        index = self.index(partition)
        if index is not None:
            return index
        board = self._want(partition)
        if board is not None and board.building is not None and not board.is_slow:
            # Those who wait do not cancel it.
            _, pending = await asyncio.wait({board.building}, timeout=_PATIENCE)
            board.is_slow = bool(pending)
        return self.index(partition)

    def _want(self, partition: str) -> RankedBoard | None:
        """Have the board's index built, if there is none; ``None`` where there is to be none."""
        if self._closed or not self._limit:
            return None
        board = self._boards.get(partition)
        if board is None:
            board = RankedBoard(partition, self._ticks)
            self._boards.add(board)
            self._feed.attach(self)
        self._use(board)
        if board.building is None and board.index is None and self._may_build(board):
            board.is_slow = False
            board.building = self._tasks.start(self._build(board))
        return board

    def index(self, partition: str) -> RankIndex | None:
        """The board's index, to ask for many places in one turn of the event loop; ``None`` while
        the store has to be asked (`place` has it built)."""
        board = self._boards.get(partition)
        if board is None or board.index is None or not self._feed.is_open:
            return None
        self._use(board)
        return board.index if board.index.is_ready else None

    def _use(self, board: RankedBoard) -> None:
        if board.used_at != self._ticks:
            board.used_at = self._ticks
            self._boards.move_to_end(board.id)

    def _may_build(self, board: RankedBoard) -> bool:
        now = asyncio.get_running_loop().time()
        return self._ticks >= board.again_at and now >= board.rests_until

    async def _build(self, board: RankedBoard) -> None:
        try:
            async with self._turns.take(board.id, urgent=False):
                await self._feed.opened()
                await self._read(board)
        except (NotFound, SeasonGone):
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

    async def _read(self, board: RankedBoard) -> None:
        """Raises `NotFound`, `SeasonGone` or `StoreUnavailable`."""
        clock = asyncio.get_running_loop().time
        began = clock()
        ordering = await self._counts.ordering(board.id)
        # Whatever is written from now on, the feed tells it to this index.
        index = board.index = RankIndex(ordering)

        def has_room() -> bool:
            self._weigh(board)
            return self._make_room(board)

        if not await scan(self._store, board.id, index, has_room, board.middle):
            logger.warning("there is no room for the ranks of board %s", board.id)
            self._fail(board, max(_NO_ROOM, int(_PAUSE * (clock() - began))))
            return
        for _ in index.finish(self.position):
            await asyncio.sleep(0)
        board.ready_at = clock()
        board.seconds = board.ready_at - began
        board.check = CountCheck(self._ticks)
        self._weigh(board)
        self._drop_if_lost(board)
        logger.debug("%d players of board %s were read", len(index), board.id)

    def _fail(self, board: RankedBoard, ticks: int) -> None:
        """The board was not read: its ranks are not tried for a while."""
        board.again_at = self._ticks + ticks
        board.index = None
        self._weigh(board)

    def _drop_if_lost(self, board: RankedBoard) -> None:
        if (index := board.index) is not None and index.state is State.LOST:
            logger.info("the ranks of board %s are built again: %s", board.id, index.why_lost)
            self._drop(board, rest=True)

    def _drop(self, board: RankedBoard, *, rest: bool = False) -> None:
        """Forget what is known of the board. `rest`: whatever made that necessary must not keep the
        store busy with reading the board."""
        if board.building is not None and board.building is not asyncio.current_task():
            board.building.cancel()
            board.building = None
        board.forget()
        if rest:
            board.rests_until = board.ready_at + _REST * board.seconds
        self._weigh(board)

    def _remove(self, partition: str) -> None:
        if (board := self._boards.get(partition)) is not None:
            self._drop(board)
            self._boards.remove(board)

    def _weigh(self, board: RankedBoard) -> None:
        weight = 0 if board.index is None else _EACH + board.index.entries
        if board.weight - weight >= MANY:
            self._trim()
        self._weight += weight - board.weight
        board.weight = weight

    def _trim(self) -> None:
        if not self._closed:
            self._tasks.start(asyncio.to_thread(give_memory_back))

    def _make_room(self, wanted: RankedBoard | None = None) -> bool:
        """Drop boards until all fit: first those that were not asked for the longest. Whether they
        fit; for `wanted`, a board that is being read, none is dropped that is in use."""
        for board in list(self._boards.values()) if self._weight > self._limit else ():
            if self._weight <= self._limit:
                break
            if board is not wanted and (wanted is None or self._ticks - board.used_at >= _UNUSED):
                self._remove(board.id)
        return self._weight <= self._limit
