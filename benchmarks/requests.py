"""What a request costs: ``python -m benchmarks.requests``.

Requests over many keep-alive connections at once. What each costs the server is given beside what
a Tornado handler costs that does nothing but answer a few bytes, in the same minute.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.load import LoadClient
from benchmarks.peers.tornado_board import BOARD, ProbedServer, WholeServer, make_board
from benchmarks.processes import Failed, Process, cpu_seconds, free_port, python, wait_for_port

CONNECTIONS = 50
PLAYERS = 100

#: Who waits for each event, by long-poll or on a stream, and how many events there are a second.
LISTENERS = 500
EVENTS = 5


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


# What a request costs

_ADD = f"/boards/{BOARD}/players/player-3/score-add/"


@dataclass
class _Kind:
    """A kind of request that `wrk` can send."""

    name: str
    path: str
    is_post: bool = False


KINDS = (
    _Kind("GET of a board", f"/boards/{BOARD}/"),
    _Kind("GET of a player", f"/boards/{BOARD}/players/player-3/"),
    _Kind("`score-add`", _ADD, is_post=True),
)


@contextmanager
def _bare_handler(folder: Path) -> Iterator[tuple[int, Process]]:
    port = free_port()
    process = Process(
        python("benchmarks.peers.bare_handler", str(port)), log=folder / "bare.log", cwd=folder
    )
    try:
        wait_for_port(port, process)
        yield port, process
    finally:
        process.stop()


def _wrk(port: int, kind: _Kind, seconds: float, folder: Path) -> int:
    """How many requests were answered. Raises `Failed` where one was not answered 2xx."""
    options = []
    if kind.is_post:
        script = folder / "post.lua"
        script.write_text(
            'wrk.method = "POST"\nwrk.body = "{}"\n'
            'wrk.headers["Content-Type"] = "application/json"\n'
        )
        options = ["-s", str(script)]
    return answered(port, kind.path, seconds, options)


def answered(port: int, path: str, seconds: float, options: Sequence[str] = ()) -> int:
    """How many requests to `path` were answered, with these `options` of `wrk`. Raises `Failed`
    where one was not answered 2xx."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds:g}s", *options]
    command.append(f"http://127.0.0.1:{port}{path}")
    words = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count = re.search(r"(\d+) requests in", words)
    if count is None or "Non-2xx" in words or "Socket errors" in words:
        raise Failed(words)
    return int(count[1])


class _Poller(asyncio.Protocol):
    """One client that polls: each answer's position is where the next request goes on."""

    def __init__(self, counter: list[int], since: str) -> None:
        self._counter = counter
        self._since = since
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        path = f"/boards/{BOARD}/events/?since={self._since}&wait=50"
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end or len(body) < _content_length(head):
            return
        self._received = b""
        self._since = body[body.rindex(b":") + 2 : -3].decode()
        self._counter[0] += 1
        self._next()


async def _poll(server: WholeServer, events: int, listeners: int) -> float:
    """CPU seconds of the server for an answer to a long-poll."""
    first = await _get(server.port, f"/boards/{BOARD}/events/")
    counter = [0]
    loop = asyncio.get_running_loop()
    transports = []
    for _ in range(listeners):
        made = await loop.create_connection(
            lambda: _Poller(counter, first["last_event_id"]), "127.0.0.1", server.port
        )
        transports.append(made[0])
    await asyncio.sleep(0.5)
    cpu, counter[0] = server.cpu_seconds(), 0
    for _ in range(events):
        await asyncio.to_thread(server.publish, 1, 0.5)
        await asyncio.sleep(1 / EVENTS)
    await asyncio.sleep(0.5)
    used = server.cpu_seconds() - cpu
    for transport in transports:
        transport.close()
    if counter[0] < listeners * events * 0.9:
        raise Failed(f"{counter[0]} answers to {listeners} clients that waited for {events} events")
    return used / counter[0]


async def _get(port: int, path: str) -> Any:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    data = await reader.read()
    writer.close()
    return json.loads(data.partition(b"\r\n\r\n")[2])


def _stream(server: WholeServer, events: int, listeners: int, folder: Path) -> float:
    """CPU seconds of the server for an event on a stream."""
    client = LoadClient(server.port, server.path, listeners, log=folder / "client.log")
    try:
        client.reset()
        cpu = server.cpu_seconds()
        for _ in range(events):
            server.publish(1, 0.5)
            time.sleep(1 / EVENTS)
        time.sleep(0.5)
        used = server.cpu_seconds() - cpu
        return float(used / client.report()["events"])
    finally:
        client.stop()


def measure(seconds: float, rounds: int, *options: str) -> dict[str, Any]:
    """CPU a request in µs, of the bare handler and of each kind; and of an event to those who wait.
    And of the event loop's slices in ms: the 99.9th percentile and the longest.

    `options` are the server's. Raises `Failed`, also where `wrk` is not installed.
    """
    if shutil.which("wrk") is None:
        raise Failed("wrk is not installed: apt-get install wrk")
    costs: dict[str, list[float]] = {}
    server = ProbedServer("--coalesce=0.05", "--log-level=info", *options)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, _bare_handler(Path(name)) as bare:
        folder = Path(name)
        try:
            server.serve(folder)
            make_board(server.port, BOARD, PLAYERS)
            for _ in range(rounds):
                before = cpu_seconds([bare[1].pid])
                count = _wrk(bare[0], _Kind("", "/"), seconds, folder)
                used = cpu_seconds([bare[1].pid]) - before
                costs.setdefault("bare", []).append(used / count)
                for kind in KINDS:
                    before = server.cpu_seconds()
                    count = _wrk(server.port, kind, seconds, folder)
                    costs.setdefault(kind.name, []).append((server.cpu_seconds() - before) / count)
                events = max(3, round(EVENTS * seconds))
                poll = asyncio.run(_poll(server, events, LISTENERS))
                costs.setdefault("poll", []).append(poll)
                costs.setdefault("event", []).append(_stream(server, events, LISTENERS, folder))
        finally:
            server.stop()
        slices = server.slices()
    return slices | {name: 1e6 * median(values) for name, values in costs.items()}


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    bare = result["bare"]
    lines = [
        f"| {CONNECTIONS} connections | server CPU a request | of a bare Tornado handler's |",
        "| --- | ---: | ---: |",
        f"| a Tornado handler that answers a few bytes | {bare:.0f} µs | 1.00 |",
    ]
    for kind in KINDS:
        cost = result[kind.name]
        lines.append(f"| {kind.name} | {cost:.0f} µs | {cost / bare:.2f} |")
    poll, event = result["poll"], result["event"]
    lines += [
        "",
        f"An event to {LISTENERS} clients that wait for it by long-poll costs {poll:.0f} µs each, "
        f"their next request included; to as many streams {event:.1f} µs each, so that a "
        f"long-poll's answer is {poll / event:.1f} events' worth.",
        "",
        f"Of {result['count']:,} times that the event loop looked at what had arrived, 99.9% came "
        f"after {result['p999_ms']:.1f} ms of its thread's CPU at the most, and all after "
        f"{result['longest_ms']:.1f} ms.",
        "",
    ]
    return "\n".join(lines)


def report(*, quick: bool = False) -> str:
    """The figures as Markdown."""
    return table(measure(1 if quick else 2, 1 if quick else 3))


def main() -> int:
    parser = argparse.ArgumentParser(description="What a request costs.")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("options", nargs="*", help="settings of the server, behind --")
    chosen = parser.parse_args()
    seconds, rounds = (1, 1) if chosen.quick else (2, 3)
    print(table(measure(seconds, rounds, *chosen.options)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
