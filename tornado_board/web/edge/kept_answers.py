"""Answers of the upstream that others get as well, for a moment.

The rule, for an answer that was asked for by somebody else:

1. Neither request presented anything that says who asks, and the answer is not said to be for one
   client only, or not to be kept.
2. It was asked for after the last write to that board that this server has answered, and after the
   board's current event came in. Of what is no board's, after any write.
3. That was less than `FRESH` seconds ago: not everything that changes shows in an event.

A board that is not followed here has no events to go by, so that nothing of it is kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, NamedTuple

from tornado_board.realtime.hub import Hub
from tornado_board.tasks import Shared
from tornado_board.upstream.reply import Reply

#: Seconds for which an answer may be used again.
FRESH = 1.0

#: Answers that are kept, and their bytes: each and in all.
_KEPT = 1_024
LARGEST = 2**20
_BYTES = 64 * 2**20

#: Boards whose last write is known one by one.
_WRITTEN = 8_192


class PassedAnswer(NamedTuple):
    """An answer of the upstream, with the fields that are passed on."""

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes
    #: Who asked for it; where nobody else may have it, all of it, for that one to read and to
    #: close.
    asker: object
    reply: Reply | None = None


class _Kept(NamedTuple):
    answer: PassedAnswer
    state: object
    began: float


Key = tuple[str, ...]


class KeptAnswers:
    """Answers by what was asked for: its address, and the fields that the answer depends on."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self._bytes = 0
        self._asking: Shared[tuple[Key, object], PassedAnswer] = Shared()
        #: When writes were answered, and how many: of each board, of all others, and in all.
        self._writes = 0
        self._written: dict[str, tuple[int, float]] = {}
        self._written_others = (0, float("-inf"))

    @property
    def size(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """How many bytes they have."""
        return self._bytes

    def wrote(self, board_id: str) -> None:
        """A write to the board is about to be answered; ``""`` for one that names no board."""
        self._writes += 1
        now = self._clock()
        if not board_id or len(self._written) >= _WRITTEN:
            self._written.clear()
            self._written_others = (self._writes, now)
        if board_id:
            self._written[board_id] = (self._writes, now)

    def last_write(self, board_id: str) -> float:
        """When a write to the board was answered last, by the clock."""
        return self._written.get(board_id, self._written_others)[1]

    async def get(
        self,
        board_id: str,
        key: Key,
        asker: object,
        ask: Callable[[], Coroutine[Any, Any, PassedAnswer]],
    ) -> PassedAnswer | None:
        """The answer to `key`, which is about the board (``""``: about none), kept or asked for
        with all others who want it now; ``None`` where nothing is kept, or it is not for others
        than the one who has asked.

        Raises what `ask` raises.
        """
        state = self._state(board_id)
        if state is None:
            return None
        kept = self._kept.get(key)
        if kept is not None and kept.state == state and self._clock() < kept.began + FRESH:
            self._kept.move_to_end(key)
            return kept.answer
        self._forget(key)
        answer = await self._asking.get((key, state), partial(self._ask, board_id, key, state, ask))
        return answer if answer.reply is None or answer.asker is asker else None

    async def _ask(
        self,
        board_id: str,
        key: Key,
        state: object,
        ask: Callable[[], Coroutine[Any, Any, PassedAnswer]],
    ) -> PassedAnswer:
        began = self._clock()
        answer = await ask()
        if answer.reply is None and self._state(board_id) == state:
            self._forget(key)
            self._kept[key] = _Kept(answer, state, began)
            self._bytes += len(answer.body)
            while len(self._kept) > _KEPT or self._bytes > _BYTES:
                self._forget(next(iter(self._kept)))
        return answer

    def _forget(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self._bytes -= len(kept.answer.body)

    def _state(self, board_id: str) -> object | None:
        """What has to be the same for an answer to be good still; ``None``: nothing is kept."""
        if not board_id:
            return self._writes
        event = self._hub.current(board_id)
        if event is None:
            return None
        return event, self._written.get(board_id, self._written_others)[0]
