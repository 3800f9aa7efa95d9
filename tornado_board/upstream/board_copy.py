"""A board as the upstream's clients see it: what comes in, and what of it is news here.

The same event may come more than once: by a stream and the one that takes its place, or by an
answer that fills a gap. And some may be left out: to a client that is slow, the upstream sends the
newest event of a board only. The counters in the ids tell (`replay.EventId`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from tornado_board.realtime.wires import type_of
from tornado_board.replay import Event, EventId


class Arrived(NamedTuple):
    """What the upstream said of a board: an event, behind a ``reset`` if there is a `reason`."""

    event: Event
    reason: str | None = None


class Verdict(enum.Enum):
    """What to do with what has arrived."""

    #: Show it: it is the next one.
    NEWS = "news"
    #: Nothing: it was shown, or something newer was.
    KNOWN = "known"
    #: Ask for what lies between the newest event here and this one, which is to come again.
    GAP = "gap"


class BoardCopy:
    """What is known here of one board."""

    def __init__(self, current: Event | None = None) -> None:
        #: The newest event that was shown, or is about to be.
        self.current = current

    @property
    def position(self) -> EventId | None:
        """After which event the upstream is asked to go on."""
        return None if self.current is None else self.current.id

    def take(self, arrived: Arrived) -> Verdict:
        """What has arrived, in the order in which the upstream sent it. If it is news, it is the
        current event from now on."""
        event, position = arrived.event, self.position
        if event.id is None:
            if event == self.current:
                return Verdict.KNOWN
        elif position is not None:
            if event.id == position:
                return Verdict.KNOWN
            if arrived.reason is None:
                if event.id <= position:
                    # Of a stream that is behind another one, or of an upstream that is.
                    return Verdict.KNOWN
                if event.id.n != position.n + 1:
                    return Verdict.GAP
        self.current = event
        return Verdict.NEWS


def without_states(news: Sequence[Arrived]) -> list[Arrived]:
    """`news` without what the newest of them stands for: boards as they were (`EventType.state`).
    The end of a season stays, and a ``reset`` stands before whatever comes next."""
    kept: list[Arrived] = []
    reason: str | None = None
    for event, why in news:
        reason = why or reason
        if event is news[-1].event or not type_of(event).state:
            kept.append(Arrived(event, reason))
            reason = None
    return kept
