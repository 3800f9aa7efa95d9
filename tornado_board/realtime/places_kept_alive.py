"""What is sent to watched players' clients while nothing of their places changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from tornado_board.realtime.topic import KEEPALIVE_STEPS
from tornado_board.realtime.watched import Watched

#: Seconds for which keep-alives are sent before the event loop may go on to something else.
_SLICE = 0.003


class PlacesKeptAlive:
    """Sends a comment to who was sent nothing for about `interval` seconds, and closes those whose
    peer has vanished."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._checked_at = self._kept_alive_at = time.monotonic()

    async def keep(self, now: float, players: Iterable[Watched]) -> None:
        """Go through `players`, in slices, if it is time; `now` is `time.monotonic`'s. They are
        asked for one by one, and may come and go meanwhile."""
        if now - self._kept_alive_at < self._interval / KEEPALIVE_STEPS:
            return
        self._kept_alive_at = now
        patience = self._interval * 0.9
        checks = now - self._checked_at > patience
        if checks:
            self._checked_at = now
        until = time.monotonic() + _SLICE
        for watched in players:
            if checks:
                await watched.drop_dead(patience)
            if now - watched.sent_at > patience:
                watched.sent_at = now
                await watched.keep_alive()
            if time.monotonic() > until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE
