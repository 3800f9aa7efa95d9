"""Upstreams that answer wrongly, late, in pieces, too much or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tornado_board.store import NotFound
from tornado_board.upstream import (
    UpstreamBroke,
    UpstreamBusy,
    UpstreamError,
    UpstreamLate,
    UpstreamRefused,
    UpstreamUnreachable,
)
from tornado_board.upstream.address import Address
from tornado_board.upstream.asking import told_after
from tornado_board.upstream.board_stream import events
from tornado_board.upstream.event_stream import StreamEvent
from tornado_board.upstream.pool import Pool
from tornado_board.upstream.upstreams import Upstreams

from .edges import Serve, edge_of, edge_settings, url_of
from .stream_client import RawStream, http_client
from .waiting import until

#: What an origin says of whom it follows.
ABOUT = b'{"servers":[],"missing":[]}'

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


def whole(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


def one_event(id: str, data: str) -> bytes:
    """The answer to a long-poll with one event."""
    sent = f'{{"id":"{id}","event":"update","data":{data}}}'
    return f'{{"events":[{sent}],"last_event_id":"{id}"}}'.encode()


class Fake:
    """A server that says what a test wants it to, by the path that it is asked for."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Write] = {"/upstream/": whole(ABOUT)}
        self.asked: list[str] = []
        self.heads: list[str] = []
        self.connections = 0
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split(" ", 2)
                for line in head.lower().split("\r\n"):
                    if line.startswith("content-length:"):
                        await reader.readexactly(int(line.partition(":")[2]))
                self.asked.append(f"{method} {target}")
                self.heads.append(head)
                answer = self.answers.get(target.partition("?")[0], whole(b"{}", "404 Not Found"))
                if isinstance(answer, bytes):
                    writer.write(answer)
                    await writer.drain()
                else:
                    await answer(writer)
                    break
        writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def faked() -> AsyncIterator[Fake]:
    fake = Fake()
    server = await asyncio.start_server(fake.serve, "127.0.0.1", 0)
    fake.port = server.sockets[0].getsockname()[1]
    try:
        yield fake
    finally:
        server.close()
        for task in fake.tasks:
            task.cancel()
        await asyncio.gather(*fake.tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def asking(*urls: str, within: float = 10) -> AsyncIterator[Upstreams]:
    addresses = [Address.parse(url) for url in urls]
    upstreams = Upstreams(addresses, None, own="tornado-board-test", timeout=within)
    await upstreams.start(1)
    try:
        yield upstreams
    finally:
        await upstreams.close()


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(5)


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(5)


async def cut(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


async def close(writer: asyncio.StreamWriter) -> None:
    pass


EVENTS = "/boards/b/events/"
WRONG: list[tuple[bytes | Write, type[Exception]]] = [
    (hang, UpstreamLate),
    (trickle, UpstreamLate),
    (cut, UpstreamBroke),
    (close, UpstreamBroke),
    (b"SSH-2.0-OpenSSH\r\n\r\n", UpstreamBroke),
    (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", UpstreamBroke),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", UpstreamBroke),
    (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        UpstreamBroke,
    ),
    (whole(b"not json"), UpstreamBroke),
    (
        whole(b'{"events":[{"id":"x","event":"update","data":{}}],"last_event_id":""}'),
        UpstreamBroke,
    ),
    (whole(b"<html>", "302 Found", "Location: /elsewhere"), UpstreamRefused),
    (whole(b'{"detail":"the board is busy"}', "503 Service Unavailable"), UpstreamBusy),
    (whole(b"", "504 Gateway Timeout"), UpstreamLate),
    (whole(b"", "500 Internal Server Error"), UpstreamRefused),
    (whole(b'{"detail":"no such thing"}', "404 Not Found"), NotFound),
]


@pytest.mark.gen_test
@pytest.mark.parametrize(("answer", "error"), WRONG, ids=range(len(WRONG)))
async def test_a_wrong_answer_is_told_as_what_it_is(
    answer: bytes | Write, error: type[Exception]
) -> None:
    late = answer in (hang, trickle)
    async with faked() as fake, asking(fake.url, within=0.3 if late else 10) as upstreams:
        fake.answers[EVENTS] = answer
        with pytest.raises(error) as told:
            await told_after(upstreams, "b", None)
        if error is not NotFound:
            assert fake.url in str(told.value)


@pytest.mark.gen_test
async def test_an_answer_without_an_end_is_given_up() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
            await writer.drain()

    async with faked() as fake, asking(fake.url, within=5) as upstreams:
        fake.answers[EVENTS] = endless
        with pytest.raises(UpstreamBroke, match="more than"):
            await told_after(upstreams, "b", None)


@pytest.mark.gen_test
async def test_interim_answers_pieces_and_ends_of_all_kinds_are_read() -> None:
    body = one_event("1-2", '{"id":"b"}')
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)

    async def raw(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)

    forms: list[bytes | Write] = [
        whole(body),
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + whole(body),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX: y\r\n\r\n",
        raw,
    ]
    async with faked() as fake, asking(fake.url) as upstreams:
        for form in forms:
            fake.answers[EVENTS] = form
            (arrived,) = await told_after(upstreams, "b", None)
            assert arrived.event.data == '{"id":"b"}'
        assert fake.connections == 2, "one looks, and one asks"


@pytest.mark.gen_test
async def test_a_connection_that_was_being_closed_costs_a_read_nothing_and_a_write_a_try() -> None:
    async with faked() as fake, asking(fake.url) as upstreams:
        fake.answers["/x"] = whole(b"{}")
        (await upstreams.ask("GET", "/x")).close()
        for method, repeatable in (("GET", True), ("POST", False)):
            await upstreams.available()
            reply = await upstreams.ask("GET", "/x")
            await reply.whole(1)
            reply.close()
            fake.answers["/y"] = close
            fake.asked.clear()
            with pytest.raises(UpstreamError):
                await upstreams.ask(method, "/y", repeatable=repeatable)
            assert fake.asked == [f"{method} /y"] * (2 if repeatable else 1)


@pytest.mark.gen_test
async def test_a_write_is_sent_to_one_upstream_a_read_to_the_next_one_too() -> None:
    async with faked() as first, faked() as second, asking(first.url, second.url) as upstreams:
        first.answers["/x"] = whole(b"{}", "502 Bad Gateway")
        second.answers["/x"] = whole(b"{}")
        for method, repeatable, status in (("POST", False, 502), ("GET", True, 200)):
            reply = await upstreams.ask(method, "/x", repeatable=repeatable)
            assert reply.status == status
            reply.close()
        assert "POST /x" not in second.asked
        first.answers["/x"] = second.answers["/x"] = close
        with pytest.raises(UpstreamBroke):
            await upstreams.ask("POST", "/x", body=b"{}", repeatable=False)
        assert first.asked.count("POST /x") + second.asked.count("POST /x") == 2


@pytest.mark.gen_test
async def test_credentials_of_an_address_are_sent_and_never_told() -> None:
    async with faked() as fake:
        url = fake.url.replace("//", "//user:secret@")
        async with asking(url) as upstreams:
            (await upstreams.ask("GET", "/x")).close()
            (await upstreams.ask("GET", "/x", [("authorization", "Bearer t")])).close()
            assert "Authorization: Basic dXNlcjpzZWNyZXQ=" in fake.heads[0]
            assert "Authorization: Basic dXNlcjpzZWNyZXQ=" in fake.heads[1]
            assert "Basic" not in fake.heads[2]
            assert "secret" not in upstreams.description
            fake.answers[EVENTS] = close
            with pytest.raises(UpstreamBroke) as told:
                await told_after(upstreams, "b", None)
            assert "secret" not in str(told.value)


@pytest.mark.gen_test
async def test_there_are_no_more_connections_than_there_may_be() -> None:
    async with faked() as fake:
        pool = Pool(Address.parse(fake.url), None, most=2, waiting=2)
        taken = [await pool.take(1) for _ in range(2)]
        waiting = [asyncio.create_task(pool.take(0.2)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(UpstreamBusy, match="too many requests wait"):
            await pool.take(1)
        pool.give_back(taken[0])
        third = await waiting[0]
        with pytest.raises(UpstreamBusy, match="under way"):
            await waiting[1]
        given_up = asyncio.create_task(pool.take(5))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        pool.give_back(third)
        pool.give_back(taken[1])
        again = [await pool.take(1) for _ in range(2)]
        for connection in again:
            pool.give_back(connection)
        with pytest.raises(UpstreamUnreachable):
            await Pool(Address.parse("http://127.0.0.1:9"), None, most=1, waiting=1).take(1)
        pool.close()


@pytest.mark.gen_test
@pytest.mark.parametrize(
    "body",
    [
        b"\x1f\x8b\x08\x00nonsense",
        zlib.compress(b"data: x\n\n"),
        b"",
    ],
)
async def test_a_stream_that_is_no_gzip_breaks_off(body: bytes) -> None:
    async with faked() as fake, asking(fake.url) as upstreams:

        async def stream(writer: asyncio.StreamWriter) -> None:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                b"Content-Encoding: gzip\r\n\r\n" + body
            )

        fake.answers["/events/"] = stream
        reply = await upstreams.open_stream("/events/", [])
        got: list[StreamEvent] = []
        with contextlib.suppress(UpstreamBroke):
            async for some in events(reply, 1):
                got += some
        assert got == []
        reply.close()


@pytest.mark.gen_test
async def test_what_is_no_stream_of_events_is_told() -> None:
    async with faked() as fake, asking(fake.url) as upstreams:
        fake.answers["/events/"] = whole(b"{}", "200 OK", "Content-Type: application/json")
        reply = await upstreams.open_stream("/events/", [])
        with pytest.raises(UpstreamBroke, match="no event stream"):
            async for _ in events(reply, 1):
                pass
        reply.close()


@pytest.mark.gen_test
async def test_a_client_is_told_which_upstream_failed_and_how(
    serving: Serve, tmp_path: Path
) -> None:
    async with faked() as fake:
        edge = await serving(edge_settings(tmp_path, fake.url, upstream_timeout=0.3))
        path = "/boards/b/players/p/"
        async with http_client(url_of(edge)) as here:
            for answer, status in ((hang, 504), (close, 502), (b"nonsense\r\n\r\n", 502)):
                fake.answers[path] = answer
                fake.answers[path + "score/"] = answer
                await until(lambda: not edge_of(edge).upstreams.down)
                read = await here.get(path)
                assert read.status_code == status
                assert fake.url in read.json()["detail"]
                assert read.headers["content-type"].startswith("application/problem+json")
                await until(lambda: not edge_of(edge).upstreams.down)
                written = await here.post(path + "score/", json={"score": 1})
                assert written.status_code == status
                assert "may have been made or not" in written.json()["detail"]
                assert fake.asked.count(f"POST {path}score/") == 1
                fake.asked.clear()


@pytest.mark.gen_test
async def test_events_that_make_no_sense_do_no_harm(serving: Serve, tmp_path: Path) -> None:
    def update(n: int) -> bytes:
        return b'event: update\ndata: {"id":"b","n":%d}\nid: b:%d-%d\n\n' % (n, n, n)

    async with faked() as fake:
        edge = await serving(edge_settings(tmp_path, fake.url))
        fake.answers[EVENTS] = whole(one_event("1-1", '{"id":"b","n":1}'))
        go_on = asyncio.Event()

        async def stream(writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1\n\n")
            writer.write(b"event: update\ndata: [not json\n\n")
            writer.write(b"event: update\ndata: {}\n\n")
            writer.write(b'event: update\ndata: {"id":"b"}\nid: b:x\n\n')
            writer.write(b'event: update\ndata: {"id":"other"}\nid: other:1-1\n\n')
            writer.write(b'event: surprise\ndata: {"id":"b"}\nid: b:9-9\n\n')
            writer.write(update(2) + update(2) + update(1) + update(3))
            await writer.drain()
            await go_on.wait()

        fake.answers["/events/"] = stream
        client = await RawStream.open(url_of(edge), "/boards/b/", "Accept: text/event-stream")
        assert [(await client.event())[1]["n"] for _ in range(3)] == [1, 2, 3]
        client.close()
        go_on.set()
