"""The end of streams whose clients may listen for a time only."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from tornado_board.realtime.audience import Member
from tornado_board.realtime.wires import End, Wire, expired

#: The longest that the clock is not looked at, in seconds: it may be set meanwhile.
_LONGEST = 1.0

#: Streams that are ended before the event loop may go on to something else.
_AT_ONCE = 128

#: Streams that may have closed and are still kept, beside as many as are open.
_SPARE = 1024


class Expiries:
    """Ends each stream when its time has come, and tells its client why by an ``expired``.

    What is kept of those that close before grows no larger than what is kept of those that are
    open, and `_SPARE`.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` gives seconds since 1970."""
        self._clock = clock
        self._streams: list[tuple[float, int, Member, Wire]] = []
        self._numbers = itertools.count()
        self._purge_at = _SPARE
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def add(self, member: Member, wire: Wire, until: float) -> None:
        """End `member`, which is in an audience of `wire` or soon will be, when the clock shows
        `until`."""
        if member.closed:
            return
        if len(self._streams) >= self._purge_at:
            self._streams = [entry for entry in self._streams if not entry[2].closed]
            heapq.heapify(self._streams)
            self._purge_at = 2 * len(self._streams) + _SPARE
        heapq.heappush(self._streams, (until, next(self._numbers), member, wire))
        if self._streams[0][2] is member:
            self._schedule()

    def close(self) -> None:
        """End nothing any more."""
        self._streams.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._streams:
            delay = min(max(self._streams[0][0] - self._clock(), 0.0), _LONGEST)
            self._timer = asyncio.get_running_loop().call_later(delay, self._end)

    def _end(self) -> None:
        """End those whose time has come."""
        now = self._clock()
        try:
            for _ in range(_AT_ONCE):
                if not self._streams or self._streams[0][0] > now:
                    break
                _, _, member, wire = heapq.heappop(self._streams)
                if member.audience is not None:
                    last = wire.message([expired()])
                    member.finish(member.audience.end_of(End.EXPIRED, member.joined, last))
                else:
                    # It parts already, or its turn to be sent to has not come yet.
                    member.close()
        finally:
            self._schedule()  # whatever became of one, the others end, too
