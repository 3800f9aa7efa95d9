"""The relay and the parsers of the fault harness do what its scenarios rely on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from .faults.relay import Relay, Way
from .faults.wire import Chunks, Dispatched, Events, WireError

pytestmark = pytest.mark.gen_test

#: Seconds in which what is let through arrives, and after which nothing more is expected.
SOON, LATER = 5.0, 0.2


class Echo:
    """A server that sends back each line, behind a relay; `heard` is all that reached it."""

    def __init__(self) -> None:
        self.heard = b""
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self.heard += line
                writer.write(line)
        writer.close()


Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def relayed() -> AsyncIterator[tuple[Echo, Relay]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    relay = await Relay(server.sockets[0].getsockname()).start()
    try:
        yield echo, relay
    finally:
        await relay.close()
        server.close()


async def connect(relay: Relay) -> Peer:
    return await asyncio.open_connection("127.0.0.1", relay.port)


async def says(peer: Peer, text: str, seconds: float = SOON) -> str:
    """What comes back for a line; empty at the end of the connection, ``-`` if nothing comes."""
    reader, writer = peer
    writer.write(text.encode() + b"\n")
    try:
        async with asyncio.timeout(seconds):
            return (await reader.readline()).decode().strip()
    except TimeoutError:
        return "-"
    except OSError:
        return ""


async def test_what_is_whole_passes() -> None:
    async with relayed() as (_, relay):
        peer = await connect(relay)
        assert [await says(peer, t) for t in "ab"] == ["a", "b"]


async def test_refused_and_back_on_the_same_port() -> None:
    async with relayed() as (_, relay):
        peer = await connect(relay)
        assert await says(peer, "a") == "a"
        relay.refuse()
        assert await says(peer, "b") == ""
        with pytest.raises(ConnectionRefusedError):
            await connect(relay)
        await relay.mend()
        assert await says(await connect(relay), "c") == "c"


async def test_accepted_and_closed() -> None:
    async with relayed() as (echo, relay):
        relay.close_at_once()
        assert await says(await connect(relay), "a") == ""
        assert echo.connections == 0
        await relay.mend()
        assert await says(await connect(relay), "b") == "b"


async def test_cut_once() -> None:
    async with relayed() as (_, relay):
        peer = await connect(relay)
        assert await says(peer, "a") == "a"
        relay.cut()
        assert await says(peer, "b") == ""
        assert await says(await connect(relay), "c") == "c"


@pytest.mark.parametrize(("way", "reaches"), [(Way.UP, b"a\n"), (Way.DOWN, b"a\nb\n")])
async def test_swallowed_one_way_stays_dead(way: Way, reaches: bytes) -> None:
    async with relayed() as (echo, relay):
        peer = await connect(relay)
        assert await says(peer, "a") == "a"
        relay.swallow([way])
        assert await says(peer, "b", LATER) == "-"
        assert echo.heard == reaches
        fresh = await connect(relay)
        assert await says(fresh, "x", LATER) == "-"
        await relay.mend()
        assert await says(peer, "c", LATER) == "-"
        assert await says(fresh, "y", LATER) == "-"
        assert await says(await connect(relay), "d") == "d"


async def test_held_bytes_arrive_in_order_once_it_is_over() -> None:
    async with relayed() as (echo, relay):
        peer = await connect(relay)
        assert await says(peer, "a") == "a"
        relay.hold([Way.UP])
        assert await says(peer, "b", LATER) == "-"
        assert await says(peer, "c", LATER) == "-"
        assert echo.heard == b"a\n"
        await relay.mend()
        assert await says(peer, "d") == "b"
        assert await says(peer, "e") == "c"


@pytest.mark.parametrize("ways", [[Way.UP], [Way.DOWN], list(Way)])
async def test_delayed(ways: list[Way]) -> None:
    async with relayed() as (_, relay):
        peer = await connect(relay)
        relay.delay(0.1, ways)
        began = time.monotonic()
        assert [await says(peer, t) for t in "ab"] == ["a", "b"]
        assert time.monotonic() - began >= 2 * 0.1 * len(ways)


async def test_news_of_an_end_passes_unless_it_is_swallowed() -> None:
    async with relayed() as (echo, relay):
        peer = await connect(relay)
        assert await says(peer, "a") == "a"
        relay.swallow([Way.DOWN])
        relay.target = ("127.0.0.1", 1)  # where nobody listens
        assert await says(peer, "b", LATER) == "-"
        await relay.mend()
        assert await says(await connect(relay), "c") == ""
        assert echo.heard == b"a\nb\n"


# The parsers


@pytest.mark.parametrize("step", [1, 3, 1_000])
def test_chunks(step: int) -> None:
    data = b"5\r\nab\r\nc\r\nC\r\n" + b"x" * 12 + b"\r\n0\r\n\r\n"
    chunks = Chunks()
    got = b"".join(chunks.feed(data[i : i + step]) for i in range(0, len(data), step))
    assert got == b"ab\r\nc" + b"x" * 12
    assert chunks.ended


@pytest.mark.parametrize("data", [b"x\r\n", b"1\r\nabc", b"0\r\n\r\n1\r\n", b"-1\r\n"])
def test_chunks_that_are_none(data: bytes) -> None:
    with pytest.raises(WireError):
        Chunks().feed(data)


@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_events(step: int) -> None:
    data = (
        b"retry: 5\nevent: update\ndata: 1\nid: 1-2\n\n: comment\nevent: update\ndata: 2\nid:\n\n"
        b"event: reset\ndata: {}\n\nevent: update\ndata: cut"
    )
    events = Events()
    got = [e for i in range(0, len(data), step) for e in events.feed(data[i : i + step])]
    assert got == [
        Dispatched("update", "1", "1-2"),
        Dispatched("update", "2", ""),
        Dispatched("reset", "{}", None),
    ]


@pytest.mark.parametrize(
    "block", [b"data: 1\n\n", b"event: e\ndata: 1\ndata: 2\n\n", b"evnt: e\n\n", b"id: 1\n\n"]
)
def test_events_that_are_none(block: bytes) -> None:
    with pytest.raises(WireError):
        Events().feed(block)
