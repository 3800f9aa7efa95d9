"""What was read of players a moment ago, for those who ask for the same.

The rule, for what is answered from here instead of from the store:

1. It was read after the last write to that player, or to the whole board, that this process
   answered, whatever became of the write. So whoever has been told of a write sees it.
2. The feed is open, and has told nothing of the player or its board since the read began. So a
   change by another process, or another program, shows here as soon as the feed tells of it.
3. It was read less than `FRESH` seconds ago: a feed need not tell of a change that was taken back
   in the same moment.
4. The client did not ask for more: with ``Cache-Control: no-cache`` the store is read.

Only players of present seasons are kept, and none who is hidden: of those the feed tells nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from tornado_board.models import Change, Player, PlayerChanged
from tornado_board.realtime.feed import Changefeed
from tornado_board.store import Store
from tornado_board.tasks import Shared
from tornado_board.web.board_reads import FRESH
from tornado_board.web.last_changes import LastChanges

#: Players that are kept, and boards whose last change is known one by one.
_KEPT = 4_096
_CHANGED = 4_096

#: Ticks (`PlayerReads.tick`, one a second) without a read after which the feed is not needed.
_IDLE = 30


class _Kept(NamedTuple):
    player: Player
    changes: int
    until: float


class _Reading:
    """A read, and the number of its board's last change when it began."""

    def __init__(self, changes: int) -> None:
        self.changes = changes


class PlayerReads:
    """Reads players. It has the feed open (`Changefeed`) while players are asked for."""

    def __init__(
        self, store: Store, feed: Changefeed, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        #: By board and player. Those that were read first come first.
        self._kept: dict[tuple[str, str], _Kept] = {}
        #: The newest read that is under way of a player, as long as nothing has changed since: who
        #: asks meanwhile waits for the same.
        self._reading: dict[tuple[str, str], _Reading] = {}
        self._reads: Shared[_Reading, Player] = Shared()
        #: Of whole boards.
        self._changed = LastChanges(_CHANGED)
        self._idle = 0

    @property
    def size(self) -> int:
        """How many players are kept."""
        return len(self._kept)

    def known(self, board_id: str, player_id: str) -> Player | None:
        """The player as it was read, if that may be used again."""
        kept = self._kept.get((board_id, player_id))
        if (
            kept is None
            or not self._feed.is_open
            or kept.changes != self._changed.of(board_id)
            or self._clock() >= kept.until
        ):
            return None
        self._idle = 0
        return kept.player

    async def read(self, board_id: str, player_id: str) -> Player:
        """The player, who may be hidden. Raises what `Store.get_player` raises."""
        known = self.known(board_id, player_id)
        if known is not None:
            return known
        self._idle = 0
        self._feed.attach(self)
        if not self._feed.is_open:
            return await self._store.get_player(board_id, player_id, hidden=True)
        key = (board_id, player_id)
        reading = self._reading.get(key)
        if reading is None or reading.changes != self._changed.of(board_id):
            reading = self._reading[key] = _Reading(self._changed.of(board_id))
        return await self._reads.get(reading, partial(self._read, key, reading))

    async def _read(self, key: tuple[str, str], reading: _Reading) -> Player:
        board_id, player_id = key
        began = self._clock()
        try:
            player = await self._store.get_player(board_id, player_id, hidden=True)
        finally:
            is_newest = self._reading.get(key) is reading
            if is_newest:
                del self._reading[key]
        changes = self._changed.of(board_id)
        is_good = is_newest and self._feed.is_open and changes == reading.changes
        if is_good and not player.hidden:
            self._kept.pop(key, None)
            self._kept[key] = _Kept(player, changes, began + FRESH)
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return player

    def wrote(self, board_id: str, player_id: str | None = None) -> None:
        """A write to the player, or to any players of the board, was carried out or is about to be
        answered."""
        if player_id is not None:
            if self._kept or self._reading:
                key = (board_id, player_id)
                self._kept.pop(key, None)
                self._reading.pop(key, None)
            return
        self._changed.note(board_id)

    # What the feed tells

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, PlayerChanged):
                self.wrote(change.board_id, change.player_id)
            else:
                self.wrote(change.board_id)

    def resync(self) -> None:
        """The feed was opened: nobody knows what happened until then."""
        self._kept.clear()
        self._reading.clear()

    def tick(self) -> None:
        """A second has passed."""
        self._idle += 1
        if self._idle > _IDLE:
            self.resync()
            self._feed.detach(self)
