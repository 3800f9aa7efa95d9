"""The thinned track of a board: what is kept of its events longer than the replay log keeps all of
them. No I/O, no clock.

A track has steps, from fine to coarse. Time is cut into slots as long as the step, and of each slot
the last event is kept: of a board that changes many times a second, one board a second. An event
gets into the track when the first one of a later slot is appended, or when the log drops it. So the
newest event is in the log only, until it is dropped there, and what lies between two events of a
track lies in the slot of the later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tornado_board.replay import Event
from tornado_board.settings import Settings

#: How long a day is, in milliseconds; days are those of UTC.
DAY = 86_400_000

#: What an entry counts as beside its data, in bytes.
ENTRY_BYTES = 64


class Step(NamedTuple):
    """One step: how long its slots are, and how long it is kept, in milliseconds.

    `name` is a part of the names of keys.
    """

    name: str
    ms: int
    kept_ms: int

    @property
    def most(self) -> int:
        """The most events that it has: one a slot, those cut by either end, and the one before."""
        return self.kept_ms // self.ms + 3


class Past(NamedTuple):
    """A board as it was at some time: the newest event of then that is kept.

    `resolution` is how long before that time, in milliseconds at the most, there may have been
    newer ones, which the track has left out; 0 where the log itself has answered.
    """

    event: Event
    resolution: int


class Looked(NamedTuple):
    """What was found at some times, in their order; ``None`` where nothing is kept of then.

    `now` is the log's clock, ms since 1970. Where something was not found, `oldest` is when the
    oldest event is of that is kept, if any, and `dropped` says whether there were older ones.
    """

    now: int
    pasts: Sequence[Past | None]
    oldest: int | None = None
    dropped: bool = False


def steps_of(settings: Settings) -> tuple[Step, ...]:
    """The steps of all tracks, the finest first; none if no track is to be kept."""
    if not settings.history_retention:
        return ()
    coarse = round(settings.history_retention * 1000)
    fine = min(round(settings.history_fine_retention * 1000), coarse)
    steps = (Step("seconds", 1_000, fine), Step("minutes", 60_000, coarse))
    return tuple(step for step in steps if step.kept_ms)


def places_of(settings: Settings) -> Step | None:
    """The step of the track that has places instead of events (`ReplayLog.keep_places`); ``None``
    if none are to be kept."""
    coarse = round(settings.history_retention * 1000)
    return Step("places", DAY, coarse) if coarse else None


def reach_of(settings: Settings) -> int:
    """How far back `ReplayLog.at` goes, in milliseconds."""
    kept = round(settings.replay_retention * 1000)
    return max(kept, *(step.kept_ms for step in steps_of(settings)), kept)


def is_last_of_slot(step: Step, ms: int, following: int) -> bool:
    """Whether an event at `ms` is the last of its slot, if the next one is at `following`."""
    return ms // step.ms < following // step.ms


def evenly(start: int, end: int, points: int) -> list[int]:
    """`points` times from `start` to `end`, in equal distances; only the end, if it is one.

    Times that fall together, since they are whole numbers, are one.
    """
    if points == 1:
        return [end]
    span, last = end - start, points - 1
    return list(dict.fromkeys(start + span * i // last for i in range(points)))


def fair_cap(sizes: Sequence[int], most: int) -> int | None:
    """What each of `sizes` has to be cut to so that all together are `most` at the most; ``None``
    if they are.

    Only the greatest are cut, all to the same size: nobody has less because of another that is
    greater.
    """
    if sum(sizes) <= most:
        return None
    left, many = most, len(sizes)
    for size in sorted(sizes):
        if size * many > left:
            return left // many
        left -= size
        many -= 1
    return None
