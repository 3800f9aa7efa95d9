"""HTTP's finer points: forms of the target, chunks, a client that ends its side first."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tornado_board.realtime.topic import Topic
from tornado_board.settings import Settings

from .bad_requests import ADD, BOARD, EVENTS
from .problems import problem
from .serving import PATIENCE, Answer, Served, parse, serving
from .stream_client import STREAM

HOST = "Host: localhost\r\n"


async def whole(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server hangs up."""
    return await asyncio.wait_for(reader.read(), PATIENCE)


# The target


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"http://localhost{BOARD}", 200),
        (f"HTTP://127.0.0.1:8888{BOARD}?limit=2", 200),
        (f"https://localhost{BOARD}", 200),
        ("http://localhost", 200),
        ("http://localhost?x", 200),
        ("http://localhost/nothing", 404),
        (f"ftp://localhost{BOARD}", 400),
        (f"http://me@localhost{BOARD}", 400),
        (f"http://{BOARD}", 400),
        ("boards/demo/", 400),
        ("*", 400),
        ("localhost:80", 400),
    ],
)
@pytest.mark.gen_test
async def test_absolute_targets(settings: Settings, target: str, status: int) -> None:
    async with serving(settings) as served:
        answer = await served.request("GET", target)
        if target.endswith("limit=2"):
            assert len(answer.json()["players"]) == 2
    assert answer.status == status
    if status != 200:
        problem(answer)


@pytest.mark.gen_test
async def test_the_host_in_the_target_counts(settings: Settings) -> None:
    """RFC 9112, section 3.2.2; also where it is compared with the page's origin."""
    async with serving(settings) as served:
        origin = {"Origin": "http://127.0.0.1:1"}
        target = f"http://127.0.0.1:1{ADD}"
        assert (await served.request("POST", target, headers=origin)).status == 200
        assert (await served.request("POST", ADD, headers=origin)).status == 403
        # it takes the place of a Host that is there and is one
        for fields in ("", "Host: a b\r\n", f"{HOST}{HOST}"):
            data = f"GET http://localhost{BOARD} HTTP/1.1\r\n{fields}\r\n".encode()
            assert parse(await served.send(data)).status == 400


@pytest.mark.parametrize("target", ["*", "http://localhost"])
@pytest.mark.gen_test
async def test_options_of_the_server(settings: Settings, target: str) -> None:
    async with serving(settings) as served:
        answer = await served.request("OPTIONS", target)
    assert answer.status == 204
    assert answer.headers["Allow"] == "GET, HEAD, POST, PATCH, DELETE, OPTIONS"


# A body in chunks


def in_chunks(data: str) -> bytes:
    return (
        f"POST {ADD} HTTP/1.1\r\n{HOST}Connection: close\r\nContent-Type: application/json\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n{data}"
    ).encode("latin-1")


@pytest.mark.parametrize(
    "data",
    [
        'd\r\n{"amount": 2}\r\n0\r\n\r\n',
        'd;a\r\n{"amount": 2}\r\n0;b=c\r\n\r\n',
        '4 ; a = "b;c" ; d\r\n{"am\r\n009;\r\nount": 2}\r\n000\r\n\r\n',
        'D;\xe9\r\n{"amount": 2}\r\n0\r\nX: y\r\nContent-Length: 5\r\n\r\n',
        f'd;{"x" * 4000}\r\n{{"amount": 2}}\r\n0\r\nX: {"y" * 4000}\r\nX: {"y" * 4000}\r\n\r\n',
    ],
)
@pytest.mark.gen_test
async def test_extensions_and_trailers_are_ignored(settings: Settings, data: str) -> None:
    async with serving(settings) as served:
        at_once = parse(await served.send(in_chunks(data)))
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        step = max(1, len(in_chunks(data)) // 40)
        for i in range(0, len(in_chunks(data)), step):
            writer.write(in_chunks(data)[i : i + step])
            await asyncio.sleep(0)
        in_parts = parse(await whole(reader))
        writer.close()
    assert [at_once.json()["score"], in_parts.json()["score"]] == [21, 23]


@pytest.mark.parametrize(
    "data",
    [
        ";a\r\n{}\r\n0\r\n\r\n",
        "2 \r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2_0\r\n{}\r\n0\r\n\r\n",
        f"{'0' * 16}2\r\n{{}}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",  # some proxy may have seen a line end here
        "2;a\rb\r\n{}\r\n0\r\n\r\n",
        "2;\0\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}xx0\r\n\r\n",
        "2\r\n{}\n\n0\r\n\r\n",
        "2\r\n{}\r\n0\r\nno colon\r\n\r\n",
        "2\r\n{}\r\n0\r\nX : y\r\n\r\n",
        "2\r\n{}\r\n0\r\n folded: y\r\n\r\n",
        "2\r\n{}\r\n0\r\nX: a\nb\r\n\r\n",
        f"2;{'x' * 5000}\r\n{{}}\r\n0\r\n\r\n",
        f"1;{'x' * 4000}\r\n \r\n" * 5 + "0\r\n\r\n",  # more than a header may have
        "2\r\n{}\r\n0\r\n" + f"X: {'x' * 4000}\r\n" * 5 + "\r\n",
    ],
)
@pytest.mark.gen_test
async def test_malformed_chunks_are_refused(settings: Settings, data: str) -> None:
    async with serving(settings) as served:
        before = served.dump()
        answer = parse(await served.send(in_chunks(data)))
        assert answer.status == 400
        assert "HTTP/1.1" in problem(answer)
        assert served.dump() == before


# A client that ends its side first


@contextlib.asynccontextmanager
async def half_closed(served: Served, *parts: bytes) -> AsyncIterator[bytes]:
    """What comes back to a client that sends `parts` and then shuts down its side."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    for part in parts:
        await asyncio.sleep(0.01)
        writer.write(part)
    writer.write_eof()
    try:
        yield await whole(reader)
    finally:
        writer.close()


GET = f"GET {BOARD} HTTP/1.1\r\n{HOST}\r\n".encode()
POST = f"POST {ADD} HTTP/1.1\r\n{HOST}Content-Length: 13\r\n".encode()
POST += b'Content-Type: application/json\r\n\r\n{"amount": 2}'


@pytest.mark.parametrize(
    ("parts", "statuses"),
    [
        ([GET], [200]),
        ([GET[:9], GET[9:]], [200]),
        ([POST], [200]),
        ([POST[:-13], POST[-13:]], [200]),
        ([POST[:-5], POST[-5:-2], POST[-2:]], [200]),
        ([in_chunks("2\r\n{}\r\n0\r\n\r\n")], [200]),
        ([in_chunks("2\r\n{}\r\n"), b"0\r\n", b"\r\n"], [200]),
        # the end comes while the header is being read, in more pieces than one
        ([GET[:-2] + b"X: " + b"x" * 25_000 + b"\r\n\r\n"], [200]),
        ([GET + POST + GET], [200, 200, 200]),
        ([GET + POST + GET[:20]], [200, 200]),
        ([GET[:-2]], []),
        ([POST[:-1]], []),
        ([b""], []),
    ],
)
@pytest.mark.gen_test
async def test_what_has_arrived_whole_is_answered(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, parts: list[bytes], statuses: list[int]
) -> None:
    async with serving(dataclasses.replace(settings, max_header=60_000)) as served:
        add = served.store.add_score

        async def slow(*arguments: Any, **named: Any) -> Any:
            await asyncio.sleep(0.05)  # the end of the client's side comes meanwhile
            return await add(*arguments, **named)

        monkeypatch.setattr(served.store, "add_score", slow)
        async with half_closed(served, *parts) as data:
            got = [int(part.split(b" ", 1)[0]) for part in data.split(b"HTTP/1.1 ")[1:]]
        assert got == statuses
        while served.server.open_connections:
            await asyncio.sleep(0.01)


@pytest.mark.gen_test
async def test_a_slow_answer_costs_no_cpu_meanwhile(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of what a client sends can be "read" for ever."""
    async with serving(settings) as served:
        go = asyncio.Event()
        reached = asyncio.Event()

        async def slow(*_: object) -> list[object]:
            reached.set()
            await go.wait()
            return []

        monkeypatch.setattr(served.store, "list_boards", slow)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(f"GET /boards/ HTTP/1.1\r\n{HOST}\r\n".encode())
        writer.write_eof()
        await reached.wait()
        (http,) = served.server._connections
        connection: Any = http.stream
        reads = 0
        read_from_fd: Callable[[bytearray], int | None] = connection.read_from_fd

        def counted(buf: bytearray) -> int | None:
            nonlocal reads
            reads += 1
            return read_from_fd(buf)

        while not connection.input_ended:
            await asyncio.sleep(0.01)
        monkeypatch.setattr(type(connection), "read_from_fd", lambda _, buf: counted(buf))
        await asyncio.sleep(0.1)
        assert reads < 3
        go.set()
        assert parse(await whole(reader)).json() == {"boards": []}
        writer.close()


async def poll(served: Served, wait: float = 50) -> tuple[bytes, Topic, Callable[[], int]]:
    """A long-poll that will wait, and what tells how many do."""
    topic = await served.hub.open("demo")
    data = f"GET {EVENTS}?since={topic.current.id}&wait={wait} HTTP/1.1\r\n{HOST}\r\n".encode()
    return data, topic, lambda: topic.listeners


@pytest.mark.parametrize(
    ("behind", "statuses"),
    [
        (b"", [200]),
        (GET, [200, 200]),
        (GET * 3 + GET[:9], [200] * 4),
        (b"X" * 200_000, [200]),
    ],
)
@pytest.mark.gen_test
async def test_a_long_poll_does_not_outlast_its_client(
    settings: Settings, behind: bytes, statuses: list[int]
) -> None:
    """Also where another request stands behind it: whoever has ended his side gets an answer."""
    async with serving(settings) as served:
        data, topic, waiting = await poll(served)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(data)
        while not waiting():
            await asyncio.sleep(0.01)
        writer.write(behind)
        await asyncio.sleep(0.05)
        if len(behind) < 100_000:
            assert waiting()
        writer.write_eof()
        got = await whole(reader)
        writer.close()
        while served.server.open_connections:
            await asyncio.sleep(0.01)
        assert not topic.listeners
    answers = [part.partition(b"\r\n\r\n")[2] for part in got.split(b"HTTP/1.1 ")[1:]]
    assert json.loads(answers[0])["events"] == []
    assert [int(part.split(b" ", 1)[0]) for part in got.split(b"HTTP/1.1 ")[1:]][
        : len(statuses)
    ] == (statuses)


@pytest.mark.gen_test
async def test_a_long_poll_whose_client_has_vanished_ends(settings: Settings) -> None:
    async with serving(settings) as served:
        data, _, waiting = await poll(served)
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(data + GET)
        while not waiting():
            await asyncio.sleep(0.01)
        writer.transport.abort()
        while waiting() or served.server.open_connections:
            await asyncio.sleep(0.01)


@pytest.mark.gen_test
async def test_a_stream_to_a_client_that_has_ended_its_side(settings: Settings) -> None:
    """It gets what there is; nothing tells it from a client that has gone."""
    stream = f"GET {BOARD} HTTP/1.1\r\n{HOST}Accept: {STREAM['Accept']}\r\n\r\n".encode()
    async with serving(settings) as served:
        for parts in ((stream,), (stream[:9], stream[9:])):
            async with half_closed(served, *parts) as data:
                assert b"event: update" in data


# A stream by the query


def status_and_type(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.headers["Content-Type"].partition(";")[0]


@pytest.mark.parametrize("path", [BOARD, EVENTS])
@pytest.mark.gen_test
async def test_the_query_asks_for_the_stream(settings: Settings, path: str) -> None:
    for_stream = {"Accept": "text/event-stream"}
    async with serving(settings) as served:
        for query in ("stream", "stream=", "stream=1", "stream=0&stream=1"):
            for accept in ("*/*", "application/json", ""):
                answer = await served.request("HEAD", f"{path}?{query}", None, {"Accept": accept})
                assert status_and_type(answer) == (200, "text/event-stream"), (query, accept)
        for headers in (for_stream, {}):
            answer = await served.request("GET", f"{path}?stream=0", headers=headers)
            assert status_and_type(answer) == (200, "application/json")
            answer = await served.request("GET", f"{path}?stream=yes", headers=headers)
            assert "stream: " in problem(answer)
        async with half_closed(
            served, f"GET {path}?stream=1 HTTP/1.1\r\n{HOST}Accept: */*\r\n\r\n".encode()
        ) as data:
            assert b"event: update" in data


@pytest.mark.gen_test
async def test_answers_in_json_end_with_a_line_end(settings: Settings) -> None:
    async with serving(settings) as served:
        for method, target in (
            ("GET", BOARD),
            ("GET", EVENTS),
            ("GET", "/boards/"),
            ("GET", "/healthz"),
            ("POST", ADD),
            ("POST", "/boards/"),
            ("GET", "/nothing"),
            ("GET", "nothing"),
        ):
            answer = await served.request(method, target)
            assert answer.body.endswith(b"}\n"), (method, target)
            assert answer.body.count(b"\n") == 1
