"""Requests to a server that has a fast path, and which of them it took."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable

import pytest

from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.web.links import Link, Outcome

Serve = Callable[[Settings], Awaitable[Running]]


class Taken:
    """Counts what a server's fast path took."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        path = running.server.fast_path
        assert path is not None
        look = path.look

        def counted(link: Link) -> Outcome:
            outcome = look(link)
            self.count += outcome is Outcome.TAKEN
            return outcome

        monkeypatch.setattr(path, "look", counted)


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
            got = await asyncio.wait_for(loop.sock_recv(sock, 65536), 30)
            data += got
            if not got:
                break
    return re.sub(rb"(Date: |retry: )[^\r\n]*", rb"\1", data)


# What becomes of the connection

GET = b"GET /boards/demo/ HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIST = GET.replace(b"/boards/demo/", b"/boards/")
ADD = (
    b"POST /boards/demo/players/mars/score-add/ HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Length: 0\r\n\r\n"
)
LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


def port_of(running: Running) -> int:
    return int(re.search(r":(\d+)/", running.url)[1])  # type: ignore[index]


async def answers(running: Running, data: bytes) -> list[bytes]:
    """Everything that is said to `data`, by answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(running))
    writer.write(data)
    got = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return got.split(b"HTTP/1.1 ")[1:]


def score(answer: bytes) -> int:
    """Of mars, in an answer with it alone, or a board."""
    value = json.loads(answer.partition(b"\r\n\r\n")[2])
    players = value.get("players", [value])
    return int(next(player["score"] for player in players if player["id"] == "mars"))
