"""One board that this server follows: what the upstream says of it, into the log and to the hub."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from tornado_board.backoff import Backoff
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.wires import End
from tornado_board.replay import Event, EventId, LogUnavailable
from tornado_board.store import NotFound
from tornado_board.tasks import Tasks
from tornado_board.upstream import NotPublic, UpstreamError
from tornado_board.upstream.asking import told_after
from tornado_board.upstream.board_copy import Arrived, BoardCopy, Verdict, without_states
from tornado_board.upstream.board_stream import BoardStream
from tornado_board.upstream.upstreams import Upstreams

logger = logging.getLogger(__name__)

#: Events of one board that wait here; with more they are asked for again, in one piece.
_MOST_WAITING = 1_000

#: Seconds for which a board counts as compared with the upstream that was asked for it; and that
#: somebody waits for what has arrived to be shown.
_FRESH = 1.0

#: Seconds after which a board that has had something to show all the time shows no more of what has
#: come than has to be shown (`without_states`): it changes faster than its clients can be sent to.
_BEHIND = 10.0

#: Bounds of the pauses, in seconds, while events that are missing can't be had, and how often they
#: are asked for.
_BACKOFF = (0.25, 4.0)
_MOST_TRIES = 8

_UNTOLD = "the server that this one follows does not tell what came before"


class Lost:
    """What arrives when the board can't be followed any more."""

    def __init__(self, why: End) -> None:
        self.why = why


class Copies(Protocol):
    """A replay log that keeps events of another one: see `edge_log.EdgeLog`."""

    async def head(self, board_id: str) -> Event | None:
        """The newest event, if it is younger than the retention."""

    async def keep(self, board_id: str, after: EventId | None, events: Sequence[Event]) -> None:
        """Have `events`, which came one after the other after `after`. ``None``: nothing is known
        before them. Raises `LogUnavailable`."""

    async def delete(self, board_id: str) -> None:
        """Forget the board. Raises `LogUnavailable`."""


class Keeper:
    """Keeps in a log what was sent, as far as the log takes it."""

    def __init__(self, log: Copies) -> None:
        self._log = log
        self._failed = ""

    def missing(self) -> list[str]:
        """What keeps the log from having what is sent, for ``/readyz``."""
        return [f"the replay log: {self._failed}"] if self._failed else []

    async def head(self, board_id: str) -> Event | None:
        """The board's newest event, if the log has it and it is not too old."""
        try:
            return await self._log.head(board_id)
        except LogUnavailable as error:
            self._on_failed(error)
            return None

    async def keep(self, board_id: str, before: Event | None, news: Sequence[Arrived]) -> None:
        """Keep what is about to be shown after `before`."""
        try:
            for after, events in _runs(None if before is None else before.id, news):
                await self._log.keep(board_id, after, events)
        except LogUnavailable as error:
            self._on_failed(error)
        else:
            self._failed = ""

    async def forget(self, board_id: str) -> None:
        """Keep nothing of the board."""
        try:
            await self._log.delete(board_id)
        except LogUnavailable as error:
            self._on_failed(error)

    def _on_failed(self, error: LogUnavailable) -> None:
        if not self._failed:
            logger.warning("events are not kept: %s", error)
        self._failed = str(error)


def _runs(
    after: EventId | None, news: Sequence[Arrived]
) -> list[tuple[EventId | None, list[Event]]]:
    """Those of `news` that have an id, in pieces in which one follows the other, each with what the
    first one follows; ``None`` where nothing is known of that."""
    runs: list[tuple[EventId | None, list[Event]]] = []
    run: list[Event] = []
    for event, reason in news:
        if reason is not None or event.id is None:
            if run:
                runs.append((after, run))
            after, run = None, []
        if event.id is not None:
            run.append(event)
    if run:
        runs.append((after, run))
    return runs


class FollowedBoard:
    """A board, from when it was asked for until it is lost or let go of (`let_go`)."""

    def __init__(
        self,
        board_id: str,
        head: Event | None,
        upstreams: Upstreams,
        keeper: Keeper,
        hub: Hub,
        tasks: Tasks,
    ) -> None:
        """`head` is its newest event in this server's own log."""
        self.board_id = board_id
        self.copy = BoardCopy(head)
        #: The stream over which everything that happens is heard while it is open.
        self.stream: BoardStream | None = None
        #: Since when nobody listens.
        self.idle_since: float | None = None
        #: Whether nothing is shown of it any more.
        self.is_over = False
        self._head = head
        self._upstreams = upstreams
        self._keeper = keeper
        self._hub = hub
        self._tasks = tasks
        #: What has come, and was not looked at yet.
        self._arrived: deque[Arrived | Lost] = deque()
        #: Whether something lies before that which has to be asked for.
        self._has_gap = False
        self._working: asyncio.Task[None] | None = None
        #: When the upstream was asked for it that has answered; and how often it was begun to be
        #: asked, and which of those was answered last.
        self._compared_at = float("-inf")
        self._asked = 0
        self.answered = 0

    @property
    def is_compared(self) -> bool:
        """Whether what is shown is what the upstream showed a moment ago, as far as is known."""
        is_heard = self.stream is not None and self.stream.is_open
        return is_heard or time.monotonic() - self._compared_at < _FRESH

    @property
    def next_comparison(self) -> int:
        """The number of the next `compare` to begin; `answered` is that of the last that ended."""
        return self._asked + 1

    def let_go(self) -> None:
        """Show nothing of it any more."""
        self.is_over = True

    async def open(self, loop: str) -> Event:
        """Ask the upstream what there is after `head`, and keep that; the board's newest event.

        Where the upstream does not answer, that is `head`. Raises `NotFound`, `NotPublic`, and what
        `UpstreamError` has.
        """
        began, told = time.monotonic(), list[Arrived]()
        try:
            told = await told_after(self._upstreams, self.board_id, self.copy.position, loop)
            self._compared_at = began
        except (NotFound, NotPublic):
            await self._keeper.forget(self.board_id)
            raise
        except UpstreamError as error:
            if self._head is None:
                raise
            logger.info("board %s is served as the log has it: %s", self.board_id, error)
        await self._keeper.keep(self.board_id, self._head, self._news(told))
        if self.copy.current is None:
            raise NotFound(f"there is no board {self.board_id!r}")
        return self.copy.current

    async def compare(self) -> None:
        """Ask the upstream what comes after what is known here. Raises as `open`."""
        began = time.monotonic()
        self._asked = number = self._asked + 1
        try:
            told = await told_after(self._upstreams, self.board_id, self.copy.position)
        except NotFound:
            self.arrive(Lost(End.DELETED))
            raise
        except NotPublic:
            self.arrive(Lost(End.PRIVATE))
            raise
        for item in told:
            self.arrive(item)
        self._compared_at, self.answered = began, number

    async def worked_off(self) -> None:
        """Return when what has arrived is shown, or after a moment."""
        if self._working is not None:
            await asyncio.wait((self._working,), timeout=_FRESH)

    def arrive(self, item: Arrived | Lost) -> None:
        """The upstream says something of the board."""
        if self.is_over:
            return
        if len(self._arrived) >= _MOST_WAITING and isinstance(item, Arrived):
            self._arrived.clear()
            self._has_gap = True
        self._arrived.append(item)
        if self._working is None:
            self._working = self._tasks.start(self._work())

    async def _work(self) -> None:
        """Show what has arrived, one after the other."""
        backoff, tries, since = Backoff(*_BACKOFF), 0, time.monotonic()
        try:
            while self._arrived and not self.is_over:
                before = self.copy.current
                if self._has_gap:
                    news = await self._missing()
                    if not news:
                        tries += 1
                        self._go_on_after(tries)
                        await asyncio.sleep(backoff.next())
                        continue
                    tries = 0
                    backoff.reset()
                else:
                    news = self._news_that_arrived()
                await self._keeper.keep(self.board_id, before, news)
                if len(news) > 1 and time.monotonic() - since > _BEHIND:
                    news, since = without_states(news), time.monotonic()
                for item in news:
                    if self.is_over:
                        return
                    await self._hub.publish(self.board_id, item.event, item.reason)
                if self._arrived and isinstance(lost := self._arrived[0], Lost):
                    await self._end(lost.why)
        except LimitReached as error:
            logger.info("board %s is no longer followed: %s", self.board_id, error)
            self.is_over = True
        finally:
            self._working = None

    async def _missing(self) -> list[Arrived]:
        """Ask for what lies between the newest event here and what has arrived; empty where that
        can't be had yet."""
        self._has_gap = False
        try:
            told = await told_after(self._upstreams, self.board_id, self.copy.position)
        except NotFound:
            self._arrived.appendleft(Lost(End.DELETED))
        except NotPublic:
            self._arrived.appendleft(Lost(End.PRIVATE))
        except UpstreamError as error:
            logger.info("events of board %s are missing: %s", self.board_id, error)
        else:
            return self._news(told)
        return []

    def _go_on_after(self, tries: int) -> None:
        """Where nobody could tell what is missing for so long, let what has arrived be a new
        beginning."""
        if tries >= _MOST_TRIES and isinstance(item := self._arrived[0], Arrived):
            self._arrived[0] = item._replace(reason=item.reason or _UNTOLD)

    def _news_that_arrived(self) -> list[Arrived]:
        """Take what has arrived, up to a gap or the board's end."""
        news: list[Arrived] = []
        while self._arrived and isinstance(item := self._arrived[0], Arrived):
            verdict = self.copy.take(item)
            if verdict is Verdict.GAP:
                self._has_gap = True
                break
            self._arrived.popleft()
            if verdict is Verdict.NEWS:
                news.append(item)
        return news

    def _news(self, told: Iterable[Arrived]) -> list[Arrived]:
        """What is news of what the upstream has told: all that there is, so that no gap is in it
        but one that the upstream has shown its own clients, too."""
        news: list[Arrived] = []
        for item in told:
            verdict = self.copy.take(item)
            if verdict is Verdict.GAP:
                self.copy.current = item.event
            if verdict is not Verdict.KNOWN:
                news.append(item)
        return news

    async def _end(self, why: End) -> None:
        self.is_over = True
        if why is End.PRIVATE:
            self._hub.end_private(self.board_id)
        else:
            self._hub.end_board(self.board_id)
        await self._keeper.forget(self.board_id)
