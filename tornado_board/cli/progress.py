"""What a command that takes long shows of how far it is."""

from __future__ import annotations

import sys
import time
from typing import TextIO

#: Seconds between two looks of the user's.
_EVERY = 0.2


class Progress:
    """A line on a terminal that changes; nothing where the stream is none."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self._stream = stream
        #: Whether anybody sees it.
        self.shows = stream.isatty()
        self._began = time.monotonic()
        self._next = 0.0
        self._width = 0
        self._first: int | None = None

    def update(self, rows: int, part: float | None = None) -> None:
        """So many `rows` are done; `part`, from 0 to 1, is how much of all that is."""
        if self._first is None:
            self._first = rows
        now = time.monotonic()
        if not self.shows or now < self._next:
            return
        self._next = now + _EVERY
        text = f"{rows:,} rows, {self.rate(rows):,.0f}/s"
        if part is not None:
            text += f", {100 * part:.0f}%"
        self._print(text)

    def rate(self, rows: int) -> float:
        """Rows a second since the first `update`."""
        return (rows - (self._first or 0)) / max(time.monotonic() - self._began, 1e-3)

    def clear(self) -> None:
        """Take the line away, so that something else can be written."""
        if self._width:
            self._print("")
            self._stream.write("\r")
            self._stream.flush()
            self._width = 0

    def _print(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)
