"""How far the feed is behind, measured on one of this process's own writes at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from tornado_board.models import BoardChanged, Change

#: Seconds after which a write that was not confirmed is taken for one that failed, or changed
#: nothing.
_PATIENCE = 1.0


class FeedLag:
    """The time from when a write began here until the feed told of it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Whether the feed is open: only then it can be measured.
        self.is_open = False
        #: The board and the player of the write that is measured, and when it began.
        self._measured: tuple[str, str] | None = None
        self._began = 0.0
        self._confirmed = False
        self._last = 0.0

    def begin(self, board_id: str, player_id: str) -> None:
        """A write begins; it is measured if no other is."""
        is_measuring = self._measured is not None and (
            self._confirmed or self._clock() < self._began + _PATIENCE
        )
        if is_measuring or not self.is_open:
            return
        self._measured = (board_id, player_id)
        self._began, self._confirmed = self._clock(), False

    def confirm(self, board_id: str, player_id: str) -> None:
        """The write has changed the player, so that the feed will tell of it, or has."""
        if self._measured == (board_id, player_id):
            self._confirmed = True

    def told(self, changes: Iterable[Change]) -> None:
        """The feed tells of `changes`."""
        if self._measured is None:
            return
        board_id, player_id = self._measured
        for change in changes:
            if change.board_id != board_id:
                continue
            if isinstance(change, BoardChanged):
                if change.board is None:
                    self._measured = None  # of its players nothing more is told
                    return
            elif change.player_id == player_id:
                self._last = self._clock() - self._began
                self._measured = None
                return

    def opened(self) -> None:
        """The feed was opened: what was written before it does not tell."""
        self.is_open, self._measured, self._last = True, None, 0.0

    def lost(self) -> None:
        """It is not open any more."""
        self.is_open, self._measured = False, None

    @property
    def seconds(self) -> float:
        """Of the write that was measured last; more where the present one takes longer by now."""
        if self._measured is None or not self._confirmed:
            return self._last
        return max(self._last, self._clock() - self._began)
