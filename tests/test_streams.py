"""Event streams over real sockets: what a subscriber is sent, and what it is not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import re
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx_sse
import pytest

from tornado_board.replay import Event
from tornado_board.server import Running, running
from tornado_board.settings import Settings

from .stream_client import (
    PATIENCE,
    STREAM,
    RawStream,
    add,
    event_source,
    http_client,
    is_event_id,
    make_board,
    next_event,
)

pytestmark = pytest.mark.gen_test

Serving = Callable[[Settings], Awaitable[Running]]

PATHS = ["/boards/b/", "/boards/b", "/boards/b/events/", "/boards/b/events"]


@pytest.mark.parametrize("path", PATHS)
async def test_the_first_event_is_the_current_board(
    serving: Serving, settings: Settings, path: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1, "q": 2.5, "r": 1})
        async with httpx_sse.aconnect_sse(client, "GET", path) as source:
            assert source.response.status_code == 200
            assert source.response.headers["content-type"] == "text/event-stream; charset=utf-8"
            assert source.response.headers["cache-control"] == "no-store, no-transform"
            assert source.response.headers["x-accel-buffering"] == "no"
            first = await next_event(source.aiter_sse())
        board = await client.get("/boards/b/")
    assert first.event == "update"
    assert is_event_id(first.id)
    assert first.id == board.headers["last-event-id"]
    assert json.loads(first.data) == board.json()
    assert [p["id"] for p in board.json()["players"]] == ["q", "p", "r"]


async def test_the_bytes_of_a_stream(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1})
        current = await client.get("/boards/b/")
        last, data = current.headers["last-event-id"], current.text.strip()
    retries = set()
    for _ in range(20):
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        retry = await stream.reader.readuntil(b"\n")
        assert re.fullmatch(rb"retry: [1-3]\d{3}\n", retry)
        assert 1000 <= int(retry[7:]) <= 3000
        retries.add(retry)
        assert (
            await stream.reader.readuntil(b"\n\n")
            == f"event: update\ndata: {data}\nid: {last}\n\n".encode()
        )
        stream.close()
    assert len(retries) > 5, "clients that reconnect together do so at random times"


async def test_a_quiet_stream_gets_comments(serving: Serving, settings: Settings) -> None:
    url = (await serving(dataclasses.replace(settings, keepalive=0.1))).url
    stream = await RawStream.open(url, "/boards/demo/", "Accept: text/event-stream")
    await stream.event()
    for _ in range(3):
        line = await asyncio.wait_for(stream.reader.readuntil(b"\n"), PATIENCE)
        assert line.startswith(b":")
    stream.close()


@pytest.mark.alone
async def test_a_stream_is_not_silent_for_long_after_an_event(
    serving: Serving, settings: Settings
) -> None:
    """Whenever that came; there are proxies that count the seconds."""
    keepalive = 2.0
    url = (await serving(dataclasses.replace(settings, keepalive=keepalive))).url
    stream = await RawStream.open(url, "/boards/demo/", "Accept: text/event-stream")
    await stream.event()

    async def comment() -> None:
        line = await asyncio.wait_for(stream.reader.readuntil(b"\n"), PATIENCE)
        assert line.startswith(b":")

    await comment()
    await asyncio.sleep(keepalive / 8)
    async with http_client(url) as client:
        await add(client, "demo", "venus")
    await stream.event()
    began = time.monotonic()
    await comment()
    assert time.monotonic() - began < keepalive * 1.5
    stream.close()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_stream_is_framed_as_its_http_version_has_it(
    serving: Serving, settings: Settings, version: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        stream = await RawStream.open(
            url, "/boards/b/events/", "Accept: text/event-stream", version=version
        )
        assert stream.status == 200
        assert "content-length" not in stream.headers
        chunked = "chunked" if version == "1.1" else None
        assert stream.headers.get("transfer-encoding") == chunked
        assert stream.headers["connection"] == "close"
        await stream.event()
        await add(client, "b")
        assert (await stream.event())[1]["players"][0]["score"] == 1
        (await client.delete("/boards/b/")).raise_for_status()
        assert await stream.ended() == b""
        assert stream.finished == (version == "1.1")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_client_that_ends_its_side_gets_the_end_of_the_stream(
    serving: Serving, settings: Settings, version: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        stream = await RawStream.open(
            url, "/boards/b/events/", "Accept: text/event-stream", version=version
        )
        await stream.event()
        stream.writer.write_eof()
        assert await stream.ended() == b""
        assert stream.finished == (version == "1.1")


@pytest.mark.parametrize("path", PATHS)
async def test_head_gives_the_headers_alone(
    serving: Serving, settings: Settings, path: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        head = await client.head(path, headers=STREAM)
        async with client.stream("GET", path, headers=STREAM) as get:
            for name in ("content-type", "cache-control", "x-accel-buffering", "vary"):
                assert head.headers.get(name) == get.headers[name], name
    assert head.status_code == 200
    assert "content-length" not in head.headers, "a stream has none"


@pytest.mark.parametrize("path", ["/boards/nope/", "/boards/nope/events/", "/boards/nope/events"])
async def test_an_unknown_board_has_no_stream(
    serving: Serving, settings: Settings, path: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        for headers in (STREAM, {}, {**STREAM, "Last-Event-ID": "1795279177639-42"}):
            response = await client.get(path, headers=headers)
            assert response.status_code == 404
            assert response.headers["content-type"].startswith("application/problem+json")
            assert "nope" in response.json()["detail"]


@pytest.mark.parametrize(
    ("accept", "streamed"),
    [
        ("text/event-stream", True),
        ("text/event-stream, */*;q=0.1", True),
        ("*/*", False),
        ("application/json, text/event-stream;q=0.5", False),
        ("text/html", False),
    ],
)
async def test_a_stream_is_what_the_client_asks_for(
    serving: Serving, settings: Settings, accept: str, streamed: bool
) -> None:
    url = (await serving(settings)).url
    for path in ("/boards/demo/", "/boards/demo/events/"):
        stream = await RawStream.open(url, path, f"Accept: {accept}", "Connection: close")
        assert stream.headers["content-type"].startswith("text/event-stream") == streamed
        assert "Accept" in stream.headers["vary"]
        stream.close()


async def test_a_deleted_board_ends_its_streams(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        await make_board(client, "other")
        streams = [await RawStream.open(url, p, "Accept: text/event-stream") for p in PATHS]
        other = await RawStream.open(url, "/boards/other/", "Accept: text/event-stream")
        await other.event()
        for stream in streams:
            _, _, last_id = await stream.event()
        assert (await client.delete("/boards/b/")).status_code == 204
        for stream in streams:
            assert await stream.ended() == b""
        assert (await client.get("/boards/b/", headers=STREAM)).status_code == 404
        await add(client, "other")
        assert (await other.event())[1]["players"][0]["score"] == 1
        other.close()
        # Made again, it is another board: nobody's old id is good for it.
        await make_board(client, "b")
        headers = {"Last-Event-ID": str(last_id)}
        async with event_source(client, "/boards/b/", headers=headers) as events:
            assert (await next_event(events)).event == "reset"


async def test_streams_end_last_at_a_stop(settings: Settings) -> None:
    """Their clients come back a while later; until then there is to be somebody who listens."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(settings))
        stream = await RawStream.open(server.url, "/boards/demo/", "Accept: text/event-stream")
        _, _, last = await stream.event()
        parts = urlsplit(server.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        # A request of which a part is missing still.
        writer.write(
            b"POST /boards/demo/players/mars/score-add/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nContent-Length: 13\r\n\r\n"
        )
        async with http_client(server.url) as client:
            path = f"/boards/demo/events/?since={last}&wait=60"
            poll = asyncio.ensure_future(client.get(path))
            topic = server.services.hub.live("demo")
            assert topic is not None
            async with asyncio.timeout(PATIENCE):
                while topic.listeners < 2 or server.server.open_connections < 3:
                    await asyncio.sleep(0.01)
                stopping = asyncio.ensure_future(stack.aclose())
                # Nobody waits any longer.
                assert (await poll).json() == {"events": [], "last_event_id": str(last)}
        assert topic.streams == 1
        await topic.publish(Event(None, '{"still": "here"}'))
        assert (await stream.event())[1] == {"still": "here"}
        writer.write(b'{"amount":10}')
        assert b" 200 " in await asyncio.wait_for(reader.readline(), PATIENCE)
        await asyncio.wait_for(stopping, PATIENCE)
        assert await stream.ended() == b""
        assert stream.finished
        writer.close()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_head_tells_of_the_framing_and_leaves_the_connection(
    serving: Serving, settings: Settings, version: str
) -> None:
    url = (await serving(settings)).url
    stream = await RawStream.open(
        url, "/boards/demo/", "Accept: text/event-stream", method="GET", version=version
    )
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    for _ in range(2 if version == "1.1" else 1):
        writer.write(
            f"HEAD /boards/demo/ HTTP/{version}\r\nHost: localhost\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        start, *fields = head.decode().split("\r\n")[:-2]
        assert start == "HTTP/1.1 200 OK"
        named = {name.lower(): value for name, value in (f.split(": ", 1) for f in fields)}
        for given in (named, stream.headers):
            given.pop("date", None)
        # The stream is the last answer of its connection; what HEAD gets needn't be.
        assert {"connection": "close"} | named == stream.headers
        assert named.get("connection") is None
    if version == "1.0":
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
    writer.close()
    stream.close()
