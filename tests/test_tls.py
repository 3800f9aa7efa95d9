"""The same server over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import ssl

import pytest

from tornado_board.replay import Event
from tornado_board.server import StartError, running
from tornado_board.settings import Settings

from .serving import PATIENCE, parse, serving
from .stream_client import read_chunk

GET = b"GET /boards/demo HTTP/1.1\r\nHost: localhost\r\n%s\r\n"


async def connected(
    settings: Settings, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=settings.tls_certificate)
    return await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="localhost"
    )


@pytest.mark.gen_test
async def test_requests_and_streams(secure: Settings) -> None:
    async with serving(secure) as served:
        reader, writer = await connected(secure, served.port)
        writer.write(GET % b"")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert head.startswith(b"HTTP/1.1 200 ")
        writer.close()

        reader, writer = await connected(secure, served.port)
        writer.write(GET % b"Accept: text/event-stream\r\n")
        await asyncio.wait_for(reader.readuntil(b"event: update"), PATIENCE)
        await served.store.add_score("demo", "mars", 100)
        await asyncio.wait_for(reader.readuntil(b'"score":119'), PATIENCE)
        assert served.server.open_connections == 1
        writer.close()
        async with asyncio.timeout(PATIENCE):
            while served.server.open_connections:
                await asyncio.sleep(0.01)


@pytest.mark.gen_test
async def test_a_stream_is_chunked_up_to_its_end(secure: Settings) -> None:
    """Also to a client that reads nothing for a while."""
    async with serving(secure) as served:
        streams = []
        for _ in range(2):
            reader, writer = await connected(secure, served.port)
            writer.write(GET % b"Accept: text/event-stream\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
            assert b"\r\nTransfer-Encoding: chunked\r\n" in head
            assert (await read_chunk(reader)).startswith(b"retry: ")
            assert b'"Mars","score":19' in await read_chunk(reader)
            streams.append((reader, writer))
        _, slow = streams[1]
        slow.transport.pause_reading()  # type: ignore[attr-defined]
        for n in range(40):
            await served.hub.publish("demo", Event(None, f'"{n}{"x" * 200_000}"'))
            assert f'"{n}x'.encode() in await read_chunk(streams[0][0])
        slow.transport.resume_reading()  # type: ignore[attr-defined]
        seen = 0
        while seen < 39:
            chunk = await asyncio.wait_for(read_chunk(streams[1][0]), PATIENCE)
            match = re.fullmatch(rb'event: update\ndata: "(\d+)x{200000}"\nid:\n\n', chunk)
            assert match
            seen = int(match[1])
        await served.store.delete_board("demo")
        for reader, writer in streams:
            assert await asyncio.wait_for(read_chunk(reader), PATIENCE) == b""
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
            writer.close()


@pytest.mark.parametrize(
    ("change", "data", "status"),
    [
        ({"header_timeout": 0.2}, b"GET", 408),
        ({"max_body": 1}, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n", 413),
        ({"max_header": 1024}, b"GET / HTTP/1.1\r\nX: " + b"x" * 2000, 431),
        ({"max_connections": 1}, b"", 503),
        ({}, b"nonsense\r\n\r\n", 400),
    ],
)
@pytest.mark.gen_test
async def test_limits(secure: Settings, change: dict[str, float], data: bytes, status: int) -> None:
    settings = dataclasses.replace(secure, **change)  # type: ignore[arg-type]
    async with serving(settings) as served:
        writers = []
        if status == 503:
            writers.append((await connected(secure, served.port))[1])
        reader, writer = await connected(secure, served.port)
        writers.append(writer)
        writer.write(data)
        answer = parse(await asyncio.wait_for(reader.read(), PATIENCE))
        for writer in writers:
            writer.transport.abort()
    assert answer.status == status


@pytest.mark.gen_test
async def test_what_is_not_tls_is_dropped(secure: Settings) -> None:
    async with serving(secure) as served:
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in await served.send(GET % b"")
        async with asyncio.timeout(PATIENCE):
            while served.server.open_connections:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", ["tls_certificate", "tls_key"])
@pytest.mark.gen_test
async def test_a_file_that_can_not_be_read_is_named(secure: Settings, name: str) -> None:
    path = f"{getattr(secure, name)}.old"
    with pytest.raises(StartError, match=rf"^{name}: '{re.escape(path)}': No such file"):
        async with running(dataclasses.replace(secure, **{name: path})):  # type: ignore[arg-type]
            pass
