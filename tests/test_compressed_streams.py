"""Streams in gzip: who gets them, and that they say what the plain ones say."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.web.accept import accepts_gzip

from .stream_client import STREAM, RawStream, add, http_client, make_board

Serving = Callable[[Settings], Awaitable[Running]]

#: Both ways into the hub: what is out of the ordinary goes through a handler.
PATHS = ["/boards/b/events/", "/boards/b/events/?stream=1&other=1"]

ACCEPT = "Accept: text/event-stream"
GZIP = "Accept-Encoding: gzip, deflate, br"


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip, deflate, br", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("x-gzip", True),
        ("GZIP", True),
        ("", False),
        ("*", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=x", False),
        ("deflate, br, zstd", False),
        ("gzipped", False),
    ],
)
def test_gzip_has_to_be_named(header: str, accepted: bool) -> None:
    assert accepts_gzip(header) is accepted


@contextlib.asynccontextmanager
async def opened(url: str, path: str, *headers: str, **options: Any) -> AsyncIterator[RawStream]:
    stream = await RawStream.open(url, path, ACCEPT, *headers, **options)
    try:
        yield stream
    finally:
        stream.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.gen_test
async def test_who_accepts_gzip_gets_it(serving: Serving, settings: Settings, path: str) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        for headers, version, encoding in (
            ((GZIP,), "1.1", "gzip"),
            ((), "1.1", None),
            (("Accept-Encoding: identity",), "1.1", None),
            # Such a header is not looked through.
            ((f"Accept-Encoding: gzip, {'x' * 300}",), "1.1", None),
            ((GZIP,), "1.0", None),
        ):
            async with opened(url, path, *headers, version=version) as stream:
                assert stream.headers.get("content-encoding") == encoding
                assert stream.headers["vary"] == "Accept, Accept-Encoding"
                assert (await stream.event())[1]["id"] == "b"
        head = await client.head(path, headers={**STREAM, "Accept-Encoding": "gzip"})
        assert head.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.gen_test
async def test_a_setting_turns_it_off(serving: Serving, settings: Settings, path: str) -> None:
    url = (await serving(dataclasses.replace(settings, compress_streams=False))).url
    async with http_client(url) as client:
        await make_board(client, "b")
    async with opened(url, path, GZIP) as stream:
        assert "content-encoding" not in stream.headers
        await stream.event()


@pytest.mark.gen_test
async def test_an_answer_to_a_long_poll_is_not_a_stream(
    serving: Serving, settings: Settings
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        answer = await client.get("/boards/demo/events/", headers={"Accept-Encoding": "gzip"})
    assert answer.json()["events"]


@pytest.mark.gen_test
async def test_plain_and_gzip_say_the_same_whoever_joins_when(
    serving: Serving, settings: Settings
) -> None:
    """Anew, with a position in the past, with the newest one, and through comments."""
    chance = random.Random(7)
    tuned = dataclasses.replace(settings, squash=0.0, keepalive=0.2)
    url = (await serving(tuned)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        plain = await RawStream.open(url, PATHS[0], ACCEPT)
        seen = [await plain.event()]
        streams: list[tuple[int, RawStream]] = []
        for _ in range(60):
            what = chance.choice(["add", "add", "join", "return", "return now", "quiet"])
            if what == "add":
                await add(client, "b")
                seen.append(await plain.event())
            elif what == "quiet":
                await asyncio.sleep(chance.choice([0.0, 0.3]))
            else:
                start = len(seen) - 1
                headers = [GZIP]
                if what != "join":
                    start = chance.randrange(len(seen)) if what == "return" else start
                    headers.append(f"Last-Event-ID: {seen[start][2]}")
                    start += 1
                stream = await RawStream.open(url, PATHS[0], ACCEPT, *headers)
                assert stream.headers["content-encoding"] == "gzip"
                streams.append((start, stream))
        await add(client, "b")
        seen.append(await plain.event())
        assert len(streams) > 10
        for start, stream in streams:
            assert [await stream.event() for _ in seen[start:]] == seen[start:]
        (await client.delete("/boards/b/")).raise_for_status()
        for _, stream in [(0, plain), *streams]:
            await stream.ended()
            assert stream.finished, "the end has the right checksum"
            stream.close()
