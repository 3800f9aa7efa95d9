"""The short cut for streams answers like the handlers, and leaves to them what it should."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.web import fast_request

Serve = Callable[[Settings], Awaitable[Running]]


class Taken:
    """Counts what a server's short cut took."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        take = running.server.short_cut.take  # type: ignore[union-attr]

        def counted(*arguments: Any) -> bool:
            taken = take(*arguments)
            self.count += taken
            return taken

        monkeypatch.setattr(running.server.short_cut, "take", counted)


def request(path: str = "/boards/demo/", *fields: str, accept: str = "text/event-stream") -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Accept: {accept}", *fields, "", ""]
    return "\r\n".join(lines).encode("latin-1")


async def answer(running: Running, *parts: bytes) -> bytes:
    """What comes back, up to the first event's end, for a request sent in `parts`.

    The first part has arrived when the server accepts the connection.
    """
    loop = asyncio.get_running_loop()
    port = int(re.search(r":(\d+)/", running.url)[1])  # type: ignore[index]
    # Blocking, so that the server's loop doesn't run before the request is there.
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(parts[0])
        sock.setblocking(False)
        for part in parts[1:]:
            await asyncio.sleep(0.05)
            await loop.sock_sendall(sock, part)
        data = b""
        while b"data: " not in data or not data.endswith((b"\n\n", b"\n\n\r\n")):
            got = await asyncio.wait_for(loop.sock_recv(sock, 65536), 10)
            data += got
            if not got:
                break
    return re.sub(rb"(Date: |retry: )[^\r\n]*", rb"\1", data)


@pytest.fixture
def any_origin(settings: Settings) -> Settings:
    return dataclasses.replace(settings, allowed_origins=("https://shown.example",))


@pytest.mark.gen_test(timeout=30)
async def test_both_ways_give_the_same_answer(
    serving: Serve, any_origin: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(any_origin)
    await running.services.hub.open("demo")
    taken = Taken(running, monkeypatch)
    first = running.services.hub.current("demo")
    assert first is not None
    for wanted in (
        request(),
        request("/boards/demo"),
        request("/boards/demo/events"),
        request("/boards/demo/events/"),
        request("/boards/demo/", "Last-Event-ID: 1-1"),
        request("/boards/demo/", "Last-Event-ID: nonsense"),
        request("/boards/demo/", "last-event-id:"),
        request("/boards/demo/events/?lastEventId=1-1"),
        request("/boards/demo/events/?last_event_id=1-1", f"Last-Event-ID: {first.id}9"),
        request("/boards/demo/", "Origin: https://shown.example"),
        request("/boards/demo/", "Origin: https://other.example"),
        request(accept="text/event-stream, */*;q=0.1"),
        request("/boards/demo/?stream=1", accept="*/*"),
        request("/boards/demo/events?stream", accept="application/json"),
        request("/boards/demo/events/?lastEventId=&stream=1", accept=""),
        request("/boards/demo/").replace(b"Host: 127.0.0.1", b"Host: LOCALHOST.:80"),
        request("/boards/demo/").replace(b"Host: 127.0.0.1", b"Host: a.localhost"),
        request("/boards/demo/").replace(b"Host: 127.0.0.1", b"Host: [::1]:8888"),
    ):
        # The answer of the log to an id is kept after the first time it is asked.
        await answer(running, wanted[:20], wanted[20:])
        before = taken.count
        by_handler = await answer(running, wanted[:20], wanted[20:])
        assert taken.count == before
        by_short_cut = await answer(running, wanted)
        assert taken.count == before + ("1-1" not in wanted.decode() and b"9\r\n" not in wanted)
        assert by_short_cut == by_handler
        assert re.search(rb"\r\n\r\nc\r\nretry: \n\r\n[0-9a-f]+\r\nevent: ", by_handler)


@pytest.mark.gen_test(timeout=30)
async def test_the_unusual_is_left_to_the_handlers(
    serving: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(settings)
    await running.services.hub.open("demo")
    taken = Taken(running, monkeypatch)
    for wanted, status in (
        (request(accept="application/json"), 200),
        (request(accept="*/*"), 200),
        (request("/boards/nope/"), 404),
        (request("/boards/a%20b/"), 400),
        (request("/boards/demo/events/extra"), 404),
        (request("/boards/demoevents/"), 404),
        (request("/boards/demo/?limit=3"), 200),
        (request("/boards/demo/?stream=0"), 200),
        (request("/boards/demo/?stream=2"), 400),
        (request().replace(b"Host: 127.0.0.1", b"Host: evil.example:8888"), 421),
        (request().replace(b"Host: 127.0.0.1", b"Host: a b"), 400),
        (request("/boards/demo/", "Content-Length: 0"), 200),
        (request("/boards/demo/", "Accept: application/json"), 200),
        (request("/boards/demo/", "X-Forwarded-For: 10.0.0.1"), 200),
        (request().replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
        (request("/boards/demo/", "no colon here"), 400),
        (request("/boards/demo/", "X: a\r\n folded"), 400),
        (request("/boards/demo/", "X: \0"), 400),
        (request("/boards/demo/", "X: " + "y" * 5000), 200),
        (request() + request(), 200),
        (request().replace(b"GET", b"HEAD"), 200),
        (request().replace(b"Host: 127.0.0.1\r\n", b""), 400),
    ):
        got = await answer(running, wanted.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
        assert re.match(rb"HTTP/1\.[01] (\d+)", got), (wanted, got)
        assert int(got.split()[1]) == status, (wanted, got)
        assert taken.count == 0, wanted


@pytest.mark.gen_test(timeout=30)
async def test_streams_beyond_the_limit_are_refused(serving: Serve, settings: Settings) -> None:
    running = await serving(dataclasses.replace(settings, max_streams_per_board=2))
    topic = await running.services.hub.open("demo")
    port = int(re.search(r":(\d+)/", running.url)[1])  # type: ignore[index]
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(2)]
    for sock in sockets:
        sock.sendall(request())
    while topic.streams < 2:
        await asyncio.sleep(0.01)
    refused = await answer(running, request("/boards/demo/", "Connection: close"))
    assert refused.startswith(b"HTTP/1.1 503")
    assert running.server.open_connections >= 2
    for sock in sockets:
        sock.close()
    while topic.streams or running.server.open_connections:
        await asyncio.sleep(0.01)
    assert b"200 OK" in await answer(running, request())


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"Host: h\r\nAccept: a\r\n\r\n", {b"host": "h", b"accept": "a"}),
        (b"Host:h\r\nX:  y \t\r\n\r\n", {b"host": "h", b"x": "y"}),
        (b"Host: h\r\nX:\r\n\r\n", {b"host": "h", b"x": ""}),
        (b"Accept: a\r\n\r\n", None),
        (b"Host: h\r\nHOST: i\r\n\r\n", None),
        (b"Host: h\r\n", None),
        (b"Host: h\r\n\r\nmore", None),
        (b"Host: h\r\n\r\n\r\n", None),
        (b"Host: h\r\nX : y\r\n\r\n", None),
        (b"Host: h\n\n", None),
        (b"Host: h\nX: y\r\n\r\n", None),
        (b"Host: h\r\nX: a\rb\r\n\r\n", None),
        (b"Host: h\r\nX: \0\r\n\r\n", None),
        (b"Host: h\r\nX: a\r\n folded\r\n\r\n", None),
        (b"Host: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", None),
        (b"", None),
    ],
)
def test_a_header_is_read_whole_or_not_at_all(
    header: bytes, expected: dict[bytes, str] | None
) -> None:
    request = express.parse(b"GET /boards/demo/ HTTP/1.1\r\n" + header)
    assert (request and request.fields) == expected
    assert express.parse(header) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/boards/demo", ("demo", {})),
        ("/boards/demo/events/?stream", ("demo", {"stream": ""})),
        (
            "/boards/a.b~_-/events?lastEventId=1-2&stream=1",
            ("a.b~_-", {"lastEventId": "1-2", "stream": "1"}),
        ),
        ("/boards/demo/?stream=1&stream=1", None),
        ("/boards/demo/?lastEventId=1%2d2", None),
        ("/boards/demo/?limit=1", None),
        ("/boards/demo/#x", None),
        ("/boards/../", None),
        ("/boards/./events", None),
        ("/boards/%2e%2e/", None),
        ("/boards//", None),
        ("/boards/demo//", None),
        ("/boards/demo/events//", None),
        ("/boards/demo/players/", None),
        ("//boards/demo/", None),
        ("/boards/demo/?stream=1&stream=1&stream=1&stream=1&stream=1", None),
    ],
)
def test_which_targets_are_read(target: str, expected: object) -> None:
    request = express.parse(f"GET {target} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    assert (request and (request.board_id, request.query)) == expected
