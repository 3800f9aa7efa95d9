"""A client of an event stream that remembers what it was sent, and where."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import Any

from tornado_board.replay import EventId

from .stream_client import read_chunk


@dataclass
class Received:
    """One event of a stream."""

    event: str
    id: EventId | None
    data: Any

    @property
    def without_id(self) -> bool:
        """Whether it took the client's position from it."""
        return self.event == "update" and self.id is None


@dataclass
class StreamClient:
    """Follows a board on one server after the other, with ``Last-Event-ID``, as browsers do."""

    board: str
    received: list[Received] = field(default_factory=list)
    last_id: EventId | None = None
    #: How much was received when each connection began.
    begun: list[int] = field(default_factory=list)

    @property
    def ids(self) -> list[EventId]:
        return [r.id for r in self.received if r.id is not None]

    @property
    def resets(self) -> int:
        return sum(r.event == "reset" for r in self.received)

    @property
    def newest(self) -> Any:
        """The newest board."""
        return next((r.data for r in reversed(self.received) if r.event == "update"), None)

    async def follow(self, port: int) -> None:
        """Take in events from the server at `port` until it ends the stream or this is cancelled.

        Raises `OSError` if the server can't be reached.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            resume = f"Last-Event-ID: {self.last_id}\r\n" if self.last_id else ""
            writer.write(
                f"GET /boards/{self.board}/ HTTP/1.1\r\nHost: localhost\r\n"
                f"Accept: text/event-stream\r\n{resume}\r\n".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head.split(b"\r\n")[0]:
                return
            self.begun.append(len(self.received))
            text = ""
            while chunk := await read_chunk(reader):
                *blocks, text = (text + chunk.decode()).split("\n\n")
                for block in blocks:
                    lines = [line.partition(":") for line in block.split("\n")]
                    fields = {name: value.removeprefix(" ") for name, _, value in lines}
                    if "data" in fields:
                        self._take(fields)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _take(self, fields: dict[str, str]) -> None:
        id = EventId.parse(fields["id"]) if fields.get("id") else None
        self.received.append(Received(fields["event"], id, json.loads(fields["data"])))
        if "id" in fields:
            self.last_id = id

    async def follow_for_good(self, port: int) -> None:
        """Follow, and come back shortly after the stream ends or the server is gone."""
        while True:
            with contextlib.suppress(OSError):
                await self.follow(port)
            await asyncio.sleep(0.1)
