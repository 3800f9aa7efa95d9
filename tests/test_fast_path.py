"""The fast path: what it takes, and what becomes of a connection that it shares with Tornado.

That its answers are Tornado's is for `test_two_ways.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import socket
from typing import Any

import pytest

from tornado_board.inputs import NewPlayer
from tornado_board.settings import Settings
from tornado_board.web import fast_request

from .fast_path_client import (
    ADD,
    GET,
    LAST,
    LIST,
    Serve,
    Taken,
    answer,
    answers,
    port_of,
    request,
    score,
)
from .waiting import until


@pytest.mark.gen_test
async def test_streams_beyond_the_limit_are_refused(serving: Serve, settings: Settings) -> None:
    running = await serving(dataclasses.replace(settings, max_streams_per_board=2))
    topic = await running.services.hub.open("demo")
    port = int(re.search(r":(\d+)/", running.url)[1])  # type: ignore[index]
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    for sock in sockets:
        sock.sendall(request())
    while topic.streams < 2:
        await asyncio.sleep(0.01)
    refused = await answer(running, request("/boards/demo/", "Connection: close"))
    assert refused.startswith(b"HTTP/1.1 503")
    assert running.server.open_connections >= 2
    for sock in sockets:
        sock.close()
    while topic.streams or running.server.open_connections:
        await asyncio.sleep(0.01)
    assert b"200 OK" in await answer(running, request())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Host: h\r\nAccept: a\r\n\r\n", {b"host": b"h", b"accept": b"a"}),
        (b"Host:h\r\nX:  y \t\r\n\r\n", {b"host": b"h", b"x": b"y"}),
        (b"Host: h\r\nX:\r\n\r\n", {b"host": b"h", b"x": b""}),
        (b"Accept: a\r\n\r\n", None),
        (b"Host: h\r\nHOST: i\r\n\r\n", None),
        (b"Host: h\r\n", None),
        (b"Host: h\r\n\r\nmore", {b"host": b"h"}),
        (b"Host: h\r\n\r\n\r\n", {b"host": b"h"}),
        (b"Host: h\r\nX : y\r\n\r\n", None),
        (b"Host: h\n\n", None),
        (b"Host: h\nX: y\r\n\r\n", None),
        (b"Host: h\r\nX: a\rb\r\n\r\n", None),
        (b"Host: h\r\nX: \0\r\n\r\n", None),
        (b"Host: h\r\nX: a\r\n folded\r\n\r\n", None),
        (b"Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", None),
        (b"", None),
    ],
)
def test_a_header_is_read_whole_or_not_at_all(
    header: bytes, expected: dict[bytes, bytes] | None
) -> None:
    request = fast_request.read(b"GET /boards/demo/ HTTP/1.1\r\n" + header)
    assert (request and request.fields) == expected
    assert fast_request.read(header) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/boards/demo", ("/boards/demo", {})),
        ("/boards/demo/events/?stream", ("/boards/demo/events/", {"stream": ""})),
        ("/b?lastEventId=1-2&stream=1", ("/b", {"lastEventId": "1-2", "stream": "1"})),
        ("/b?", ("/b", {})),
        ("/b?a=1&a=1", None),
        ("/b?a=1%2d2", None),
        ("/b?a=1+2", None),
        ("/b#x", None),
        ("/%2e%2e/", None),
        ("http://h/b", None),
        ("/b?" + "&".join(f"{i}=1" for i in range(9)), None),
    ],
)
def test_which_targets_are_read(target: str, expected: object) -> None:
    request = fast_request.read(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert (request and (request.head.path, request.query)) == expected


@pytest.mark.parametrize(
    ("fields", "body", "expected"),
    [
        ("", "", b""),
        ("Content-Length: 0\r\n", "", b""),
        ("Content-Length: 2\r\n", "{}", b"{}"),
        ("Content-Length: 2\r\n", "{}GET", b"{}"),
        ("Content-Length: 2\r\n", "{", None),
        ("Content-Length: +2\r\n", "{}", None),
        ("Content-Length: 0x2\r\n", "{}", None),
        ("Content-Length: 2, 2\r\n", "{}", None),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "{}", None),
        ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", "{}", None),
        ("Content-Length: 9999999999\r\n", "{}", None),
        ("Content-Length: \xb2\r\n", "{}", None),
    ],
)
def test_a_body_is_there_whole_or_the_request_is_not(
    fields: str, body: str, expected: bytes | None
) -> None:
    data = f"POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}".encode("latin-1")
    request = fast_request.read(data)
    assert (None if request is None else request.body) == expected
    if request is not None and expected is not None:
        assert data[request.length :] == body.encode()[len(expected) :]


@pytest.mark.gen_test
async def test_a_stream_in_gzip_is_taken_too(
    serving: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(settings)
    await running.services.hub.open("demo")
    taken = Taken(running, monkeypatch)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(request("/boards/demo/", "Accept-Encoding: gzip, br"))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    assert b"\r\nContent-Encoding: gzip\r\n" in head
    assert taken.count == 1
    writer.close()


@pytest.mark.gen_test
async def test_a_connection_goes_from_one_way_to_the_other_and_back(
    serving: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(settings)
    taken = Taken(running, monkeypatch)
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    for number, (data, is_taken) in enumerate(
        ((GET, 1), (LIST, 0), (GET, 1), (ADD, 1), (LIST, 0), (LIST, 0), (ADD, 1), (LAST, 1))
    ):
        before = taken.count
        writer.write(data)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200"), number
        length = re.search(rb"Content-Length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
        assert taken.count - before == is_taken, number
        assert running.server.open_connections == (data != LAST)
        await asyncio.sleep(0.01)
    assert await reader.read() == b""
    writer.close()


@pytest.mark.gen_test
async def test_requests_in_a_row_are_answered_in_their_order(
    serving: Serve, settings: Settings
) -> None:
    """And a read that stands behind a write sees it, though the board was read just before."""
    running = await serving(settings)
    await running.services.hub.open("demo")
    expected = score((await answers(running, LAST))[0])
    sent = [GET, ADD, GET, LIST, ADD, ADD, GET, GET, LIST, ADD] * 5 + [LAST]
    for data, answered in zip(sent, await answers(running, b"".join(sent)), strict=True):
        if data == LIST:
            assert b'"boards"' in answered
        else:
            expected += data == ADD
            assert score(answered) == expected


@pytest.mark.gen_test
async def test_what_is_under_way_at_a_stop_is_answered(
    serving: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(settings)
    reached, go = asyncio.Event(), asyncio.Event()
    add = running.services.store.add_score

    async def slow(*arguments: Any, **named: Any) -> Any:
        reached.set()
        await go.wait()
        return await add(*arguments, **named)

    monkeypatch.setattr(running.services.store, "add_score", slow)
    _, idle = await asyncio.open_connection("127.0.0.1", port_of(running))
    idle.write(GET)
    adding = asyncio.ensure_future(answers(running, ADD))
    await reached.wait()
    stopping = asyncio.ensure_future(running.server.drain(5))
    await asyncio.sleep(0.05)
    go.set()
    (answer,) = await adding
    assert answer.startswith(b"200")
    await stopping
    assert running.server.open_connections == 0
    idle.close()


@pytest.mark.gen_test
async def test_a_stop_waits_no_longer_than_it_may(
    serving: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(settings)

    async def never(*_: Any, **__: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(running.services.store, "add_score", never)
    adding = asyncio.ensure_future(answers(running, ADD))
    await until(lambda: running.server.open_connections)
    await asyncio.sleep(0.05)
    await running.server.drain(0.1)
    assert await adding == []
    assert running.server.open_connections == 0


@pytest.mark.parametrize("data", [GET, LIST + GET])
@pytest.mark.gen_test
async def test_a_client_that_reads_slowly_gets_all_of_it(
    serving: Serve, settings: Settings, data: bytes
) -> None:
    """On a connection that Tornado does not know, and on one that it does."""
    running = await serving(settings)
    loop = asyncio.get_running_loop()
    for number in range(100):
        await running.services.store.create_player(
            "demo", NewPlayer(id=f"p{number}", name="\u00e9" * 200, score=1000 + number)
        )
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port_of(running)))
        sock.setblocking(False)
        await loop.sock_sendall(sock, data * 300 + LAST)
        got = b""
        while part := await asyncio.wait_for(loop.sock_recv(sock, 8192), 30):
            got += part
            if len(got) < 300_000:
                await asyncio.sleep(0.001)
    assert got.count(b"HTTP/1.1 200 OK\r\n") == 300 * data.count(b"GET") + 1
    await until(lambda: not running.server.open_connections)


@pytest.mark.gen_test
async def test_a_client_that_does_not_read_is_closed_in_the_end(
    serving: Serve, settings: Settings
) -> None:
    running = await serving(dataclasses.replace(settings, idle_timeout=0.3))
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", port_of(running)))
        sock.setblocking(False)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(30):
                while running.server.open_connections or not sock.getpeername():
                    await loop.sock_sendall(sock, GET * 100)
        await until(lambda: not running.server.open_connections)


@pytest.mark.gen_test
async def test_without_the_fast_path_all_is_tornados(serving: Serve, settings: Settings) -> None:
    running = await serving(dataclasses.replace(settings, fast_path=False))
    assert running.server.fast_path is None
    got = await answers(running, GET + ADD + LAST)
    assert [answer[:3] for answer in got] == [b"200"] * 3
