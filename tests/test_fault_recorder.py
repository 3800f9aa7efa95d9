"""The fault harness's clients and writers record what happened, and behave as the field's do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from tornado_board.replay import EventId

from .faults.record import ClientLog, Entry, Malformed, Opened, Outcome, Record, Reset, Update
from .faults.recorder import Behaviour, Boards, Client, Writer

pytestmark = pytest.mark.gen_test


class Script:
    """A server that gives these answers, one a connection; `asked` has the requests' heads."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if self.answers:
            self.asked.append(head)
            writer.write(self.answers.pop(0))
            await writer.drain()
        else:
            self.done.set()
        writer.close()


@contextlib.asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[tuple[Script, int]]:
    script = Script(*answers)
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    yield script, server.sockets[0].getsockname()[1]
    server.close()


def board(score: int) -> str:
    return json.dumps({"id": "b", "name": "B", "players": [{"id": "p", "score": score}]})


def event(score: int, id: str | None) -> bytes:
    line = "" if id is None else f"id: {id}\n" if id else "id:\n"
    return f"event: update\ndata: {board(score)}\n{line}\n".encode()


def stream(*blocks: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + b"".join(blocks)


def answer(status: int, body: object) -> bytes:
    data = json.dumps(body).encode()
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(data), data)


async def follow(way: str, *answers: bytes) -> tuple[Script, Sequence[Entry]]:
    """What a client asks of a server with this script, and what it records."""
    log = ClientLog("client", "b")
    async with scripted(*answers) as (script, port):
        client = Client(log, Behaviour(way, None), [port], 1, Boards())
        following = asyncio.create_task(client.run())
        await script.done.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    return script, log.entries


RESET = b'event: reset\ndata: {"reason": "why"}\n\n'


async def test_a_stream_is_recorded() -> None:
    _, entries = await follow("stream", stream(event(1, "1-2"), RESET, event(2, None)))
    first, reset, second = (e for e in entries if isinstance(e, Update | Reset))
    assert isinstance(first, Update)
    assert (first.id, first.scores) == (EventId(1, 2), {"p": 1})
    assert isinstance(reset, Reset)
    assert reset.reason == "why"
    assert isinstance(second, Update)
    assert (second.id, second.scores) == (None, {"p": 2})


@pytest.mark.parametrize(
    ("blocks", "since"),
    [
        ([event(1, "1-2")], "1-2"),
        ([event(1, "1-2"), event(2, None)], "1-2"),
        ([event(1, "1-2"), event(2, "")], ""),
        ([event(1, "1-2"), event(2, "1-3")[:-1]], "1-2"),  # cut in the middle
    ],
)
async def test_a_stream_is_resumed_as_an_event_source_does(blocks: list[bytes], since: str) -> None:
    script, entries = await follow("stream", stream(*blocks), stream())
    assert [e.since for e in entries if isinstance(e, Opened)][:2] == ["", since]
    assert ("Last-Event-ID: 1-2\r\n" in script.asked[1]) is bool(since)


async def test_chunks_are_taken_apart() -> None:
    data = event(1, "1-2")
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    _, entries = await follow("stream", head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
    assert [e.id for e in entries if isinstance(e, Update)] == [EventId(1, 2)]


async def test_a_long_poll_passes_on_what_it_was_given() -> None:
    events = [
        {"id": None, "event": "reset", "data": {"reason": "why"}},
        {"id": None, "event": "update", "data": json.loads(board(3))},
    ]
    script, entries = await follow(
        "poll",
        answer(200, {"events": events, "last_event_id": "0-0"}),
        answer(200, {"events": [], "last_event_id": None}),
        answer(200, {"events": [], "last_event_id": "1-2"}),
    )
    assert [e.since for e in entries if isinstance(e, Opened)] == ["", "0-0", "", "1-2"]
    assert [type(e) for e in entries if isinstance(e, Update | Reset)] == [Reset, Update]
    assert "since=0-0" in script.asked[1]


@pytest.mark.parametrize(
    "bad",
    [
        stream(b"event: update\ndata: {}\n\n"),
        stream(b"event: other\ndata: {}\n\n"),
        stream(event(1, "1")),
        b"HTTP/1.1 200 OK\r\n\r\nevent\n\n",
    ],
)
async def test_what_the_protocol_does_not_have_is_recorded(bad: bytes) -> None:
    _, entries = await follow("stream", bad)
    assert any(isinstance(e, Malformed) for e in entries)


@pytest.mark.parametrize(
    ("given", "outcome", "score"),
    [
        (answer(200, {"score": 7}), Outcome.ANSWERED, 7),
        (answer(404, {"status": 404}), Outcome.REFUSED, None),
        (answer(503, {"status": 503, "detail": "is away"}), Outcome.REFUSED, None),
        (answer(503, {"status": 503, "detail": "may have been applied"}), Outcome.UNKNOWN, None),
        (answer(500, {"status": 500, "detail": "a mistake"}), Outcome.UNKNOWN, None),
        (answer(200, {"score": 7})[:-3], Outcome.UNKNOWN, None),
        (b"", Outcome.UNKNOWN, None),
    ],
)
async def test_outcomes_of_additions(given: bytes, outcome: Outcome, score: int | None) -> None:
    record = Record()

    def whose(chance: random.Random) -> tuple[str, str, int]:
        return "b", "p", 5

    stop = asyncio.Event()
    async with scripted(given) as (script, port):
        writing = asyncio.create_task(Writer(record, [port], 0.01, whose, 1).run(stop))
        await script.done.wait()
        stop.set()
        await writing
    post = record.posts[0]
    assert (post.outcome, post.score, post.amount) == (outcome, score, 5)
    assert (post.ended < float("inf")) is (b"}" in given)
