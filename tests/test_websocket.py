"""WebSockets: the handshake, the frames of both sides, and that they say what streams say."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from tornado.websocket import websocket_connect
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tornado_board.realtime.wires.websocket import (
    Opcode,
    frame,
)
from tornado_board.replay import Event, EventId
from tornado_board.server import Running
from tornado_board.settings import Settings

from .stream_client import PATIENCE, RawStream, add, http_client, make_board
from .websocket_bytes import masked
from .websocket_client import Raw, handshake

Serving = Callable[[Settings], Awaitable[Running]]


# Over sockets


def ws(url: str, path: str) -> str:
    return url.replace("http", "ws", 1).rstrip("/") + path


async def received(client: ClientConnection) -> dict[str, Any]:
    text = await asyncio.wait_for(client.recv(), PATIENCE)
    assert isinstance(text, str)
    message = json.loads(text)
    assert list(message) == ["id", "event", "data"]
    assert isinstance(message, dict)
    return message


async def closed(client: ClientConnection) -> tuple[int, str]:
    """The code and the reason that the server gave, and whatever came before it."""
    with contextlib.suppress(ConnectionClosed):
        async with asyncio.timeout(PATIENCE):
            while True:
                await client.recv()
    assert client.protocol.close_rcvd is not None, "there was no close frame"
    return client.protocol.close_rcvd.code, client.protocol.close_rcvd.reason


@pytest.mark.parametrize("path", ["/boards/b/events/", "/boards/b/events", "/boards/b/"])
@pytest.mark.gen_test
async def test_a_websocket_brings_what_a_stream_brings(
    serving: Serving, settings: Settings, path: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as http, connect_to_board(http, url, path) as client:
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        for _ in range(4):
            message = await received(client)
            kind, data, event_id = await stream.event()
            assert message == {"id": str(event_id), "event": kind, "data": data}
            await add(http, "b")
        stream.close()
        assert client.protocol.extensions == []


@contextlib.asynccontextmanager
async def connect_to_board(
    http: Any, url: str, path: str = "/boards/b/events/", **options: Any
) -> AsyncIterator[ClientConnection]:
    await make_board(http, "b")
    async with connect(ws(url, path), **options) as client:
        yield client


@pytest.mark.gen_test
async def test_a_client_goes_on_where_it_was(serving: Serving, settings: Settings) -> None:
    url = (await serving(dataclasses.replace(settings, coalesce=0.0))).url
    async with http_client(url) as http:
        async with connect_to_board(http, url) as client:
            seen = [await received(client)]
            for _ in range(3):
                await add(http, "b")
                seen.append(await received(client))
        since = seen[0]["id"]
        for path, headers in (
            (f"/boards/b/events/?since={since}", {}),
            (f"/boards/b/?since={since}", {}),
            (f"/boards/b/events/?lastEventId={since}", {}),
            ("/boards/b/events/", {"Last-Event-ID": since}),
        ):
            async with connect(ws(url, path), additional_headers=headers) as client:
                assert [await received(client) for _ in seen[1:]] == seen[1:]
                await add(http, "b")
                seen.append(await received(client))
        for nonsense in ("nonsense", "1-1"):
            async with connect(ws(url, f"/boards/b/events/?since={nonsense}")) as client:
                assert (await received(client))["event"] == "reset"
                assert await received(client) == seen[-1]


@pytest.mark.gen_test
async def test_close_codes(serving: Serving, settings: Settings) -> None:
    server = await serving(settings)
    async with http_client(server.url) as http, connect_to_board(http, server.url) as client:
        await http.delete("/boards/b/")
        assert await closed(client) == (4404, "the board was deleted")
        async with connect(ws(server.url, "/boards/demo/events/")) as other:
            server.services.hub.end_streams()
            assert await closed(other) == (1001, "the server is stopping")


@pytest.mark.gen_test
async def test_pings_both_ways(serving: Serving, settings: Settings) -> None:
    server = await serving(dataclasses.replace(settings, keepalive=0.2))
    raw = await Raw.open(server.url, "/boards/demo/events/")
    assert (await raw.frame())[0] == Opcode.TEXT
    # A quiet one is pinged.
    assert await raw.frame() == (Opcode.PING, b"")
    raw.writer.write(masked(0xA, b""))
    # Of several pings at once the last is answered, at the least.
    raw.writer.write(b"".join(masked(9, b"%d" % i) for i in range(20)))
    answers = []
    while b"19" not in answers:
        opcode, payload = await raw.frame()
        if opcode == Opcode.PONG:
            answers.append(payload)
    assert len(answers) < 20
    raw.close()


@pytest.mark.gen_test
async def test_what_a_client_sends_is_thrown_away(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as http, connect_to_board(http, url) as client:
        await received(client)
        for data in ("hello", b"\0" * 100_000, "x" * 2_000_000, ["in ", "parts"]):
            await client.send(data)
        await add(http, "b")
        assert (await received(client))["data"]["players"][0]["score"] == 1
        # And it hears when the client wants to part.
        await client.close(4000, "bye")
        assert client.close_code == 4000


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (masked(Opcode.CLOSE, b"\x03\xe8bye"), 1000),
        (masked(Opcode.CLOSE, b"\x00\x01"), 1002),
        (frame(Opcode.TEXT, b"not masked"), 1002),
        (masked(Opcode.PING, b"x" * 126), 1002),
    ],
)
@pytest.mark.gen_test
async def test_how_a_client_ends_it(
    serving: Serving, settings: Settings, sent: bytes, code: int
) -> None:
    server = await serving(settings)
    raw = await Raw.open(server.url, "/boards/demo/events/")
    raw.writer.write(sent)
    assert int.from_bytes((await raw.close_frame())[:2], "big") == code
    raw.close()
    async with asyncio.timeout(PATIENCE):
        while server.server.open_connections:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("changed", "version", "status"),
    [
        ({"Connection": "close"}, "1.1", 400),
        ({"Sec_WebSocket_Key": ""}, "1.1", 400),
        ({"Sec_WebSocket_Key": "short"}, "1.1", 400),
        ({"Sec_WebSocket_Key": "=" * 24}, "1.1", 400),
        ({"Sec_WebSocket_Key": "é" * 12}, "1.1", 400),
        ({"Sec_WebSocket_Version": "8"}, "1.1", 426),
        ({"Sec_WebSocket_Version": ""}, "1.1", 426),
        ({"Origin": "https://other.example"}, "1.1", 403),
        ({"Origin": "null"}, "1.1", 403),
        ({"Host": "evil.example"}, "1.1", 421),
        # It asks for something else, and gets the poll.
        ({"Upgrade": "h2c"}, "1.1", 200),
        ({"Upgrade": ""}, "1.1", 200),
        ({}, "1.0", 200),
    ],
)
@pytest.mark.gen_test
async def test_a_handshake_that_is_none(
    serving: Serving, settings: Settings, changed: dict[str, str], version: str, status: int
) -> None:
    url = (await serving(settings)).url
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    lines = [f"GET /boards/demo/events/ HTTP/{version}", *handshake(url, **changed), "", ""]
    writer.write("\r\n".join(lines).encode())
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode("latin-1")
    assert int(head.split()[1]) == status
    assert ("Sec-Websocket-Version: 13" in head) is (status == 426)
    writer.close()


@pytest.mark.gen_test
async def test_errors_are_those_of_the_path(serving: Serving, settings: Settings) -> None:
    url = (await serving(dataclasses.replace(settings, max_streams_per_board=1))).url
    async with connect(ws(url, "/boards/demo/events/")):
        for path, status in (
            ("/boards/nope/events/", 404),
            ("/boards/demo/events/", 503),
            ("/boards/b%20b/events/", 400),
        ):
            with pytest.raises(InvalidStatus) as info:
                await connect(ws(url, path))
            assert info.value.response.status_code == status


@pytest.mark.parametrize(
    ("allowed", "origin", "opens"),
    [
        ((), None, True),
        ((), "http://{host}", True),
        ((), "https://{host}", True),  # TLS may end in front of the server
        ((), "https://a.example", False),
        (("https://a.example",), "https://a.example", True),
        (("https://a.example",), "https://b.example", False),
        (("*",), "https://b.example", True),
        (("*",), "null", True),
    ],
)
@pytest.mark.gen_test
async def test_which_pages_may_open_one(
    serving: Serving,
    settings: Settings,
    allowed: tuple[str, ...],
    origin: str | None,
    opens: bool,
) -> None:
    url = (await serving(dataclasses.replace(settings, allowed_origins=allowed))).url
    origin = origin and origin.format(host=urlsplit(url).netloc)
    headers = {"Origin": origin} if origin else {}
    connecting = connect(ws(url, "/boards/demo/events/"), additional_headers=headers)
    if opens:
        async with connecting as client:
            assert (await received(client))["event"] == "update"
    else:
        with pytest.raises(InvalidStatus):
            await connecting


@pytest.mark.gen_test
async def test_a_slow_client_gets_the_newest_and_every_reset(
    serving: Serving, settings: Settings
) -> None:
    server = await serving(settings)
    hub = server.services.hub
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    sock.setblocking(False)
    parts = urlsplit(server.url)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    raw = await Raw.open(server.url, "/boards/demo/events/", sock)
    await raw.frame()
    # asyncio reads ahead; from here on nothing is taken.
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    current = hub.current("demo")
    assert current is not None
    assert current.id is not None
    for i in range(1, 101):
        data = json.dumps({"i": i, "padding": "x" * 50_000})
        event = Event(EventId(current.id.ms, current.id.n + i), data)
        await hub.publish("demo", event, f"reset {i}" if i in (60, 70) else None)
    raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
    shown, resets = [0], []
    while shown[-1] < 100:
        _, payload = await raw.frame()
        message = json.loads(payload)
        if message["event"] == "reset":
            resets.append(message["data"]["reason"])
        else:
            assert message["id"] == f"{current.id.ms}-{current.id.n + message['data']['i']}"
            shown.append(message["data"]["i"])
    assert resets == ["reset 60", "reset 70"]
    assert shown == sorted(set(shown))
    assert len(shown) < 100, "it was sent all of them"
    raw.close()


@pytest.mark.gen_test
async def test_a_client_that_only_sends_is_no_trouble(serving: Serving, settings: Settings) -> None:
    server = await serving(settings)
    raw = await Raw.open(server.url, "/boards/demo/events/")
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    flood = masked(9, os.urandom(125)) * 500
    async with http_client(server.url) as http:
        await make_board(http, "b")
        for _ in range(40):
            raw.writer.write(flood)
            await add(http, "b")
    raw.close()


@pytest.mark.gen_test
async def test_over_tls(serving: Serving, secure: Settings) -> None:
    url = (await serving(dataclasses.replace(secure, keepalive=0.3))).url
    context = ssl.create_default_context(cafile=secure.tls_certificate)
    context.check_hostname = False
    async with http_client(url, verify=context) as http:
        await make_board(http, "b")
        async with connect(ws(url, "/boards/b/events/"), ssl=context) as client:
            for score in range(4):
                assert (await received(client))["data"]["players"][0]["score"] == score
                await client.send("x" * 100_000)
                pong = await client.ping()
                await asyncio.wait_for(pong, PATIENCE)
                await add(http, "b")
            await http.delete("/boards/b/")
            assert (await closed(client))[0] == 4404
        async with connect(ws(url, "/boards/demo/events/"), ssl=context) as client:
            await received(client)
            await client.close(4001)
            assert client.close_code == 4001


@pytest.mark.gen_test
async def test_tornados_own_client(serving: Serving, settings: Settings) -> None:
    url = (await serving(dataclasses.replace(settings, keepalive=1))).url
    async with http_client(url) as http:
        await make_board(http, "b")
        client = await websocket_connect(ws(url, "/boards/b/events/"), compression_options={})
        for score, pause in enumerate((0, 0, 1.2, 0, 0.3)):
            text = await client.read_message()
            assert text is not None
            assert json.loads(text)["data"]["players"][0]["score"] == score
            await asyncio.sleep(pause)  # pings go by in the longest
            await add(http, "b")
        client.close()
