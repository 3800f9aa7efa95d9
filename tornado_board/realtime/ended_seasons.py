"""Counts the seasons that end, whoever ends them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from tornado_board.models import Board

#: Boards whose present season is known.
_KNOWN = 10_000

#: How long ago, in ms, a season may have begun of a board that was not known before: the change
#: that tells of it may be another one than its beginning.
_JUST_NOW = 60_000


class EndedSeasons:
    """Which season each board was in, so that the change that begins the next one is known for
    what it is: by the calendar, by hand, by a write that came first, or by another process."""

    def __init__(self, count: Callable[[int], None], clock: Callable[[], int]) -> None:
        """`count` is told how many have ended; `clock` gives the ms since 1970."""
        self._count = count
        self._clock = clock
        self._numbers: OrderedDict[str, int] = OrderedDict()

    def forget(self) -> None:
        """What is known may be out of date by now."""
        self._numbers.clear()

    def saw(self, board_id: str, board: Board | None) -> None:
        """The board is so now; ``None``: there is none any more."""
        season = None if board is None else board.season
        if season is None:
            self._numbers.pop(board_id, None)
            return
        known = self._numbers.get(board_id)
        if known is not None:
            ended = season.number - known
        else:
            has_just_begun = 0 <= self._clock() - season.started <= _JUST_NOW
            ended = int(season.number > 1 and has_just_begun)
        if ended > 0:
            self._count(ended)
        self._numbers[board_id] = season.number
        self._numbers.move_to_end(board_id)
        if len(self._numbers) > _KNOWN:
            self._numbers.popitem(last=False)
