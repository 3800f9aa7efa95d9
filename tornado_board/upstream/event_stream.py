"""Reads an event stream as it comes.

The rules are those of the HTML Living Standard, section 9.2.6, as far as this server's own streams
use them: lines end in LF, CR LF or CR, and an event without an ``id`` leaves the last one as it
was.
"""

from __future__ import annotations

from typing import NamedTuple

#: The longest line, in bytes: a board of 100 players with ``meta`` shown has a quarter of that.
LONGEST_LINE = 4 * 2**20


class StreamEvent(NamedTuple):
    """An event as a client reads it. `id`: ``None`` where its block had none."""

    name: str
    data: str
    id: str | None


class BadStream(Exception):
    """What came is no event stream that this program reads. `str(error)` says why."""


class EventStreamReader:
    """Takes a stream apart; `feed` it with its bytes in pieces of any size."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._name = ""
        self._data: list[str] = []
        self._size = 0
        self._id: str | None = None
        self._skips_newline = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """The events that end in `data`. Raises `BadStream`."""
        if self._skips_newline and data:
            self._skips_newline = False
            if data.startswith(b"\n"):
                data = data[1:]
        if b"\r" in data:
            self._skips_newline = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        events: list[StreamEvent] = []
        if lines and self._partial:
            lines[0] = bytes(self._partial) + lines[0]
            self._partial.clear()
        for line in lines:
            event = self._take(line)
            if event is not None:
                events.append(event)
        self._partial += rest
        if len(self._partial) > LONGEST_LINE:
            raise BadStream(f"a line of more than {LONGEST_LINE:,} bytes")
        return events

    def _take(self, line: bytes) -> StreamEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            return None
        try:
            field, _, value = line.decode().partition(":")
        except UnicodeDecodeError:
            raise BadStream("a line that is not UTF-8") from None
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > LONGEST_LINE:
                raise BadStream(f"an event of more than {LONGEST_LINE:,} characters")
        elif field == "event":
            self._name = value
        elif field == "id":
            self._id = value
        return None

    def _dispatch(self) -> StreamEvent | None:
        name, data, id = self._name, self._data, self._id
        self._name, self._data, self._id, self._size = "", [], None, 0
        return StreamEvent(name or "message", "\n".join(data), id) if data else None
