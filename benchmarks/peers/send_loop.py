"""What Python can do at best: a loop over the `send` methods of sockets, and nothing else.

No slow client is looked after: an event that a socket refuses is dropped.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import tornado.httpserver
import tornado.netutil
import tornado.web

from benchmarks import payload
from benchmarks.peers import InProcess, obey


class SendLoop(InProcess):
    name = "a Python loop of `socket.send`"
    module = __name__


_sends: list[Callable[[bytes], int]] = []
_sockets: list[socket.socket] = []


class Stream(tornado.web.RequestHandler):
    async def get(self) -> None:
        for name, value in payload.HEADERS.items():
            self.set_header(name, value)
        self.write(payload.RETRY)
        await self.flush()
        stream = self.detach()
        assert isinstance(stream.socket, socket.socket)
        raw = socket.socket(fileno=stream.socket.detach())
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _sockets.append(raw)
        _sends.append(raw.send)


async def publish_one(seq: int) -> None:
    event = payload.event(seq)
    for send in _sends:
        try:
            send(event)
        except OSError:
            continue
    await asyncio.sleep(0)


async def main() -> None:
    server = tornado.httpserver.HTTPServer(tornado.web.Application([("/events", Stream)]))
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1", backlog=4096)
    server.add_sockets(sockets)
    await obey(sockets[0].getsockname()[1], publish_one)


if __name__ == "__main__":
    asyncio.run(main())
