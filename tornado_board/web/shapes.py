"""What answers look like, as types: mypy holds `answers` against them, and `openapi` tells clients.

Members may be added. What is `NotRequired` is there only where it was asked for, or is known.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from tornado_board.models import Meta, Number, Operator, Order, Shown, Ties
from tornado_board.seasons import ShownSeason
from tornado_board.store.audit import AuditEntry


class ListedSeason(ShownSeason):
    """A season of the list, with its best players."""

    #: ``None`` where it would have to be counted.
    players: int | None
    top: list[ShownPlayer]


class SeasonList(TypedDict):
    """A board's seasons, the newest first."""

    seasons: list[ListedSeason]


class Settings(TypedDict):
    """The settings of a board."""

    order: Order
    ties: Ties
    operator: Operator
    top: int
    min: Number | None
    max: Number | None
    meta: Meta
    show: tuple[Shown, ...]
    private: bool
    season: ShownSeason | None


class WholeBoard(Settings):
    """A board that was made or changed."""

    id: str
    name: str
    #: ``None`` where the store could not tell it any more.
    players: int | None


class ListedBoard(TypedDict):
    """A board of the list; with its settings where they were asked for."""

    id: str
    name: str
    order: NotRequired[Order]
    ties: NotRequired[Ties]
    operator: NotRequired[Operator]
    top: NotRequired[int]
    min: NotRequired[Number | None]
    max: NotRequired[Number | None]
    meta: NotRequired[Meta]
    show: NotRequired[tuple[Shown, ...]]
    private: NotRequired[bool]
    season: NotRequired[ShownSeason | None]


class BoardList(TypedDict):
    """Boards in the order of their ids."""

    boards: list[ListedBoard]


class ShownPlayer(TypedDict):
    """A player."""

    id: str
    name: str
    score: Number
    #: ``None`` where it has no place.
    rank: NotRequired[int | None]
    meta: NotRequired[Meta]
    #: Whether it has no place, where that is told.
    hidden: NotRequired[bool]
    #: With `since`: ``None`` where it is not known.
    previous_rank: NotRequired[int | None]


class ShownBoard(ListedBoard):
    """A board and its best players, best first."""

    count: NotRequired[int]
    players: list[ShownPlayer]
    #: With `at`: what showed it.
    event: NotRequired[BoardEvent | None]


class PastBoard(TypedDict):
    """A board as it was."""

    id: str
    time: str
    data: ShownBoard


#: A board at times that are evenly spread.
History = TypedDict("History", {"from": str, "to": str, "boards": list[PastBoard]})


class AuditTrail(TypedDict):
    """Entries of the audit trail, the newest first."""

    entries: list[AuditEntry]


class Then(TypedDict):
    """Of which time something is, and how many seconds before that it may be."""

    time: str
    resolution: int


class ThenRanked(Then):
    """Of which time ranks are; with `season` the final ones of the season of this number."""

    season: NotRequired[int]


class BoardEvent(Then):
    """The event that showed a board."""

    id: str


class PlayerPage(TypedDict):
    """A page of a board's players; of those who are hidden without a count."""

    count: NotRequired[int]
    #: With `since`: of which time the previous ranks are, if any are known.
    since: NotRequired[ThenRanked | None]
    players: list[ShownPlayer]
    #: Ids that were asked for and are not there.
    missing: NotRequired[list[str]]


class Added(TypedDict):
    """What an addition did."""

    id: str
    name: str
    score: Number
    rank: int | None
    of: int | None
    meta: NotRequired[Meta]
    hidden: NotRequired[bool]


class Before(TypedDict):
    """The score before, and the rank that it had."""

    score: Number
    rank: int | None


class Submitted(Added):
    """What a submission did."""

    changed: bool
    previous: Before | None


class Ticket(TypedDict):
    """What stands for a token, once and for some seconds."""

    ticket: str
    expires_in: int


class Status(TypedDict):
    """All is well."""

    status: Literal["ok"]


class Way(TypedDict):
    """The servers on the way to the origin, and what is missing here."""

    servers: list[str]
    missing: list[str]


class PolledEvent(TypedDict):
    """An event, as an event stream has it."""

    id: str | None
    event: str
    data: dict[str, Any]


class StreamedEvent(TypedDict):
    """An event of an event stream: its fields (see the HTML standard); `data` is JSON."""

    event: Literal["update", "season", "reset", "rank", "gone", "expired"]
    data: str
    id: NotRequired[str]
    retry: NotRequired[int]


class Polled(TypedDict):
    """The events that there were, and what to ask with next."""

    events: list[PolledEvent]
    last_event_id: str


class ProblemDetails(TypedDict):
    """What is wrong, and what to do (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: int
    detail: str


class BeforeResult(TypedDict):
    """The score before."""

    score: Number


class Result(TypedDict):
    """What one of many submissions did: `status` is what it would have been answered alone, and
    `detail` is there where that is an error, the rest where it is not."""

    status: int
    detail: NotRequired[str]
    id: NotRequired[str]
    name: NotRequired[str]
    score: NotRequired[Number]
    changed: NotRequired[bool]
    previous: NotRequired[BeforeResult | None]
    rank: NotRequired[int]
    of: NotRequired[int]
