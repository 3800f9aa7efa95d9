"""Event streams as text (HTML Standard, 9.2.6)."""

from __future__ import annotations

import re
from typing import NamedTuple

from tornado_board.client.errors import ClientError

#: The longest event that is put together, in characters. One of the server's has 8 MB at the most.
MOST_CHARACTERS = 16 * 2**20

_LINE_END = re.compile(r"\r\n|\n|\r")


class Event(NamedTuple):
    """An event; `id` is that of the newest event that had one."""

    type: str
    data: str
    id: str


class EventParser:
    """Takes the text of a stream in pieces of any size."""

    def __init__(self) -> None:
        #: The beginning of a line, in the pieces that it came in.
        self._pieces: list[str] = []
        self._size = 0
        #: Whether the last piece ended with a carriage return: a line feed behind it belongs to it.
        self._after_return = False
        self._type = ""
        self._data: list[str] = []
        self._data_size = 0
        self._id = ""

    def feed(self, text: str) -> list[Event]:
        """The events that are whole now. Raises `ClientError` for one that is too long."""
        if not text:
            return []
        if self._after_return and text.startswith("\n"):
            text = text[1:]
        self._after_return = text.endswith("\r")
        *lines, rest = _LINE_END.split(text)
        events = []
        for line in lines:
            whole = "".join([*self._pieces, line]) if self._pieces else line
            self._pieces = []
            self._size = 0
            event = self._take(whole)
            if event is not None:
                events.append(event)
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
        if self._size + self._data_size > MOST_CHARACTERS:
            raise ClientError("the server sends an event that is too long")
        return events

    def _take(self, line: str) -> Event | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                self._type = value
            elif name == "data":
                self._data.append(value)
                self._data_size += len(value)
            elif name == "id" and "\0" not in value:
                self._id = value
            return None
        event = Event(self._type or "message", "\n".join(self._data), self._id)
        empty = not self._data
        self._type, self._data, self._data_size = "", [], 0
        return None if empty else event
