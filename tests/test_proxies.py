"""Streams through nginx, HAProxy and Varnish as they come, and HTTP's finer points."""

from __future__ import annotations

import re
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import httpx_sse
import pytest

from .proxies import KINDS, Proxy
from .server_process import ServerProcess
from .waiting import PATIENCE

Proxied = tuple[ServerProcess, str]


@pytest.fixture(params=KINDS)
def behind(
    request: pytest.FixtureRequest, server_process: Callable[..., ServerProcess], tmp_path: Path
) -> Iterator[Callable[..., Proxied]]:
    """Starts a server with flags, and a proxy in front of it; gives the URL of that, too."""
    program = KINDS[request.param][0]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    proxies: list[Proxy] = []

    def start(*flags: str) -> Proxied:
        server = server_process(*flags)
        proxies.append(Proxy(request.param, server.port, tmp_path))
        return server, f"http://127.0.0.1:{proxies[-1].port}"

    yield start
    for proxy in proxies:
        proxy.stop()


@pytest.fixture
def proxied(behind: Callable[..., Proxied]) -> Proxied:
    """A server whose quiet streams are soon sent a comment, and the URL of a proxy."""
    return behind("--keepalive=0.5")


def add(url: str) -> int:
    answer = httpx.post(f"{url}/boards/demo/players/mars/score-add/", timeout=PATIENCE)
    score: int = answer.raise_for_status().json()["score"]
    return score


def mars(event: httpx_sse.ServerSentEvent) -> int:
    score: int = next(p["score"] for p in event.json()["players"] if p["id"] == "mars")
    return score


def test_each_event_comes_through_at_once(behind: Callable[..., Proxied]) -> None:
    # No comment pushes out what a proxy holds back.
    server, url = behind("--keepalive=300")
    last = ""
    with (
        httpx.Client(timeout=PATIENCE) as client,
        httpx_sse.connect_sse(client, "GET", f"{url}/boards/demo/events/") as source,
    ):
        assert source.response.headers["content-type"].startswith("text/event-stream")
        events = source.iter_sse()
        assert mars(next(events)) == 19
        for score in range(20, 25):
            # One at a time: a proxy that held events back would leave us waiting here.
            assert add(url) == score
            event = next(events)
            assert mars(event) == score
            last = event.id
        assert add(server.url) == 25
        assert mars(next(events)) == 25
    # The proxy's client is gone; it comes back later with what it saw last.
    assert add(url) == 26
    time.sleep(0.2)
    assert add(url) == 27
    with (
        httpx.Client(timeout=PATIENCE) as client,
        httpx_sse.connect_sse(
            client, "GET", f"{url}/boards/demo/", headers={"Last-Event-ID": last}
        ) as source,
    ):
        seen = [mars(event) for _, event in zip(range(3), source.iter_sse(), strict=False)]
    assert seen == [25, 26, 27]


def test_a_quiet_stream_stays_open(proxied: Proxied) -> None:
    _, url = proxied
    with (
        httpx.Client(timeout=PATIENCE) as client,
        client.stream(
            "GET", f"{url}/boards/demo/", headers={"Accept": "text/event-stream"}
        ) as answer,
    ):
        text = ""
        for part in answer.iter_text():
            text += part
            if text.count(": keep-alive\n") == 3:
                break
    assert text.count("event: update") == 1


def test_streams_that_clients_leave_are_closed_behind_the_proxy(
    proxied: Proxied,
) -> None:
    server, url = proxied
    for _ in range(5):
        with (
            httpx.Client(timeout=PATIENCE) as client,
            client.stream(
                "GET", f"{url}/boards/demo/", headers={"Accept": "text/event-stream"}
            ) as answer,
        ):
            next(answer.iter_text())
    deadline = time.monotonic() + PATIENCE
    while open_sockets(server) > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert open_sockets(server) == 0


def open_sockets(server: ServerProcess) -> int:
    """Connections to the server's port that its side still holds."""
    local = f"0100007F:{server.port:04X}"
    table = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    established = {"01", "08"}  # ESTABLISHED, and CLOSE_WAIT: the peer is gone and we are not
    return sum(row.split()[1] == local and row.split()[3] in established for row in table)


# Without a proxy: what the ones out there do


def raw(port: int, request: str) -> bytes:
    """Everything that comes back within a while, or up to the end of the connection."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock:
        sock.sendall(request.replace("\n", "\r\n").encode())
        sock.settimeout(1.0)
        data = b""
        try:
            while part := sock.recv(65536):
                data += part
        except TimeoutError:
            pass
        return data


def test_http_1_0_gets_a_stream_that_ends_with_the_connection(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process()
    data = raw(server.port, "GET /boards/demo/ HTTP/1.0\nAccept: text/event-stream\n\n")
    head, _, body = data.partition(b"\r\n\r\n")
    assert b" 200 OK" in head
    assert b"Transfer-Encoding" not in head
    assert re.match(rb"retry: \d+\nevent: update\ndata: \{.*\}\nid: \d+-\d+\n\n", body)


def test_pipelined_requests_are_answered_in_order(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process()
    data = raw(
        server.port,
        "GET /healthz HTTP/1.1\nHost: localhost\n\n"
        "GET /boards/nope/ HTTP/1.1\nHost: localhost\n\n"
        "GET /boards/demo/ HTTP/1.1\nHost: localhost\nAccept: text/event-stream\n\n"
        "GET /healthz HTTP/1.1\nHost: localhost\n\n",
    )
    statuses = re.findall(rb"HTTP/1\.1 (\d+)", data)
    # Behind a stream there is nothing: it ends with the connection.
    assert statuses == [b"200", b"404", b"200"]
    assert data.count(b"event: update") == 1


def test_what_is_sent_behind_a_stream_request_does_no_harm(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process()
    httpx.get(f"{server.url}/boards/demo/", timeout=PATIENCE)
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock:
        sock.sendall(
            b"GET /boards/demo/ HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
        )
        while b"data: " not in sock.recv(65536):
            pass
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000)
        add(server.url)
        sock.settimeout(PATIENCE)
        assert b'"score":20' in sock.recv(65536)
