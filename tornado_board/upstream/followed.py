"""The boards that this server follows: the hub's source, where there is no store.

A board is followed from when somebody here asks for it until nobody has listened to it for a while.
What the upstream says of it goes into this server's own log, under the upstream's ids, and then to
the hub, one event after the other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from tornado_board.backoff import Backoff
from tornado_board.log_once import LogOnce
from tornado_board.realtime import positions
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.positions import MOST_BOARDS
from tornado_board.realtime.wires import End
from tornado_board.replay import Event, EventId, LogUnavailable
from tornado_board.store import NotFound
from tornado_board.tasks import Shared, Tasks
from tornado_board.upstream import NotPublic, UpstreamError
from tornado_board.upstream.asking import told_after
from tornado_board.upstream.board_copy import Arrived, BoardCopy, Verdict
from tornado_board.upstream.board_stream import BoardStream
from tornado_board.upstream.event_stream import StreamEvent
from tornado_board.upstream.grouping import plan
from tornado_board.upstream.upstreams import Upstreams

logger = logging.getLogger(__name__)
_said = LogOnce(logger)

#: Events of one board that wait here; with more they are asked for again, in one piece.
_MOST_WAITING = 1_000

#: Seconds within which boards that are asked for get a stream together.
_GATHER = 0.02

#: Seconds between two looks for boards that nobody listens to, and for how long nobody has to.
_SWEEP = 5.0
_LINGER = 30.0

#: Seconds for which a board counts as compared with the upstream that was asked for it.
_FRESH = 1.0

#: Bounds of the pauses, in seconds, while events that are missing can't be had, and how often they
#: are asked for.
_BACKOFF = (0.25, 4.0)
_MOST_TRIES = 8

_UNTOLD = "the server that this one follows does not tell what came before"


class Copies(Protocol):
    """A replay log that keeps events of another one: see `edge_log.EdgeLog`."""

    async def head(self, board_id: str) -> Event | None:
        """The newest event, if it is younger than the retention."""

    async def keep(self, board_id: str, after: EventId | None, events: Sequence[Event]) -> None:
        """Have `events`, which came one after the other after `after`. ``None``: nothing is known
        before them. Raises `LogUnavailable`."""

    async def delete(self, board_id: str) -> None:
        """Forget the board. Raises `LogUnavailable`."""


class _Lost:
    """The board can't be followed any more."""

    def __init__(self, why: End) -> None:
        self.why = why


class _Followed:
    """One board."""

    def __init__(self, board_id: str, copy: BoardCopy) -> None:
        self.board_id = board_id
        self.copy = copy
        #: What has come, and was not looked at yet.
        self.arrived: deque[Arrived | _Lost] = deque()
        #: Whether something lies before that which has to be asked for.
        self.has_gap = False
        self.working: asyncio.Task[None] | None = None
        #: When the upstream was asked for it that has answered; and how often it was, and was begun
        #: to be.
        self.compared_at = float("-inf")
        self.asked = self.answered = 0
        #: The stream over which everything that happens is heard while it is open.
        self.stream: BoardStream | None = None
        #: Since when nobody listens.
        self.idle_since: float | None = None


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
        self._log = log
        self._silence = silence
        self._boards: dict[str, _Followed] = {}
        self._opening: Shared[str, None] = Shared()
        self._asking: Shared[str, None] = Shared()
        self._streams: dict[BoardStream, tuple[str, ...]] = {}
        self._planned: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._tasks = Tasks()
        self._closed = False
        self._log_failed = ""

    async def close(self) -> None:
        """Follow nothing any more. The hub keeps its boards as they are. May be called twice."""
        self._closed = True
        for timer in (self._planned, self._sweeping):
            if timer is not None:
                timer.cancel()
        self._boards.clear()
        self._streams.clear()
        await self._tasks.cancel()

    @property
    def streams(self) -> Sequence[BoardStream]:
        """The streams that there are."""
        return list(self._streams)

    def missing(self) -> list[str]:
        """What keeps this server's log from having what is sent, for ``/readyz``."""
        return [f"the replay log: {self._log_failed}"] if self._log_failed else []

    # What the hub asks for

    async def watch(self, board_id: str) -> None:
        await self.follow(board_id)

    async def follow(self, board_id: str, loop: str = "") -> None:
        """Have the board in the hub, and each of its events from then on.

        `loop` is the ``CDN-Loop`` of the request that wants it. Raises `NotFound`, `NotPublic`,
        `LimitReached`, and what `UpstreamError` has.
        """
        if board_id in self._boards and self.hub.live(board_id) is not None:
            return
        await self._opening.get(board_id, partial(self._open, board_id, loop))

    def is_confirmed(self, board_id: str, *, strictly: bool) -> bool:
        followed = self._boards.get(board_id)
        if strictly or followed is None:
            return False
        if time.monotonic() - followed.compared_at < _FRESH:
            return True
        return followed.stream is not None and followed.stream.is_open

    async def confirm(self, board_id: str, *, strictly: bool) -> None:
        followed = self._boards.get(board_id)
        if followed is None:
            return
        wanted = followed.asked + 1  # one that has begun already may be older than what was seen
        try:
            while followed.answered < wanted and self._boards.get(board_id) is followed:
                await self._asking.get(board_id, partial(self._compare, followed))
        except (UpstreamError, NotFound, NotPublic) as error:
            logger.debug("board %s was not compared: %s", board_id, error)
        await self._worked_off(followed)

    def unwatch(self, board_id: str) -> None:
        self._boards.pop(board_id, None)

    # One board

    async def _open(self, board_id: str, loop: str) -> None:
        if self._closed:
            raise LimitReached("the server is stopping")
        followed = self._boards.get(board_id)
        if followed is not None and self.hub.current(board_id) is not None:
            return
        head = await self._head(board_id)
        followed = _Followed(board_id, BoardCopy(head))
        arrived: Sequence[Arrived] = ()
        try:
            began = time.monotonic()
            arrived = await told_after(self._upstreams, board_id, followed.copy.position, loop)
            followed.compared_at = began
        except (NotFound, NotPublic):
            await self._forget(board_id)
            raise
        except UpstreamError as error:
            if head is None:
                raise
            logger.info("board %s is served as the log has it: %s", board_id, error)
        news = self._news(followed, arrived)
        await self._keep(followed, head, news)
        current = followed.copy.current
        if current is None:
            raise NotFound(f"there is no board {board_id!r}")
        self._boards[board_id] = followed
        try:
            await self.hub.publish(board_id, current)
        except BaseException:
            self._boards.pop(board_id, None)
            raise
        self._plan_soon()

    async def _compare(self, followed: _Followed) -> None:
        """Ask the upstream what comes after what is known here."""
        began = time.monotonic()
        followed.asked = number = followed.asked + 1
        try:
            arrived = await told_after(self._upstreams, followed.board_id, followed.copy.position)
        except NotFound:
            self._arrive(followed, _Lost(End.DELETED))
            raise
        except NotPublic:
            self._arrive(followed, _Lost(End.PRIVATE))
            raise
        for item in arrived:
            self._arrive(followed, item)
        followed.compared_at = began
        followed.answered = number

    async def _worked_off(self, followed: _Followed) -> None:
        working = followed.working
        if working is not None:
            await asyncio.wait((working,), timeout=_FRESH)

    def _arrive(self, followed: _Followed, item: Arrived | _Lost) -> None:
        if self._boards.get(followed.board_id) is not followed:
            return
        if len(followed.arrived) >= _MOST_WAITING and isinstance(item, Arrived):
            followed.arrived.clear()
            followed.has_gap = True
        followed.arrived.append(item)
        if followed.working is None:
            followed.working = self._tasks.start(self._work(followed))

    async def _work(self, followed: _Followed) -> None:
        """Show what has arrived, one after the other."""
        backoff, tries = Backoff(*_BACKOFF), 0
        board_id = followed.board_id
        try:
            while followed.arrived and self._boards.get(board_id) is followed:
                before = followed.copy.current
                if followed.has_gap:
                    news = await self._missing(followed)
                    if not news:
                        tries += 1
                        self._go_on_after(followed, tries)
                        await asyncio.sleep(backoff.next())
                        continue
                    tries = 0
                    backoff.reset()
                else:
                    news = self._news_that_arrived(followed)
                await self._keep(followed, before, news)
                for item in news:
                    if self._boards.get(board_id) is not followed:
                        return
                    await self.hub.publish(board_id, item.event, item.reason)
                if followed.arrived and isinstance(followed.arrived[0], _Lost):
                    await self._end(followed, followed.arrived[0].why)
                    return
        except LimitReached as error:
            logger.info("board %s is no longer followed: %s", board_id, error)
            self._boards.pop(board_id, None)
        finally:
            followed.working = None

    async def _missing(self, followed: _Followed) -> list[Arrived]:
        """Ask for what lies between the newest event here and what has arrived; empty where that
        can't be had yet."""
        followed.has_gap = False
        board_id = followed.board_id
        try:
            told = await told_after(self._upstreams, board_id, followed.copy.position)
        except NotFound:
            followed.arrived.appendleft(_Lost(End.DELETED))
        except NotPublic:
            followed.arrived.appendleft(_Lost(End.PRIVATE))
        except UpstreamError as error:
            logger.info("events of board %s are missing: %s", board_id, error)
        else:
            return self._news(followed, told)
        return []

    @staticmethod
    def _go_on_after(followed: _Followed, tries: int) -> None:
        """Where nobody could tell what is missing for so long, let what has arrived be a new
        beginning."""
        if tries >= _MOST_TRIES and isinstance(item := followed.arrived[0], Arrived):
            followed.arrived[0] = item._replace(reason=item.reason or _UNTOLD)

    def _news_that_arrived(self, followed: _Followed) -> list[Arrived]:
        """Take what has arrived, up to a gap or the board's end."""
        news: list[Arrived] = []
        while followed.arrived and isinstance(item := followed.arrived[0], Arrived):
            verdict = followed.copy.take(item)
            if verdict is Verdict.GAP:
                followed.has_gap = True
                break
            followed.arrived.popleft()
            if verdict is Verdict.NEWS:
                news.append(item)
        return news

    @staticmethod
    def _news(followed: _Followed, told: Iterable[Arrived]) -> list[Arrived]:
        """What is news of what the upstream has told: all that there is, so that no gap is in it
        but one that the upstream has shown its own clients, too."""
        news: list[Arrived] = []
        for item in told:
            verdict = followed.copy.take(item)
            if verdict is Verdict.GAP:
                followed.copy.current = item.event
            if verdict is not Verdict.KNOWN:
                news.append(item)
        return news

    async def _end(self, followed: _Followed, why: End) -> None:
        board_id = followed.board_id
        self._boards.pop(board_id, None)
        if why is End.PRIVATE:
            self.hub.end_private(board_id)
        else:
            self.hub.end_board(board_id)
        await self._forget(board_id)

    # The log

    async def _head(self, board_id: str) -> Event | None:
        try:
            return await self._log.head(board_id)
        except LogUnavailable as error:
            self._on_log_failed(error)
            return None

    async def _keep(
        self, followed: _Followed, before: Event | None, news: Sequence[Arrived]
    ) -> None:
        """Have the log keep what is about to be shown after `before`."""
        after = None if before is None else before.id
        run: list[Event] = []
        runs: list[tuple[EventId | None, list[Event]]] = []
        for event, reason in news:
            if reason is not None or event.id is None:
                if run:
                    runs.append((after, run))
                after, run = None, []
            if event.id is not None:
                run.append(event)
        if run:
            runs.append((after, run))
        try:
            for after, events in runs:
                await self._log.keep(followed.board_id, after, events)
        except LogUnavailable as error:
            self._on_log_failed(error)
        else:
            self._log_failed = ""

    async def _forget(self, board_id: str) -> None:
        try:
            await self._log.delete(board_id)
        except LogUnavailable as error:
            self._on_log_failed(error)

    def _on_log_failed(self, error: LogUnavailable) -> None:
        if not self._log_failed:
            logger.warning("events are not kept: %s", error)
        self._log_failed = str(error)

    # What the streams ask and tell

    def positions(self, boards: Sequence[str]) -> str:
        known = {}
        for board_id in boards:
            followed = self._boards.get(board_id)
            if followed is not None:
                known[board_id] = followed.copy.position
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
        followed = self._boards.get(shown.id)
        if followed is None:
            return
        if event.name == "gone":
            self._arrive(followed, _Lost(End.DELETED))
        else:
            shown_event = Event(event_id, event.data)
            self._arrive(followed, Arrived(shown_event, reason if board_id == shown.id else None))

    def on_begun(self, stream: BoardStream) -> None:
        for board_id in stream.boards:
            if (followed := self._boards.get(board_id)) is not None:
                followed.stream = stream
        for replaced in stream.replaces:
            self._stop(replaced)
        stream.replaces = ()

    async def on_refused(self, stream: BoardStream, status: int) -> None:
        for board_id in stream.boards:
            followed = self._boards.get(board_id)
            if followed is not None:
                try:
                    await self._asking.get(board_id, partial(self._compare, followed))
                except (NotFound, NotPublic):
                    await self._worked_off(followed)
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
        openings, ends = plan(self._streams, self._boards.keys(), MOST_BOARDS, tidy=tidy)
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
        for board_id, followed in list(self._boards.items()):
            if self.hub.listeners(board_id):
                followed.idle_since = None
            elif followed.idle_since is None:
                followed.idle_since = now
            elif now - followed.idle_since > _LINGER:
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
