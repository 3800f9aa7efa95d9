"""What an event costs over each transport: ``python -m benchmarks.transports [--quick]``.

In one process, without HTTP: the hub sends an event to subscribers over TCP on loopback, and the
CPU time of the thread that does so is taken, for each event delivered. What the clients read is not
counted. The transports take turns; the table goes to stdout as Markdown, as ratios to plain streams
of one board.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.processes import raise_file_limit
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.several import join, open_boards
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.wires import Wire
from tornado_board.realtime.wires.gzip_sse import GZIP
from tornado_board.realtime.wires.sse import CHUNKED
from tornado_board.realtime.wires.websocket import WEBSOCKET
from tornado_board.replay import Event, EventId

EVENTS = 30


class _Boards:
    """A source that has every board."""

    def __init__(self, hub: Hub, players: int) -> None:
        self._hub = hub
        self._players = players

    def is_confirmed(self, board_id: str, *, strictly: bool) -> bool:
        return True

    async def confirm(self, board_id: str, *, strictly: bool) -> None:
        """It always is."""

    async def watch(self, board_id: str) -> None:
        await self._hub.publish(board_id, self.event(board_id, 1))

    def unwatch(self, board_id: str) -> None:
        """There is always room."""

    def event(self, board_id: str, n: int) -> Event:
        players = [
            {"id": f"player-{i}", "name": f"Player {i}", "score": 1000 - i + (n if i == 3 else 0)}
            for i in range(self._players)
        ]
        data = {"id": board_id, "name": board_id, "players": players}
        return Event(EventId(1_700_000_000_000 + n, n), json.dumps(data, separators=(",", ":")))


class _Group:
    """Subscribers of one kind, on a hub of their own."""

    def __init__(self, players: int) -> None:
        self.hub = Hub(live_boards=100_000, streams_per_board=100_000, keepalive=3600)
        self.hub.source = self.source = _Boards(self.hub, players)
        nothing: Any = None
        self.catch_ups = CatchUps(nothing)
        self.far: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._n = 1

    def subscriber(self) -> Subscriber:
        far = socket.create_connection(self._listener.getsockname())
        near, _ = self._listener.accept()
        far.setblocking(False)
        self.far.append(far)
        return Subscriber(near, self.hub.poller, lambda: None)

    async def add(self, boards: Sequence[str], wire: Wire) -> None:
        if len(boards) == 1:
            topic = await self.hub.open(boards[0])
            subscriber = self.subscriber()
            topic.add(subscriber, wire)
            subscriber.begin(wire.opening(), topic.encoded(wire.message))
        else:
            start = await open_boards(self.hub, self.catch_ups, boards, {})
            join(self.hub, self.catch_ups, start, self.subscriber(), b"", wire)

    async def cost(self, events: int) -> float:
        """Seconds of CPU for each event delivered."""
        spent = 0.0
        for _ in range(events):
            self._n += 1
            event = self.source.event("board", self._n)
            before = time.thread_time()
            await self.hub.publish("board", event)
            spent += time.thread_time() - before
            for far in self.far:
                far.recv(1 << 20)
        return spent / events / len(self.far)

    async def close(self) -> None:
        for far in self.far:
            far.close()
        self._listener.close()
        await self.hub.close()


KINDS: dict[str, tuple[Callable[[int], Sequence[str]], Wire]] = {
    "a stream": (lambda i: ["board"], CHUNKED),
    "a stream in gzip": (lambda i: ["board"], GZIP),
    "a WebSocket": (lambda i: ["board"], WEBSOCKET),
    "three boards, the same for all": (lambda i: ["board", "b", "c"], CHUNKED),
    "three boards, the same for all, in gzip": (lambda i: ["board", "b", "c"], GZIP),
    "three boards, others for each": (lambda i: ["board", f"b{i}", f"c{i}"], CHUNKED),
}


async def measure(subscribers: int, players: int, rounds: int) -> dict[str, float]:
    """Of each kind, the median cost of an event delivered, in seconds."""
    groups = {name: _Group(players) for name in KINDS}
    costs: dict[str, list[float]] = {name: [] for name in KINDS}
    try:
        for name, (boards, wire) in KINDS.items():
            for i in range(subscribers):
                await groups[name].add(boards(i), wire)
            await groups[name].cost(3)
        for _ in range(rounds):
            for name, group in groups.items():
                costs[name].append(await group.cost(EVENTS))
    finally:
        for group in groups.values():
            await group.close()
    return {name: median(found) for name, found in costs.items()}


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    subscribers = 100 if quick else 1_500
    lines = [f"| {subscribers:,} subscribers | 5 players | 100 players |", "| --- | ---: | ---: |"]
    found = [asyncio.run(measure(subscribers, n, 1 if quick else 3)) for n in (5, 100)]
    for name in KINDS:
        ratios = (figures[name] / figures["a stream"] for figures in found)
        lines.append(f"| {name} | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer subscribers and rounds")
    quick = parser.parse_args(arguments).quick
    raise_file_limit()
    print(report(quick=quick))


if __name__ == "__main__":
    main()
