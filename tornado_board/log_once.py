"""Log lines that say a thing once, not once a try."""

from __future__ import annotations

import logging
import time

#: Things that are remembered as said; with more the oldest is forgotten.
_MOST = 256

#: Seconds after which a thing that still holds may be said again.
_AGAIN = 60.0


class LogOnce:
    """Warnings on `logger`, each at most once a minute however often it is given."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._said: dict[str, float] = {}

    def warning(self, text: str) -> None:
        """Log `text`, unless that was done within the last minute."""
        now = time.monotonic()
        if now - self._said.get(text, float("-inf")) < _AGAIN:
            return
        self._said.pop(text, None)
        while len(self._said) >= _MOST:
            del self._said[next(iter(self._said))]
        self._said[text] = now
        self._logger.warning("%s", text)
