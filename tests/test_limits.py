"""The limits of connections and requests, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import time
from typing import Any, cast

import pytest
import tornado.httputil

from tornado_board.realtime.subscriber import Poller
from tornado_board.settings import Settings
from tornado_board.web.admission import Admission
from tornado_board.web.links import Link, Outcome
from tornado_board.web.phases import Phase

from .bare_client import FORM, GET, POST, connected, settled
from .problems import problem
from .serving import PATIENCE, parse, serving

# Time


@pytest.mark.parametrize(
    "half",
    [
        b"G",
        b"GET /boards/ HTTP/1.1\r\nHost: localhost\r\n",
        f"{POST}{FORM}Content-Length: 8\r\n\r\namo".encode(),
        f"{POST}{FORM}Transfer-Encoding: chunked\r\n\r\n3\r\namo\r\n".encode(),
        f"{POST}{FORM}Transfer-Encoding: chunked\r\n\r\n3".encode(),
    ],
)
@pytest.mark.gen_test
async def test_half_a_request_is_dropped(settings: Settings, half: bytes) -> None:
    settings = dataclasses.replace(settings, header_timeout=0.2, idle_timeout=60)
    async with serving(settings) as served, connected(served) as client:
        before = served.dump()
        client.send(half)
        answer = parse(await client.rest())
        assert answer.status == 408
        assert "0.2 s" in problem(answer)
        assert answer.headers["Connection"] == "close"
        await settled(served, 0)
        assert served.dump() == before


@pytest.mark.gen_test
async def test_a_byte_now_and_then_is_not_enough(settings: Settings) -> None:
    settings = dataclasses.replace(settings, header_timeout=0.3, idle_timeout=60)
    async with serving(settings) as served, connected(served) as client:

        async def drip() -> None:
            for byte in GET + b"x" * 10_000:
                client.send(bytes([byte]))
                await asyncio.sleep(0.05)

        dripping = asyncio.ensure_future(drip())
        answer = parse(await client.rest())
        dripping.cancel()
    assert answer.status == 408


def test_each_piece_of_a_large_body_has_the_time_anew(settings: Settings) -> None:
    entered = []

    class Room:
        """What an `Admission` needs of a connection while a body comes."""

        def __init__(self) -> None:
            self.server = self
            self.settings = dataclasses.replace(settings, max_body=2**22)

        def enter(self, connection: object, phase: Phase) -> None:
            entered.append((body.received, phase))

    class Application(tornado.httputil.HTTPMessageDelegate):
        """Takes everything."""

    body = Admission(Application(), cast(Any, Room()))
    for _ in range(32):
        body.data_received(bytes(2**16))
    # When 512 KB have come, the next may take as long; a byte now and then is not enough.
    assert entered == [(2**19 * number, Phase.BODY) for number in (1, 2, 3, 4)]


@pytest.mark.gen_test
async def test_an_idle_connection_is_closed_without_a_word(settings: Settings) -> None:
    settings = dataclasses.replace(settings, idle_timeout=0.2, header_timeout=60)
    async with serving(settings) as served, connected(served) as never, connected(served) as once:
        once.send(GET)
        assert (await once.answer()).status == 200
        assert await never.rest() == b""
        assert await once.rest() == b""
        await settled(served, 0)


@pytest.mark.gen_test
async def test_a_connection_in_use_is_kept(settings: Settings) -> None:
    settings = dataclasses.replace(settings, idle_timeout=1, header_timeout=1)
    async with serving(settings) as served, connected(served) as client:
        end = time.monotonic() + 2
        while time.monotonic() < end:
            client.send(GET[:10])
            await asyncio.sleep(0.1)
            client.send(GET[10:])
            assert (await client.answer()).status == 200
            await asyncio.sleep(0.1)
        client.send(GET * 3)  # pipelined
        for _ in range(3):
            assert (await client.answer()).status == 200


@pytest.mark.gen_test
async def test_a_handler_may_take_longer_than_any_timeout(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(settings, idle_timeout=0.1, header_timeout=0.1)
    async with serving(settings) as served, connected(served) as client:

        async def slow(*_: object) -> list[Any]:
            await asyncio.sleep(0.6)
            return []

        monkeypatch.setattr(served.store, "list_boards", slow)
        client.send(GET)
        assert (await client.answer()).json() == {"boards": []}


@pytest.mark.gen_test
async def test_a_client_that_does_not_read_its_answer_is_dropped(settings: Settings) -> None:
    settings = dataclasses.replace(settings, idle_timeout=0.3)
    async with serving(settings) as served:
        for i in range(120):
            await served.request("POST", "/boards/", f'{{"id": "b{i}", "name": "{"x" * 200}"}}')
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", served.port))
        with contextlib.closing(sock):
            await settled(served, 1)
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                for _ in range(2000):
                    sock.send(GET)
                    await asyncio.sleep(0)
            await settled(served, 0)


# Size


@pytest.mark.parametrize("size", [100, 101, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.gen_test
async def test_a_body_may_be_as_large_as_the_setting_says(
    settings: Settings, size: int, chunked: bool
) -> None:
    settings = dataclasses.replace(settings, max_body=100)
    body = b"amount=" + b"1".rjust(size - 7, b"0")
    framed = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body) if chunked else body
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    async with serving(settings) as served, connected(served) as client:
        before = served.dump()
        client.send(f"{POST}{FORM}{framing}\r\n\r\n".encode() + framed)
        if size == 100:
            assert (await client.answer()).status == 400  # no number; but it was read
        else:
            answer = parse(await client.rest())
            assert answer.status == 413
            assert "100 bytes" in problem(answer)
            assert answer.headers["Connection"] == "close"
            await settled(served, 0)
        assert served.dump() == before


@pytest.mark.gen_test
async def test_a_large_body_is_refused_before_it_is_sent(settings: Settings) -> None:
    async with serving(settings) as served, connected(served) as client:
        client.send(f"{POST}Content-Length: 65537\r\nExpect: 100-continue\r\n\r\n".encode())
        assert parse(await client.rest()).status == 413
    async with serving(settings) as served, connected(served) as client:
        client.send(f"{POST}Content-Length: {'9' * 5000}\r\n\r\n".encode())
        assert parse(await client.rest()).status == 413


@pytest.mark.parametrize("more", [b"X: " + b"x" * 5_000, b"x" * 3_000_000, b"X: y\r\n" * 1000])
@pytest.mark.gen_test
async def test_a_large_header_is_refused(settings: Settings, more: bytes) -> None:
    settings = dataclasses.replace(settings, max_header=4096)
    async with serving(settings) as served, connected(served) as client:
        client.send(GET[:-2] + more)
        answer = parse(await client.rest())
        assert answer.status == 431
        assert "4,096 bytes" in problem(answer)
        await settled(served, 0)


# The end


@pytest.mark.gen_test
async def test_a_stop_lets_requests_finish(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served, connected(served) as idle, connected(served) as busy:
        go = asyncio.Event()
        reached = asyncio.Event()

        async def slow(*_: object) -> list[Any]:
            reached.set()
            await go.wait()
            return []

        monkeypatch.setattr(served.store, "list_boards", slow)
        busy.send(GET)
        await reached.wait()
        await settled(served, 2)
        draining = asyncio.ensure_future(served.server.drain(PATIENCE))
        assert await idle.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", served.port)
        assert not draining.done()
        go.set()
        assert parse(await busy.rest()).json() == {"boards": []}
        await draining
        assert served.server.open_connections == 0


@pytest.mark.gen_test
async def test_a_stop_does_not_wait_for_ever(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served, connected(served) as client:
        reached = asyncio.Event()

        async def never(*_: object) -> None:
            reached.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(served.store, "list_boards", never)
        client.send(GET)
        await reached.wait()
        await asyncio.wait_for(served.server.drain(0.1), PATIENCE)
        assert await client.rest() == b""


@pytest.mark.gen_test
async def test_a_connection_that_cannot_be_served_frees_its_place(settings: Settings) -> None:
    class Broken:
        def __init__(self, poller: Poller) -> None:
            self.poller = poller

        def look(self, link: Link) -> Outcome:
            raise RuntimeError

    async with serving(settings) as served:
        served.server.fast_path = Broken(served.hub.poller)
        async with connected(served) as client:
            assert await client.rest() == b""
            assert served.server.open_connections == 0
