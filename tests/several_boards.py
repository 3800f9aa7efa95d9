"""What clients of several boards read, whatever wire it comes by."""

from __future__ import annotations

import json
import zlib
from typing import Any, NamedTuple

from tornado_board.realtime.positions import Gone, parse
from tornado_board.realtime.wires import Wire
from tornado_board.realtime.wires.gzip_sse import GZIP
from tornado_board.realtime.wires.sse import RAW
from tornado_board.realtime.wires.websocket import WEBSOCKET
from tornado_board.replay import EventId


class Seen(NamedTuple):
    """An event; `id` is ``None`` where it has none, and empty where it takes it away."""

    event: str
    data: Any
    id: str | None


def decoded(wire: Wire, data: bytes) -> list[Seen]:
    """The events in what was sent over `wire`; an event that is cut at the end is none."""
    if wire is WEBSOCKET:
        return _of_frames(data)
    if wire is not RAW:
        data = _dechunked(data)
    if wire is GZIP:
        data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data)
    return of_blocks(data.decode(errors="replace"))


def of_blocks(text: str) -> list[Seen]:
    """The events of a stream."""
    seen = []
    for block in text.split("\n\n")[:-1]:
        fields = dict(line.split(":", 1) for line in block.split("\n") if line)
        if "data" in fields:
            event_id = fields["id"].strip() if "id" in fields else None
            seen.append(Seen(fields["event"].strip(), json.loads(fields["data"]), event_id))
    return seen


def _of_frames(data: bytes) -> list[Seen]:
    seen = []
    while len(data) > 1:
        opcode, size, start = data[0] & 0x0F, data[1], 2
        if size >= 126:
            start += 2 if size == 126 else 8
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            break
        payload, data = data[start : start + size], data[start + size :]
        if opcode == 1:
            message = json.loads(payload)
            event_id = message["id"]
            if event_id is None and message["event"] != "reset":
                event_id = ""
            seen.append(Seen(message["event"], message["data"], event_id))
    return seen


def _dechunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if len(data) < length + 2:
            return body + data[:length]
        assert data[length : length + 2] == b"\r\n"
        body, data = body + data[:length], data[length + 2 :]
    return body


class Follower:
    """Checks what a client of several boards is told, event by event."""

    def __init__(self, since: str = "") -> None:
        self.last_id = since
        self.at: dict[str, EventId | Gone] = dict(parse(since))
        #: Boards of which a reset was told, and what follows is a new beginning.
        self.reset: set[str] = set()
        #: How often events of a board were left out, without a reset.
        self.skipped = 0
        self.resets: list[str] = []
        self.boards: dict[str, Any] = {}
        #: The ends of seasons: boards, and the numbers of the seasons.
        self.ends: list[tuple[str, int]] = []

    def take(self, seen: Seen) -> None:
        board = seen.data["id"]
        if seen.event == "reset":
            assert seen.id is None
            self.reset.add(board)
            self.resets.append(board)
            self.at.pop(board, None)
            return
        assert seen.id is not None
        told = parse(seen.id)
        before = self.at.get(board)
        if seen.event == "gone":
            assert isinstance(told[board], Gone)
        else:
            assert seen.event in ("update", "season")
            if seen.event == "season":
                self.ends.append((board, seen.data["season"]["number"]))
            now = told.get(board)
            assert not isinstance(now, Gone)
            if now is not None and isinstance(before, EventId) and board not in self.reset:
                assert now.n > before.n, "an event came twice, or out of order"
                self.skipped += now.n > before.n + 1
            self.reset.discard(board)
            self.boards[board] = seen.data
        if board in told:
            self.at[board] = told[board]
        else:
            self.at.pop(board, None)
        # The id says where the client is, in every board.
        assert told == self.at, (told, self.at, seen.event)
        self.last_id = seen.id
