"""The hub and its subscribers, on real sockets."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from typing import Any

import pytest

from tornado_board.realtime import subscriber as subscribers
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.wires import reset, update
from tornado_board.realtime.wires.sse import CHUNKED, RAW

from .hub_clients import Clients, event, framed, hubs, received
from .waiting import until

__all__ = ["hubs"]  # fixtures


@pytest.mark.gen_test
async def test_everyone_gets_every_event_in_order(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    ends = [clients.subscribe(topic)[1] for _ in range(600)]
    for n in range(2, 12):
        await hub.publish("b", event(n))
    expected = b"".join(framed(event(n)) for n in range(2, 12))
    for far in ends:
        assert await received(far, framed(event(11))) == expected


@pytest.mark.gen_test
async def test_each_gets_it_over_the_wire_it_came_by_encoded_once(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    raw = [clients.subscribe(topic, wire=RAW)[1] for _ in range(300)]
    chunked = [clients.subscribe(topic, wire=CHUNKED)[1] for _ in range(300)]
    publishing = asyncio.ensure_future(hub.publish("b", event(2)))
    await asyncio.sleep(0)
    # Whoever joins by now has the event already, on each wire, wherever the broadcast is.
    for wire, ends in ((RAW, raw), (CHUNKED, chunked)):
        late, far = clients.subscribe(topic, wire=wire)
        late.begin(b"", topic.encoded(wire.message))
        ends.append(far)
    await publishing
    assert topic.encoded(CHUNKED.message) is topic.encoded(CHUNKED.message)
    await hub.publish("b", event(3))
    for wire, ends in ((RAW, raw), (CHUNKED, chunked)):
        expected = framed(event(2), wire) + framed(event(3), wire)
        for far in ends:
            assert await received(far, framed(event(3), wire)) == expected


@pytest.mark.gen_test
async def test_few_encodings_of_an_event_are_kept(hubs: Any) -> None:
    topic = await hubs().open("b")
    for n in range(1_000):
        message = topic.encoded(RAW.message, f"for reason {n}")
        assert f"for reason {n}".encode() in bytes(message)
        assert len(topic._encoded) <= 100


@pytest.mark.gen_test
async def test_a_reset_stands_before_its_event_and_outlives_those_that_come_after(
    hubs: Any,
) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    stuck, slow = clients.subscribe(topic, buffer=4096, wire=CHUNKED)
    _, far = clients.subscribe(topic, wire=CHUNKED)
    large = event(2, padding=200_000)
    await hub.publish("b", large)
    await received(far, framed(large, CHUNKED))
    # An event that goes back is sent if the reset says so.
    await hub.publish("b", event(1), "the log was lost")
    both = CHUNKED.message([reset("the log was lost"), update(event(1))])
    assert await received(far, both) == both
    await hub.publish("b", event(2))
    await hub.publish("b", event(3))
    # Who was behind all the time is spared the events between, not the reset.
    last = CHUNKED.message([reset("the log was lost")]) + framed(event(3), CHUNKED)
    data = await received(slow, framed(event(3), CHUNKED))
    assert data == framed(large, CHUNKED) + last
    assert stuck._pending == ()


@pytest.mark.gen_test
async def test_who_misses_too_much_that_has_to_arrive_is_let_go(
    hubs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribers, "_MOST_PENDING", 5)
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    stuck, _far = clients.subscribe(topic, buffer=4096)
    await hub.publish("b", event(2, padding=200_000))
    for n in range(3, 8):
        await hub.publish("b", event(n), "once more")
    # Four resets, and the newest event with its own.
    assert len(stuck._pending) == 5
    await hub.publish("b", event(8), "once more")
    assert stuck.closed
    assert topic.streams == 0
    assert clients.released == 1


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
    late.deliver(topic.encoded(RAW.message))
    await publishing
    await hub.publish("b", event(3))
    assert await received(far, framed(event(3))) == framed(event(2)) + framed(event(3))


@pytest.mark.gen_test
async def test_who_joins_while_an_event_waits_for_a_comment_gets_it_once(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    for _ in range(600):
        clients.subscribe(topic)
    topic._sent_at, topic._checked_at = 0.0, time.monotonic()
    commenting = asyncio.ensure_future(topic.keep_alive(300))
    await asyncio.sleep(0)
    assert topic._turn.locked()
    publishing = asyncio.ensure_future(hub.publish("b", event(2)))
    await asyncio.sleep(0)
    late, far = clients.subscribe(topic)
    late.deliver(topic.encoded(RAW.message))
    await commenting
    await publishing
    await hub.publish("b", event(3))
    data = await received(far, framed(event(3)))
    assert data.count(framed(event(2))) == 1


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
    assert topic.streams == 1000 - len(gone) + 2
    await hub.publish("b", event(3))
    for i, (_, far) in enumerate(pairs):
        if i not in gone:
            data = await received(far, framed(event(3)))
            assert data == framed(event(2)) + framed(event(3))
    for i in (0, 2):
        assert await received(late[i][1], b"\n\n") == framed(event(3))
    for subscriber, _ in pairs:
        subscriber.close()
    assert topic.streams == 2


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
        assert await received(far, b"\n\n") == framed(event(2))


@pytest.mark.gen_test
async def test_events_published_during_a_fan_out_come_after_it_in_order(
    hubs: Any,
) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    ends = [clients.subscribe(topic)[1] for _ in range(600)]
    await asyncio.gather(*[hub.publish("b", event(n)) for n in (2, 3, 4)])
    expected = b"".join(framed(event(n)) for n in (2, 3, 4))
    for far in ends:
        assert await received(far, framed(event(4))) == expected


@pytest.mark.gen_test
async def test_who_does_not_read_holds_two_events_and_gets_the_newest(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    stuck, far = clients.subscribe(topic, buffer=4096)
    _, brisk = clients.subscribe(topic)
    for n in range(2, 200):
        await hub.publish("b", event(n, padding=2_000))
        await received(brisk, framed(event(n, padding=2_000)))
    assert stuck._unfinished is not None
    assert stuck._pending == (framed(event(199, padding=2_000)),)
    assert len(stuck._unfinished) <= len(stuck._pending[0])
    data = await received(far, framed(event(199, padding=2_000)))
    blocks = data.split(b"\n\n")[:-1]
    ids = [int(block.rpartition(b"-")[2]) for block in blocks]
    assert ids == sorted(set(ids)), "in order, none twice"
    assert ids[-1] == 199
    assert len(ids) < 50, "those in between were skipped"
    for n, block in zip(ids, blocks, strict=True):
        assert block + b"\n\n" == framed(event(n, padding=2_000)), "no event is torn"
    await hub.publish("b", event(200))
    assert await received(far, framed(event(200))) == framed(event(200))
    assert stuck._unfinished is None
    assert stuck._pending == ()


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_NOTSENT_LOWAT is another thing elsewhere")
@pytest.mark.gen_test
async def test_the_kernel_keeps_few_old_events_for_who_does_not_read(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as far:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        far.connect(server.getsockname())
        far.setblocking(False)
        topic.add(Subscriber(server.accept()[0], hub.poller, lambda: None), RAW)
        for n in range(2, 4_002):
            await hub.publish("b", event(n, padding=1_000))
        # By default the kernel would take all four megabytes, if in steps.
        assert len(await received(far, framed(event(4_001, padding=1_000)))) < 200_000


@pytest.mark.gen_test
async def test_an_event_larger_than_the_buffers_arrives_whole(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    _, far = Clients(hub).subscribe(topic, buffer=4096)
    large = event(2, padding=1_000_000)
    await hub.publish("b", large)
    assert await received(far, framed(large)[-100:]) == framed(large)


@pytest.mark.gen_test
async def test_clients_that_hang_up_are_forgotten_and_released(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    pairs = [clients.subscribe(topic) for _ in range(20)]
    for _, far in pairs[::2]:
        far.close()
    await until(lambda: topic.streams == 10)
    assert clients.released == 10
    # One that closes at the very moment of a fan-out fails in the send.
    pairs[1][1].close()
    await hub.publish("b", event(2))
    for _, far in pairs[3::2]:
        assert await received(far, b"\n\n") == framed(event(2))
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
    await hub.publish("b", event(2))
    for i, (subscriber, far) in enumerate(pairs):
        assert subscriber.closed == (i in gone)
        if i not in gone:
            assert await received(far, b"\n\n") == framed(event(2))


@pytest.mark.gen_test
async def test_what_a_client_sends_is_thrown_away(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    _, far = Clients(hub).subscribe(topic)
    far.send(b"GET / HTTP/1.1\r\n\r\n" * 100)
    await asyncio.sleep(0.05)
    await hub.publish("b", event(2))
    assert await received(far, b"\n\n") == framed(event(2))


@pytest.mark.gen_test
async def test_a_quiet_stream_gets_comments_but_a_stuck_one_keeps_its_event(hubs: Any) -> None:
    hub: Hub = hubs(keepalive=0.05)
    topic = await hub.open("b")
    clients = Clients(hub)
    _, far = clients.subscribe(topic)
    assert (await received(far, RAW.keepalive)).startswith(b":")
    stuck, slow = clients.subscribe(topic, buffer=4096)
    last = event(3, padding=10)
    await hub.publish("b", event(2, padding=500_000))
    await hub.publish("b", last)
    await asyncio.sleep(0.2)
    assert stuck._pending == (framed(last),)
    data = await received(slow, framed(last))
    assert b"padding" in data
    await received(slow, RAW.keepalive)
