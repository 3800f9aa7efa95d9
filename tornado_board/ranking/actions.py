"""What a board's state machine asks its owner to do, and what it is doing meanwhile."""

from __future__ import annotations

import enum

import msgspec

from tornado_board.replay import Event, EventId


class State(enum.Enum):
    """What a live board does at present; `BoardState.next` decides."""

    READING = "the store is read"
    LOCATING = "the log is asked for what came after the newest event known here"
    COALESCING = "changes are gathered until the next event is due"
    APPENDING = "an event is appended to the log"
    SENDING = "an event is sent to the subscribers"
    REPORTING = "the log is told of the events that were sent without ids"
    ASKING = "the publisher is asked for the board, and has some time to answer"
    BACKING_OFF = "something failed and is tried again later"
    QUIET = "there is nothing to do until something happens"
    ENDED = "the board is no longer there"


class Read(msgspec.Struct, frozen=True):
    """Read the board and its best players: then `read`, `not_found` or `read_failed`. Of a `season`
    that is over: then `read_end`, `not_found` or `read_failed`."""

    season: int | None = None


class Locate(msgspec.Struct, frozen=True):
    """Ask the log for everything after `after`, or for its newest event: then `located` or
    `log_failed`."""

    after: EventId | None


class Append(msgspec.Struct, frozen=True):
    """Append: see `ReplayLog.append`. Then `appended`, `log_failed` or `fenced`."""

    data: str
    after: EventId | None
    lost: int


class Send(msgspec.Struct, frozen=True):
    """Send `event` to the subscribers, after a reset that says `reset` if there is one: then
    `sent`."""

    event: Event
    reset: str | None


class Report(msgspec.Struct, frozen=True):
    """Have the log leave a gap for `count` events sent after `after`: then `reported` or
    `log_failed`."""

    after: EventId
    count: int


class Ask(msgspec.Struct, frozen=True):
    """Ask the publisher for the board: then `asked`."""


class Wait(msgspec.Struct, frozen=True):
    """Call `next` again after so many seconds (``None``: whenever), or when something came in."""

    seconds: float | None


class End(msgspec.Struct, frozen=True):
    """The board is gone: end its streams. `forget`: and its log."""

    forget: bool


Action = Read | Locate | Append | Send | Report | Ask | Wait | End
