"""Which boards a hub has, who waits for them, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.realtime.wires import End, Wire
from tornado_board.realtime.wires.sse import CHUNKED, RAW
from tornado_board.replay import Event
from tornado_board.store import NotFound

from .hub_clients import Clients, event, framed, hubs, received

__all__ = ["hubs"]  # fixtures


@pytest.mark.gen_test
async def test_what_was_published_last_is_current_whatever_its_id(hubs: Any) -> None:
    hub: Hub = hubs()
    await hub.open("b")
    for last in (event(5), event(3), Event(None, "{}"), event(6)):
        await hub.publish("b", last, "it does not follow")
        assert hub.current("b") == last
    assert hub.current("c") is None


@pytest.mark.gen_test
async def test_the_waiting_wake_on_an_event_an_end_or_their_time(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    waiting = [asyncio.ensure_future(topic.wait(30)) for _ in range(5)]
    await asyncio.sleep(0)
    assert topic.listeners == 5
    await hub.publish("b", event(2))
    await asyncio.wait_for(asyncio.gather(*waiting), 30)
    await asyncio.wait_for(topic.wait(0.01), 30)
    ending = asyncio.ensure_future(topic.wait(30))
    await asyncio.sleep(0)
    hub.end_board("b")
    await asyncio.wait_for(ending, 30)
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


@pytest.mark.parametrize("wire", [RAW, CHUNKED])
@pytest.mark.gen_test
async def test_a_stream_that_ends_says_so_where_the_socket_takes_it(hubs: Any, wire: Wire) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    _, far = clients.subscribe(topic, wire=wire)
    _, slow = clients.subscribe(topic, buffer=4096, wire=wire)
    large = event(2, padding=200_000)
    await hub.publish("b", large)
    hub.end_board("b")
    loop = asyncio.get_running_loop()
    data, torn = b"", b""
    while part := await asyncio.wait_for(loop.sock_recv(far, 1 << 20), 30):
        data += part
    assert data == framed(large, wire) + wire.end(None, End.STOPPING)
    while part := await asyncio.wait_for(loop.sock_recv(slow, 1 << 20), 30):
        torn += part
    # An end within an event would be taken for a part of it.
    assert framed(large, wire).startswith(torn)
    assert clients.released == 2


@pytest.mark.gen_test
async def test_at_a_stop_the_waiting_are_answered_and_streams_go_on(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    _, far = Clients(hub).subscribe(topic)
    waiting = asyncio.ensure_future(topic.wait(30))
    await asyncio.sleep(0)
    hub.stop_waiting()
    await asyncio.wait_for(waiting, 30)
    assert hub.stopping
    hub.check_room(topic)
    await hub.publish("b", event(2))
    assert await received(far, b"\n\n") == framed(event(2))


@pytest.mark.gen_test
async def test_closing_ends_every_stream(hubs: Any) -> None:
    hub: Hub = hubs()
    topic = await hub.open("b")
    clients = Clients(hub)
    ends = [clients.subscribe(topic)[1] for _ in range(5)]
    waiting = asyncio.ensure_future(topic.wait(30))
    await asyncio.sleep(0)
    await hub.close()
    await asyncio.wait_for(waiting, 30)
    loop = asyncio.get_running_loop()
    for far in ends:
        assert await asyncio.wait_for(loop.sock_recv(far, 10), 30) == b""
    assert clients.released == 5
    with pytest.raises(LimitReached, match="stopping"):
        await hub.open("c")


@pytest.mark.gen_test
async def test_a_board_that_is_deleted_as_it_is_opened_is_not_found(hubs: Any) -> None:
    hub: Hub = hubs()
    source: Any = hub.source
    watch, deleted = source.watch, False

    async def watch_what_is_deleted_then(board_id: str) -> None:
        nonlocal deleted
        if deleted:
            raise NotFound(board_id)
        await watch(board_id)
        hub.end_board(board_id)
        deleted = True

    source.watch = watch_what_is_deleted_then
    with pytest.raises(NotFound):
        await hub.open("b")
