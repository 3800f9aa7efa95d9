"""What each board's subscribers were sent, by event id: the `ReplayLog` protocol and its parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from tornado_board.replay.track import Looked
    from tornado_board.settings import Settings

#: How an `EventId` is spelled.
EVENT_ID_PATTERN = "(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,15})"

_EVENT_ID = re.compile(EVENT_ID_PATTERN, re.ASCII)


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
    """The log gave no answer. What was asked of it may have been carried out or not."""


class LogRefused(LogUnavailable):
    """The log answered with an error, and nothing was changed.

    It is full, read-only, still loading, or does not allow it. A shared log has passed the event of
    a refused append on to the other processes, without an id, if it could.
    """


class BoardRefused(LogRefused):
    """As `LogRefused`, but of one board only: in its place is what this program did not put there.

    The rest of the log is well.
    """


class NotPublisher(Exception):
    """Another process holds the publishing lease; nothing was appended."""


class Fence(Protocol):
    """What tells a shared log whether this process may append: the publishing lease."""

    @property
    def held(self) -> bool: ...

    @property
    def token(self) -> str: ...


class ReplayLog(Protocol):
    """One log of events a board. Every method but `missing` may raise `LogUnavailable`."""

    #: One line for the start-up banner: which log this is, and where; no password in it.
    description: str
    #: Whether several processes may use it; then `fence` says whether this one may append, and
    #: ``None`` allows it where no process holds the lease.
    shared: bool
    fence: Fence | None
    #: How far back `at` goes, in milliseconds.
    reach_ms: int

    async def ping(self) -> None:
        """Return if the log can serve; otherwise raise `LogUnavailable` saying what is missing."""

    def missing(self) -> list[str]:
        """What keeps the log from serving in full though it answers; for ``/readyz``."""

    async def append(
        self, board_id: str, data: str, *, after: EventId | None = None, lost: int = 0
    ) -> EventId:
        """Append an event and return its id.

        `after` is the last id that this process knows of, `lost` how many events subscribers were
        sent since then that could not be logged. Where the board has events in the log, the
        counter is 1 plus `lost` plus the greater of the newest event's and that of `after`.
        Where it has none (a new board, one that was deleted and made again, a log that was
        emptied), it is at least the log's clock in milliseconds: so the counters of an earlier
        life are never given out again. The milliseconds are the log's clock, or the greater of
        the two ids' where the clock stepped back. The oldest events beyond the length cap are
        dropped.

        The entry also records the id before it, the greater of the newest event's and `after`.

        What the caller may rely on, with ``id`` the result:

        - If ``id.n == after.n + 1`` then nothing lies between the two, in the log or lost.
          Otherwise something may, and whoever has `after` needs a reset before this event.
        - `LogRefused` and `NotPublisher`: nothing was appended, now or later.
        - `LogUnavailable` that is neither: the event may be in the log, or get there until a
          second and a quarter after the call began; not later, and not once this process has
          appended another one to the board. Calling again with the same `data`, `after` and `lost`
          returns the id that it has, if it is there, instead of appending it twice; other
          processes were told of it when it was appended. Calling with anything else leaves it
          there; the id returned then has a counter that is not one more than that of `after`.
          (With ``after=None`` nothing is recognized: the event may be there twice, under two ids.)

        A shared log tells the other processes in the same step, and raises `NotPublisher` where
        this one no longer holds the lease.
        """

    async def keep(self, board_id: str, after: EventId | None, events: Sequence[Event]) -> None:
        """Have `events` of another log, under their ids, where they are not there already.

        They are one or more, in order, and came one after the other after `after`. Where what is
        there has nothing to do with them, older events go; so they do where `after` is ``None``,
        which says that nothing is known before the first one. For a log to which nobody appends.
        """

    async def head(self, board_id: str) -> Event | None:
        """The newest event, or ``None`` for an empty log."""

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        """Every event after `event_id`, in order; empty if it is the newest.

        Reads no more than the length cap. Raises `Gap` where it can't be proved that none is
        missing: see `check_whole`.
        """

    async def recent(self, board_id: str, limit: int) -> Sequence[Event]:
        """The newest `limit` events there are, in order."""

    async def at(self, board_id: str, times: Sequence[int]) -> Looked:
        """What the board was at each of `times`, ms since 1970: the newest event at or before.

        While the log has what lies before that time, it is exact; after that the board's track
        answers (`track`), from which the newest event before `reach_ms` ago is not dropped.
        """

    async def keep_places(self, board_id: str, data: str) -> bool:
        """Keep `data`, which says who has which place on the board today, of UTC, by the log's
        clock; whether it was kept, which it is once a day. Raises `NotPublisher` as `append`."""

    async def places_at(self, board_id: str, ms: int) -> Event | None:
        """The newest places kept at `ms` or before, if any; the id has the time."""

    async def past_boards(self) -> Sequence[str]:
        """The boards of whose past something is kept."""

    async def record_gap(self, board_id: str, after: EventId, count: int) -> None:
        """Record that subscribers were sent `count` events after `after` that are in no log.

        Any process may do so, whoever publishes: a client that has `after` or an older id gets a
        `Gap` from now on. Doing it again with the same `after` changes nothing unless events were
        appended meanwhile; then the counter leaves out some more, which is no harm.
        """

    async def delete(self, board_id: str) -> None:
        """Forget a board's events and its track; a shared log tells the other processes in the same
        step."""

    async def board_ids(self) -> Sequence[str]:
        """The boards that have events younger than the retention."""

    async def prune(self) -> int:
        """Drop the events older than the retention; how many they were. Drop from the tracks what
        they do not keep."""

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


class _Backend(NamedTuple):
    """Where the log of a URL's scheme is implemented; imported when it is needed."""

    module: str
    name: str
    shared: bool


_REDIS = _Backend("tornado_board.replay.redis", "RedisReplayLog", shared=True)

#: What a `redis_url` may begin with.
_BACKENDS = {
    "sqlite": _Backend("tornado_board.replay.sqlite", "SQLiteReplayLog", shared=False),
    "redis": _REDIS,
    "rediss": _REDIS,
    "unix": _REDIS,
    "redis+sentinel": _REDIS,
    "rediss+sentinel": _REDIS,
}


def is_shared(url: str) -> bool:
    """Whether several processes may use the log that `url` names."""
    backend = _BACKENDS.get(_scheme(url))
    return backend is not None and backend.shared


async def open_replay_log(url: str, settings: Settings, identity: str) -> ReplayLog:
    """Open the log that `url` names: ``sqlite:///file`` or ``redis://...``.

    `identity` is that of the store whose boards it is about; a shared log keeps apart what is of
    another store.

    Raises `ValueError` for a URL that names no log, and `LogUnavailable` when it can't be opened.
    Neither shows anything of a password, wherever in the URL it stands.
    """
    backend = _BACKENDS.get(_scheme(url))
    if backend is None:
        raise ValueError(
            "redis_url: must begin with redis://, rediss://, unix://, redis+sentinel://,"
            " rediss+sentinel:// or sqlite:///"
        )
    log = getattr(import_module(backend.module), backend.name)
    opened: ReplayLog = await log.open(url, settings, identity)
    return opened


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    return scheme.lower() if separator else ""
