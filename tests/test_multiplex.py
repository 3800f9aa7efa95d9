"""Several boards on one connection, in every order of what can happen, on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tornado_board.models import Board, board_json
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.positions import GONE, LONGEST, MOST_BOARDS, Gone, parse, spell
from tornado_board.realtime.several import join, open_boards
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.websocket import WebSocketSubscriber
from tornado_board.realtime.wires import Wire
from tornado_board.realtime.wires.gzip_sse import GZIP
from tornado_board.realtime.wires.sse import CHUNKED, RAW
from tornado_board.realtime.wires.websocket import WEBSOCKET
from tornado_board.replay import Event, EventId, Gap
from tornado_board.seasons import Season
from tornado_board.store import NotFound

from .several_boards import Follower, decoded

# Positions


@given(
    st.dictionaries(
        st.text("abcXYZ019._~-", min_size=1, max_size=64).filter(lambda id: id not in (".", "..")),
        st.just(GONE) | st.builds(EventId, st.integers(0, 10**16 - 1), st.integers(0, 10**16 - 1)),
        max_size=MOST_BOARDS,
    )
)
def test_positions_are_read_as_they_are_spelled(positions: dict[str, EventId | Gone]) -> None:
    text = spell(positions) or ""
    assert len(text) <= LONGEST
    assert parse(text) == positions


@pytest.mark.parametrize(
    "text",
    ["a", "1-2", "a:1-2,", ",", "a:1-2,a:1-3", "a:", ":1-2", "a b:1-2", "a:1-2:b", "..:1-2", "a:x"],
)
def test_what_spells_no_positions(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse(text)


def test_positions_of_too_many_boards_are_none() -> None:
    many = ",".join(f"b{i}:1-1" for i in range(MOST_BOARDS + 1))
    with pytest.raises(ValueError, match="event id"):
        parse(many)
    with pytest.raises(ValueError, match="longer"):
        parse("a" * (LONGEST + 1))


# Everything else

BOARDS = ("a", "b", "c")
#: How many seasons may end while a client does not read at all.
MOST_ENDS = 12
WIRES: tuple[Wire, ...] = (RAW, CHUNKED, GZIP, WEBSOCKET)


class World:
    """A hub whose boards change as they are told to, and a log that has all of it."""

    def __init__(self) -> None:
        self.hub = Hub(live_boards=10, streams_per_board=100, keepalive=300)
        self.hub.source = self
        self.log: dict[str, list[Event]] = {}
        #: Of each board, below which counter the log does not go.
        self.lost: dict[str, int] = {}
        #: How many seasons of each board have ended.
        self.seasons: dict[str, int] = {}
        self.catch_ups = CatchUps(self)  # type: ignore[arg-type]
        self.clients: list[Client] = []

    # The hub's source

    def is_confirmed(self, board_id: str, *, strictly: bool) -> bool:
        return False

    async def confirm(self, board_id: str, *, strictly: bool) -> None:
        await asyncio.sleep(0)

    async def watch(self, board_id: str) -> None:
        await asyncio.sleep(0)
        if board_id not in self.log:
            raise NotFound(board_id)
        await self.hub.publish(board_id, self.log[board_id][-1])

    def unwatch(self, board_id: str) -> None:
        """There is always room."""

    # The log

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        await asyncio.sleep(0)
        if event_id.n < self.lost.get(board_id, 0):
            raise Gap("it is lost")
        return [e for e in self.log.get(board_id, ()) if e.id and e.id > event_id]

    # What happens

    def next_event(self, board_id: str, logged: bool, season: Season | None = None) -> Event:
        events = self.log[board_id]
        last = next((e.id for e in reversed(events) if e.id), EventId(1000, 0))
        more = {"n": len(events), "padding": "x" * 2500}
        data = board_json(Board(board_id, "B", season=season), (), more)
        event = Event(EventId(last.ms + 1, last.n + 1) if logged else None, data)
        events.append(event)
        return event

    async def end_season(self, board_id: str) -> None:
        """End one more, and show the next one."""
        if board_id not in self.log:
            return
        number = self.seasons[board_id] = self.seasons.get(board_id, 0) + 1
        ended, present = Season(number, 0, ended=1), Season(number + 1, 1)
        events = [self.next_event(board_id, True, season) for season in (ended, present)]
        if self.hub.live(board_id) is None:
            return
        for client in self.clients:
            if board_id in client.boards:
                client.told_ends.append((board_id, number))
        for event in events:
            await self.hub.publish(board_id, event)

    async def publish(self, board_id: str, reason: str | None, logged: bool) -> None:
        if board_id not in self.log:
            self.log[board_id] = []
            self.lost[board_id] = 0
            self.next_event(board_id, logged)
            return
        if reason is not None:
            self.lost[board_id] = len(self.log[board_id]) + 1
        event = self.next_event(board_id, logged)
        if self.hub.live(board_id) is None:
            return
        for client in self.clients:
            if reason is not None and board_id in client.boards:
                client.told_resets.add(board_id)
        await self.hub.publish(board_id, event, reason)

    def delete(self, board_id: str) -> None:
        for client in self.clients:
            client.lost.add(board_id)
        self.log.pop(board_id, None)
        self.hub.end_board(board_id)

    async def join(self, boards: Sequence[str], wire: Wire, since: str) -> None:
        try:
            start = await open_boards(self.hub, self.catch_ups, boards, parse(since))
        except NotFound:
            assert not any(board in self.log for board in boards)
            return
        client = Client(self.hub, boards, wire, since)
        join(self.hub, self.catch_ups, start, client.subscriber, b"", wire)
        self.clients.append(client)


class Client:
    """One that reads when it is told to."""

    def __init__(self, hub: Hub, boards: Sequence[str], wire: Wire, since: str) -> None:
        near, self.far = socket.socketpair()
        for sock in (near, self.far):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self.far.setblocking(False)
        kind = WebSocketSubscriber if wire is WEBSOCKET else Subscriber
        self.subscriber = kind(near, hub.poller, lambda: None)
        self.boards = boards
        self.wire = wire
        self.since = since
        self.data = b""
        self.told_resets: set[str] = set()
        self.told_ends: list[tuple[str, int]] = []
        #: Boards that were deleted while it listened.
        self.lost: set[str] = set()
        self.ended = False

    def read(self) -> bool:
        """Whether there was something."""
        try:
            part = self.far.recv(1 << 20)
        except BlockingIOError:
            return False
        self.ended = self.ended or not part
        self.data += part
        return bool(part)

    async def read_all(self) -> None:
        quiet = 0
        while quiet < 3:
            quiet = 0 if self.read() else quiet + 1
            await asyncio.sleep(0)
            await asyncio.sleep(0.001 if quiet else 0)


_DONE = st.one_of(
    st.tuples(st.just("publish"), st.sampled_from(BOARDS), st.booleans(), st.booleans()),
    st.tuples(st.just("publish"), st.sampled_from(BOARDS), st.just(False), st.just(True)),
    st.tuples(st.just("season"), st.sampled_from(BOARDS)),
    st.tuples(st.just("several at once"), st.integers(1, 4)),
    st.tuples(
        st.just("join"),
        st.permutations(BOARDS),
        st.integers(1, 3),
        st.sampled_from(WIRES),
        st.integers(0, 5),
    ),
    st.tuples(st.just("read"), st.integers(0, 5)),
    st.tuples(st.just("delete"), st.sampled_from(BOARDS)),
    st.tuples(st.just("quiet")),
    st.tuples(st.just("hang up"), st.integers(0, 5)),
)


async def run(steps: Sequence[Any]) -> None:
    world = World()
    try:
        for board in BOARDS:
            await world.publish(board, None, True)
        for step in steps:
            await _take(world, step)
        for client in world.clients:
            await client.read_all()
            check(world, client)
    finally:
        await world.hub.close()
        for client in world.clients:
            client.far.close()


async def _take(world: World, step: Any) -> None:
    what, *rest = step
    clients = world.clients
    if what == "publish":
        board, resets, logged = rest
        await world.publish(board, "because" if resets else None, logged)
    elif what == "season":
        await world.end_season(rest[0])
    elif what == "several at once":
        await asyncio.gather(
            *(world.publish(board, None, True) for board in BOARDS),
            *(world.join(BOARDS, GZIP, "") for _ in range(rest[0])),
        )
    elif what == "join":
        boards, count, wire, old = rest
        since = ""
        if clients and old:
            earlier = clients[old % len(clients)]
            at = followed(earlier).at if _is_whole(earlier) else {}
            since = spell({board: at[board] for board in boards[:count] if board in at}) or ""
        await world.join(boards[:count], wire, since)
    elif what == "delete":
        world.delete(rest[0])
    elif what == "quiet":
        await world.hub.multiplexes.keep_alive(-1)
    elif clients and what == "read":
        await clients[rest[0] % len(clients)].read_all()
    elif clients and what == "hang up":
        client = clients.pop(rest[0] % len(clients))
        client.far.close()
    await asyncio.sleep(0)


def _is_whole(client: Client) -> bool:
    """Whether what it has read ends with a whole message."""
    return client.subscriber._unfinished is None and not client.read()


def followed(client: Client) -> Follower:
    follower = Follower(client.since)
    for seen in decoded(client.wire, client.data):
        follower.take(seen)
    return follower


def check(world: World, client: Client) -> None:
    """It has been told all, or the newest where it did not read, and the end of each season; and
    why, where there is a gap."""
    follower = followed(client)
    if len(client.told_ends) > MOST_ENDS and client.ended:
        return  # it was cut off: it is told when it comes back
    if client.ended:
        # Nothing is left to be told; of the last board it may not have been, if there was no room.
        assert set(client.boards) <= client.lost | _gone(follower)
        return
    for board in client.boards:
        position = follower.at.get(board)
        topic = world.hub.live(board)
        if isinstance(position, Gone):
            continue
        assert topic is not None, f"{board} is gone, and it was not told"
        assert position == topic.current.id
        if board in follower.boards:
            assert follower.boards[board] == json.loads(topic.current.data)
    assert client.told_resets <= {*follower.resets, *_gone(follower)}
    for board in set(client.boards) - _gone(follower) - client.lost:
        # Those that it came back to may have been told by the log, too.
        told = [number for ended, number in follower.ends if ended == board]
        assert told == sorted(set(told))
        assert {number for ended, number in client.told_ends if ended == board} <= set(told)


def _gone(follower: Follower) -> set[str]:
    return {board for board, position in follower.at.items() if isinstance(position, Gone)}


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.lists(_DONE, max_size=40))
def test_each_client_is_told_all_or_the_newest(steps: Sequence[Any]) -> None:
    asyncio.run(run(steps))


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.transport)
def test_who_does_not_read_is_told_of_every_season_that_ends(wire: Wire) -> None:
    join: Any = ("join", BOARDS, 2, wire, 0)
    ends: list[Any] = [("season", "a"), ("publish", "b", False, True), ("season", "b")]
    reset: Any = ("publish", "a", True, True)
    asyncio.run(run([join, *ends * 4, reset, *ends]))


@hypothesis_settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(BOARDS), st.integers(0, 3)), min_size=1, max_size=25),
    st.sampled_from(WIRES),
)
def test_who_reads_gets_every_event(steps: Sequence[tuple[str, int]], wire: Wire) -> None:
    async def follow() -> None:
        world = World()
        for board in BOARDS:
            await world.publish(board, None, True)
        for board, joins in steps:
            for _ in range(joins):
                since = followed(world.clients[-1]).last_id if world.clients else ""
                await world.join(BOARDS, wire, since)
                await world.clients[-1].read_all()
            await world.publish(board, None, True)
            for client in world.clients:
                await client.read_all()
        for client in world.clients:
            check(world, client)
            follower = followed(client)
            assert follower.skipped == 0
            assert follower.resets == []
            client.far.close()
        await world.hub.close()

    asyncio.run(follow())
