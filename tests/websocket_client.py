"""A WebSocket's client that sends the bytes it is told to."""

from __future__ import annotations

import asyncio
import base64
import socket
from urllib.parse import urlsplit

from tornado_board.realtime.wires.websocket import (
    Opcode,
)

from .stream_client import PATIENCE


class Raw:
    """The frames that come after a handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, url: str, path: str, sock: socket.socket | None = None) -> Raw:
        parts = urlsplit(url)
        if sock is None:
            streams = await asyncio.open_connection(parts.hostname, parts.port)
        else:
            streams = await asyncio.open_connection(sock=sock)
        raw = cls(*streams)
        raw.writer.write(("\r\n".join([f"GET {path} HTTP/1.1", *handshake(url), "", ""])).encode())
        head = await asyncio.wait_for(raw.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 101 "), head
        return raw

    async def frame(self) -> tuple[Opcode, bytes]:
        async with asyncio.timeout(PATIENCE):
            first, size = await self.reader.readexactly(2)
            if size >= 126:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return Opcode(first & 0x0F), await self.reader.readexactly(size)

    async def close_frame(self) -> bytes:
        """The payload of the close frame, behind which the connection ends."""
        while True:
            opcode, payload = await self.frame()
            if opcode is Opcode.CLOSE:
                assert await asyncio.wait_for(self.reader.read(), PATIENCE) == b""
                return payload

    def close(self) -> None:
        self.writer.transport.abort()


def handshake(url: str, **changed: str) -> list[str]:
    fields = {
        "Host": urlsplit(url).netloc,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
        "Sec-WebSocket-Version": "13",
    }
    for name, value in changed.items():
        fields[name.replace("_", "-")] = value
    return [f"{name}: {value}" for name, value in fields.items() if value]
