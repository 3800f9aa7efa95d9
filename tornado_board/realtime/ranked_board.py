"""What is kept of a board whose ranks were asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from tornado_board.ranking.count_check import CountCheck
from tornado_board.ranking.rank_index import RankIndex


class Standing(NamedTuple):
    """How many players a board has, and how many of them are better than each of some scores."""

    of: int
    better: tuple[int, ...]


@dataclass(eq=False)
class RankedBoard:
    """A board that was asked for."""

    id: str
    used_at: int
    index: RankIndex | None = None
    building: asyncio.Task[None] | None = None
    #: Whether answers need not wait for it.
    is_slow: bool = False
    #: When it may be built again, by the event loop's clock and by ticks.
    rests_until: float = 0.0
    again_at: int = 0
    #: How long building it took, in seconds, and when that was done.
    seconds: float = 0.0
    ready_at: float = 0.0
    weight: int = 0
    check: CountCheck | None = None
