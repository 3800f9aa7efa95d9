"""Requests over many keep-alive connections at once, with next to no client in the way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import quantiles

from benchmarks.processes import Failed


@dataclass
class Answers:
    """What came back: the time of each answer, in milliseconds, and how long it all took."""

    times: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def p50(self) -> float:
        return quantiles(self.times, n=100)[49]

    @property
    def p99(self) -> float:
        return quantiles(self.times, n=100)[98]


class _Writer(asyncio.Protocol):
    """One connection: a request, its answer, the next request, until told to stop."""

    def __init__(self, request: Callable[[], bytes], answers: Answers, gap: float) -> None:
        self._request = request
        self._answers = answers
        self._gap = gap
        self._received = b""
        self.stopping = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if self.stopping:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(self._request())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            self._fail(self._received[:500].decode())
            return
        self._answers.times.append(1000 * (time.perf_counter() - self._sent_at))
        self._received = b""
        if self._gap:
            asyncio.get_running_loop().call_later(self._gap, self._next)
        else:
            self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if self.stopping and not self._received:
            if not self.done.done():
                self.done.set_result(None)
        else:
            self._fail(f"the connection was lost: {error}")

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(Failed(why))
        self._transport.abort()


def post(path: str, body: bytes = b"{}") -> bytes:
    """The bytes of a POST of JSON."""
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def send_for(
    seconds: float,
    port: int,
    request: Callable[[], bytes],
    *,
    connections: int = 1,
    gap: float = 0.0,
) -> Answers:
    """Send one request after another over each of `connections`, `gap` seconds apart.

    Every answer is waited for. Raises `Failed` for one that isn't 200 or 201.
    """
    answers = Answers()
    loop = asyncio.get_running_loop()
    start = time.perf_counter()
    writers = [
        (await loop.create_connection(lambda: _Writer(request, answers, gap), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait([writer.done for writer in writers], timeout=seconds)
    for writer in writers:
        writer.stopping = True
    await asyncio.gather(*(writer.done for writer in writers))
    answers.seconds = time.perf_counter() - start
    return answers


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise Failed("an answer without Content-Length")
