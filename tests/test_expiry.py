"""Streams and long-polls end when their client may listen no longer."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tornado_board.auth.claims import LEEWAY
from tornado_board.realtime import expiries as expiries_module
from tornado_board.realtime.audience import Audience
from tornado_board.realtime.expiries import Expiries
from tornado_board.realtime.wires import End, Message
from tornado_board.realtime.wires.checksum import Joined
from tornado_board.realtime.wires.sse import CHUNKED, RAW
from tornado_board.settings import Settings

from .serving import PATIENCE, Served, serving
from .test_tls import connected
from .tokens import SECRET, token
from .waiting import until


def end_of(why: End, joined: Joined | None, last: Message) -> bytes:
    return last + CHUNKED.end(None, why)


def raw_end_of(why: End, joined: Joined | None, last: Message) -> bytes:
    return last + RAW.end(None, why)


@pytest.fixture(params=[True, False], ids=["fast", "tornado"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """For a server with the fast path, and for one without."""
    return dataclasses.replace(settings, fast_path=request.param)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Listener:
    """A subscriber that only notes its end."""

    def __init__(self, audience: Audience) -> None:
        self.audience: Audience | None = None
        self.place = -1
        self.joined: Joined | None = None
        self.ended: bytes | None = None
        audience.add(self)

    @property
    def closed(self) -> bool:
        return self.audience is None

    def send(self, data: Message) -> int:
        return len(data)

    def sent(self, data: Message, count: int) -> None: ...

    def refused(self, data: Message, error: OSError) -> None: ...

    def is_dead(self, patience: float) -> bool:
        return False

    def finish(self, end: bytes) -> None:
        self.ended = end
        self.close()

    def close(self) -> None:
        if self.audience is not None:
            self.audience.discard(self)


@pytest.mark.gen_test
async def test_each_ends_when_its_time_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiries_module, "_LONGEST", 0.01)
    clock, audience, raw_audience = Clock(), Audience(end_of), Audience(raw_end_of)
    expiries = Expiries(clock)
    late, soon, gone = (Listener(of) for of in (audience, raw_audience, raw_audience))
    expiries.add(late, CHUNKED, 1020)
    expiries.add(gone, RAW, 1010)
    expiries.add(soon, RAW, 1010)
    gone.close()
    await asyncio.sleep(0.05)
    assert soon.ended is None
    clock.now = 1010
    await until(lambda: soon.ended)
    assert soon.ended == b'event: expired\ndata: {"reason":"the token has expired"}\n\n'
    assert (late.ended, gone.ended) == (None, None)
    clock.now = 1020
    await until(lambda: late.ended)
    assert late.ended is not None
    assert late.ended.endswith(b"\n\n\r\n0\r\n\r\n")
    assert len(expiries) == 0
    assert len(audience) == len(raw_audience) == 0
    expiries.close()


@pytest.mark.gen_test
async def test_those_that_close_before_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiries_module, "_SPARE", 10)
    audience = Audience(end_of)
    expiries = Expiries(Clock())
    expiries._purge_at = 10
    staying = [Listener(audience) for _ in range(5)]
    for listener in staying:
        expiries.add(listener, CHUNKED, 9e9)
    for _ in range(1000):
        passing = Listener(audience)
        expiries.add(passing, CHUNKED, 9e9)
        passing.close()
        assert len(expiries) <= 2 * len(staying) + 10
    expiries.add(passing, CHUNKED, 0)
    assert expiries._streams[0][0] == 9e9, "it had closed already"
    expiries.close()


@pytest.mark.gen_test
async def test_many_end_at_once_in_pieces() -> None:
    audience = Audience(end_of)
    expiries = Expiries(Clock())
    listeners = [Listener(audience) for _ in range(1000)]
    for listener in listeners:
        expiries.add(listener, CHUNKED, 1000.0)
    most = 0
    left = len(audience)
    async with asyncio.timeout(PATIENCE):
        while len(audience):
            await asyncio.sleep(0)
            most, left = max(most, left - len(audience)), len(audience)
    assert all(listener.ended for listener in listeners)
    assert most <= 2 * expiries_module._AT_ONCE
    expiries.close()


# Over HTTP

STREAM = (
    "GET /boards/shut/events/ HTTP/1.%s\r\nHost: localhost\r\nAccept: text/event-stream\r\n%s\r\n"
)


def about_to_expire(seconds: float = 0.5) -> str:
    """The field with a token that is taken for so long."""
    text = token(scope="read", exp=time.time() - LEEWAY + seconds)
    return f"Authorization: Bearer {text}\r\n"


@contextlib.asynccontextmanager
async def guarded(settings: Settings) -> AsyncIterator[Served]:
    settings = dataclasses.replace(settings, token_secret=SECRET)
    async with serving(settings) as served:
        await make(served)
        yield served


async def make(served: Served) -> None:
    from tornado_board.inputs import NewBoard, NewPlayer

    await served.store.create_board(NewBoard(id="shut", private=True))
    await served.store.create_player("shut", NewPlayer(id="ada", name="Ada"))
    await served.hub.open("shut")


async def change(served: Served, board: str, **more: object) -> None:
    """Change a board as somebody else does, behind the API."""
    from tornado_board.inputs import BoardPatch

    await served.store.update_board(board, BoardPatch(**more))  # type: ignore[arg-type]


async def whole(served: Served, request: str, *, at_once: bool = True) -> str:
    """Everything that comes to a request; the connection ends by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    if not at_once:
        writer.write(request[:7].encode())
        await writer.drain()
        await asyncio.sleep(0.02)
        request = request[7:]
    writer.write(request.encode())
    try:
        return (await asyncio.wait_for(reader.read(), PATIENCE)).decode("latin-1")
    finally:
        writer.close()


@pytest.mark.gen_test
async def test_a_stream_ends_with_its_token_and_says_so(settings: Settings) -> None:
    async with guarded(settings) as served:
        for version, at_once in (("1", True), ("1", False), ("0", False)):
            began = time.time()
            got = await whole(served, STREAM % (version, about_to_expire()), at_once=at_once)
            assert time.time() - began > 0.4
            assert got.startswith("HTTP/1.1 200")
            assert "event: update" in got
            assert 'event: expired\ndata: {"reason":"the token has expired"}\n\n' in got
            assert got.endswith("0\r\n\r\n") == (version == "1")


@pytest.mark.gen_test
async def test_over_tls_too(secure: Settings) -> None:
    async with guarded(secure) as served:
        secure = dataclasses.replace(secure)
        reader, writer = await connected(secure, served.port)
        writer.write((STREAM % ("1", about_to_expire())).encode())
        got = (await asyncio.wait_for(reader.read(), PATIENCE)).decode()
        assert "event: expired" in got
        writer.close()


@pytest.mark.gen_test
async def test_a_public_board_is_not_left(settings: Settings) -> None:
    async with guarded(settings) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write((STREAM % ("1", about_to_expire(0.2))).replace("shut", "demo").encode())
        await asyncio.wait_for(reader.readuntil(b"event: update"), PATIENCE)
        assert len(served.hub.expiries) == 0
        writer.close()


@pytest.mark.gen_test
async def test_a_long_poll_does_not_outlast_its_token(settings: Settings) -> None:
    async with guarded(settings) as served:
        topic = await served.hub.open("shut")
        poll = (
            f"GET /boards/shut/events/?since={topic.current.id}&wait=%s HTTP/1.1\r\n"
            "Host: localhost\r\nConnection: close\r\n%s\r\n"
        )
        got = await whole(served, poll % (1, about_to_expire()))
        assert got.startswith("HTTP/1.1 401"), got
        waiting = asyncio.ensure_future(whole(served, poll % (20, about_to_expire())))
        await until(lambda: topic.listeners)
        await asyncio.sleep(0.6)
        await change(served, "shut", name="Hidden")
        got = await waiting
        assert got.startswith("HTTP/1.1 401")
        assert "Hidden" not in got
        assert "The token has expired." in got


@pytest.mark.gen_test
async def test_who_listens_to_a_board_that_becomes_private_hears_no_more(
    settings: Settings,
) -> None:
    """Whoever changes it, and however it comes to be known: the event says it."""
    async with guarded(settings) as served:
        topic = await served.hub.open("demo")
        public = STREAM.replace("shut", "demo")
        streams = [
            asyncio.ensure_future(whole(served, public % ("1", ""), at_once=at_once))
            for at_once in (True, False)
        ]
        poll = asyncio.ensure_future(
            whole(
                served,
                f"GET /boards/demo/events/?since={topic.current.id}&wait=20 HTTP/1.1\r\n"
                "Host: localhost\r\nConnection: close\r\n\r\n",
            )
        )
        await until(lambda: topic.listeners == 3)
        await change(served, "demo", name="Hidden", private=True)
        for stream in streams:
            got = await stream
            assert "Demo board" in got
            assert "Hidden" not in got
            assert got.endswith("0\r\n\r\n")
        got = await poll
        assert got.startswith("HTTP/1.1 401")
        assert "Hidden" not in got
        assert (await served.request("GET", "/boards/demo/")).status == 401
        # And who may goes on from where it was.
        bearer = f"Authorization: Bearer {token(scope='read', exp=time.time() - LEEWAY + 1)}\r\n"
        since = f"Last-Event-ID: {topic.current.id}\r\n"
        going_on = asyncio.ensure_future(whole(served, public % ("1", bearer + since)))
        await until(lambda: topic.listeners == 1)
        await change(served, "demo", name="Known")
        assert re.findall(r'"name":"([KHD]\w+)', await going_on) == ["Known"]


@pytest.mark.gen_test
async def test_a_stream_that_opens_while_its_board_becomes_private_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was let in when the board was public, and would hear what comes after."""
    async with guarded(settings) as served:
        topic = await served.hub.open("demo")
        asked, go_on = asyncio.Event(), asyncio.Event()
        confirm = served.hub.confirm

        async def slowly(*arguments: Any, **named: Any) -> None:
            asked.set()
            await go_on.wait()
            await confirm(*arguments, **named)

        monkeypatch.setattr(served.hub, "confirm", slowly)
        monkeypatch.setattr(served.hub, "is_confirmed", lambda *_, **__: False)
        request = STREAM.replace("shut", "demo") % ("1", "Connection: close\r\n")
        opening = asyncio.ensure_future(whole(served, request))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        await change(served, "demo", name="Hidden", private=True)
        await until(lambda: "Hidden" in topic.current.data)
        go_on.set()
        got = await opening
        assert got.startswith("HTTP/1.1 401")
        assert "Hidden" not in got
