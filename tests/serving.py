"""The HTTP part of the server in a test's own event loop, and a client that can misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import tornado.httputil
import tornado.netutil
import ujson

from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.publisher import Publisher
from tornado_board.replay import open_replay_log
from tornado_board.settings import Settings
from tornado_board.store import Store, open_store
from tornado_board.web.application import make_application
from tornado_board.web.connections import Server
from tornado_board.web.handler import Services

#: Seconds after which a test that waits for an answer gives up.
PATIENCE = 10


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
    #: What the readiness check finds missing.
    missing: list[str] = field(default_factory=list)

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
        """All rows of all of the store's tables, and how often they have been written."""
        path = self.settings.database_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return [
                repr(row)
                for table in ("boards", "players", "changes", "sqlite_sequence")
                for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            ]


def parse(data: bytes, method: str = "GET") -> Answer:
    """An answer as it came over the wire; the connection ended after it."""
    head, _, body = data.partition(b"\r\n\r\n")
    line, _, fields = head.decode("latin1").partition("\r\n")
    headers = tornado.httputil.HTTPHeaders.parse(fields)
    if "Content-Length" in headers and method != "HEAD":
        assert int(headers["Content-Length"]) == len(body)
    return Answer(int(line.split()[1]), headers, body)


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Served]:
    """A server with everything behind it, on an SQLite file with the sample board."""
    async with contextlib.AsyncExitStack() as stack:
        store = await open_store(settings.database_url, settings)
        stack.push_async_callback(store.close)
        log = await open_replay_log(settings.replay_url, settings)
        stack.push_async_callback(log.close)
        hub = Hub(
            live_boards=settings.live_boards,
            streams_per_board=settings.max_streams_per_board,
            keepalive=settings.keepalive,
        )
        stack.callback(hub.close)
        publisher = Publisher(
            store,
            log,
            hub,
            squash=settings.squash,
            depth=settings.standings_depth,
            live_boards=settings.live_boards,
        )
        hub.source = publisher
        stack.push_async_callback(publisher.close)
        feed = asyncio.ensure_future(Changefeed(store, publisher).run())
        stack.callback(feed.cancel)

        missing: list[str] = []

        async def readiness() -> list[str]:
            return missing

        application = make_application(Services(store, log, hub, settings, readiness))
        server = Server(application, settings)
        sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        stack.push_async_callback(server.drain, 0)
        yield Served(sockets[0].getsockname()[1], server, store, settings, missing)
