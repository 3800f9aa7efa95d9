"""The boards that this server follows: the hub's source, where there is no store.

A board is followed from when somebody here asks for it until nobody has listened to it for a while.
What the upstream says of it goes into this server's own log, under the upstream's ids, and then to
the hub, one event after the other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial

import msgspec

from tornado_board.log_once import LogOnce
from tornado_board.realtime import positions
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.positions import MOST_BOARDS
from tornado_board.realtime.wires import End
from tornado_board.replay import Event, EventId
from tornado_board.store import NotFound
from tornado_board.tasks import Shared, Tasks
from tornado_board.upstream import NotPublic, UpstreamError
from tornado_board.upstream.board_copy import Arrived
from tornado_board.upstream.board_stream import BoardStream
from tornado_board.upstream.event_stream import StreamEvent
from tornado_board.upstream.followed_board import Copies, FollowedBoard, Keeper, Lost
from tornado_board.upstream.grouping import plan
from tornado_board.upstream.upstreams import Upstreams

logger = logging.getLogger(__name__)
_said = LogOnce(logger)

#: Seconds within which boards that are asked for get a stream together.
_GATHER = 0.02

#: Seconds between two looks for boards that nobody listens to, and for how long nobody has to.
_SWEEP = 5.0
_LINGER = 30.0


class _Shown(msgspec.Struct):
    """What every event of a stream of several boards says."""

    id: str
    #: Of a reset.
    reason: str = "the upstream gave no reason"


class FollowedBoards:
    """The hub's `Source`, and the `Owner` of the streams."""

    def __init__(self, upstreams: Upstreams, log: Copies, hub: Hub, silence: float) -> None:
        """`silence`: seconds after which a stream that says nothing is taken for dead."""
        self.hub = hub
        self._upstreams = upstreams
        self._keeper = Keeper(log)
        self._silence = silence
        self._boards: dict[str, FollowedBoard] = {}
        self._opening: Shared[str, None] = Shared()
        self._asking: Shared[str, None] = Shared()
        self._streams: dict[BoardStream, tuple[str, ...]] = {}
        self._planned: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._tasks = Tasks()
        self._closed = False

    async def close(self) -> None:
        """Follow nothing any more. The hub keeps its boards as they are. May be called twice."""
        self._closed = True
        for timer in (self._planned, self._sweeping):
            if timer is not None:
                timer.cancel()
        for board in self._boards.values():
            board.let_go()
        self._boards.clear()
        self._streams.clear()
        await self._tasks.cancel()

    @property
    def streams(self) -> Sequence[BoardStream]:
        """The streams that there are."""
        return list(self._streams)

    def missing(self) -> list[str]:
        """What keeps this server's log from having what is sent, for ``/readyz``."""
        return self._keeper.missing()

    # What the hub asks for

    async def watch(self, board_id: str) -> None:
        await self.follow(board_id)

    async def follow(self, board_id: str, loop: str = "") -> None:
        """Have the board in the hub, and each of its events from then on.

        `loop` is the ``CDN-Loop`` of the request that wants it. Raises `NotFound`, `NotPublic`,
        `LimitReached`, and what `UpstreamError` has.
        """
        if self._live(board_id) is None or self.hub.live(board_id) is None:
            await self._opening.get(board_id, partial(self._open, board_id, loop))

    def is_confirmed(self, board_id: str, *, strictly: bool) -> bool:
        board = self._live(board_id)
        return board is not None and not strictly and board.is_compared

    async def confirm(self, board_id: str, *, strictly: bool) -> None:
        board = self._live(board_id)
        if board is None:
            return
        wanted = board.next_comparison  # one that has begun may be older than what was seen
        try:
            while board.answered < wanted and not board.is_over:
                await self._asking.get(board_id, board.compare)
        except (UpstreamError, NotFound, NotPublic) as error:
            logger.debug("board %s was not compared: %s", board_id, error)
        await board.worked_off()

    def unwatch(self, board_id: str) -> None:
        board = self._boards.pop(board_id, None)
        if board is not None:
            board.let_go()

    def _live(self, board_id: str) -> FollowedBoard | None:
        """The board, unless it is over."""
        board = self._boards.get(board_id)
        if board is not None and board.is_over:
            del self._boards[board_id]
            return None
        return board

    async def _open(self, board_id: str, loop: str) -> None:
        if self._closed:
            raise LimitReached("the server is stopping")
        if self._live(board_id) is not None and self.hub.current(board_id) is not None:
            return
        head = await self._keeper.head(board_id)
        board = FollowedBoard(board_id, head, self._upstreams, self._keeper, self.hub, self._tasks)
        current = await board.open(loop)
        self.unwatch(board_id)
        self._boards[board_id] = board
        try:
            await self.hub.publish(board_id, current)
        except BaseException:
            self.unwatch(board_id)
            raise
        self._plan_soon()

    # What the streams ask and tell

    def positions(self, boards: Sequence[str]) -> str:
        known = {}
        for board_id in boards:
            if (board := self._live(board_id)) is not None:
                known[board_id] = board.copy.position
        return positions.spell(known) or ""

    def on_event(self, stream: BoardStream, event: StreamEvent) -> None:
        if event.name not in ("update", "reset", "gone"):
            return
        try:
            shown = msgspec.json.decode(event.data, type=_Shown)
            event_id = None
            if event.name == "update":
                event_id = position_in(event.id or "", shown.id)
        except (ValueError, msgspec.DecodeError) as error:
            _said.warning(f"an event of the upstream makes no sense: {error}")
            return
        if event.name == "reset":
            stream.reset = (shown.id, shown.reason)  # its board's event follows
            return
        board_id, reason = stream.reset
        stream.reset = ("", "")
        board = self._live(shown.id)
        if board is None:
            return
        if event.name == "gone":
            board.arrive(Lost(End.DELETED))
        else:
            why = reason if board_id == shown.id else None
            board.arrive(Arrived(Event(event_id, event.data), why))

    def on_begun(self, stream: BoardStream) -> None:
        for board_id in stream.boards:
            if (board := self._live(board_id)) is not None:
                board.stream = stream
        for replaced in stream.replaces:
            self._stop(replaced)
        stream.replaces = ()

    async def on_refused(self, stream: BoardStream, status: int) -> None:
        for board_id in stream.boards:
            if (board := self._live(board_id)) is not None:
                try:
                    await self._asking.get(board_id, board.compare)
                except (NotFound, NotPublic):
                    await board.worked_off()
                except UpstreamError as error:
                    logger.info("board %s: %s", board_id, error)
        self._plan(tidy=True)

    # Which streams there are

    def _plan_soon(self) -> None:
        if self._planned is None and not self._closed:
            self._planned = asyncio.get_running_loop().call_later(_GATHER, self._plan)
        self._sweep_later()

    def _sweep_later(self) -> None:
        if self._sweeping is None and not self._closed:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def _plan(self, *, tidy: bool = False) -> None:
        self._planned = None
        if self._closed:
            return
        wanted = {board_id for board_id in list(self._boards) if self._live(board_id)}
        openings, ends = plan(self._streams, wanted, MOST_BOARDS, tidy=tidy)
        for stream in ends:
            self._stop(stream)
        for boards, replaced in openings:
            replaces: list[BoardStream] = []
            for old in replaced:
                # One that has not begun has nothing to go on with but what it was to replace.
                replaces += [old] if old.is_open else [old, *old.replaces]
                self._streams.pop(old, None)
                if not old.is_open:
                    old.stop()
            stream = BoardStream(
                boards, replaces, self._upstreams, self, self._tasks, self._silence
            )
            self._streams[stream] = boards

    def _stop(self, stream: BoardStream) -> None:
        self._streams.pop(stream, None)
        stream.stop()
        for replaced in stream.replaces:
            replaced.stop()

    def _sweep(self) -> None:
        """Let go of boards that nobody has listened to for a while, and of what streams they
        leave."""
        self._sweeping = None
        now = time.monotonic()
        for board_id, board in list(self._boards.items()):
            if self.hub.listeners(board_id):
                board.idle_since = None
            elif board.idle_since is None:
                board.idle_since = now
            elif now - board.idle_since > _LINGER:
                self.hub.drop(board_id)
        self._plan(tidy=True)
        if self._boards or self._streams:
            self._sweep_later()


def position_in(text: str, board_id: str) -> EventId | None:
    """The position in one board that the id of an event of several boards names; ``None`` if it
    names none. Raises `ValueError`."""
    start = f"{board_id}:"
    at = 0 if text.startswith(start) else text.find(f",{start}") + 1
    if not text or not text.startswith(start, at):
        return None
    end = text.find(",", at)
    return EventId.parse(text[at + len(start) : end if end >= 0 else len(text)])
