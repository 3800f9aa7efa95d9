"""Connections that send what a client should not, and bytes of requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from .serving import PATIENCE, Answer, Served, parse
from .waiting import until

GET = b"GET /boards/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /boards/demo/players/mars/score-add/ HTTP/1.1\r\nHost: localhost\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


class Client:
    """A connection of our own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        """The next answer, where the connection goes on."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        answer = parse(head, "HEAD")
        size = int(answer.headers.get("Content-Length", "0"))
        answer.body = await asyncio.wait_for(self.reader.readexactly(size), PATIENCE)
        return answer

    async def rest(self) -> bytes:
        """What comes until the server closes the connection."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)

    def reset(self) -> None:
        """Go away without a goodbye."""
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def connected(served: Served) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", served.port))
    try:
        yield client
    finally:
        client.reset()


async def settled(served: Served, count: int) -> None:
    """Wait until `count` connections are open."""
    await until(lambda: served.server.open_connections == count)
