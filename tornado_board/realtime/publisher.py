"""From changes to events: squashes them, appends them to the log, hands them to the hub."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from tornado_board.models import TOP, Board, board_json
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.standings import Standings
from tornado_board.replay import (
    BoardRefused,
    Event,
    EventId,
    Gap,
    LogRefused,
    LogUnavailable,
    NotPublisher,
    ReplayLog,
)
from tornado_board.store import (
    BoardChanged,
    Change,
    NotFound,
    PlayerChanged,
    Store,
    StoreError,
    StoreUnavailable,
)
from tornado_board.tasks import Tasks, fail

logger = logging.getLogger(__name__)

#: Reads of boards under way at once, when many are to be read (at the start, after a lost feed).
_READS = 16

#: Changes that a board may gather while it is read; with more it is read again.
_GATHERED = 1_000

#: Changed boards that aren't live here and wait for the log's word on who follows them.
_COLD = 100_000

#: How long, in seconds, to wait before trying again what the store or the log failed to do; a
#: store that goes on failing is left alone for up to _LONGEST, or until the feed is back.
_AGAIN = 0.5
_LONGEST = 8.0


class _Live:
    """What the publisher knows of one live board."""

    __slots__ = (
        "board",
        "data",
        "dirty",
        "failures",
        "first",
        "gathered",
        "kept",
        "last",
        "lost",
        "must_read",
        "published_at",
        "standings",
        "worker",
    )

    def __init__(self, *, kept: bool) -> None:
        self.board: Board | None = None
        #: Whether it is tried until it is published, since other processes may follow it;
        #: otherwise whoever asks for it is told of a failure, and may ask again.
        self.kept = kept
        #: None until the first read and during each: then changes are gathered.
        self.standings: Standings | None = None
        self.gathered: list[PlayerChanged] = []
        #: What is left to do: read the board, publish it if it shows something else.
        self.must_read = True
        self.dirty = False
        self.worker: asyncio.Task[None] | None = None
        #: Reads that failed one after the other.
        self.failures = 0
        #: The newest event's data; its id as far as it is known; how many since had no id.
        self.data: str | None = None
        self.last: EventId | None = None
        self.lost = 0
        self.published_at = -1e9
        #: Done when the board was published here for the first time, or could not be so far.
        self.first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def succeed(self) -> None:
        """The board is published here."""
        if self.first.done() and self.first.exception() is not None:
            self.first = asyncio.get_running_loop().create_future()
        if not self.first.done():
            self.first.set_result(None)


class Publisher:
    """Keeps the standings of each live board, and publishes a board when what it shows changes.

    The first change of a quiet board goes out at once; those within `squash` seconds after an
    event become one. A board that shows what it showed before is not published. While the log is
    away events go out without ids, and the boards they were of are published anew when it is back.

    It is the hub's `Source` in the process that publishes.
    """

    def __init__(
        self,
        store: Store,
        log: ReplayLog,
        hub: Hub,
        *,
        squash: float,
        depth: int,
        live_boards: int,
        on_fenced: Callable[[], None] = lambda: None,
        unlogged: Mapping[str, tuple[EventId, int]] | None = None,
    ) -> None:
        """`depth` is how many players of a board are held (see `Standings`).

        `on_fenced` is called when the log says that another process publishes. `unlogged` is what
        an earlier publisher of this process left behind (see the method of that name).
        """
        self._store = store
        self._log = log
        self._hub = hub
        self._squash = squash
        self._depth = depth
        self._live_boards = live_boards
        self._on_fenced = on_fenced
        self._unlogged = dict(unlogged or {})
        self._boards: dict[str, _Live] = {}
        self._reads = asyncio.Semaphore(_READS)
        self._cold: dict[str, None] = {}
        self._deleted: dict[str, None] = {}
        self._tasks = Tasks()
        self._cold_task: asyncio.Task[None] | None = None
        self._overflowed = False
        self._resynced = asyncio.Event()
        #: Runs while the log is away or refuses events; and whether it does the latter, in which
        #: case every event is offered to it all the same, for the other processes' sake.
        self._log_task: asyncio.Task[None] | None = None
        self._refused = False
        self._complained = False
        self._closed = False

    async def close(self) -> None:
        """Stop publishing. What was begun is broken off; a later publisher reads the boards
        anew."""
        self._closed = True
        for live in self._boards.values():
            fail(live.first, StoreUnavailable("this process has stopped publishing; try again"))
        self._boards.clear()
        await self._tasks.cancel()

    def unlogged(self) -> dict[str, tuple[EventId, int]]:
        """The boards whose newest events are in no log: the last id before them, and how many."""
        return self._unlogged | {
            board_id: (live.last, live.lost)
            for board_id, live in self._boards.items()
            if live.lost and live.last is not None
        }

    # What the hub asks for

    async def watch(self, board_id: str) -> None:
        """Make the board live: read it, and publish it unless the log's newest event shows it.

        Raises `NotFound`, `StoreUnavailable` or `LimitReached`.
        """
        if self._closed:
            raise StoreUnavailable("this process has stopped publishing; try again")
        live = self._boards.get(board_id)
        if live is None:
            live = self._boards[board_id] = _Live(kept=False)
        elif live.first.done():
            live.dirty = True
        self._work_on(board_id, live)
        # Shielded, since others may wait for the same.
        await asyncio.shield(live.first)

    def unwatch(self, board_id: str) -> None:
        """Forget the board; it is read anew when it is watched again."""
        live = self._boards.pop(board_id, None)
        if live is not None:
            fail(live.first, LimitReached("the board is no longer live; try again"))
            if live.lost and live.last is not None and len(self._unlogged) < _COLD:
                self._unlogged[board_id] = (live.last, live.lost)

    # What the feed tells

    def apply(self, changes: Sequence[Change]) -> None:
        """Take in changes, in the order of the feed, and publish what they change."""
        for change in changes:
            board_id = change.board_id
            live = self._boards.get(board_id)
            if isinstance(change, BoardChanged):
                if change.board is None:
                    self._end(board_id)
                elif live is not None:
                    # Renamed; or deleted and made again, which a feed may tell of in one.
                    live.must_read = True
                    self._work_on(board_id, live)
            elif live is None:
                self._ask_about(self._cold, board_id)
            elif live.standings is None:
                if len(live.gathered) < _GATHERED:
                    live.gathered.append(change)
                else:
                    live.must_read = True
            else:
                if live.standings.apply(change):
                    live.dirty = True
                if live.standings.is_short:
                    live.must_read = True
                if live.dirty or live.must_read:
                    self._work_on(board_id, live)

    async def resync(self) -> None:
        """Read all live boards again and publish those that differ.

        To be called whenever a feed was opened, before its changes are applied: nobody knows what
        happened until then. Boards with events in the log count as live too, since clients may
        come back for them.
        """
        for board_id, live in self._boards.items():
            live.must_read = True
            self._work_on(board_id, live)
        # Those who have failed to read theirs try at once.
        self._resynced.set()
        self._resynced = asyncio.Event()
        self._add(self._hub.board_ids())
        try:
            self._add(await self._log.board_ids())
        except LogUnavailable as error:
            self._lose_log(error)

    def _add(self, board_ids: Iterable[str]) -> None:
        """Make boards live that aren't, as far as there is room; else those that others follow."""
        for board_id in board_ids:
            if len(self._boards) < self._live_boards:
                self._keep(board_id)
            elif board_id not in self._boards:
                self._ask_about(self._cold, board_id)

    def _keep(self, board_id: str) -> None:
        """Make a board live for other processes' sake, and try until that is done."""
        if board_id not in self._boards and not self._closed:
            live = self._boards[board_id] = _Live(kept=True)
            self._work_on(board_id, live)

    # One worker for each board that has something to do

    def _work_on(self, board_id: str, live: _Live) -> None:
        if live.worker is None and not self._closed:
            live.worker = self._tasks.start(self._work(board_id, live))

    async def _work(self, board_id: str, live: _Live) -> None:
        try:
            while self._boards.get(board_id) is live and (live.must_read or live.dirty):
                wait = live.published_at + self._squash - time.monotonic()
                try:
                    if live.must_read:
                        await self._read(board_id, live)
                    elif wait > 0:
                        await asyncio.sleep(wait)
                    else:
                        await self._publish(board_id, live)
                except Exception as error:
                    logger.exception("board %s could not be published", board_id)
                    live.must_read = True
                    await self._try_again(board_id, live, StoreUnavailable(str(error)))
        finally:
            live.worker = None

    async def _try_again(self, board_id: str, live: _Live, error: StoreError) -> None:
        """What the board's worker does when it could not go on because of `error`."""
        if not live.first.done():
            # Those who wait are told, and whoever asks next starts again.
            fail(live.first, error)
            gone = self._hub.current(board_id) is None and not live.kept
            if gone and self._boards.get(board_id) is live:
                del self._boards[board_id]
                return
        pause = min(_AGAIN * 2**live.failures, _LONGEST) * (1 + random.random())
        live.failures += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._resynced.wait(), pause)

    async def _read(self, board_id: str, live: _Live) -> None:
        """Read the board and, the first time, what the log has of it."""
        live.must_read = False
        live.standings = None
        live.gathered.clear()
        try:
            async with self._reads:
                ranking = await self._store.ranking(board_id, self._depth)
                if live.data is None:
                    await self._read_head(board_id, live)
        except NotFound as error:
            if self._boards.get(board_id) is live:
                fail(live.first, error)
                self._end(board_id)
            return
        except StoreError as error:
            live.must_read = True
            await self._try_again(board_id, live, error)
            return
        live.failures = 0
        live.board = ranking.board
        live.standings = Standings(ranking, self._depth, TOP)
        for change in live.gathered:
            live.standings.apply(change)
        live.gathered.clear()
        live.must_read = live.must_read or live.standings.is_short
        live.dirty = True

    async def _read_head(self, board_id: str, live: _Live) -> None:
        """Find out what the board's subscribers have been sent so far."""
        try:
            head = await self._log.head(board_id)
        except LogUnavailable as error:
            if not isinstance(error, BoardRefused):
                self._lose_log(error)
            current = self._hub.current(board_id)
            if current is None:
                # Whatever is sent now, nobody can prove that it was the next event.
                live.last, lost = self._unlogged.pop(board_id, (None, 0))
                live.lost = lost + 1
                return
            live.data, live.last = current.data, current.id  # only something else is sent
            if current.id is None:
                live.last, live.lost = self._unlogged.pop(board_id, (None, 1))
            return
        if head is not None:
            live.data, live.last = head.data, head.id
        current = self._hub.current(board_id)
        if board_id in self._unlogged or (current is not None and current.id is None):
            # Sent while the log was away: by who published before, or before the board made room.
            last, live.lost = self._unlogged.pop(board_id, (live.last, 1))
            if last is not None and (live.last is None or last > live.last):
                live.last = last
        elif current is None or current.id is None:
            return
        elif head is None or head.id is None or current.id > head.id:
            live.last = current.id
            live.data = None  # the log was emptied: it has to have this board again
        elif current.id < head.id:
            # Published by another process just before this one took over from it.
            for event in await self._missed(board_id, current.id, head):
                if self._boards.get(board_id) is live:
                    await self._hand_over(board_id, event)

    async def _missed(self, board_id: str, last: EventId, head: Event) -> Sequence[Event]:
        """The log's events after `last`; only the newest where the log doesn't have them all."""
        try:
            return await self._log.since(board_id, last)
        except (Gap, LogUnavailable):
            return [head]

    async def _publish(self, board_id: str, live: _Live) -> None:
        assert live.board is not None
        assert live.standings is not None
        live.dirty = False
        data = board_json(live.board, live.standings.top())
        if data == live.data and not live.lost:
            if self._hub.current(board_id) is not None:
                live.succeed()
                return
            event = Event(live.last, data)
        else:
            event_id = None
            if self._log_task is None or self._refused:
                try:
                    event_id = await self._log.append(
                        board_id, data, after=live.last, lost=live.lost
                    )
                    if self._refused:
                        self._take_log_back()
                except BoardRefused as error:
                    if not live.lost:
                        logger.warning("events of board %s have no ids: %s", board_id, error)
                except LogUnavailable as error:
                    self._refused = isinstance(error, LogRefused)
                    self._lose_log(error)
                except NotPublisher:
                    live.dirty = True
                    self._on_fenced()
                    # Whoever holds the lease now publishes; this publisher is about to be closed.
                    await asyncio.sleep(_AGAIN)
                    return
            if self._boards.get(board_id) is not live:
                return
            if event_id is None and data == live.data and self._hub.current(board_id) is not None:
                live.succeed()
                return  # its subscribers have it; only the log still lacks it
            live.lost = live.lost + 1 if event_id is None else 0
            live.last = event_id or live.last
            live.data = data
            event = Event(event_id, data)
        live.published_at = time.monotonic()
        try:
            await self._hand_over(board_id, event)
        except LimitReached as error:
            fail(live.first, error)
            if self._boards.get(board_id) is live:
                self.unwatch(board_id)
        else:
            live.succeed()

    async def _hand_over(self, board_id: str, event: Event) -> None:
        # Shielded: an event that was begun goes to all subscribers, whatever becomes of this. The
        # hub counts it as sent, so nobody would send it to the rest of them.
        await asyncio.shield(asyncio.ensure_future(self._hub.publish(board_id, event)))

    def _end(self, board_id: str) -> None:
        """The board was deleted."""
        live = self._boards.pop(board_id, None)
        if live is not None:
            fail(live.first, NotFound(f"there is no board {board_id!r}"))
        self._hub.end_board(board_id)
        self._ask_about(self._deleted, board_id)

    # Boards that changed and aren't live here

    def _ask_about(self, boards: dict[str, None], board_id: str) -> None:
        if self._closed:
            return
        if len(boards) < _COLD:
            boards[board_id] = None
        else:
            self._overflowed = True  # then all are looked after, once there is room
        if self._cold_task is None and self._log_task is None:
            self._cold_task = self._tasks.start(self._look_after_cold())

    async def _look_after_cold(self) -> None:
        """Make those live that other processes follow, and forget the logs of deleted ones."""
        try:
            while self._cold or self._deleted:
                cold, self._cold = list(self._cold), {}
                deleted, self._deleted = list(self._deleted), {}
                for board_id in deleted:
                    if board_id not in self._boards:
                        await self._log.delete(board_id)
                # These are logged even where the hub has no room for them.
                for board_id in await self._log.watched(cold):
                    self._keep(board_id)
                deleted, cold = [], []
            if self._overflowed:
                self._overflowed = False
                await self.resync()
        except LogUnavailable as error:
            # Asked again when the log is back.
            self._cold = dict.fromkeys(cold) | self._cold
            self._deleted = dict.fromkeys(deleted) | self._deleted
            self._lose_log(error)
        except NotPublisher:
            self._on_fenced()
        finally:
            self._cold_task = None

    # The log going away and coming back

    def _lose_log(self, error: Exception) -> None:
        if self._log_task is None and not self._closed:
            if not self._complained:
                self._complained = True
                logger.warning("events go out without ids until the replay log is back: %s", error)
            self._log_task = self._tasks.start(self._await_log())

    async def _await_log(self) -> None:
        # A log that only lost a connection is back at once; one that is full is not.
        wait = _AGAIN if self._refused else _AGAIN / 16
        while True:
            await asyncio.sleep(wait * (1 + random.random()))
            wait = min(wait * 2, _AGAIN)
            try:
                await self._log.ping()
                break
            except LogUnavailable:
                continue
            except Exception:
                logger.exception("the replay log can't be asked whether it is back")
        self._log_task = None
        if self._refused:
            self._make_up()  # which tells whether it still is
        else:
            self._take_log_back()

    def _take_log_back(self) -> None:
        self._refused = self._complained = False
        if self._log_task is not None:
            self._log_task.cancel()
            self._log_task = None
        logger.warning("the replay log is back")
        self._make_up()

    def _make_up(self) -> None:
        """Do what had to wait for the log."""
        if (self._cold or self._deleted) and self._cold_task is None:
            self._cold_task = self._tasks.start(self._look_after_cold())
        for board_id, live in self._boards.items():
            if live.lost:
                live.dirty = True
                self._work_on(board_id, live)
