"""What a resource is asked, and what it answers, whichever way the request came.

A resource is a function of an `Asked` and the ids in the path. `Handler.serve` calls it for what
Tornado has parsed, `fast_path` for what came the short way; both send the same answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

import msgspec
import ujson

from tornado_board.auth.policy import Action
from tornado_board.metrics import Metrics, NoMetrics
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.feed_lag import FeedLag
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.places import Places
from tornado_board.realtime.ranks import Ranks
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Message
from tornado_board.realtime.wires.gzip_sse import GzipStream
from tornado_board.realtime.wires.sse import EventStream
from tornado_board.realtime.wires.websocket import WebSocket
from tornado_board.replay import EventId, ReplayLog
from tornado_board.settings import Settings
from tornado_board.store import Once, Store
from tornado_board.store.audit import Audited
from tornado_board.web.board_reads import BoardReads
from tornado_board.web.exports import Exports
from tornado_board.web.gate import Gate
from tornado_board.web.idempotency import Repeats
from tornado_board.web.player_reads import PlayerReads
from tornado_board.web.problems import CONTENT_TYPE, Problem

T = TypeVar("T", bound=msgspec.Struct)

JSON = "application/json; charset=utf-8"

#: How event streams are sent, and what may be sent on a connection that stays open.
SSEWire = EventStream | GzipStream
StreamWire = SSEWire | WebSocket


@dataclass(frozen=True)
class Services:
    """What resources work with; made in one place and passed to each of them."""

    store: Store
    log: ReplayLog
    hub: Hub
    catch_ups: CatchUps
    reads: BoardReads
    player_reads: PlayerReads
    ranks: Ranks
    places: Places
    gate: Gate
    settings: Settings
    #: What is missing to serve requests, a sentence each; empty when all is well.
    readiness: Callable[[], Awaitable[list[str]]]
    repeats: Repeats = field(default_factory=Repeats)
    exports: Exports = field(default_factory=Exports)
    metrics: Metrics = field(default_factory=NoMetrics)
    #: Measured on writes of this process.
    lag: FeedLag = field(default_factory=FeedLag)
    #: The ids of this server and of those that it follows; none where it has a store.
    servers: Callable[[], list[str]] = list

    def wrote(self, board_id: str, player_id: str | None = None) -> None:
        """A write to the board, or to one player of it, is about to be answered: nothing that was
        read before is answered any more."""
        self.reads.wrote(board_id)
        self.player_reads.wrote(board_id, player_id)


class Fields(Protocol):
    """The fields of a request's header, by names in any case."""

    def get(self, name: str, default: str) -> str:
        """The field's value, or `default` where it is not there."""


class Asked(Protocol):
    """A request for a resource."""

    @property
    def services(self) -> Services: ...

    @property
    def version(self) -> str:
        """``HTTP/1.1`` or ``HTTP/1.0``."""

    @property
    def headers(self) -> Fields: ...

    def argument(self, name: str) -> str | None:
        """A query parameter, as it was sent but for its escapes. Raises `Problem` 400."""

    def body(self, expected: type[T], *, empty: bool = False, form: bool = False) -> T:
        """The request's body as `expected`; see `bodies.decode`."""

    @property
    def once(self) -> Once | None:
        """What makes the request's change happen once, if it has a key for that."""

    @property
    def audited(self) -> Audited | None:
        """What the audit trail is told of the request, if it is one that is told of."""

    def check(self, board_id: str) -> None:
        """Raise `Problem` unless the request may still do to this board what it does: to be called
        after it has waited."""

    async def may(self, action: Action) -> bool:
        """Whether the caller may do `action`, too."""

    async def check_as_private(self) -> None:
        """Raise `Problem` unless the request may do what it does if the board is private, though
        it may not be so now. Raises what `Gate.admit` raises."""

    @property
    def upgrades(self) -> bool:
        """Whether it asks for a WebSocket."""

    def hold(self, *board_ids: str) -> None:
        """Count the boards as held by the client's address until the answer has been sent or,
        where that is a stream, until its end.

        Raises `Problem` 429 where the address holds as many boards as it may.
        """

    #: Whether the client went away, or can't be told from one that did: see `gone`.
    client_gone: bool

    @property
    def gone(self) -> asyncio.Future[None]:
        """Done once the client has ended its side of the connection. It may still read then."""


class Answer(NamedTuple):
    """The whole answer to a request, but for what all answers have (`rendering`)."""

    status: int
    body: bytes
    content_type: str = JSON
    #: Further fields. ``Vary`` adds to what is there; there is one of each of the others.
    fields: tuple[tuple[str, str], ...] = ()


class Opened(NamedTuple):
    """The answer is the stream of a board; `first` is what it begins with.

    From when it was made until the client is added to `topic`, nothing may be awaited.
    """

    topic: Topic
    wire: StreamWire
    first: Message


class Waiting(NamedTuple):
    """There is nothing after the current event of `topic` yet, which is `since`; the client waits
    for `seconds` for the next one."""

    topic: Topic
    since: EventId
    seconds: float


class Resource(NamedTuple):
    """What serves a method of a route.

    `at_once` answers where that takes no waiting, and says ``None`` where it does, or raises. It
    changes nothing, so that `answer` may be called instead, which always serves.
    """

    answer: Callable[..., Awaitable[Answer | Opened]]
    at_once: Callable[..., Answer | Opened | Waiting | None] | None = None


def json_answer(
    value: object, status: int = 200, fields: tuple[tuple[str, str], ...] = ()
) -> Answer:
    """`value` as JSON on one line."""
    text = ujson.dumps(value, ensure_ascii=False, escape_forward_slashes=False)
    return Answer(status, text.encode() + b"\n", JSON, fields)


def problem_answer(problem: Problem) -> Answer:
    """How a client is told of `problem`."""
    fields = (*problem.headers.items(), ("Cache-Control", "no-store"))
    return Answer(problem.status_code, problem.json().encode(), CONTENT_TYPE, fields)
