"""Clients and writers of a run. Each goes to a server at random, and records what it sees.

They behave as the field's do: an EventSource keeps the id of the last event that came whole and
forgets it at an empty one, a long-poll passes on the ``last_event_id`` that it was given.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tornado_board.replay import EventId

from .record import ClientLog, Closed, Malformed, Opened, Outcome, Post, Record, Reset, Update
from .wire import Chunks, Dispatched, Events, WireError, read_head, read_json

#: How long a client waits for anything at all before it tries elsewhere, in seconds. Servers of a
#: run send a comment every second.
SILENCE = 5.0

#: How long a writer waits for an answer.
ANSWER = 10.0

#: How long a long-poll of a run waits.
_WAIT = 2.0

#: Bytes that a client which reads slowly takes in unread.
_LITTLE = 4_096

#: Parsed boards that are kept, since each event reaches several clients.
_KEPT = 20_000


@dataclass(slots=True)
class Behaviour:
    """What a client does. A `way` of ``both`` changes between stream and long-poll."""

    way: str
    #: Bounds of the seconds that it stays on a stream; a client that never hops stays for good.
    stays: tuple[float, float] | None
    #: The longest that it goes without reading, in seconds.
    dawdles: float = 0


class Boards:
    """Reads the boards of events; the same bytes only once."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, int]] = {}

    def scores(self, text: str) -> dict[str, int]:
        known = self._known.get(text)
        if known is None:
            known = scores_of(json.loads(text))
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[text] = known
        return known


def scores_of(board: Any) -> dict[str, int]:
    """Each player's score. Raises `WireError` if `board` is no board."""
    try:
        players = [(p["id"], p["score"]) for p in board["players"]]
    except (TypeError, KeyError):
        raise WireError(f"no board: {str(board)[:200]}") from None
    scores = dict(players)
    if len(scores) != len(players) or players != sorted(players, key=lambda p: (-p[1], p[0])):
        raise WireError(f"players out of order: {players}")
    return scores


class Client:
    """Follows one board for as long as `run` runs; `log` has what it saw.

    Args:
        ports: where the servers listen at present, by their number.
    """

    def __init__(
        self, log: ClientLog, behaviour: Behaviour, ports: Sequence[int], seed: int, boards: Boards
    ) -> None:
        self.log = log
        self.behaviour = behaviour
        self.ports = ports
        self.random = random.Random(seed)
        self.boards = boards
        self.last_id = ""
        #: The newest board.
        self.shown: dict[str, int] | None = None
        #: Set once it stays where it is from now on.
        self.settles = asyncio.Event()

    async def run(self) -> None:
        server = self.random.randrange(len(self.ports))
        while True:
            way = self.behaviour.way
            if way == "both":
                way = self.random.choice(("stream", "poll"))
            follow = self._stream if way == "stream" else self._poll
            why = "hops"
            try:
                await follow(server)
            except WireError as error:
                self._add(Malformed(time.monotonic(), server, str(error)))
            except TimeoutError:
                why = "silence"
            except (OSError, EOFError) as error:
                why = type(error).__name__
            self._add(Closed(time.monotonic(), server, why))
            await asyncio.sleep(self.random.uniform(0.02, 0.4))
            if why != "hops" or not self.settles.is_set():
                server = self.random.randrange(len(self.ports))

    def _add(self, entry: Opened | Update | Reset | Closed | Malformed) -> None:
        self.log.entries.append(entry)

    async def _stream(self, server: int) -> None:
        """Follow the stream until it is time to hop, or it ends (`EOFError`) or fails."""
        until = float("inf")
        if self.behaviour.stays is not None:
            until = time.monotonic() + self.random.uniform(*self.behaviour.stays)
        self._add(Opened(time.monotonic(), server, "stream", self.last_id))
        fields = ["Accept: text/event-stream"]
        if self.last_id:
            fields.append(f"Last-Event-ID: {self.last_id}")
        path = f"/boards/{self.log.board}/events/"
        slow = self.behaviour.dawdles > 0
        async with connected(self.ports[server], _LITTLE if slow else 2**20) as (reader, writer):
            writer.write(request("GET", path, *fields))
            async with asyncio.timeout(ANSWER):
                head = await read_head(reader)
            if head.status != 200:
                raise ConnectionError(f"status {head.status}")
            chunks = Chunks() if head.chunked else None
            events = Events()
            while time.monotonic() < until or self.settles.is_set():
                async with asyncio.timeout(SILENCE):
                    data = await reader.read(65_536)
                if not data:
                    raise EOFError
                for event in events.feed(chunks.feed(data) if chunks else data):
                    self._take(server, event)
                if chunks and chunks.ended:
                    raise EOFError
                if slow:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self.random.uniform(0, self.behaviour.dawdles)):
                            await self.settles.wait()

    def _take(self, server: int, event: Dispatched) -> None:
        now = time.monotonic()
        if event.id is not None:
            self.last_id = event.id
        if event.event == "reset":
            self._add(Reset(now, server, json.loads(event.data)["reason"]))
        elif event.event == "update":
            self._show(now, server, event.id, self.boards.scores(event.data))
        else:
            raise WireError(f"event {event.event!r}")

    def _show(self, now: float, server: int, id: str | None, scores: dict[str, int]) -> None:
        try:
            event_id = EventId.parse(id) if id else None
        except ValueError:
            raise WireError(f"id {id!r}") from None
        self.shown = scores
        self._add(Update(now, server, event_id, scores))

    async def _poll(self, server: int) -> None:
        """One long-poll."""
        self._add(Opened(time.monotonic(), server, "poll", self.last_id))
        path = f"/boards/{self.log.board}/events/?wait={_WAIT:g}"
        if self.last_id:
            path += f"&since={self.last_id}"
        async with connected(self.ports[server]) as (reader, writer):
            writer.write(request("GET", path))
            async with asyncio.timeout(ANSWER):
                head = await read_head(reader)
                answer = await read_json(reader, head)
        if head.status != 200:
            raise ConnectionError(f"status {head.status}")
        now = time.monotonic()
        for event in answer["events"]:
            if event["event"] == "reset":
                self._add(Reset(now, server, event["data"]["reason"]))
            else:
                self._show(now, server, event["id"], scores_of(event["data"]))
        self.last_id = answer["last_event_id"] or ""


def amounts(unique: bool, seed: int) -> Iterator[int]:
    """What is added to one player: always 1, or numbers from 1 to 999 in an order of their own."""
    if not unique:
        while True:
            yield 1
    order = list(range(1, 1_000))
    random.Random(seed).shuffle(order)
    while True:
        yield from order


class Writer:
    """Adds to scores for as long as `until` is not set.

    Args:
        pause: seconds between two additions, on the average.
        whose: gives the player of the next addition, and its amount.
    """

    def __init__(
        self,
        record: Record,
        ports: Sequence[int],
        pause: float,
        whose: Callable[[random.Random], tuple[str, str, int]],
        seed: int,
    ) -> None:
        self.record = record
        self.ports = ports
        self.pause = pause
        self.whose = whose
        self.random = random.Random(seed)

    async def run(self, until: asyncio.Event) -> None:
        while not until.is_set():
            server = self.random.randrange(len(self.ports))
            try:
                async with connected(self.ports[server]) as streams:
                    for _ in range(self.random.randrange(1, 20)):
                        if until.is_set() or not await self._add(server, *streams):
                            break
                        await asyncio.sleep(self.random.expovariate(1 / self.pause))
            except (OSError, EOFError, TimeoutError, WireError):
                # The addition that was under way, if any, is recorded as unknown already.
                await asyncio.sleep(self.random.uniform(0, 2 * self.pause))

    async def _add(
        self, server: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One addition; whether the connection can be used for another."""
        board, player, amount = self.whose(self.random)
        body = json.dumps({"amount": amount}).encode()
        post = Post(board, player, amount, server, time.monotonic())
        self.record.posts.append(post)
        path = f"/boards/{board}/players/{player}/score-add/"
        length = f"Content-Length: {len(body)}"
        writer.write(request("POST", path, "Content-Type: application/json", length) + body)
        async with asyncio.timeout(ANSWER):
            head = await read_head(reader)
            answer = await read_json(reader, head)
        post.ended = time.monotonic()
        if head.status == 200:
            post.outcome, post.score = Outcome.ANSWERED, answer["score"]
        elif head.status < 500 or not may_have_been_applied(answer):
            post.outcome, post.detail = Outcome.REFUSED, str(answer)
        else:
            post.detail = str(answer)
        return head.fields.get("connection", "") != "close"


def may_have_been_applied(answer: Any) -> bool:
    """Whether an error of the server says that it does not know what became of a write."""
    return answer["status"] != 503 or "may have been" in answer.get("detail", "")


def request(method: str, path: str, *fields: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


@contextlib.asynccontextmanager
async def connected(
    port: int, buffer: int = 2**20
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server of this machine that takes in about `buffer` bytes unread; hung up
    on at the end."""
    sock = socket.socket()
    sock.setblocking(False)
    if buffer < 2**16:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    try:
        async with asyncio.timeout(SILENCE):
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            reader, writer = await asyncio.open_connection(sock=sock, limit=buffer)
    except BaseException:
        sock.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
