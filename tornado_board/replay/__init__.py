"""What each board's subscribers were sent, by event id: the `ReplayLog` protocol and its parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from tornado_board.settings import Settings

_EVENT_ID = re.compile(r"(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})", re.ASCII)


class EventId(NamedTuple):
    """``{ms}-{n}``: the log's clock in milliseconds, and the board's own counter.

    `n` goes up by exactly one from event to event; `ms` never goes down. It has the form of a
    Redis stream id, and sorts like one.
    """

    ms: int
    n: int

    @classmethod
    def parse(cls, text: str) -> EventId:
        """The id that `text` spells. Raises `ValueError` for anything else."""
        match = _EVENT_ID.fullmatch(text)
        if match is None:
            raise ValueError("an event id is two whole numbers with a hyphen between them")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.ms}-{self.n}"


class Event(msgspec.Struct, frozen=True):
    """A board as its subscribers were sent it.

    `data` is the board as JSON on one line (`models.board_json`). `id` is ``None`` while the log
    is away: such an event is live only.
    """

    id: EventId | None
    data: str


class Gap(Exception):
    """The log can't prove that it holds every event after an id. `str(gap)` says why."""


class LogUnavailable(Exception):
    """The log can't be reached, or refuses writes. An append may have been carried out or not."""


class NotPublisher(Exception):
    """Another process holds the publishing lease; nothing was appended."""


class ReplayLog(Protocol):
    """One log of events a board. Every method may raise `LogUnavailable`."""

    #: One line for the start-up banner: which log this is, and where; no password in it.
    description: str

    async def ping(self) -> None:
        """Return if the log can serve; otherwise raise `LogUnavailable` saying what is missing."""

    async def append(
        self, board_id: str, data: str, *, after: EventId | None = None, lost: int = 0
    ) -> EventId:
        """Append an event and return its id.

        Its counter is 1 plus `lost` plus the greater of the newest event's and that of `after`,
        the last id this process knows of, so that counters go on when the log was emptied. `lost`
        is how many events subscribers were sent since then that could not be logged: they leave a
        hole in the counters, so that no client is told that it missed nothing. Its milliseconds
        are the log's clock, or the greater of the two ids' where the clock stepped back. The
        oldest events beyond the length cap are dropped.

        A shared log tells the other processes in the same step, and raises `NotPublisher` where
        this one no longer holds the lease.
        """

    async def head(self, board_id: str) -> Event | None:
        """The newest event, or ``None`` for an empty log."""

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        """Every event after `event_id`, in order; empty if it is the newest.

        Raises `Gap` where that can't be proved: see `check_whole`.
        """

    async def recent(self, board_id: str, limit: int) -> Sequence[Event]:
        """The newest `limit` events there are, in order."""

    async def delete(self, board_id: str) -> None:
        """Forget a board's events; a shared log tells the other processes in the same step."""

    async def watched(self, board_ids: Sequence[str]) -> set[str]:
        """Which of these boards other processes follow; none where the log isn't shared."""

    async def board_ids(self) -> Sequence[str]:
        """The boards that have events younger than the retention."""

    async def prune(self) -> int:
        """Drop the events older than the retention; how many they were."""

    async def close(self) -> None:
        """Release everything. May be called twice."""


def check_whole(
    event_id: EventId, oldest_kept_ms: int, head: EventId | None, after: Sequence[Event]
) -> None:
    """Return if `after` is everything that came after `event_id`; raise `Gap` if it can't be
    proved.

    `oldest_kept_ms` is the log's clock less the retention, `head` the newest event's id, `after`
    the events with a greater id that the log holds. There must be one for each step of the counter
    from `event_id` to `head`: a trimmed log lacks the first ones, and events that could not be
    logged lie in between.
    """
    if head is None:
        raise Gap("the log holds no events of this board")
    if event_id == head:
        return
    if event_id > head or event_id.n >= head.n:
        raise Gap("this log never gave out that event id")
    if event_id.ms < oldest_kept_ms:
        raise Gap("that event is older than the log goes back")
    if head.n - event_id.n != len(after):
        raise Gap("events after that one are no longer in the log")


async def open_replay_log(url: str, settings: Settings) -> ReplayLog:
    """Open the log that `url` names: ``sqlite:///file`` or ``redis://...``.

    Raises `ValueError` for a URL that names no log, and `LogUnavailable` when it can't be opened.
    """
    scheme = url.partition(":")[0]
    if scheme == "sqlite":
        from tornado_board.replay.sqlite import SQLiteReplayLog

        return await SQLiteReplayLog.open(url, settings)
    if scheme in ("redis", "rediss", "unix"):
        from tornado_board.replay.redis import RedisReplayLog

        return await RedisReplayLog.open(url, settings)
    raise ValueError(f"redis_url: {scheme!r} is no replay log; use redis://host:port/db")
