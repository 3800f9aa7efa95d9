"""What is known between two connections of somebody who watches. No I/O."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from tornado_board.backoff import Backoff
from tornado_board.client.answers import Board, Place, Reset, SeasonEnd, Update
from tornado_board.client.calls import Call, decoded, path_of
from tornado_board.client.errors import NoAnswer, Refused
from tornado_board.client.events import Event, EventParser

T = TypeVar("T")

#: A stream that brings nothing for so long, in seconds, is dead: a comment comes every 15.
SILENCE = 45.0
#: How long a poll waits for something new, in seconds.
WAIT = 25

#: Pauses between connections, in seconds. The first is the server's own: its streams end last, so
#: that it is back before their clients are.
_FIRST_PAUSE = 2.0
_LONGEST_PAUSE = 30.0
#: The least between two polls: a busy board is no busy loop.
_POLL_PAUSE = 0.1

#: Answers after which it makes no sense to come back.
_FOR_GOOD = frozenset({400, 403, 404, 405, 406, 410, 421, 426})


class Gone(Exception):
    """The player, or the board, was deleted while it was watched."""


class _Polled(msgspec.Struct):
    events: list[_PolledEvent]
    last_event_id: str | None


class _PolledEvent(msgspec.Struct):
    event: str
    data: msgspec.Raw
    id: str | None = None


class Watching(Generic[T]):
    """Somebody who watches, over one connection after the other.

    `call` is the next request, `opened` and `feed` (or `polled`) take what comes of it, and `ended`
    says how long to wait before the next.
    """

    #: The type of the event that says how things stand, and what else there is to tell of.
    types: tuple[str, ...]

    def __init__(self, target: str, *, since: str, poll: bool, patience: float | None) -> None:
        self._target = target
        self._since = since
        self._poll = poll
        self._patience = patience
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        self._parser = EventParser()
        self._lost_at: float | None = None
        self._polls = 0
        #: Whether the token has to be renewed; whoever does it takes that back.
        self.renew = False
        self._renewed = False

    @property
    def polls(self) -> bool:
        """Whether it asks again and again, instead of holding a stream."""
        return self._poll

    def call(self) -> Call:
        """The next request."""
        if not self._poll:
            headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
            if self._since:
                headers["Last-Event-ID"] = self._since
            return Call("GET", self._target, headers=headers)
        # The first one does not wait: all is well as soon as it is.
        query: dict[str, str | int] = {"wait": WAIT if self._polls else 0}
        if self._since:
            query["since"] = self._since
        return Call("GET", self._target, query=query)

    def opened(self) -> None:
        """The server has answered with a stream."""
        self._parser = EventParser()

    def feed(self, text: str) -> list[T]:
        """What a piece of the stream tells. Raises `Gone`, and `ClientError` for nonsense."""
        told = []
        for event in self._parser.feed(text):
            if event.type == "expired":
                self.renew = True
            elif event.type in self.types:
                self._well()
                told.append(self._take(event))
        return told

    def polled(self, body: bytes) -> list[T]:
        """What the answer to a poll tells. Raises as `feed`."""
        answer = decoded(body, _Polled)
        self._well()
        self._polls += 1
        told = []
        for event in answer.events:
            if event.event in self.types:
                told.append(
                    self._take(Event(event.event, bytes(event.data).decode(), event.id or ""))
                )
        self._since = answer.last_event_id or self._since
        return told

    def ended(self, now: float, error: Refused | None = None) -> float:
        """How long to wait before the next connection, in seconds.

        `error` is what the server refused this one with. Raises it where that is for good, and
        `NoAnswer` where the server has been away for longer than there is patience.
        """
        if error is not None and error.status == 401 and not self._renewed:
            self.renew = self._renewed = True
            return 0
        if error is not None and error.status in {*_FOR_GOOD, 401}:
            raise error
        if self.renew and error is None:
            return 0  # it has expired, and goes on with another token
        if self._lost_at is None:
            self._lost_at = now
        elif self._patience is not None and now - self._lost_at >= self._patience:
            raise NoAnswer("the server has been away for too long") from error
        pause = self._backoff.next()
        self._polls = 0
        return max(pause, error.retry_after) if error is not None else pause

    def answered(self) -> float:
        """How long to wait before the next poll, in seconds."""
        return _POLL_PAUSE

    def _well(self) -> None:
        self._lost_at = None
        self._renewed = False
        self._backoff.reset()

    def _take(self, event: Event) -> T:
        raise NotImplementedError


class BoardWatching(Watching[Update | SeasonEnd | Reset]):
    """Watches a board: every event since `since`, in order, none twice, or a reset."""

    types = ("update", "season", "reset")

    def __init__(self, board: str, **options: Any) -> None:
        super().__init__(f"{path_of(board)}events/", **options)

    def _take(self, event: Event) -> Update | SeasonEnd | Reset:
        data = event.data.encode()
        if event.type == "reset":
            return decoded(data, Reset)
        # One without an id takes the last id away: whoever went on after that would be told again
        # what is older.
        self._since = event.id
        kind = SeasonEnd if event.type == "season" else Update
        return kind(event.id, decoded(data, Board))


class PlaceWatching(Watching[Place]):
    """Watches where a player stands: the newest, and whenever something in it has changed."""

    types = ("rank", "gone")

    def __init__(self, board: str, player: str, **options: Any) -> None:
        super().__init__(f"{path_of(board, player)}events/", since="", **options)
        self._told = False

    def ended(self, now: float, error: Refused | None = None) -> float:
        """As ever. Raises `Gone` where who was there is not there any more."""
        if self._told and error is not None and error.status == 404:
            raise Gone
        return super().ended(now, error)

    def _take(self, event: Event) -> Place:
        if event.type == "gone":
            raise Gone
        self._told = True
        return decoded(event.data.encode(), Place)
