"""What the replay log has to be told, or asked, of boards that aren't live in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from tornado_board.backoff import Backoff
from tornado_board.cluster import Bus, Role
from tornado_board.replay import EventId, LogRefused, LogUnavailable, NotPublisher, ReplayLog
from tornado_board.tasks import Tasks

#: Boards that wait, of each kind.
_WAITING = 100_000

#: Boards that are looked after in one go.
_AT_ONCE = 200

#: Bounds, in seconds, of the wait after the log refused something.
_BACKOFF = (0.5, 8.0)


class Backlog:
    """Boards that wait for the log while this process does something else.

    Those that changed, and may be followed elsewhere; those that were deleted; those whose newest
    events are in no log. Who follows what changes in between, so that a board which is passed over
    is asked for again, and one that waits in vain does no harm.
    """

    def __init__(
        self,
        log: ReplayLog,
        bus: Bus,
        *,
        is_live: Callable[[str], bool],
        keep: Callable[[str], None],
        on_error: Callable[[Exception], None],
        keep_all: Callable[[], Awaitable[None]],
    ) -> None:
        """`keep` makes a board live that others follow; `keep_all` all of them, which raises
        `LogUnavailable`."""
        self._log = log
        self._bus = bus
        self._is_live = is_live
        self._keep = keep
        self._on_error = on_error
        self._keep_all = keep_all
        self._role: Role | None = None
        self._changed: dict[str, None] = {}
        self._deleted: dict[str, None] = {}
        self._unlogged: dict[str, tuple[EventId, int]] = {}
        self._overflowed = False
        self._backoff = Backoff(*_BACKOFF)
        self._tasks = Tasks()
        self._working: asyncio.Task[None] | None = None

    @property
    def size(self) -> int:
        """How many boards wait."""
        return len(self._changed) + len(self._deleted) + len(self._unlogged)

    async def close(self) -> None:
        """Stop; what waits is lost with this process."""
        self._role = None
        await self._tasks.cancel()

    def take_role(self, role: Role) -> None:
        """Only who publishes has a say in what is logged; who is isolated has none in anything."""
        self._role = role
        if role is Role.FOLLOWER:
            self._changed.clear()
            self._deleted.clear()
        self.wake()

    def add_changed(self, board_id: str) -> None:
        """The board changed; others may follow it."""
        self._add(self._changed, board_id)

    def add_deleted(self, board_id: str) -> None:
        """The board was deleted."""
        self._add(self._deleted, board_id)

    def add_unlogged(self, board_id: str, last: EventId, count: int) -> None:
        """`count` events were sent after `last` that are in no log."""
        if len(self._unlogged) < _WAITING:
            self._unlogged[board_id] = (last, count)
        self.wake()

    def take_unlogged(self, board_id: str) -> tuple[EventId, int] | None:
        """What `add_unlogged` was told of a board that is live again, and sees to it itself."""
        return self._unlogged.pop(board_id, None)

    def overflow(self) -> None:
        """All boards have to be looked after: nobody knows which have changed."""
        self._overflowed = True
        self.wake()

    def wake(self) -> None:
        """Go on, unless the log is known to be away; then it is to be called when it is back."""
        if self._role in (None, Role.ISOLATED) or self._working is not None:
            return
        if self._changed or self._deleted or self._unlogged or self._overflowed:
            self._working = self._tasks.start(self._work())

    def _add(self, boards: dict[str, None], board_id: str) -> None:
        if len(boards) < _WAITING:
            boards[board_id] = None
            self.wake()
        else:
            self.overflow()

    async def _work(self) -> None:
        try:
            while self._changed or self._deleted or self._unlogged or self._overflowed:
                try:
                    await self._report(list(islice(self._unlogged.items(), _AT_ONCE)))
                    if self._role is Role.PUBLISHER:
                        await self._delete(list(islice(self._deleted, _AT_ONCE)))
                        await self._ask_about(list(islice(self._changed, _AT_ONCE)))
                        await self._look_after_all()
                    elif not self._unlogged:
                        break
                    self._backoff.reset()
                except LogRefused as error:
                    self._on_error(error)
                    await asyncio.sleep(self._backoff.next())
        except (LogUnavailable, NotPublisher) as error:
            self._on_error(error)
        finally:
            self._working = None

    async def _look_after_all(self) -> None:
        if self._overflowed:
            self._overflowed = False
            try:
                await self._keep_all()
            except BaseException:
                self._overflowed = True
                raise

    async def _report(self, unlogged: Iterable[tuple[str, tuple[EventId, int]]]) -> None:
        for board_id, (last, count) in unlogged:
            await self._log.record_gap(board_id, last, count)
            if self._unlogged.get(board_id) == (last, count):
                del self._unlogged[board_id]

    async def _delete(self, deleted: Iterable[str]) -> None:
        for board_id in deleted:
            if not self._is_live(board_id):  # else it was made again
                await self._log.delete(board_id)
            self._deleted.pop(board_id, None)

    async def _ask_about(self, changed: list[str]) -> None:
        followed = await self._bus.followed(changed)
        for board_id in changed:
            self._changed.pop(board_id, None)
        for board_id in followed:
            self._keep(board_id)
