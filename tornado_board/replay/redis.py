"""The replay log in Redis 6.2 or newer: one stream a board, which any number of processes share.

Beside it are the board's tracks (`redis_tracks`).

The names of keys and channels are `Keys`'. A stream has explicit ids ``{ms}-{n}``, and in each
entry the board as JSON (``data``), the id given out before it (``before``, which proves that
nothing is missing even when that event itself was trimmed), who appended it (``by``, by which the
second try of an append is recognized) and which run of the server took it (``run``: what an
earlier run took, or another server, may be a part of what it had taken). Every event is published
on the board's channel by the very script that appends it; `Heard` is what it carries.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from itertools import count

from redis.exceptions import ResponseError

from tornado_board.cluster.keys import Keys
from tornado_board.replay import (
    BoardRefused,
    Event,
    EventId,
    Fence,
    Gap,
    LogRefused,
    NotPublisher,
    check_whole,
)
from tornado_board.replay.redis_link import RUN, Late, RedisLink, Script, value
from tornado_board.replay.redis_start import check_server
from tornado_board.replay.redis_tracks import RedisTracks
from tornado_board.replay.track import Looked, places_of, reach_of, steps_of
from tornado_board.settings import Settings
from tornado_board.tasks import retrieve

#: How long reading a board's events may take, in seconds; they may be megabytes.
_READ_TIMEOUT = 5.0

#: Commands under way: appends and other small ones, and reads. They are apart so that a storm of
#: clients that come back can't keep appends waiting. The rest are for the lease, and to spare.
_WRITERS, _READERS, _SPARE = 6, 4, 6

#: Events fetched in one reply; a longer log takes several.
_PAGE = 1_000

#: How often an append is sent that Redis took for one whose sender no longer waits for it.
_TRIES = 10

#: Streams looked at in one step of `prune` and `board_ids`.
_SCAN_COUNT = 100

#: How long a stream outlives its last event's retention, so that its counter goes on.
_LINGER_MS = 600_000

_SINCE, _DELETE, _RECORD_GAP, _KEEP = (
    Script("stream", name) for name in ("since", "delete", "record_gap", "keep")
)
_APPEND, _PRUNE = (Script("stream", "track", name) for name in ("append", "prune"))

#: The fields of an entry.
_FIELDS = ["data", "before", "by", "run"]

logger = logging.getLogger(__name__)


class RedisReplayLog:
    """The `ReplayLog` in Redis.

    Any process may read. `append` and `delete` raise `NotPublisher` unless `fence` holds the
    lease; without a fence, where any process holds it.
    """

    shared = True

    def __init__(self, link: RedisLink, keys: Keys, settings: Settings) -> None:
        self.link = link
        self.keys = keys
        self.description = link.description
        self.fence: Fence | None = None
        self._by = secrets.token_hex(6)
        self._numbers = count()
        self._retention_ms = round(settings.replay_retention * 1000)
        self._length = settings.replay_length
        self._tracks = RedisTracks(
            link, keys, steps_of(settings), places_of(settings), settings.history_bytes
        )
        self.reach_ms = reach_of(settings)
        #: How long a stream is kept without appends: until its newest event need not go into the
        #: tracks any more, should nobody prune it.
        self._expiry = max(self._retention_ms, self._tracks.kept_ms) + _LINGER_MS
        self._writers = asyncio.Semaphore(_WRITERS)
        self._readers = asyncio.Semaphore(_READERS)
        self._reads: dict[str, _Read] = {}
        #: Why the newest event could not be told to the other processes.
        self._untold = ""

    @classmethod
    async def open(cls, url: str, settings: Settings, identity: str) -> RedisReplayLog:
        """Open the log of the store `identity` at ``redis://``, ``rediss://`` or ``unix://``.

        A server that can't be reached yet, or is not writable at present, is no error: events go
        out without ids until it is. Raises `ValueError` for a URL that names no server, and
        `LogUnavailable` for a server that is there but can never serve as it is: see
        `check_server`.
        """
        link = RedisLink(url, _WRITERS + _READERS + _SPARE)
        keys = Keys(settings.redis_prefix, identity, link.database)
        try:
            waiting = await check_server(link, keys)
        except BaseException:
            await link.close()
            raise
        if waiting is not None:
            logger.warning("%s; events have no ids until that is over", waiting)
        return cls(link, keys, settings)

    async def ping(self) -> None:
        value(*await self.link.send(("PING",), repeatable=True))

    def missing(self) -> list[str]:
        return [f"Redis tells the other processes of no event: {self._untold}"] * bool(self._untold)

    async def append(
        self, board_id: str, data: str, *, after: EventId | None = None, lost: int = 0
    ) -> EventId:
        known = after or EventId(0, 0)
        keys = (*self._own_keys(board_id), *self._tracks.keys_of(board_id))
        channel = self.keys.channel(board_id)
        arguments = (data, known.ms, known.n, lost, self._length, self._expiry, channel)
        async with self._writers:
            if not self.link.deadline():
                await self.link.now_ms()  # or this append could be carried out at any time later
            for _ in range(_TRIES):
                number = next(self._numbers)
                rest = (self._token(), *arguments, self.link.deadline(), self._by, RUN, number)
                try:
                    event_id, now, untold = await self.link.run(
                        _APPEND, keys, (*rest, *self._tracks.arguments)
                    )
                except Late:
                    # So it has not run: this process has a wrong idea of Redis's clock, or has
                    # appended something else to the board at the same time.
                    await self.link.now_ms()
                    continue
                self.link.set_clock(now)
                self._note_untold(untold)
                return EventId.parse(event_id)
        raise LogRefused(f"{self.description}: commands arrive too late to be carried out")

    async def keep(self, board_id: str, after: EventId | None, events: Sequence[Event]) -> None:
        expiry = self._retention_ms + _LINGER_MS
        known = "" if after is None else str(after)
        rest: list[object] = [known, self._length, expiry, self._by, RUN]
        for event in events:
            rest += [str(event.id), event.data]
        async with self._writers:
            await self.link.run(_KEEP, (self.keys.stream(board_id),), rest, repeatable=True)

    async def head(self, board_id: str) -> Event | None:
        events = await self.recent(board_id, 1)
        return events[0] if events else None

    async def recent(self, board_id: str, limit: int) -> Sequence[Event]:
        key = self.keys.stream(board_id)
        command = ("XREVRANGE", key, "+", "-", "COUNT", limit)
        async with self._readers:
            [reply] = await self.link.send(command, within=_READ_TIMEOUT, repeatable=True)
        if isinstance(reply, ResponseError) and "WRONGTYPE" in str(reply):
            raise BoardRefused(f"{self.description}: the key {key} is not a stream")
        # Another program's entries are none of this log's business.
        return [
            Event(EventId.parse(id), fields[1])
            for id, fields in reversed(value(reply))
            if fields[::2] == _FIELDS
        ]

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        # Calls for one board that wait at the same time share a read; one that is under way may
        # be older than what this caller was told already, so it is never joined.
        read = self._reads.get(board_id)
        if read is None:
            read = self._reads[board_id] = _Read(event_id)
            read.task = asyncio.create_task(self._carry_out(board_id, read))
            read.task.add_done_callback(retrieve)
        read.oldest = min(read.oldest, event_id)
        assert read.task is not None
        return (await asyncio.shield(read.task)).after(event_id)

    async def delete(self, board_id: str) -> None:
        keys = (*self._own_keys(board_id), *self._tracks.all_keys_of(board_id))
        expiry = self._retention_ms + _LINGER_MS
        async with self._writers:
            rest = (self._token(), self.keys.channel(board_id), expiry)
            self._note_untold(await self.link.run(_DELETE, keys, rest))

    async def record_gap(self, board_id: str, after: EventId, count: int) -> None:
        async with self._writers:
            keys = (self.keys.stream(board_id),)
            await self.link.run(_RECORD_GAP, keys, (after.ms, after.n, count), repeatable=True)

    async def board_ids(self) -> Sequence[str]:
        """The boards that have events younger than the retention, the newest first."""
        found: dict[str, EventId] = {}
        oldest = f"{await self._now_ms() - self._retention_ms}-0"
        async for keys in self._scan(self.keys.streams):
            commands = [("XREVRANGE", key, "+", oldest, "COUNT", 1) for key in keys]
            async with self._readers:
                replies = await self.link.send(*commands, within=_READ_TIMEOUT, repeatable=True)
            for key, entries in zip(keys, replies, strict=True):
                if isinstance(entries, list) and entries:
                    board_id = self.keys.board_of_stream(key)
                    if board_id is not None and entries[0][1][::2] == _FIELDS:
                        found[board_id] = EventId.parse(entries[0][0])
        return sorted(found, key=found.__getitem__, reverse=True)

    async def at(self, board_id: str, times: Sequence[int]) -> Looked:
        return await self._tracks.at(board_id, times, self._readers)

    async def keep_places(self, board_id: str, data: str) -> bool:
        async with self._writers:
            return await self._tracks.keep_places(board_id, data, self._token())

    async def places_at(self, board_id: str, ms: int) -> Event | None:
        return await self._tracks.places_at(board_id, ms, self._readers)

    async def past_boards(self) -> Sequence[str]:
        found: set[str] = set()
        async for keys in self._scan(self.keys.tracks):
            found.update(b for b in map(self.keys.board_of_track, keys) if b is not None)
        return list(found)

    async def prune(self) -> int:
        pruned = 0
        now = await self._now_ms()
        arguments = (now - self._retention_ms, _LINGER_MS, *self._tracks.arguments)
        tracks: list[str] = []
        async for found in self._scan(self.keys.all):
            boards = [b for b in map(self.keys.board_of_stream, found) if b is not None]
            tracks += [key for key in found if self.keys.step_of_track(key) is not None]
            keys = [key for b in boards for key in (self.keys.stream(b), *self._tracks.keys_of(b))]
            if keys:
                async with self._writers:
                    pruned += await self.link.run(_PRUNE, keys, arguments, repeatable=True)
        if self.fence is None or self.fence.held:  # one process is enough
            await self._tracks.prune(tracks, now, self._writers)
        return pruned

    async def close(self) -> None:
        await self.link.close()

    async def _carry_out(self, board_id: str, read: _Read) -> _Read:
        try:
            await self._readers.acquire()
        finally:
            del self._reads[board_id]  # who comes now gets the next read
        try:
            position = str(read.oldest)
            # A log holds no more than the cap, and what is appended while it is read.
            for page in range(-(-self._length // _PAGE) + 1):
                now, head, before, lines, last, other_run = await self.link.run(
                    _SINCE,
                    (self.keys.stream(board_id),),
                    (position, _PAGE, RUN),
                    within=_READ_TIMEOUT,
                    repeatable=True,
                )
                if page == 0:
                    read.before = EventId.parse(before) if before else None
                flat = lines.split("\n")[:-1]
                read.ids += map(EventId.parse, flat[::2])
                read.data += flat[1::2]
                if not last:
                    break
                position = last
        finally:
            self._readers.release()
        read.head = EventId.parse(head) if head else None
        read.oldest_kept_ms = now - self._retention_ms
        read.other_run = bool(other_run)
        return read

    def _note_untold(self, reason: str) -> None:
        """Say once that what was appended could not be told to the other processes."""
        if reason and not self._untold:
            logger.warning("%s tells the other processes of no event: %s", self.description, reason)
        self._untold = reason

    async def _scan(self, pattern: str) -> AsyncIterator[list[str]]:
        """The keys like `pattern`, some at a time, as `SCAN` finds them."""
        cursor = "0"
        while True:
            command = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
            async with self._writers:
                cursor, keys = value(*await self.link.send(command, repeatable=True))
            if keys:
                yield keys
            if int(cursor) == 0:
                return

    async def _now_ms(self) -> int:
        async with self._writers:
            return await self.link.now_ms()

    def _own_keys(self, board_id: str) -> tuple[str, str]:
        return self.keys.stream(board_id), self.keys.lease

    def _token(self) -> str:
        if self.fence is None:
            return ""
        if not self.fence.held:
            raise NotPublisher("this process does not hold the publishing lease")
        return self.fence.token


class _Read:
    """One read of a board's events, shared by all who asked while it waited for its turn."""

    def __init__(self, oldest: EventId) -> None:
        self.oldest = oldest  # of the ids asked for
        self.task: asyncio.Task[_Read] | None = None
        self.oldest_kept_ms = 0
        self.head: EventId | None = None  # the last id given out
        self.before: EventId | None = None  # the one given out before the first of `ids`
        self.other_run = False  # whether the newest was appended to another run of the server
        self.ids: list[EventId] = []
        self.data: list[str] = []
        self._events: list[Event] | None = None

    def after(self, event_id: EventId) -> list[Event]:
        """The events after `event_id`, one of those asked for. Raises `Gap`."""
        if self._events is None:
            pairs = zip(self.ids, self.data, strict=True)
            self._events = [Event(id, data) for id, data in pairs]
        start = bisect_right(self.ids, event_id)
        events = self._events[start:]
        if self.other_run:
            raise Gap("the log was started again, or replaced, and may have lost its newest events")
        check_whole(event_id, self.oldest_kept_ms, self.head, events)
        if events and event_id != (self.ids[start - 1] if start else self.before):
            raise Gap("this log never gave out that event id")
        return events
