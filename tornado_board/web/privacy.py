"""Which boards are private."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from tornado_board.models import shows_private
from tornado_board.realtime.hub import Hub
from tornado_board.store import NotFound, Store

#: Seconds for which what the store said of a board counts: so long after a change, a board that is
#: not live may still be read as it was. A live one changes with its event.
LASTING = 1.0

#: Boards that this is remembered of.
MOST_REMEMBERED = 10_000


class Privacy:
    """Says whether a board is private: by what was just written or read of it, by its current event
    where it is live, or else by the store."""

    def __init__(self, hub: Hub, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock
        # The oldest first.
        self._noted: OrderedDict[str, tuple[float, bool]] = OrderedDict()

    def note(self, board_id: str, private: bool) -> None:
        """The store has the board like this now."""
        self._noted[board_id] = (self._clock() + LASTING, private)
        self._noted.move_to_end(board_id)
        if len(self._noted) > MOST_REMEMBERED:
            self._noted.popitem(last=False)

    def known(self, board_id: str) -> bool | None:
        """Whether it is private; ``None`` where the store has to be asked."""
        until, private = self._noted.get(board_id, (0.0, False))
        if until > self._clock():
            return private
        event = self._hub.confirmed(board_id)
        return None if event is None else shows_private(event.data)

    def last_known(self, board_id: str) -> bool:
        """Whether it was private when it was last heard of; for who may have read it then."""
        event = self._hub.current(board_id)
        return self.known(board_id) or (event is not None and shows_private(event.data))

    async def find(self, board_id: str) -> bool:
        """The same, asked of the store. A board that is not there is not private.

        Raises `StoreUnavailable`.
        """
        try:
            private = (await self._store.get_board(board_id)).private
        except NotFound:
            return False
        self.note(board_id, private)
        return private
