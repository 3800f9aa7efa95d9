"""The replay log in Redis 6.2 or newer: one stream a board, which any number of processes share.

``replay:{board}`` is the stream: explicit ids ``{ms}-{n}``, and in each entry the board as JSON
(``data``) and the id given out before it (``before``, which proves that nothing is missing even
when that event itself was trimmed). ``mq:{board}`` is the channel on which every event is
published by the very script that appends it; `Heard` is what it carries.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple, Protocol

from redis.exceptions import AuthenticationError, ResponseError

from tornado_board.replay import Event, EventId, Gap, LogUnavailable, NotPublisher, check_whole
from tornado_board.replay.redis_link import Late, RedisLink, Script, value
from tornado_board.settings import Settings

#: How long reading a board's events may take, in seconds; they may be megabytes.
_READ_TIMEOUT = 5.0

#: Commands under way: appends and other small ones, and reads. They are apart so that a storm of
#: clients that come back can't keep appends waiting. The rest are for the lease, and to spare.
_WRITERS, _READERS, _SPARE = 6, 4, 6

#: Events fetched in one reply; a longer log takes several.
_PAGE = 1_000

#: Streams looked at in one step of `prune` and `board_ids`.
_SCAN_COUNT = 100

#: How long a stream outlives its last event's retention, so that its counter goes on.
_LINGER_MS = 600_000

#: Holds the token of the process that publishes.
LEASE_KEY = "lease:publisher"

#: The channel on which processes ask the publishing one for a board.
WANTED = "wanted"

_STREAM, _CHANNEL = "replay:", "mq:"
_APPEND, _SINCE, _DELETE, _MISS = map(Script, ("append", "since", "delete", "miss"))

logger = logging.getLogger(__name__)


class Fence(Protocol):
    """What tells the log whether this process may append: the publishing lease."""

    @property
    def held(self) -> bool: ...

    @property
    def token(self) -> str: ...


class Heard(NamedTuple):
    """What a board's channel carried: an event, or ``None`` for "this board is gone"."""

    board_id: str
    event: Event | None


class RedisReplayLog:
    """The `ReplayLog` in Redis.

    Any process may read. `append` and `delete` raise `NotPublisher` unless `fence` holds the
    lease; without a fence, where any process holds it.
    """

    def __init__(self, link: RedisLink, retention: float, length: int) -> None:
        self.link = link
        self.description = link.description
        self.fence: Fence | None = None
        self._retention_ms = round(retention * 1000)
        self._length = length
        self._writers = asyncio.Semaphore(_WRITERS)
        self._readers = asyncio.Semaphore(_READERS)
        self._reads: dict[str, _Read] = {}

    @classmethod
    async def open(cls, url: str, settings: Settings) -> RedisReplayLog:
        """Open the log at ``redis://``, ``rediss://`` or ``unix://``.

        A server that can't be reached yet is no error: events go out without ids until it can.
        Raises `ValueError` for a URL that names no server, and `LogUnavailable` for a server that
        is there but can't serve as it is: too old, or it refuses the password.
        """
        link = RedisLink(url, _WRITERS + _READERS + _SPARE)
        log = cls(link, settings.replay_retention, settings.replay_length)
        try:
            [info] = await link.send(("INFO", "server"))
        except LogUnavailable as error:
            if not isinstance(error.__cause__, AuthenticationError | ResponseError):
                logger.warning("%s; events have no ids until it is back", error)
                return log
            await log.close()
            raise
        version = _version(info) if isinstance(info, str) else None
        if version is not None and version < (6, 2):
            await log.close()
            found = ".".join(map(str, version))
            raise LogUnavailable(f"{log.description} is version {found}; 6.2 or newer is needed")
        return log

    async def ping(self) -> None:
        value(*await self.link.send(("PING",), repeatable=True))

    async def append(
        self, board_id: str, data: str, *, after: EventId | None = None, lost: int = 0
    ) -> EventId:
        known = after or EventId(0, 0)
        keys = (_STREAM + board_id, LEASE_KEY, _CHANNEL + board_id)
        expiry = self._retention_ms + _LINGER_MS
        arguments = (data, known.ms, known.n, lost, self._length, expiry, self.link.database)
        async with self._writers:
            for _ in range(2):
                rest = (self._token(), *arguments, self.link.deadline())
                try:
                    event_id, now = await self.link.run(_APPEND, keys, rest)
                except Late:  # so it has not run: this process has a wrong idea of Redis's clock
                    await self.link.now_ms()
                    continue
                self.link.set_clock(now)
                return EventId.parse(event_id)
        raise LogUnavailable(f"{self.description} did not answer in time")

    async def head(self, board_id: str) -> Event | None:
        events = await self.recent(board_id, 1)
        return events[0] if events else None

    async def recent(self, board_id: str, limit: int) -> Sequence[Event]:
        command = ("XREVRANGE", _STREAM + board_id, "+", "-", "COUNT", limit)
        async with self._readers:
            entries = value(*await self.link.send(command, within=_READ_TIMEOUT, repeatable=True))
        return [Event(EventId.parse(id), fields[1]) for id, fields in reversed(entries)]

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        # Calls for one board that wait at the same time share a read; one that is under way may
        # be older than what this caller was told already, so it is never joined.
        read = self._reads.get(board_id)
        if read is None:
            read = self._reads[board_id] = _Read(event_id)
            read.task = asyncio.create_task(self._carry_out(board_id, read))
            read.task.add_done_callback(_retrieve)
        read.oldest = min(read.oldest, event_id)
        assert read.task is not None
        return (await asyncio.shield(read.task)).after(event_id)

    async def delete(self, board_id: str) -> None:
        keys = (_STREAM + board_id, LEASE_KEY, _CHANNEL + board_id)
        async with self._writers:
            await self.link.run(_DELETE, keys, (self._token(), self.link.database))

    async def miss(self, board_id: str, after: EventId, count: int) -> None:
        """Put down that `count` events were sent after `after` that are in no log.

        Any process may do so, whoever publishes: the next event leaves a hole in the counters.
        """
        async with self._writers:
            await self.link.run(_MISS, (_STREAM + board_id,), (after.ms, after.n, count))

    async def watched(self, board_ids: Sequence[str]) -> set[str]:
        if not board_ids:
            return set()
        async with self._writers:
            channels = [_CHANNEL + board_id for board_id in board_ids]
            counts = value(*await self.link.send(("PUBSUB", "NUMSUB", *channels), repeatable=True))
        pairs = zip(counts[::2], counts[1::2], strict=True)
        return {name.removeprefix(_CHANNEL) for name, count in pairs if int(count) > 0}

    async def want(self, board_id: str) -> bool:
        """Ask the publishing process to publish the board; ``False`` if there is none."""
        async with self._writers:
            command = ("PUBLISH", WANTED, f"{self.link.database} {board_id}")
            return int(value(*await self.link.send(command))) > 0

    def wanted(self, payload: str) -> str | None:
        """The board that `payload`, published on `WANTED`, asks for; ``None`` for another log's."""
        database, _, board_id = payload.partition(" ")
        return board_id if database == str(self.link.database) and board_id else None

    async def board_ids(self) -> Sequence[str]:
        """The boards that have events younger than the retention, the newest first; then those
        that some process follows."""
        found: dict[str, EventId] = {}
        oldest = f"{await self._oldest_ms()}-0"
        async for keys in self._streams():
            commands = [("XREVRANGE", key, "+", oldest, "COUNT", 1) for key in keys]
            async with self._readers:
                replies = await self.link.send(*commands, within=_READ_TIMEOUT, repeatable=True)
            for key, entries in zip(keys, replies, strict=True):
                if isinstance(entries, list) and entries:
                    found[key.removeprefix(_STREAM)] = EventId.parse(entries[0][0])
        async with self._writers:
            names = value(
                *await self.link.send(("PUBSUB", "CHANNELS", _CHANNEL + "*"), repeatable=True)
            )
        newest_first = sorted(found, key=found.__getitem__, reverse=True)
        return list(dict.fromkeys([*newest_first, *map(self.board_of, names)]))

    async def prune(self) -> int:
        pruned = 0
        oldest = f"{await self._oldest_ms()}-0"
        async for keys in self._streams():
            commands = [("XTRIM", key, "MINID", "=", oldest) for key in keys]
            async with self._writers:
                replies = await self.link.send(*commands, repeatable=True)
            # An error is a key that is no stream, another program's: none of this log's business.
            pruned += sum(reply for reply in replies if isinstance(reply, int))
        return pruned

    async def close(self) -> None:
        await self.link.close()

    def channel(self, board_id: str) -> str:
        """The channel of a board's events."""
        return _CHANNEL + board_id

    def board_of(self, channel: str) -> str:
        """The board whose channel it is."""
        return channel.removeprefix(_CHANNEL)

    def heard(self, channel: str, payload: str) -> Heard | None:
        """What `payload`, published on `channel`, says; ``None`` if it is not of this log.

        Channels are shared by all databases of a server, so a payload says which it is from.
        """
        database, _, rest = payload.partition(" ")
        head, _, data = rest.partition(" ")
        if database != str(self.link.database):
            return None
        board_id = self.board_of(channel)
        if head == "gone":
            return Heard(board_id, None)
        try:
            return Heard(board_id, Event(None if head == "-" else EventId.parse(head), data))
        except ValueError:
            return None

    async def _carry_out(self, board_id: str, read: _Read) -> _Read:
        try:
            await self._readers.acquire()
        finally:
            del self._reads[board_id]  # who comes now gets the next read
        try:
            position = read.oldest
            while True:
                now, head, before, lines = await self.link.run(
                    _SINCE,
                    (_STREAM + board_id,),
                    (str(position), _PAGE),
                    within=_READ_TIMEOUT,
                    repeatable=True,
                )
                if not read.ids:
                    read.before = EventId.parse(before) if before else None
                flat = lines.split("\n")[:-1]
                read.ids += map(EventId.parse, flat[::2])
                read.data += flat[1::2]
                if len(flat) < 2 * _PAGE:
                    break
                position = read.ids[-1]
        finally:
            self._readers.release()
        read.head = EventId.parse(head) if head else None
        read.oldest_kept_ms = now - self._retention_ms
        return read

    async def _streams(self) -> AsyncIterator[list[str]]:
        """The keys of all streams, some at a time, as `SCAN` finds them."""
        cursor = "0"
        while True:
            command = ("SCAN", cursor, "MATCH", _STREAM + "*", "COUNT", _SCAN_COUNT)
            async with self._writers:
                cursor, keys = value(*await self.link.send(command, repeatable=True))
            if keys:
                yield keys
            if int(cursor) == 0:
                return

    async def _oldest_ms(self) -> int:
        async with self._writers:
            return await self.link.now_ms() - self._retention_ms

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
        check_whole(event_id, self.oldest_kept_ms, self.head, events)
        if events and event_id != (self.ids[start - 1] if start else self.before):
            raise Gap("this log never gave out that event id")
        return events


def _version(info: str) -> tuple[int, int] | None:
    """Redis's version, as ``INFO server`` has it."""
    for line in info.splitlines():
        name, _, text = line.partition(":")
        if name == "redis_version":
            major, minor, *_ = text.split(".")
            return int(major), int(minor)
    return None


def _retrieve(task: asyncio.Task[_Read]) -> None:
    """Keep a read that everyone stopped waiting for from being logged as an unseen error."""
    if not task.cancelled():
        task.exception()
