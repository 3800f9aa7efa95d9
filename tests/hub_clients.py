"""A hub without a store or a log, and clients on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tornado_board.realtime.hub import Hub
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Message, Wire, update
from tornado_board.realtime.wires.sse import RAW
from tornado_board.replay import Event, EventId
from tornado_board.store import NotFound


def event(n: int, padding: int = 0) -> Event:
    return Event(EventId(1_000 + n, n), f'{{"n":{n},"padding":"{"x" * padding}"}}')


def framed(event: Event, wire: Wire = RAW) -> Message:
    """`event` as a stream is sent it."""
    return wire.message([update(event)])


class Boards:
    """A `Source` that has every board but those whose name starts with "no"."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.watched: list[str] = []
        self.unwatched: list[str] = []

    def is_confirmed(self, board_id: str, *, strictly: bool) -> bool:
        return True

    async def confirm(self, board_id: str, *, strictly: bool) -> None:
        """It always is."""

    async def watch(self, board_id: str) -> None:
        self.watched.append(board_id)
        await asyncio.sleep(0)
        if board_id.startswith("no"):
            raise NotFound(board_id)
        await self.hub.publish(board_id, event(1))

    def unwatch(self, board_id: str) -> None:
        self.unwatched.append(board_id)


class Clients:
    """The far ends of subscribers' sockets."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.released = 0
        self.sockets: list[socket.socket] = []

    def subscribe(
        self, topic: Topic, buffer: int | None = None, wire: Wire = RAW
    ) -> tuple[Subscriber, socket.socket]:
        """A new subscriber and its client's socket; `buffer` bytes fit between them, or so."""
        near, far = socket.socketpair()
        if buffer is not None:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        near.setblocking(False)
        far.setblocking(False)
        self.sockets.append(far)
        subscriber = Subscriber(near, self.hub.poller, self._release)
        topic.add(subscriber, wire)
        return subscriber, far

    def _release(self) -> None:
        self.released += 1


async def received(far: socket.socket, until: bytes) -> bytes:
    """What the client gets, up to the first bytes that end with `until`."""
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(until):
        part = await asyncio.wait_for(loop.sock_recv(far, 1 << 20), 30)
        assert part, f"the stream ended after {data!r}"
        data += part
    return data


@pytest.fixture
def hubs(io_loop: Any) -> Iterator[Any]:
    made: list[Hub] = []

    def make(**limits: Any) -> Hub:
        limits = {"live_boards": 10, "streams_per_board": 10_000, "keepalive": 300} | limits
        made.append(Hub(**limits))
        made[-1].source = Boards(made[-1])
        return made[-1]

    yield make

    async def close() -> None:
        for hub in made:
            await hub.close()

    io_loop.run_sync(close)
