"""The one task of a live board: does what the board's state machine asks for."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

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
from tornado_board.store import NotFound, StoreError, StoreUnavailable
from tornado_board.tasks import fail, succeed

logger = logging.getLogger(__name__)

#: Seconds before a board is taken up again after a failure that nobody foresaw.
_AGAIN = 0.5


class Surroundings(Protocol):
    """What a live board needs of the process: see `live_boards.LiveBoards`."""

    hub: Hub

    async def read(self, board_id: str, *, urgent: bool) -> Ranking:
        """The board and its best players. Raises `StoreError`."""

    async def locate(self, board_id: str, after: EventId | None) -> tuple[list[Event], bool]:
        """What the log has after `after`, and whether that is all of it; otherwise the newest
        event, if any. Raises `LogUnavailable`."""

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
        self._surroundings = surroundings
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
        # Shielded, since others may wait for the same.
        await asyncio.shield(self.ready)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            action = self.state.next(time.monotonic())
            if self.state.ready:
                succeed(self.ready)
            try:
                if isinstance(action, Wait):
                    await self._wait(action.seconds)
                elif isinstance(action, End):
                    fail(self.ready, NotFound(f"there is no board {self.board_id!r}"))
                    await self._surroundings.on_ended(self.board_id, self._forgets(action))
                    return
                elif not await self._carry_out(action):
                    self._surroundings.on_failed(self.board_id)
                    return
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
                logger.exception("board %s could not be shown", self.board_id)
                fail(self.ready, StoreUnavailable(str(error)))
                self.state.resync()
                await asyncio.sleep(_AGAIN)

    async def _carry_out(self, action: Action) -> bool:
        """Do it and tell the state machine; ``False`` if the board is to be given up."""
        here, state, board_id = self._surroundings, self.state, self.board_id
        if isinstance(action, Append):
            event_id = await here.append(board_id, action.data, action.after, action.lost)
            state.appended(event_id, action.data)
        elif isinstance(action, Send):
            return await self._send(action)
        elif isinstance(action, Read):
            return await self._read()
        elif isinstance(action, Locate):
            state.located(*await here.locate(board_id, action.after))
        elif isinstance(action, Report):
            await here.report(board_id, action.after, action.count)
            state.reported()
        elif isinstance(action, Ask):
            state.asked(time.monotonic(), await here.ask(board_id))
        return True

    async def _read(self) -> bool:
        try:
            ranking = await self._surroundings.read(self.board_id, urgent=not self.kept)
        except NotFound:
            self.state.not_found()
        except StoreError as error:
            self.state.read_failed(time.monotonic())
            if not self.ready.done():
                # Those who wait are told, and whoever asks next starts again.
                fail(self.ready, error)
                return self.kept or self.state.shown is not None
        else:
            self.state.read(ranking)
        return True

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
