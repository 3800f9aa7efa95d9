"""The end of a season reaches who is slow: clients of each wire, and servers that follow others."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from tornado_board.models import Board, board_json
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.websocket import WebSocketSubscriber
from tornado_board.realtime.wires import Wire
from tornado_board.realtime.wires.gzip_sse import GZIP
from tornado_board.realtime.wires.sse import CHUNKED, RAW
from tornado_board.realtime.wires.websocket import WEBSOCKET
from tornado_board.replay import Event, EventId
from tornado_board.seasons import Season
from tornado_board.tasks import Tasks
from tornado_board.upstream import followed_board
from tornado_board.upstream.board_copy import Arrived, without_states
from tornado_board.upstream.followed_board import FollowedBoard, Keeper

from .several_boards import decoded
from .waiting import until

WIRES: tuple[Wire, ...] = (RAW, CHUNKED, GZIP, WEBSOCKET)


def event(n: int, number: int = 0, *, ended: bool = False, padding: int = 0) -> Event:
    """An event of the season `number`, or its end."""
    season = Season(number, 0, ended=1) if ended else Season(number, 0)
    board = Board("b", "B", season=season if number else None)
    data = board_json(board, (), {"n": n, "padding": "x" * padding})
    return Event(EventId(1_000 + n, n), data)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.transport)
@pytest.mark.gen_test
async def test_who_does_not_read_is_sent_the_end_of_each_season(wire: Wire) -> None:
    hub = Hub(live_boards=10, streams_per_board=10, keepalive=300)
    near, far = socket.socketpair()
    for sock in (near, far):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    far.setblocking(False)
    await hub.publish("b", event(1))
    topic = hub.live("b")
    assert topic is not None
    kind = WebSocketSubscriber if wire is WEBSOCKET else Subscriber
    topic.add(kind(near, hub.poller, lambda: None), wire)
    n = 1
    for number in range(1, 5):
        for _ in range(10):
            n += 1
            await hub.publish("b", event(n, number, padding=5_000))
        n += 1
        await hub.publish("b", event(n, number, ended=True))
    await hub.publish("b", event(n + 1, 5))
    # What is decoded begins where the stream does.
    opening, data = bytes(wire.opening()) if wire is GZIP else b"", b""

    def seen() -> Sequence[Any]:
        nonlocal data
        with contextlib.suppress(BlockingIOError):
            data += far.recv(1 << 20)
        return decoded(wire, opening + data)

    await until(lambda: any(s.data["n"] == n + 1 for s in seen()))
    told = decoded(wire, opening + data)
    assert [s.data["season"]["number"] for s in told if s.event == "season"] == [1, 2, 3, 4]
    assert len(told) < n / 2, "it did not read"
    numbers = [s.data["n"] for s in told]
    assert numbers == sorted(numbers)
    far.close()
    await hub.close()


def test_what_the_newest_event_stands_for_is_left_out_and_a_reset_stays_before_the_next() -> None:
    first, second, ended, third, fourth = (
        event(1, 1),
        event(2, 1),
        event(3, 1, ended=True),
        event(4, 2),
        event(5, 2),
    )
    assert without_states([]) == []
    assert without_states([Arrived(ended)]) == [Arrived(ended)]
    assert without_states([Arrived(first), Arrived(second)]) == [Arrived(second)]
    assert without_states(
        [Arrived(first, "a"), Arrived(second), Arrived(ended), Arrived(third, "b"), Arrived(fourth)]
    ) == [Arrived(ended, "a"), Arrived(fourth, "b")]
    assert without_states([Arrived(first), Arrived(ended)]) == [Arrived(ended)]


class _Log:
    """A log that takes everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def head(self, board_id: str) -> Event | None:
        return None

    async def keep(self, board_id: str, after: EventId | None, events: Sequence[Event]) -> None:
        self.events += events

    async def delete(self, board_id: str) -> None:
        """Nothing is deleted here."""


class _SlowHub:
    """A hub that sends one event, and then waits until it may go on."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.may_go_on = asyncio.Event()

    async def publish(self, board_id: str, event: Event, reason: str | None = None) -> None:
        self.sent.append(event)
        await self.may_go_on.wait()


@pytest.mark.gen_test
async def test_a_server_that_follows_and_is_behind_shows_the_end_of_a_season(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(followed_board, "_BEHIND", -1.0)
    hub, log, tasks, none = _SlowHub(), _Log(), Tasks(), None
    slow: Any = hub
    nobody: Any = none
    board = FollowedBoard("b", event(1, 1), nobody, Keeper(log), slow, tasks)
    events = [event(n, 1) for n in range(2, 6)]
    events += [event(6, 1, ended=True), *(event(n, 2) for n in range(7, 10))]
    board.arrive(Arrived(events[0]))
    await until(lambda: hub.sent)
    for one in events[1:]:
        board.arrive(Arrived(one))
    hub.may_go_on.set()
    await until(lambda: len(hub.sent) == 3)
    assert hub.sent == [events[0], events[4], events[-1]]
    assert log.events == events, "who comes back gets all of it"
    await tasks.cancel()
