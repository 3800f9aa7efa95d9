"""How many connections there may be, in all and of one address, and when they count no more."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket

import pytest

from tornado_board.settings import Settings
from tornado_board.web.connection import Connection
from tornado_board.web.shares import Shares, neighbourhood

from .bare_client import GET, POST, Client, connected, settled
from .problems import problem
from .serving import PATIENCE, parse, serving
from .waiting import until

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
