"""What was read of boards a moment ago, for those who ask for the same.

The rule, for what is answered from here instead of from the store:

1. It was read after the last write to that board that this process answered, whatever became of
   the write. So whoever has been told of a write sees it, or something newer.
2. It was read while the board's current event was the one that it is now. So nobody who has seen
   an event is shown an older board, and a change by another process, or another program, shows
   here when it shows in the stream.
3. It was read less than `FRESH` seconds ago, should no event tell of a change.
4. The client did not ask for more: with ``Cache-Control: no-cache`` the store is read.

What the store gave counts as of when it was asked. A write is noted before it is answered, so that
a read that began before may not be used after it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.topic import Topic
from tornado_board.replay import Event, EventId
from tornado_board.store import Store, StoreUnavailable
from tornado_board.tasks import Shared
from tornado_board.web import answers
from tornado_board.web.last_changes import LastChanges

#: Seconds for which what was read may be used again.
FRESH = 1.0

#: Boards that are kept, and boards whose last write is known one by one.
_KEPT = 1_024
_WRITTEN = 8_192


class BoardRead(NamedTuple):
    """A board as the store had it, as JSON, and the id of an event that is not newer, if any."""

    json: str
    position: EventId | None


class _Kept(NamedTuple):
    read: BoardRead
    event: Event
    writes: int
    began: float


class BoardReads:
    """Reads boards, each with as many of its best players as it shows (`Board.top`)."""

    def __init__(self, store: Store, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._hub = hub
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._reads: Shared[tuple[str, int, int], BoardRead] = Shared()
        #: By writes that were answered.
        self._written = LastChanges(_WRITTEN)

    @property
    def size(self) -> int:
        """How many boards are kept."""
        return len(self._kept)

    def wrote(self, board_id: str) -> None:
        """A write to the board is about to be answered."""
        self._written.note(board_id)
        self._kept.pop(board_id, None)

    def known(self, board_id: str) -> BoardRead | None:
        """What was read, if it may be used again."""
        kept = self._kept.get(board_id)
        if kept is None:
            return None
        topic = self._hub.live(board_id)
        if topic is not None and self._is_good(kept, board_id, topic):
            return kept.read
        del self._kept[board_id]
        return None

    async def read(self, board_id: str, *, anew: bool = False) -> BoardRead:
        """The board as it is now; `anew`: as the store has it.

        Raises what `Store.ranking` and `Hub.open` raise.
        """
        # Taken before the board is read: a stream from here may repeat a change, but misses none.
        topic = await self._open(board_id)
        if topic is None:
            return await self._ask(board_id, None)
        if anew:
            return await self._ask(board_id, topic.current.id)
        known = self.known(board_id)
        if known is not None:
            return known
        event, writes = topic.current, self._written.of(board_id)
        # Who asks after a write, or an event, does not join a read that began before it.
        key = (board_id, writes, id(event))
        return await self._reads.get(key, partial(self._read, topic, event, writes))

    async def _open(self, board_id: str) -> Topic | None:
        try:
            return await self._hub.open(board_id)
        except (LimitReached, StoreUnavailable):
            return None  # a board may be readable without being live; reading it will tell

    async def _ask(self, board_id: str, position: EventId | None) -> BoardRead:
        ranking = await self._store.ranking(board_id, 0)
        board = ranking.board
        return BoardRead(answers.board(board, ranking.players[: board.top]), position)

    async def _read(self, topic: Topic, event: Event, writes: int) -> BoardRead:
        board_id, began = topic.board_id, self._clock()
        read = await self._ask(board_id, event.id)
        kept = _Kept(read, event, writes, began)
        if self._is_good(kept, board_id, topic):
            self._kept[board_id] = kept
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return read

    def _is_good(self, kept: _Kept, board_id: str, topic: Topic) -> bool:
        return (
            kept.event is topic.current
            and not topic.ended
            and kept.writes == self._written.of(board_id)
            and self._clock() < kept.began + FRESH
        )
