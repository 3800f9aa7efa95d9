"""The replay log of a server that follows another: its own, and behind it the upstream's."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from tornado_board.backoff import Backoff
from tornado_board.replay import Event, EventId, Fence, Gap, LogUnavailable, ReplayLog
from tornado_board.replay.track import Looked
from tornado_board.store import NotFound
from tornado_board.tasks import Shared
from tornado_board.upstream import NotPublic, UpstreamError
from tornado_board.upstream.asking import told_after, told_recently
from tornado_board.upstream.board_copy import Arrived
from tornado_board.upstream.upstreams import Upstreams

logger = logging.getLogger(__name__)

#: Clients' ids about which the upstream is asked at a time.
_AT_ONCE = 16

#: Seconds for which a client that comes back waits for an upstream that does not answer, before it
#: is told that what it has missed can't be had; and bounds of the pauses between two questions.
_PATIENCE = 8.0
_BACKOFF = (0.2, 2.0)


class EdgeLog:
    """A `ReplayLog` to which nobody appends. Where `own` has a gap, the upstream is asked, and what
    it says is kept; so a client has a gap only where the upstream says that there is one, or does
    not answer for seconds."""

    fence: Fence | None = None

    def __init__(
        self,
        own: ReplayLog,
        upstreams: Upstreams,
        retention: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._own = own
        self._upstreams = upstreams
        self._retention_ms = round(retention * 1000)
        self._clock = clock
        self._asking: Shared[tuple[str, EventId], Sequence[Arrived] | str] = Shared()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self.description = own.description
        self.reach_ms = own.reach_ms
        self.shared = own.shared

    async def ping(self) -> None:
        await self._own.ping()

    def missing(self) -> list[str]:
        return self._own.missing()

    async def append(
        self, board_id: str, data: str, *, after: EventId | None = None, lost: int = 0
    ) -> EventId:
        raise LogUnavailable("events of a server that follows another come from there")

    async def keep(self, board_id: str, after: EventId | None, events: Sequence[Event]) -> None:
        await self._own.keep(board_id, after, events)

    async def head(self, board_id: str) -> Event | None:
        """The newest event, unless it is older than the retention: then nobody knows whether there
        still is such a board."""
        head = await self._own.head(board_id)
        if head is None or head.id is None:
            return None
        return head if head.id.ms >= self._clock() * 1000 - self._retention_ms else None

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        try:
            return await self._own.since(board_id, event_id)
        except (Gap, LogUnavailable) as error:
            logger.debug("board %s after %s: %s", board_id, event_id, error)
        key = (board_id, event_id)
        told = await self._asking.get(key, partial(self._ask, board_id, event_id))
        if isinstance(told, str):
            raise Gap(told)
        if told and told[0].reason is not None:
            raise Gap(told[0].reason)
        return [arrived.event for arrived in told]

    async def recent(self, board_id: str, limit: int) -> Sequence[Event]:
        try:
            events = await self._own.recent(board_id, limit)
        except LogUnavailable:
            events = []
        if len(events) >= limit:
            return events
        try:
            async with self._turns:
                return await told_recently(self._upstreams, board_id, limit)
        except (UpstreamError, NotFound, NotPublic):
            return events

    async def at(self, board_id: str, times: Sequence[int]) -> Looked:
        """Only the upstream can tell: what this server was told, it was told when somebody here
        listened."""
        raise LogUnavailable("the history of boards is where they come from")

    async def keep_places(self, board_id: str, data: str) -> bool:
        """Nor are places kept here."""
        return False

    async def places_at(self, board_id: str, ms: int) -> Event | None:
        """See `at`."""
        return None

    async def past_boards(self) -> Sequence[str]:
        """See `at`."""
        return ()

    async def record_gap(self, board_id: str, after: EventId, count: int) -> None:
        """Gaps are the upstream's to know."""

    async def delete(self, board_id: str) -> None:
        await self._own.delete(board_id)

    async def board_ids(self) -> Sequence[str]:
        return await self._own.board_ids()

    async def prune(self) -> int:
        return await self._own.prune()

    async def close(self) -> None:
        await self._own.close()

    async def _ask(self, board_id: str, event_id: EventId) -> Sequence[Arrived] | str:
        """What the upstream has after `event_id`; why it can't be had otherwise."""
        backoff, why = Backoff(*_BACKOFF), ""
        told: Sequence[Arrived] | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                while told is None:
                    try:
                        async with self._turns:
                            told = await told_after(self._upstreams, board_id, event_id)
                    except (NotFound, NotPublic) as error:
                        return str(error)
                    except UpstreamError as error:
                        why = str(error)
                        await asyncio.sleep(backoff.next())
        except TimeoutError:
            why = why or "too many others ask at present"
            return f"what came after that event can't be had: {why}"
        events = [arrived.event for arrived in told]
        is_whole = bool(told) and told[0].reason is None
        if is_whole and all(event.id is not None for event in events):
            try:
                await self._own.keep(board_id, event_id, events)
            except LogUnavailable as error:
                logger.debug("events of board %s were not kept: %s", board_id, error)
        return told
