"""What the harness keeps of a run: every addition with its outcome, every event of every client.

Times are those of `time.monotonic` in the harness's own process, so that they can be compared.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tornado_board.replay import EventId

#: A player of a board.
Whose = tuple[str, str]


class Outcome(enum.Enum):
    """What became of an addition, as far as its sender knows."""

    ANSWERED = "answered"
    #: It was surely not carried out.
    REFUSED = "refused"
    #: It was carried out or not, or will be yet.
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Post:
    """One addition; `score` is the answer's."""

    board: str
    player: str
    amount: int
    server: int
    began: float
    ended: float = math.inf
    outcome: Outcome = Outcome.UNKNOWN
    score: int | None = None
    detail: str = ""

    @property
    def whose(self) -> Whose:
        return (self.board, self.player)


class Opened(NamedTuple):
    """A client connected to a server, and said what it had seen last (empty for nothing)."""

    at: float
    server: int
    way: str
    since: str


class Update(NamedTuple):
    """A client got a board; `scores` has each player that it shows."""

    at: float
    server: int
    id: EventId | None
    scores: Mapping[str, int]


class Reset(NamedTuple):
    """A client was told that it may have missed something."""

    at: float
    server: int
    reason: str


class Closed(NamedTuple):
    """The end of a connection, or of an attempt to make one."""

    at: float
    server: int
    why: str


class Malformed(NamedTuple):
    """A client got what the protocol does not have."""

    at: float
    server: int
    what: str


Entry = Opened | Update | Reset | Closed | Malformed


@dataclass(slots=True)
class ClientLog:
    """What one client saw of its board, in order."""

    name: str
    board: str
    #: Whether it reads so slowly that events may be left out for it.
    slow: bool = False
    entries: list[Entry] = field(default_factory=list)


class Restored(NamedTuple):
    """The store itself was put back to `scores`; what is answered until `settled` may be lost."""

    at: float
    settled: float
    scores: Mapping[Whose, int]


@dataclass(slots=True)
class Final:
    """What everybody showed after a quiet spell."""

    #: How long it took until all showed the same, in seconds; infinite if they never did.
    after: float
    #: The store's own rows, and the boards as each server answers GET.
    rows: Mapping[Whose, int]
    answers: Mapping[int, Mapping[str, Mapping[str, int] | str]]
    shown: Mapping[str, Mapping[str, int] | None]


@dataclass(slots=True)
class Record:
    """All of one run."""

    seed: int = 0
    began: float = 0.0
    initial: dict[Whose, int] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    clients: list[ClientLog] = field(default_factory=list)
    #: What was broken and mended, and when.
    marks: list[tuple[float, str]] = field(default_factory=list)
    restored: list[Restored] = field(default_factory=list)
    final: Final | None = None
    #: Everything that the servers printed, by name.
    output: dict[str, str] = field(default_factory=dict)
    #: What a scenario found by itself.
    found: list[str] = field(default_factory=list)
    #: The longest time, in seconds, that the harness itself was held up.
    held_up: float = 0.0


def describe(record: Record, entry: Entry) -> str:
    """One line of an excerpt; the time is in seconds since the run began."""
    at = f"{entry.at - record.began:8.3f} server {entry.server}"
    match entry:
        case Opened():
            return f"{at} opens a {entry.way} since {entry.since or 'nothing'}"
        case Update():
            scores = " ".join(f"{player}={score}" for player, score in sorted(entry.scores.items()))
            return f"{at} update {entry.id or 'without id'} {scores}"
        case Reset():
            return f"{at} reset: {entry.reason}"
        case Closed():
            return f"{at} closed: {entry.why}"
        case Malformed():
            return f"{at} malformed: {entry.what}"


def excerpt(record: Record, client: ClientLog, index: int, around: int = 5) -> list[str]:
    """What lies around an entry of a client's log, with what was broken at the time."""
    first, last = max(0, index - around), min(len(client.entries), index + around // 2 + 1)
    lines = [(e.at, describe(record, e)) for e in client.entries[first:last]]
    if lines:
        low, high = lines[0][0] - 3, lines[-1][0]
        lines += [(t, f"{t - record.began:8.3f} -- {m}") for t, m in record.marks if low < t < high]
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]
