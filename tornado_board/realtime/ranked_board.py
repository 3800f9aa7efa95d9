"""What is kept of a board whose ranks were asked for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from tornado_board.models import Number
from tornado_board.ranking.count_check import CountCheck
from tornado_board.ranking.rank_index import RankIndex

#: Players in memory that are many: the C library is to be told where their number falls, and it is
#: known for the next build of a board where their middle was.
MANY = 100_000


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
    #: The score in the middle of the last index, if that had many players; see `Store.scores`.
    middle: Number | None = None

    def forget(self) -> None:
        """Have no index any more."""
        if self.index is not None and self.index.is_ready and len(self.index) >= MANY:
            self.middle = self.index.score_at(len(self.index) // 2)
        self.index = self.check = None
