"""The one task of a live board: does what the board's state machine asks for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from tornado_board.backoff import Backoff
from tornado_board.cluster import Role
from tornado_board.models import Ranking
from tornado_board.ranking.actions import (
    Action,
    Append,
    Ask,
    End,
    Locate,
    Read,
    Report,
    Send,
    Wait,
)
from tornado_board.ranking.board_state import BoardState
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.replay import Event, EventId, LogRefused, LogUnavailable, NotPublisher
from tornado_board.store import NotFound, SeasonGone, StoreError, StoreUnavailable
from tornado_board.tasks import fail, succeed

logger = logging.getLogger(__name__)

#: Seconds that a client waits at the most for a board to be compared with the store: longer than it
#: takes to find that a log does not answer.
_COMPARING = 6.0

#: Boards that are woken before the event loop may go on to something else.
_WOKEN_AT_ONCE = 128

#: Bounds of the waits, in seconds, after failures that nobody foresaw.
_AGAIN = (0.5, 8.0)


class Surroundings(Protocol):
    """What a live board needs of the process: see `live_boards.LiveBoards`."""

    hub: Hub

    async def read(self, board_id: str, season: int | None = None, *, urgent: bool) -> Ranking:
        """The board and its best players, as of a season; `urgent` before those that nobody waits
        for.

        Raises `StoreError`.
        """

    async def locate(
        self, board_id: str, after: EventId | None, *, urgent: bool
    ) -> tuple[list[Event], bool]:
        """What the log has after `after`, and whether that is all of it; otherwise the newest
        event, if any. Raises `LogUnavailable`."""

    def hurry(self, board_id: str) -> None:
        """What is asked for the board has become urgent."""

    async def append(self, board_id: str, data: str, after: EventId | None, lost: int) -> EventId:
        """See `ReplayLog.append`."""

    async def report(self, board_id: str, after: EventId, count: int) -> None:
        """See `ReplayLog.record_gap`."""

    async def ask(self, board_id: str) -> bool:
        """See `Bus.want`."""

    def on_log_lost(self, error: LogUnavailable) -> None:
        """The log does not answer, or refuses."""

    def on_fenced(self) -> None:
        """Another process publishes."""

    async def on_ended(self, board_id: str, forget: bool) -> None:
        """The board is gone; `forget` its log as well. Returns when its name is free again."""

    def on_failed(self, board_id: str) -> None:
        """The board could not be shown, and nobody needs it to be tried again."""


class LiveBoard:
    """A board that is live in this process, from when it is made until `task` has ended.

    It lives until it is deleted, or `task` is cancelled; then an event that was begun is still
    sent to everyone, and nothing after it.
    """

    def __init__(
        self, board_id: str, state: BoardState, surroundings: Surroundings, *, kept: bool
    ) -> None:
        self.board_id = board_id
        self.state = state
        #: Whether it is tried until it is published, since other processes may follow it;
        #: otherwise who asks for it is told of a failure, and may ask again.
        self.kept = kept
        #: Done when the hub has the board, or it was found that it can't be had.
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Those who wait for what the hub has to be compared with the store, the first ones first.
        self._doubts: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._surroundings = surroundings
        self._is_urgent = not kept  # somebody waits for `ready`
        self._backoff = Backoff(*_AGAIN)
        self._failed = False  # for a reason that nobody foresaw, and since then nothing succeeded
        self._woken = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    def wake(self) -> None:
        """Something came in to `state`."""
        self._woken.set()

    async def shown(self) -> None:
        """Return when the hub has the board as it is now.

        Raises `NotFound`, `StoreUnavailable` or `LimitReached`.
        """
        if self.ready.done():
            self.ready = asyncio.get_running_loop().create_future()
            self.state.show_again(time.monotonic())
            self.wake()
        if not self._is_urgent:
            self._is_urgent = True
            self._surroundings.hurry(self.board_id)
        await self.until_ready()

    async def until_ready(self) -> None:
        """As `shown`, for who has made the board live; it may be over by now."""
        # Shielded, since others may wait for the same.
        await asyncio.shield(self.ready)

    async def compared(self, *, strictly: bool) -> None:
        """Return when the hub has the board as the store had it a moment ago, or nobody can tell
        within `_COMPARING` seconds.

        A read of the store that has begun before this was called does not count: the client may
        have seen, elsewhere, what came after it.
        """
        if self.state.is_confirmed(time.monotonic(), strictly=strictly):
            return
        while self._doubts and self._doubts[0][1].done():
            self._doubts.popleft()  # of a client that has waited long enough, or is gone
        compared = asyncio.get_running_loop().create_future()
        self._doubts.append((self.state.doubt(), compared))
        self.wake()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_COMPARING):
                await compared

    async def _run(self) -> None:
        try:
            await self._live()
        finally:
            self._answer()

    def _answer(self, count: float = math.inf) -> None:
        """Let those who doubted go on, up to the one with the number `count`."""
        while self._doubts and self._doubts[0][0] <= count:
            succeed(self._doubts.popleft()[1])

    async def _live(self) -> None:
        while True:
            self._woken.clear()
            action: Action | None = None
            try:
                action = self.state.next(time.monotonic())
                if self.state.ready:
                    succeed(self.ready)
                    self._is_urgent = False
                self._answer(self.state.answered_doubts)
                if isinstance(action, Wait):
                    await self._wait(action.seconds)
                elif isinstance(action, End):
                    fail(self.ready, NotFound(f"there is no board {self.board_id!r}"))
                    await self._surroundings.on_ended(self.board_id, self._forgets(action))
                    return
                elif not await self._carry_out(action):
                    self._surroundings.on_failed(self.board_id)
                    return
                else:
                    self._failed = False
                    self._backoff.reset()
            except LogRefused as error:
                data = action.data if isinstance(action, Append) else None
                self.state.refused(time.monotonic(), data)
                self._surroundings.on_log_lost(error)
            except LogUnavailable as error:
                self.state.log_failed(time.monotonic())
                self._surroundings.on_log_lost(error)
            except NotPublisher:
                self.state.fenced(time.monotonic())
                self._surroundings.on_fenced()
            except Exception as error:
                level = logging.DEBUG if self._failed else logging.ERROR
                logger.log(level, "board %s could not be shown", self.board_id, exc_info=True)
                self._failed = True
                if not self._goes_on_after(StoreUnavailable(str(error))):
                    self._surroundings.on_failed(self.board_id)
                    return
                self.state.resync()
                await asyncio.sleep(self._backoff.next())

    async def _carry_out(self, action: Action) -> bool:
        """Do it and tell the state machine; ``False`` if the board is to be given up."""
        here, state, board_id = self._surroundings, self.state, self.board_id
        if isinstance(action, Append):
            event_id = await here.append(board_id, action.data, action.after, action.lost)
            state.appended(event_id, action.data)
        elif isinstance(action, Send):
            return await self._send(action)
        elif isinstance(action, Read):
            return await self._read(action.season)
        elif isinstance(action, Locate):
            found = await here.locate(board_id, action.after, urgent=self._is_urgent)
            state.located(*found)
        elif isinstance(action, Report):
            await here.report(board_id, action.after, action.count)
            state.reported()
        elif isinstance(action, Ask):
            state.asked(time.monotonic(), await here.ask(board_id))
        return True

    async def _read(self, season: int | None) -> bool:
        try:
            read = self._surroundings.read(self.board_id, season, urgent=self._is_urgent)
            ranking = await read
        except NotFound:
            self.state.not_found()
        except SeasonGone:
            self.state.read_end(season or 1, None)
        except StoreError as error:
            self.state.read_failed(time.monotonic())
            return self._goes_on_after(error)
        else:
            if season is None:
                self.state.read(ranking, time.monotonic())
            else:
                self.state.read_end(season, ranking)
        return True

    def _goes_on_after(self, error: Exception) -> bool:
        """Tell those who wait of `error`; ``False`` if nobody needs another try."""
        if self.ready.done():
            return True
        # Whoever asks next starts again.
        fail(self.ready, error)
        self._is_urgent = False
        return self.kept or self.state.shown is not None

    async def _send(self, action: Send) -> bool:
        try:
            await self._surroundings.hub.publish(self.board_id, action.event, action.reset)
        except LimitReached as error:
            # It was logged for other processes' sake; for more there is no room here.
            fail(self.ready, error)
            return False
        self.state.sent(time.monotonic())
        return True

    def _forgets(self, action: End) -> bool:
        return (action.forget or self.kept) and self.state.role is Role.PUBLISHER

    async def _wait(self, seconds: float | None) -> None:
        if seconds is None:
            await self._woken.wait()
            return
        timer = asyncio.get_running_loop().call_later(seconds, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            timer.cancel()


async def wake_all(boards: Sequence[LiveBoard]) -> None:
    """Wake `boards`, in slices: all at once they would keep everything else waiting."""
    for count, live in enumerate(boards, 1):
        live.wake()
        if count % _WOKEN_AT_ONCE == 0:
            await asyncio.sleep(0)
