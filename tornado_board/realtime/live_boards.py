"""The boards that are live in this process: the hub's source, and the bus's member.

Each has a task of its own (`LiveBoard`). What they share is in here: the role, the feed that tells
of their changes, and a log that may be away.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence

from tornado_board.cluster import Bus, Role
from tornado_board.models import BoardChanged, Change, Ranking
from tornado_board.ranking.board_state import BoardState
from tornado_board.realtime.backlog import Backlog
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.live_board import LiveBoard, wake_all
from tornado_board.realtime.log_health import LogHealth
from tornado_board.realtime.turns import Turns
from tornado_board.replay import (
    Event,
    EventId,
    Gap,
    LogUnavailable,
    NotPublisher,
    ReplayLog,
)
from tornado_board.settings import Settings
from tornado_board.store import Store, StoreUnavailable
from tornado_board.tasks import Tasks, fail

logger = logging.getLogger(__name__)

#: Boards at once of which the store, and the log, is asked though nobody waits for them (at the
#: start, after a lost feed). Stores read several together.
_READS, _LOCATES = 64, 16

#: Boards made live before the event loop may go on to something else.
_SLICE = 256

_STOPPED = "this server is stopping; try again"


class LiveBoards:
    """The hub's `Source` and the bus's `Member`.

    While this process publishes, a board is live when somebody here asked for it, when another
    process follows it, or when it has events in the log, since clients may come back for them.
    """

    def __init__(
        self,
        store: Store,
        log: ReplayLog,
        hub: Hub,
        bus: Bus,
        feed: Changefeed,
        settings: Settings,
    ) -> None:
        self.hub = hub
        self.role: Role | None = None
        self._store = store
        self._log = log
        self._bus = bus
        self._settings = settings
        self._boards: dict[str, LiveBoard] = {}
        self._ending: dict[str, LiveBoard] = {}
        self._reads = Turns(_READS)
        self._locates = Turns(_LOCATES)
        self._feed = feed
        self._reads_feed = False
        self._tasks = Tasks()
        self._closed = False
        #: Set once what has events in the log was looked through.
        self._kept = asyncio.Event()
        self._backlog = Backlog(
            log,
            bus,
            is_live=lambda board_id: board_id in self._boards or board_id in self._ending,
            keep=self._keep,
            on_error=self._on_backlog_stopped,
            keep_all=self._keep_all,
        )
        self._health = LogHealth(log, self._on_log_returned, hub.metrics)

    async def shown(self, patience: float) -> None:
        """Return when the boards that have events in the log are live, or after `patience` seconds.

        For the start: whoever comes back then need not wait for a board to be read.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                if self.role is Role.PUBLISHER:
                    await self._kept.wait()
                    for live in list(self._boards.values()):
                        await asyncio.wait((live.ready,))

    async def close(self) -> None:
        """Stop. The hub keeps its boards as they are. May be called twice."""
        self._closed = True
        ending = [*self._boards.values(), *self._ending.values()]
        self._boards.clear()
        for live in ending:
            fail(live.ready, StoreUnavailable(_STOPPED))
            live.task.cancel()
        await asyncio.gather(*(live.task for live in ending), return_exceptions=True)
        self._read_feed(False)
        await self._backlog.close()
        await self._health.close()
        await self._tasks.cancel()

    @property
    def waiting(self) -> tuple[int, int, int]:
        """How many boards wait: for the store, for the log, and for the log to be told of them."""
        return self._reads.waiting, self._locates.waiting, self._backlog.size

    def missing(self) -> list[str]:
        """What keeps this process from being up to date, for ``/readyz``."""
        is_lost = self._reads_feed and self._feed.lost_at is not None
        return self._bus.missing() + ["the changefeed is not open yet"] * is_lost

    # What the hub asks for

    async def watch(self, board_id: str) -> None:
        """Make the board live, and return when the hub has it.

        Raises `NotFound`, `StoreUnavailable` or `LimitReached`.
        """
        # A new life of a board begins when the log of the old one is gone.
        while (ending := self._ending.get(board_id)) is not None:
            await asyncio.wait((ending.task,))
        if self._closed or self.role is None:
            raise StoreUnavailable(_STOPPED)
        live = self._boards.get(board_id)
        if live is None:
            live = self._start(board_id, kept=False)
            if self.role is Role.FOLLOWER:
                await self._bus.follow([board_id])
            await live.until_ready()
        else:
            await live.shown()

    def is_confirmed(self, board_id: str, *, strictly: bool) -> bool:
        now, live = time.monotonic(), self._boards.get(board_id)
        return live is not None and live.state.is_confirmed(now, strictly=strictly)

    async def confirm(self, board_id: str, *, strictly: bool) -> None:
        live = self._boards.get(board_id)
        if live is not None:
            await live.compared(strictly=strictly)

    def unwatch(self, board_id: str) -> None:
        """Forget the board; it is read anew when it is watched again."""
        live = self._give_up(board_id)
        if live is not None:
            fail(live.ready, LimitReached("the board is no longer live; try again"))
            live.task.cancel()

    # What the bus tells

    def take_role(self, role: Role) -> None:
        now = time.monotonic()
        was, self.role = self.role, role
        for live in self._boards.values():
            live.state.take_role(role, now)
            live.wake()
        if role is Role.FOLLOWER:
            self._tasks.start(self._bus.follow(list(self._boards)))
        elif was is Role.FOLLOWER:
            self._tasks.start(self._bus.unfollow(list(self._boards)))
        self._backlog.take_role(role)
        self._read_feed(role is not Role.FOLLOWER and not self._closed)

    def on_following(self, board_id: str) -> None:
        live = self._boards.get(board_id)
        if live is not None:
            live.state.following()
            live.wake()

    def on_event(self, board_id: str, event: Event | None) -> None:
        live = self._boards.get(board_id)
        if live is None or self.role is not Role.FOLLOWER:
            return
        if event is None:
            live.state.deleted()
        else:
            live.state.hear(event)
        live.wake()

    def on_wanted(self, board_id: str) -> None:
        if self.role is not Role.PUBLISHER:
            return
        live = self._boards.get(board_id)
        if live is not None:
            live.state.wanted()
            live.wake()
        else:
            self._add([board_id])

    def unfit_for(self) -> float:
        lost_at = self._feed.lost_at
        if not self._reads_feed or lost_at is None:
            return 0.0
        return time.monotonic() - lost_at

    async def can_publish(self) -> bool:
        if self._feed.is_running:
            return self._feed.is_open
        try:
            async with asyncio.timeout(self._settings.database_timeout):
                await self._store.ping()
                # A store may answer, and have no feed to give.
                feed = await self._store.changes()
                await feed.close()
        except Exception as error:
            logger.debug("the store does not answer: %s", error)
            return False
        return True

    # What the feed tells

    def apply(self, changes: Sequence[Change]) -> None:
        """Take in changes, in the order of the feed."""
        others = set()
        for change in changes:
            live = self._boards.get(change.board_id)
            if isinstance(change, BoardChanged):
                if change.board is None:
                    self._on_deleted(change.board_id, live)
                elif live is not None:
                    live.state.resync()  # renamed; or deleted and made again, told of in one
                    live.wake()
            elif live is None:
                others.add(change.board_id)
            else:
                live.state.apply(change)
                live.wake()
        for board_id in others:
            self._backlog.add_changed(board_id)

    def resync(self) -> None:
        """The feed was opened: nobody knows what happened until then."""
        for live in self._boards.values():
            live.state.resync()
        self._tasks.start(wake_all(list(self._boards.values())))
        self._add(self.hub.board_ids())
        # The feed does not wait for the log: it may be slow.
        self._backlog.overflow()

    def _on_deleted(self, board_id: str, live: LiveBoard | None) -> None:
        if live is not None:
            live.state.deleted()
            live.wake()
        elif board_id not in self._ending:
            self._backlog.add_deleted(board_id)

    # What the live boards ask for

    async def read(self, board_id: str, season: int | None = None, *, urgent: bool) -> Ranking:
        async with self._reads.take(board_id, urgent=urgent):
            return await self._store.ranking(board_id, self._settings.top_k, season)

    async def locate(
        self, board_id: str, after: EventId | None, *, urgent: bool
    ) -> tuple[list[Event], bool]:
        async with self._locates.take(board_id, urgent=urgent):
            if after is not None:
                try:
                    return list(await self._log.since(board_id, after)), True
                except Gap:
                    pass  # the newest is what subscribers need
            head = await self._log.head(board_id)
        return [] if head is None else [head], False

    def hurry(self, board_id: str) -> None:
        self._reads.hurry(board_id)
        self._locates.hurry(board_id)

    async def append(self, board_id: str, data: str, after: EventId | None, lost: int) -> EventId:
        return await self._health.append(board_id, data, after, lost)

    async def report(self, board_id: str, after: EventId, count: int) -> None:
        await self._log.record_gap(board_id, after, count)

    async def ask(self, board_id: str) -> bool:
        return await self._bus.want(board_id)

    def on_log_lost(self, error: LogUnavailable) -> None:
        self._health.lost(error)

    def on_fenced(self) -> None:
        self._bus.wake()

    async def on_ended(self, board_id: str, forget: bool) -> None:
        live = self._drop(board_id)
        if live is not None:
            self._ending[board_id] = live
        self.hub.end_board(board_id)
        try:
            if forget:
                await self._log.delete(board_id)
        except LogUnavailable as error:
            self.on_log_lost(error)
            self._backlog.add_deleted(board_id)
        except NotPublisher:
            self.on_fenced()
        except Exception:
            # The board has ended all the same; to end it again would hit one made in its place.
            logger.exception("the log of board %s could not be deleted", board_id)
            self._backlog.add_deleted(board_id)
        finally:
            self._ending.pop(board_id, None)

    def on_failed(self, board_id: str) -> None:
        self._give_up(board_id)

    # Which boards are live

    def _start(self, board_id: str, *, kept: bool) -> LiveBoard:
        assert self.role is not None
        state = BoardState(
            self.role,
            time.monotonic(),
            coalesce=self._settings.coalesce,
            depth=self._settings.top_k,
            left=self._backlog.take_unlogged(board_id),
        )
        live = self._boards[board_id] = LiveBoard(board_id, state, self, kept=kept)
        return live

    def _drop(self, board_id: str) -> LiveBoard | None:
        """Take the board out, and note which of its events are in no log."""
        live = self._boards.pop(board_id, None)
        if live is None:
            return None
        state = live.state
        if state.unlogged and state.last is not None:
            self._backlog.add_unlogged(board_id, state.last, state.unlogged)
        if self.role is Role.FOLLOWER:
            self._tasks.start(self._bus.unfollow([board_id]))
        return live

    def _give_up(self, board_id: str) -> LiveBoard | None:
        """Take the board out before its task is through with it."""
        if (live := self._drop(board_id)) and live.state.forgets and self.role is Role.PUBLISHER:
            self._backlog.add_deleted(board_id)
        return live

    def _add(self, board_ids: Iterable[str]) -> None:
        """Make boards live that others may follow; those that find no room wait."""
        for board_id in board_ids:
            if len(self._boards) < self._settings.live_boards:
                self._keep(board_id)
            elif board_id not in self._boards:
                self._backlog.add_changed(board_id)

    async def _keep_all(self) -> None:
        """Make live what others follow, and what has events in the log as far as there is room.

        Raises `LogUnavailable`.
        """
        self._add(await self._bus.all_followed())
        for count, board_id in enumerate(await self._log.board_ids(), 1):
            if len(self._boards) >= self._settings.live_boards:
                break
            self._keep(board_id)
            if count % _SLICE == 0:
                await asyncio.sleep(0)
        self._kept.set()

    def _keep(self, board_id: str) -> None:
        """Make a board live for others' sake: it is logged even where the hub has no room."""
        is_there = board_id in self._boards or board_id in self._ending
        if not is_there and not self._closed and self.role is not Role.FOLLOWER:
            self._start(board_id, kept=True)

    # A log that is away

    def _on_log_returned(self) -> None:
        for live in self._boards.values():
            live.state.log_returned()
            live.wake()
        self._backlog.wake()

    def _on_backlog_stopped(self, error: Exception) -> None:
        if isinstance(error, LogUnavailable):
            self.on_log_lost(error)
        else:
            self.on_fenced()

    def _read_feed(self, reads: bool) -> None:
        self._reads_feed = reads
        if reads:
            self._feed.attach(self)
        else:
            self._feed.detach(self)
