"""The limits of connections and requests, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tornado_board.realtime.subscriber import Poller
from tornado_board.settings import Settings
from tornado_board.web.connection import Connection
from tornado_board.web.links import Link, Outcome
from tornado_board.web.shares import Shares, neighbourhood

from .serving import PATIENCE, Answer, Served, parse, serving
from .test_bad_input import problem
from .waiting import until

GET = b"GET /boards/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = "POST /boards/demo/players/mars/score-add/ HTTP/1.1\r\nHost: localhost\r\n"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


class Client:
    """A connection of our own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> Answer:
        """The next answer, where the connection goes on."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        answer = parse(head, "HEAD")
        size = int(answer.headers.get("Content-Length", "0"))
        answer.body = await asyncio.wait_for(self.reader.readexactly(size), PATIENCE)
        return answer

    async def rest(self) -> bytes:
        """What comes until the server closes the connection."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)

    def reset(self) -> None:
        """Go away without a goodbye."""
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def connected(served: Served) -> AsyncIterator[Client]:
    client = Client(*await asyncio.open_connection("127.0.0.1", served.port))
    try:
        yield client
    finally:
        client.reset()


async def settled(served: Served, count: int) -> None:
    """Wait until `count` connections are open."""
    await until(lambda: served.server.open_connections == count)


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


# Connections


@pytest.mark.gen_test
async def test_more_connections_than_the_server_takes(settings: Settings) -> None:
    settings = dataclasses.replace(settings, max_connections=2)
    async with serving(settings) as served:
        async with connected(served) as one, connected(served):
            await settled(served, 2)
            async with connected(served) as third:
                third.send(GET)
                answer = parse(await third.rest())
                assert answer.status == 503
                assert int(answer.headers["Retry-After"]) > 0
                problem(answer)
            one.send(GET)
            assert (await one.answer()).status == 200
        await settled(served, 0)
        async with connected(served) as again:
            again.send(GET)
            assert (await again.answer()).status == 200


@pytest.mark.gen_test
async def test_more_connections_than_one_address_may_have(settings: Settings) -> None:
    settings = dataclasses.replace(settings, max_connections_per_address=1)
    async with serving(settings) as served:
        async with connected(served):
            await settled(served, 1)
            async with connected(served) as second:
                second.send(GET)
                answer = parse(await second.rest())
                assert answer.status == 429
                assert int(answer.headers["Retry-After"]) > 0
                problem(answer)
            # loopback has more than one address
            other = socket.socket()
            other.bind(("127.0.0.2", 0))
            other.setblocking(False)
            await asyncio.get_running_loop().sock_connect(other, ("127.0.0.1", served.port))
            client = Client(*await asyncio.open_connection(sock=other))
            client.send(GET)
            assert (await client.answer()).status == 200
            client.reset()
        await settled(served, 0)


def test_one_address_leaves_room_for_others() -> None:
    shares = Shares(Settings())
    assert shares.most_of_one <= Settings().max_connections // 4
    assert shares.most_boards_of_one <= Settings().live_boards // 4
    fewer = dataclasses.replace(Settings(), max_connections=1000, live_boards=400)
    assert (Shares(fewer).most_of_one, Shares(fewer).most_boards_of_one) == (250, 100)
    # a browser has six connections
    assert Shares(dataclasses.replace(fewer, max_connections=10)).most_of_one == 32
    chosen = dataclasses.replace(fewer, max_connections_per_address=7, live_boards_per_address=3)
    assert (Shares(chosen).most_of_one, Shares(chosen).most_boards_of_one) == (7, 3)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("", "127.0.0.1", False),
    ],
)
def test_neighbours_share(one: str, other: str, same: bool) -> None:
    assert (neighbourhood(one) == neighbourhood(other)) is same


STREAM = "GET /boards/%s/ HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n"
POLL = "GET /boards/%s/events/?since=%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


@pytest.mark.gen_test
async def test_one_address_cannot_hold_every_board(settings: Settings) -> None:
    settings = dataclasses.replace(settings, live_boards_per_address=2, trust_forwarded=True)
    async with serving(settings) as served, contextlib.AsyncExitStack() as stack:
        for board in "abc":
            await served.request("POST", "/boards/", f'{{"id": "{board}"}}')
            await served.hub.open(board)
        since = str((await served.hub.open("b")).current.id)

        async def held(data: str) -> Client:
            """What waits for events, after the first part of an answer if there is one yet."""
            client = await stack.enter_async_context(connected(served))
            client.send(data.encode())
            return client

        async def status(data: str) -> int:
            client = await held(data)
            line = await asyncio.wait_for(client.reader.readline(), PATIENCE)
            client.reset()
            return int(line.split()[1])

        first = await held(STREAM % ("a", ""))
        second = await held(STREAM % ("a", ""))
        poll = await held(POLL % ("b", since, ""))
        await until(lambda: len(served.server.shares._boards) == 1)
        await until(lambda: sum(served.server.shares._boards.values()) == 2)
        for data in (
            STREAM % ("c", ""),
            STREAM % ("c", "X-Real-IP: 127.0.0.1\r\n"),  # not by the fast path
            POLL % ("c", since, ""),
        ):
            assert await status(data) == 429
        # what it holds already, what need not be live, and what others hold
        assert await status(STREAM % ("b", "")) == 200
        assert (await served.request("GET", "/boards/c/")).status == 200
        for of_other in (STREAM, POLL % ("%s", "1-1", "%s")):
            assert await status(of_other % ("c", "X-Forwarded-For: 192.0.2.7\r\n")) == 200
        first.reset()
        assert await status(STREAM % ("c", "")) == 429  # the second has the same board
        second.reset()
        await until(lambda: served.server.shares._boards["127.0.0.1"] == 1)
        assert await status(STREAM % ("c", "")) == 200
        poll.reset()
    shares = served.server.shares
    assert (shares.open, shares.connections, shares._boards, shares._holding) == (0, {}, {}, {})


@pytest.mark.gen_test
async def test_a_proxy_is_not_the_address_that_counts(settings: Settings) -> None:
    """Where it is trusted; otherwise nobody can say another is here."""
    for trusted in (True, False):
        settings = dataclasses.replace(
            settings, max_connections_per_address=2, trust_forwarded=trusted
        )
        async with serving(settings) as served, contextlib.AsyncExitStack() as stack:
            statuses = []
            for address in ("192.0.2.1", "192.0.2.2", "192.0.2.2", "192.0.2.2"):
                client = await stack.enter_async_context(connected(served))
                client.send(GET[:-2] + f"X-Forwarded-For: {address}\r\n\r\n".encode())
                statuses.append((await client.answer()).status)
            assert statuses == ([200, 200, 200, 429] if trusted else [200, 200, 429, 429])


@pytest.mark.gen_test
async def test_every_way_to_end_frees_the_place(settings: Settings) -> None:
    async with serving(settings) as served:
        for data in (
            b"",
            b"GET",
            GET,
            b"nonsense\r\n\r\n",
            f"{POST}Content-Length: 100000\r\n\r\n".encode(),
            f"{POST}Content-Length: 10\r\n\r\nx".encode(),
            b"GET /boards/ HTTP/1.0\r\n\r\n",
        ):
            async with connected(served) as client:
                client.send(data)
                await asyncio.sleep(0.02)
            await settled(served, 0)
        assert not served.server.shares.connections
        assert not any(served.server._deadlines.values())


@pytest.mark.gen_test
async def test_a_handed_over_socket_counts_until_it_is_closed(settings: Settings) -> None:
    settings = dataclasses.replace(settings, max_connections=1, fast_path=False)
    async with serving(settings) as served, connected(served) as client:
        await settled(served, 1)
        (http,) = served.server._connections
        connection = http.stream
        assert isinstance(connection, Connection)
        sock, release = connection.hand_over()
        assert connection.closed()
        sock.send(b"still open")
        assert await client.reader.readexactly(10) == b"still open"
        assert served.server.open_connections == 1
        assert parse(await served.send(GET)).status == 503
        sock.close()
        release()
        assert served.server.open_connections == 0
        assert await client.rest() == b""


@pytest.mark.gen_test
async def test_refused_connections_do_not_pile_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tornado_board.web.connections.MOST_LINGERING", 2)
    monkeypatch.setattr("tornado_board.web.connections.LINGER_TIME", 0.3)
    settings = dataclasses.replace(settings, max_connections=1)
    async with serving(settings) as served, connected(served), contextlib.AsyncExitStack() as stack:
        await settled(served, 1)
        clients = [await stack.enter_async_context(connected(served)) for _ in range(5)]
        answers = [await client.rest() for client in clients]
        assert sum(answer.startswith(b"HTTP/1.1 503") for answer in answers) == 2
        assert len(served.server._lingering) == 2  # nobody has hung up
        await until(lambda: not served.server._lingering)


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
