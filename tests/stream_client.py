"""Clients of event streams and long-polls, as black-box tests need them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
import httpx_sse

from tornado_board.replay import EventId

from .waiting import PATIENCE as PATIENCE

STREAM = {"Accept": "text/event-stream"}


@contextlib.asynccontextmanager
async def http_client(url: str, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client whose paths are those of the server at `url`."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(
        base_url=url, timeout=PATIENCE, limits=limits, trust_env=False, **options
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def event_source(
    client: httpx.AsyncClient, path: str, **options: Any
) -> AsyncIterator[AsyncIterator[httpx_sse.ServerSentEvent]]:
    """The events at `path`, as httpx-sse reads them."""
    async with httpx_sse.aconnect_sse(client, "GET", path, **options) as source:
        source.response.raise_for_status()
        yield source.aiter_sse()


async def next_event(events: AsyncIterator[httpx_sse.ServerSentEvent]) -> httpx_sse.ServerSentEvent:
    return await asyncio.wait_for(anext(events), PATIENCE)


async def make_board(
    client: httpx.AsyncClient, board: str, scores: Mapping[str, float] = {"p": 0}
) -> None:
    """A board `board` whose players have the ids and `scores` given."""
    (await client.post("/boards/", json={"id": board})).raise_for_status()
    for player, score in scores.items():
        body = {"id": player, "name": player, "score": score}
        (await client.post(f"/boards/{board}/players/", json=body)).raise_for_status()


async def add(client: httpx.AsyncClient, board: str, player: str = "p", amount: float = 1) -> Any:
    """Add to a score; the player as it stands after that."""
    response = await client.post(
        f"/boards/{board}/players/{player}/score-add/", json={"amount": amount}
    )
    response.raise_for_status()
    return response.json()


async def newest_id(client: httpx.AsyncClient, board: str, since: str = "") -> str:
    """The id of the board's newest event; wait for one after `since`.

    Whoever counts events waits for each before the next change: those of a busy machine coalesce.
    """
    params = {"since": since, "wait": "30"} if since else {}
    answer = (await client.get(f"/boards/{board}/events/", params=params)).raise_for_status()
    newest: str = answer.json()["last_event_id"]
    assert newest != since, f"no event of {board} after {since}"
    return newest


class Writer:
    """One keep-alive connection that adds to scores; hundreds of them cost a test little."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._where = (parts.hostname, parts.port)
        self._connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def add(self, board: str, player: str = "p") -> int:
        """The score after adding 1. Raises `OSError` or `EOFError` where no answer comes."""
        if self._connection is None:
            self._connection = await asyncio.open_connection(*self._where)
        reader, writer = self._connection
        writer.write(
            f"POST /boards/{board}/players/{player}/score-add/ HTTP/1.1\r\n"
            "Host: localhost\r\nContent-Length: 0\r\n\r\n".encode()
        )
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        status = int(head.split(b" ", 2)[1])
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        assert length, head
        body = await asyncio.wait_for(reader.readexactly(int(length[1])), PATIENCE)
        assert status == 200, body
        score: int = json.loads(body)["score"]
        return score

    def close(self) -> None:
        """Hang up; the next addition connects anew."""
        if self._connection is not None:
            self._connection[1].transport.abort()
            self._connection = None


async def event_ids(client: httpx.AsyncClient, board: str) -> list[EventId]:
    """The ids of the events in the board's replay log."""
    response = await client.get(f"/boards/{board}/events/", params={"history": 1000})
    return [EventId.parse(event["id"]) for event in response.json()["events"]]


class Block(NamedTuple):
    """What lies between two empty lines of an event stream: an event, or comments."""

    fields: dict[str, str]
    comments: list[str]


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk of a body (RFC 9112, section 7.1), empty for the last one.

    Raises `asyncio.IncompleteReadError` if the body ends without one.
    """
    line = await reader.readuntil(b"\r\n")
    assert re.fullmatch(rb"0|[1-9a-f][0-9a-f]*", line[:-2]), f"no size of a chunk: {line!r}"
    data = await reader.readexactly(int(line, 16))
    assert await reader.readexactly(2) == b"\r\n"
    return data


class RawStream:
    """An event stream read from a bare socket, block by block, as it comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}
        #: Whether the server said that the body was at its end.
        self.finished = False
        self._reading: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        url: str,
        path: str,
        *headers: str,
        method: str = "GET",
        version: str = "1.1",
        sock: Any = None,
    ) -> RawStream:
        """Ask for `path`; `sock` is a socket that is connected already."""
        parts = urlsplit(url)
        where = {"sock": sock} if sock else {"host": parts.hostname, "port": parts.port}
        stream = cls(*await asyncio.open_connection(**where, limit=2**22))
        lines = [f"{method} {path} HTTP/{version}", *headers]
        if version == "1.1":
            lines.append(f"Host: {parts.netloc}")
        stream.writer.write("\r\n".join([*lines, "", ""]).encode())
        head = await asyncio.wait_for(stream.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        start, *fields = head.decode().split("\r\n")[:-2]
        stream.status = int(start.split()[1])
        stream.headers = {k.lower(): v for k, v in (f.split(": ", 1) for f in fields)}
        if stream.headers.get("transfer-encoding") == "chunked":
            raw, stream.reader = stream.reader, asyncio.StreamReader(limit=2**22)
            stream._reading = asyncio.ensure_future(stream._read_chunks(raw))
        return stream

    async def _read_chunks(self, raw: asyncio.StreamReader) -> None:
        """Feed the body without its framing to `reader`."""
        inflate = None
        if self.headers.get("content-encoding") == "gzip":
            inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            while data := await read_chunk(raw):
                self.reader.feed_data(inflate.decompress(data) if inflate else data)
            # A gzip stream is at its end when its checksum was read, which has to be right.
            self.finished = inflate is None or inflate.eof
        except asyncio.IncompleteReadError as error:
            self.reader.feed_data(error.partial)
        except Exception as error:
            self.reader.set_exception(error)
            return
        self.reader.feed_eof()

    async def block(self) -> Block:
        """The next block. Raises `asyncio.IncompleteReadError` at the end of the stream."""
        data = await asyncio.wait_for(self.reader.readuntil(b"\n\n"), PATIENCE)
        fields, comments = {}, []
        for line in data.decode()[:-2].split("\n"):
            name, colon, value = line.partition(":")
            assert colon, f"no field: {line!r}"
            value = value.removeprefix(" ")
            if name:
                assert name not in fields, f"{name} twice in {data!r}"
                fields[name] = value
            else:
                comments.append(value)
        return Block(fields, comments)

    async def event(self) -> tuple[str, Any, EventId | None]:
        """The next event's type, data and id; an event that is torn isn't JSON."""
        while True:
            fields = (await self.block()).fields
            if "data" in fields:
                event_id = EventId.parse(fields["id"]) if fields.get("id") else None
                return fields["event"], json.loads(fields["data"]), event_id

    async def ended(self) -> bytes:
        """Wait for the end of the stream; what came until then."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)

    def close(self) -> None:
        self.writer.transport.abort()
        if self._reading is not None:
            self._reading.cancel()


class Follower:
    """A client that follows a board through disconnects, over streams and long-polls.

    It keeps the counter of each event it was sent, and where it was told of a reset.
    """

    def __init__(self, board: str, seed: int) -> None:
        self.path = f"/boards/{board}/"
        self.random = random.Random(seed)
        self.last_event_id = ""
        self.counters: list[int] = []
        self.resets: list[str] = []
        self.shown: Any = None
        #: How often it came back and said what it had seen last.
        self.returns = 0

    def take(self, kind: str, data: Any, event_id: str | None) -> None:
        if kind == "reset":
            self.resets.append(data["reason"])
            return
        assert kind == "update"
        assert event_id is not None, "an update without an id"
        self.last_event_id = event_id
        self.counters.append(EventId.parse(event_id).n)
        self.shown = data

    async def stream(self, client: httpx.AsyncClient, seconds: float) -> None:
        """Follow the stream for some seconds, and hang up wherever it is then."""
        headers: dict[str, str] = {}
        params: dict[str, str] = {}
        if self.last_event_id:
            self.returns += 1
            way = self.random.choice(["Last-Event-ID", "lastEventId", "last_event_id"])
            (headers if way == "Last-Event-ID" else params)[way] = self.last_event_id
        path = self.path + self.random.choice(["", "events", "events/"])
        async with event_source(client, path, headers=headers, params=params) as events:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    async for event in events:
                        self.take(event.event, json.loads(event.data), event.id)

    async def poll(self, client: httpx.AsyncClient, wait: float) -> None:
        """One long-poll."""
        params: dict[str, Any] = {"wait": f"{wait:.3f}"}
        if self.last_event_id:
            self.returns += 1
            params["since"] = self.last_event_id
        response = await client.get(self.path + "events/", params=params)
        response.raise_for_status()
        answer = response.json()
        for event in answer["events"]:
            self.take(event["event"], event["data"], event["id"])
        assert answer["last_event_id"] == self.last_event_id

    async def follow_until(self, client: httpx.AsyncClient, shown: Any) -> None:
        """Follow the stream until the board looks like that; through refused connections too."""
        async with asyncio.timeout(PATIENCE):
            while self.shown != shown:
                with contextlib.suppress(httpx.TransportError):
                    await self.stream(client, 0.2)

    def check_whole(self) -> None:
        """Every event came once, in order, and none was left out."""
        assert self.resets == []
        first = self.counters[0]
        assert self.counters == list(range(first, first + len(self.counters)))


def is_event_id(text: str) -> bool:
    return re.fullmatch(r"\d{13}-\d+", text) is not None


def contiguous(ids: Iterable[EventId]) -> bool:
    """Whether the counters of `ids` go up by exactly one, and their clock never down."""
    ids = list(ids)
    steps = itertools.pairwise(ids)
    return all(b.n == a.n + 1 and b.ms >= a.ms for a, b in steps)
