"""A proxy that holds event streams back, as buffering ones do, and passes everything else on."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

_HEAD = re.compile(rb"(?i)^content-type:\s*text/event-stream", re.MULTILINE)


class HoldingProxy:
    """Listens on `port`, for a server on `server_port` of this machine.

    While `holds` is true, it keeps what comes over a stream until that ends; with `headers`, the
    headers pass, as with proxies that buffer only bodies.
    """

    def __init__(self, server_port: int, *, headers: bool) -> None:
        self.server_port = server_port
        self.headers = headers
        self.holds = True
        self.port = 0
        #: How many bytes of streams have been kept from clients.
        self.held = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on one request and its answer."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_writer = None
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            server_reader, server_writer = await asyncio.open_connection(
                "127.0.0.1", self.server_port
            )
            # One request a connection, so that an answer ends where the connection does.
            head = re.sub(rb"(?i)\r\nconnection: [^\r]*", b"", head)
            server_writer.write(head[:-2] + b"Connection: close\r\n\r\n")
            upwards = asyncio.create_task(_pass_on(reader, server_writer))
            try:
                await self._answer(server_reader, writer)
            finally:
                upwards.cancel()
        for one in (writer, server_writer):
            if one is not None:
                one.close()
        self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.holds and _HEAD.search(head):
            if self.headers:
                writer.write(head)
            while data := await reader.read(65536):
                self.held += len(data)
            return
        writer.write(head)
        await _pass_on(reader, writer)

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@contextlib.asynccontextmanager
async def holding_proxy(server_port: int, *, headers: bool = False) -> AsyncIterator[HoldingProxy]:
    """Such a proxy, for as long as the context lasts."""
    proxy = HoldingProxy(server_port, headers=headers)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.stop()
