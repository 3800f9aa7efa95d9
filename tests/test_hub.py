"""The hub and its subscribers, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tornado_board.realtime import sse
from tornado_board.realtime.hub import Hub, LimitReached, Topic
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.replay import Event, EventId
from tornado_board.store import NotFound


def event(n: int, padding: int = 0) -> Event:
    return Event(EventId(1_000 + n, n), f'{{"n":{n},"padding":"{"x" * padding}"}}')


class Boards:
    """A `Source` that has every board but those whose name starts with "no"."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.watched: list[str] = []
        self.unwatched: list[str] = []

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
        self, topic: Topic, buffer: int | None = None
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
        topic.audience.add(subscriber)
        return subscriber, far

    def _release(self) -> None:
        self.released += 1


async def received(far: socket.socket, until: bytes) -> bytes:
    """What the client gets, up to the first bytes that end with `until`."""
    loop = asyncio.get_running_loop()
    data = b""
    while not data.endswith(until):
        part = await asyncio.wait_for(loop.sock_recv(far, 1 << 20), 10)
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
            hub.close()

    io_loop.run_sync(close)


@pytest.mark.gen_test
async def test_everyone_gets_every_event_in_order(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    ends = [clients.subscribe(topic)[1] for _ in range(600)]
    for n in range(2, 12):
        await hub.publish("b", event(n))
    expected = b"".join(sse.update(event(n)) for n in range(2, 12))
    for far in ends:
        assert await received(far, sse.update(event(11))) == expected


@pytest.mark.gen_test
async def test_who_joins_during_a_fan_out_gets_the_event_once(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    for _ in range(600):
        clients.subscribe(topic)
    publishing = asyncio.ensure_future(hub.publish("b", event(2)))
    await asyncio.sleep(0)
    assert topic.current == event(2)
    late, far = clients.subscribe(topic)
    late.deliver(topic.current_bytes)
    await publishing
    await hub.publish("b", event(3))
    assert await received(far, sse.update(event(3))) == sse.update(event(2)) + sse.update(event(3))


@pytest.mark.gen_test
async def test_who_joins_while_an_event_waits_for_a_comment_gets_it_once(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    for _ in range(600):
        clients.subscribe(topic)
    commenting = asyncio.ensure_future(topic.audience.send(sse.KEEPALIVE))
    await asyncio.sleep(0)
    assert topic.audience.busy
    publishing = asyncio.ensure_future(hub.publish("b", event(2)))
    await asyncio.sleep(0)
    late, far = clients.subscribe(topic)
    late.deliver(topic.current_bytes)
    await commenting
    await publishing
    await hub.publish("b", event(3))
    data = await received(far, sse.update(event(3)))
    assert data.count(sse.update(event(2))) == 1


@pytest.mark.gen_test
async def test_those_who_come_and_go_during_a_fan_out_leave_the_others_whole(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    pairs = [clients.subscribe(topic) for _ in range(1000)]
    gone = {0, 5, 255, 256, 600, 998, 999}
    publishing = asyncio.ensure_future(hub.publish("b", event(2)))
    await asyncio.sleep(0)
    for i in gone:
        pairs[i][0].close()
    late = [clients.subscribe(topic) for _ in range(3)]
    late[1][0].close()
    await publishing
    assert len(topic.audience) == 1000 - len(gone) + 2
    await hub.publish("b", event(3))
    for i, (_, far) in enumerate(pairs):
        if i not in gone:
            data = await received(far, sse.update(event(3)))
            assert data == sse.update(event(2)) + sse.update(event(3))
    for i in (0, 2):
        assert await received(late[i][1], b"\n\n") == sse.update(event(3))
    for subscriber, _ in pairs:
        subscriber.close()
    assert len(topic.audience) == 2


@pytest.mark.gen_test
async def test_an_event_that_was_begun_reaches_everyone_though_its_publisher_is_stopped(
    hubs: Any,
) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    ends = [clients.subscribe(topic)[1] for _ in range(600)]
    publishing = asyncio.ensure_future(hub.publish("b", event(2)))
    await asyncio.sleep(0)
    publishing.cancel()
    await asyncio.gather(publishing, return_exceptions=True)
    for far in ends:
        assert await received(far, b"\n\n") == sse.update(event(2))


@pytest.mark.gen_test
async def test_an_event_published_twice_during_a_fan_out_is_sent_once(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    ends = [clients.subscribe(topic)[1] for _ in range(600)]
    await asyncio.gather(*[hub.publish("b", event(n)) for n in (2, 3, 3, 2)])
    await hub.publish("b", event(4))
    expected = b"".join(sse.update(event(n)) for n in (2, 3, 4))
    for far in ends:
        assert await received(far, sse.update(event(4))) == expected


@pytest.mark.gen_test(timeout=30)
async def test_who_does_not_read_holds_two_events_and_gets_the_newest(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    stuck, far = clients.subscribe(topic, buffer=4096)
    _, brisk = clients.subscribe(topic)
    for n in range(2, 200):
        await hub.publish("b", event(n, padding=2_000))
        await received(brisk, sse.update(event(n, padding=2_000)))
    assert stuck._unfinished is not None
    assert stuck._pending == sse.update(event(199, padding=2_000))
    assert len(stuck._unfinished) <= len(stuck._pending)
    data = await received(far, sse.update(event(199, padding=2_000)))
    blocks = data.split(b"\n\n")[:-1]
    ids = [int(block.split(b"\n")[0].removeprefix(b"id: ").split(b"-")[1]) for block in blocks]
    assert ids == sorted(set(ids)), "in order, none twice"
    assert ids[-1] == 199
    assert len(ids) < 50, "those in between were skipped"
    for n, block in zip(ids, blocks, strict=True):
        assert block + b"\n\n" == sse.update(event(n, padding=2_000)), "no event is torn"
    await hub.publish("b", event(200))
    assert await received(far, sse.update(event(200))) == sse.update(event(200))
    assert stuck._unfinished is None
    assert stuck._pending is None


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_NOTSENT_LOWAT is another thing elsewhere")
@pytest.mark.gen_test
async def test_the_kernel_keeps_few_old_events_for_who_does_not_read(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        far.connect(server.getsockname())
        far.setblocking(False)
        topic.audience.add(Subscriber(server.accept()[0], hub.poller, lambda: None))
        for n in range(2, 4_002):
            await hub.publish("b", event(n, padding=1_000))
        # By default the kernel would take all four megabytes, if in steps.
        assert len(await received(far, sse.update(event(4_001, padding=1_000)))) < 200_000


@pytest.mark.gen_test
async def test_an_event_larger_than_the_buffers_arrives_whole(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    _, far = Clients(hub).subscribe(topic, buffer=4096)
    large = event(2, padding=1_000_000)
    await hub.publish("b", large)
    assert await received(far, sse.update(large)[-100:]) == sse.update(large)


@pytest.mark.gen_test
async def test_clients_that_hang_up_are_forgotten_and_released(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    pairs = [clients.subscribe(topic) for _ in range(20)]
    for _, far in pairs[::2]:
        far.close()
    for _ in range(100):
        if len(topic.audience) == 10:
            break
        await asyncio.sleep(0.02)
    assert len(topic.audience) == 10
    assert clients.released == 10
    # One that closes at the very moment of a fan-out fails in the send.
    pairs[1][1].close()
    await hub.publish("b", event(2))
    for _, far in pairs[3::2]:
        assert await received(far, b"\n\n") == sse.update(event(2))
    assert clients.released == 11
    pairs[3][0].close()
    pairs[3][0].close()
    assert clients.released == 12


@pytest.mark.gen_test
async def test_a_refusal_stops_nobody_else(hubs: Any) -> None:
    """The loop over the sends goes on behind whatever fails in it, at any position."""
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    pairs = [clients.subscribe(topic) for _ in range(30)]
    gone = {0, 7, 8, 29}
    for i in gone:
        pairs[i][1].close()
    await topic.audience.send(sse.update(event(2)))
    for i, (subscriber, far) in enumerate(pairs):
        assert subscriber.closed == (i in gone)
        if i not in gone:
            assert await received(far, b"\n\n") == sse.update(event(2))


@pytest.mark.gen_test
async def test_what_a_client_sends_is_thrown_away(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    _, far = Clients(hub).subscribe(topic)
    far.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
    await asyncio.sleep(0.05)
    await hub.publish("b", event(2))
    assert await received(far, b"\n\n") == sse.update(event(2))


@pytest.mark.gen_test
async def test_a_quiet_stream_gets_comments_but_a_stuck_one_keeps_its_event(hubs: Any) -> None:
    hub: Hub = hubs(keepalive=0.05)
    topic = await hub.open("b")
    clients = Clients(hub)
    _, far = clients.subscribe(topic)
    assert (await received(far, sse.KEEPALIVE)).startswith(b":")
    stuck, slow = clients.subscribe(topic, buffer=4096)
    last = event(3, padding=10)
    await hub.publish("b", event(2, padding=500_000))
    await hub.publish("b", last)
    await asyncio.sleep(0.2)
    assert stuck._pending == sse.update(last)
    data = await received(slow, sse.update(last))
    assert b"padding" in data
    await received(slow, sse.KEEPALIVE)


@pytest.mark.gen_test
async def test_an_event_that_is_not_newer_is_passed_over(hubs: Any) -> None:
    hub: Hub = hubs()
    await hub.open("b")
    await hub.publish("b", event(5))
    await hub.publish("b", event(5))
    await hub.publish("b", event(3))
    assert hub.current("b") == event(5)
    nameless = Event(None, "{}")
    await hub.publish("b", nameless)
    assert hub.current("b") == nameless
    await hub.publish("b", event(6))
    assert hub.current("b") == event(6)
    assert hub.current("c") is None


@pytest.mark.gen_test
async def test_the_waiting_wake_on_an_event_an_end_or_their_time(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    waiting = [asyncio.ensure_future(topic.wait(30)) for _ in range(5)]
    await asyncio.sleep(0)
    assert topic.listeners == 5
    await hub.publish("b", event(2))
    await asyncio.wait_for(asyncio.gather(*waiting), 5)
    await asyncio.wait_for(topic.wait(0.01), 5)
    ending = asyncio.ensure_future(topic.wait(30))
    await asyncio.sleep(0)
    hub.end_board("b")
    await asyncio.wait_for(ending, 5)
    assert topic.ended
    assert topic.listeners == 0


@pytest.mark.gen_test
async def test_boards_are_watched_once_and_the_longest_idle_makes_room(hubs: Any) -> None:
    hub: Hub = hubs(live_boards=3)
    source: Any = hub.source
    await asyncio.gather(*[hub.open("a") for _ in range(10)])
    assert source.watched == ["a"]
    topic = await hub.open("b")
    _, _far = Clients(hub).subscribe(topic)
    await hub.open("c")
    await hub.open("a")
    await hub.open("d")
    assert source.unwatched == ["c"], "b has a stream, and a was asked for later"
    await hub.open("e")
    assert source.unwatched == ["c", "a"]
    assert list(hub.board_ids()) == ["b", "d", "e"]


@pytest.mark.gen_test
async def test_limits_are_told(hubs: Any) -> None:
    hub: Hub = hubs(live_boards=1, streams_per_board=2)
    clients = Clients(hub)
    topic = await hub.open("a")
    clients.subscribe(topic)
    hub.check_room(topic)
    with pytest.raises(LimitReached, match="boards"):
        await hub.open("b")
    clients.subscribe(topic)
    with pytest.raises(LimitReached, match="streams"):
        hub.check_room(topic)


@pytest.mark.gen_test
async def test_a_board_that_is_not_there_is_asked_for_each_time(hubs: Any) -> None:
    hub: Hub = hubs()
    for _ in range(2):
        with pytest.raises(NotFound):
            await hub.open("nope")
    assert list(hub.board_ids()) == []
    waiting = [asyncio.ensure_future(hub.open("b")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    assert (await waiting[1]) is (await waiting[2]), "one who gives up takes nobody along"


@pytest.mark.gen_test
async def test_a_board_that_is_not_there_takes_no_room(hubs: Any) -> None:
    hub: Hub = hubs(live_boards=1)
    topic = await hub.open("b")
    with pytest.raises(NotFound):
        await hub.open("nope")
    assert hub.live("b") is topic
    assert not topic.ended


@pytest.mark.gen_test
async def test_closing_ends_every_stream(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    ends = [clients.subscribe(topic)[1] for _ in range(5)]
    waiting = asyncio.ensure_future(topic.wait(30))
    await asyncio.sleep(0)
    hub.close()
    await asyncio.wait_for(waiting, 5)
    loop = asyncio.get_running_loop()
    for far in ends:
        assert await asyncio.wait_for(loop.sock_recv(far, 10), 5) == b""
    assert clients.released == 5
    with pytest.raises(LimitReached, match="stopping"):
        await hub.open("c")
