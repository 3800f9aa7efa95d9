"""A Tornado handler for each stream, and `RequestHandler.write` and `flush` for each event."""

from __future__ import annotations

import asyncio
import contextlib

import tornado.httpserver
import tornado.netutil
import tornado.web
from tornado.iostream import StreamClosedError

from benchmarks import payload
from benchmarks.peers import InProcess, obey


class TornadoWrite(InProcess):
    name = "Tornado, `RequestHandler.write` and `flush`"
    module = __name__


_streams: set[Stream] = set()


class Stream(tornado.web.RequestHandler):
    def initialize(self) -> None:
        self.closed = asyncio.Event()

    async def get(self) -> None:
        for name, value in payload.HEADERS.items():
            self.set_header(name, value)
        self.write(payload.RETRY)
        await self.flush()
        _streams.add(self)
        await self.closed.wait()

    def on_connection_close(self) -> None:
        _streams.discard(self)
        self.closed.set()


async def publish_one(seq: int) -> None:
    event = payload.event(seq)
    flushed = []
    for stream in _streams:
        stream.write(event)
        flushed.append(stream.flush())
    for done in flushed:
        if not done.done():
            with contextlib.suppress(StreamClosedError):
                await done
    await asyncio.sleep(0)


async def main() -> None:
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/events", Stream)]))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1", backlog=4096)
    server.add_sockets(sockets)
    await obey(sockets[0].getsockname()[1], publish_one)


if __name__ == "__main__":
    asyncio.run(main())
