"""The ranks that players had at some time: the parameter ``since`` of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from tornado_board.models import shows_private
from tornado_board.realtime.past_ranks import ranks_of_board, ranks_of_places
from tornado_board.replay import Event, LogUnavailable
from tornado_board.replay.track import DAY
from tornado_board.web.described import Moment
from tornado_board.web.exchange import Asked
from tornado_board.web.problems import Problem
from tornado_board.web.times import is_date, written

#: For how long places that were kept are those of a time after it, in milliseconds: as exactly as
#: the coarsest step of the track knows the best.
_NEAR = 60_000


SINCE = Moment(name="since", text="With the rank that each had at this time, too.")


class PreviousRanks(NamedTuple):
    """The ranks at `ms` since 1970, as far as they are known: of how many seconds before that they
    may be is `resolution`."""

    ms: int
    resolution: int
    ranks: Mapping[str, int]

    def shown(self) -> dict[str, Any] | None:
        """What of it is told once; ``None`` if nothing is known."""
        if not self.ranks:
            return None
        return {"time": written(self.ms), "resolution": self.resolution}


async def previous_ranks(asked: Asked, board_id: str) -> PreviousRanks | None:
    """The ranks at the time that ``since`` names; ``None`` where it is not there.

    A date by itself is the time of that day at which places were kept. Nothing is known of what is
    not kept, nor while the replay log is away, nor of a time at which the board was private, to who
    may read no private board. Raises `Problem` 422.
    """
    ms = SINCE.of(asked)
    if ms is None:
        return None
    log = asked.services.log
    try:
        if is_date(asked.argument(SINCE.name) or ""):
            places = await log.places_at(board_id, ms + DAY - 1)
            if places is not None and places.id is not None and places.id.ms >= ms:
                ms = places.id.ms
            else:
                places = None
        else:
            places = await log.places_at(board_id, ms)
        looked = await log.at(board_id, [ms])
    except LogUnavailable:
        return PreviousRanks(ms, 0, {})
    if ms < looked.now - log.reach_ms:
        return PreviousRanks(ms, 0, {})
    ranks: dict[str, int] = {}
    resolution = 0
    [past] = looked.pasts
    # What the board itself showed then counts for more.
    if places is not None and places.id is not None and ms - places.id.ms <= _NEAR:
        ranks.update(await _ranks(asked, places, ranks_of_places))
        resolution = -(-(ms - places.id.ms) // 1000)
    if past is not None:
        ranks.update(await _ranks(asked, past.event, ranks_of_board))
        resolution = max(resolution, past.resolution // 1000)
    return PreviousRanks(ms, resolution, ranks)


async def _ranks(
    asked: Asked, event: Event, read: Callable[[str], Mapping[str, int]]
) -> Mapping[str, int]:
    """The ranks in `event`, if the caller may know them."""
    try:
        if shows_private(event.data):
            await asked.check_as_private()
        return read(event.data)
    except (Problem, msgspec.DecodeError):  # the latter: another program's
        return {}
