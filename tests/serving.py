"""The HTTP part of the server in a test's own event loop, and a client that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import urllib.parse
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import tornado.httputil
import ujson

from tornado_board.realtime.hub import Hub
from tornado_board.realtime.places import Places
from tornado_board.realtime.ranks import Ranks
from tornado_board.server import Running, running
from tornado_board.settings import Settings
from tornado_board.store import Store
from tornado_board.web.connections import Server
from tornado_board.web.exports import Exports

from .waiting import PATIENCE as PATIENCE


@dataclass
class Answer:
    """What came back. The names of `headers` are case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return ujson.loads(self.body)


@dataclass
class Served:
    """A server that listens on `port`."""

    port: int
    server: Server
    store: Store
    settings: Settings
    hub: Hub
    ranks: Ranks
    places: Places
    exports: Exports

    async def request(
        self,
        method: str,
        target: str,
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request as it is spelled here, and read the answer. A body without a
        ``Content-Type`` is JSON's; `target` is not normalised."""
        lines = {"Host": "localhost", "Connection": "close"}
        if body is not None:
            body = body.encode() if isinstance(body, str) else body
            lines |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
        lines |= headers or {}
        head = [
            f"{method} {target} HTTP/1.1",
            *(f"{k}: {v}" for k, v in lines.items() if v),
            "",
            "",
        ]
        return parse(await self.send("\r\n".join(head).encode("latin1") + (body or b"")), method)

    async def send(self, data: bytes) -> bytes:
        """Everything that the server says to `data` until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            return await asyncio.wait_for(reader.read(), PATIENCE)
        finally:
            writer.close()

    def dump(self) -> list[str]:
        """All rows of all of the store's tables, and how often they have been written; but for the
        mark of the last transaction."""
        path = self.settings.database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return [
                repr(row)
                for table in ("boards", "players", "outcomes", "audit_trail", "sqlite_sequence")
                if connection.execute(
                    "SELECT 1 FROM sqlite_master WHERE name = ?", (table,)
                ).fetchone()
                for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
                if row[0] != "store_epoch"
            ]


def parse(data: bytes, method: str = "GET") -> Answer:
    """An answer as it came over the wire; the connection ended after it."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, _, fields = head.decode("latin1").partition("\r\n")
    headers = tornado.httputil.HTTPHeaders.parse(fields)
    if "Content-Length" in headers and method != "HEAD":
        assert int(headers["Content-Length"]) == len(body)
    return Answer(int(line.split()[1]), headers, body)


def served_by(server: Running) -> Served:
    """`server`, to be asked."""
    port = urllib.parse.urlsplit(server.url).port
    assert port is not None
    services = server.services
    return Served(
        port,
        server.server,
        services.store,
        services.settings,
        services.hub,
        services.ranks,
        services.places,
        services.exports,
    )


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    """A server with everything behind it, on an SQLite file with the sample board, ready to
    serve."""
    async with running(settings) as server:
        async with asyncio.timeout(PATIENCE):
            while await server.services.readiness():
                await asyncio.sleep(0.005)
        yield served_by(server)
