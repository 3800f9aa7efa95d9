"""Sockets that a service manager hands over: a restart refuses no connection.

The service manager is a plain parent here, which does what sd_listen_fds(3) says.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tornado_board.systemd import handed_sockets

from .server_process import ServerProcess
from .waiting import PATIENCE

#: Puts descriptor argv[1] where it is expected, and runs the rest in its place.
_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="board")
os.execv(sys.argv[3], sys.argv[3:])
"""


class Activated(ServerProcess):
    """A server that is handed the socket `sock`, as the first of so many."""

    def __init__(
        self, folder: Path, sock: socket.socket, *flags: str, fds: str = "1", **environ: str
    ) -> None:
        self.wrapper = (sys.executable, "-c", _HAND_OVER, str(sock.fileno()), fds)
        self.pass_fds = (sock.fileno(),)
        super().__init__(folder, *flags, port=0, **environ)


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as sock:
        yield sock


@pytest.fixture
def activated(tmp_path: Path, sock: socket.socket) -> Iterator[Callable[..., Activated]]:
    started: list[Activated] = []

    def start(*flags: str, **more: str) -> Activated:
        started.append(Activated(tmp_path, sock, *flags, **more))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()


class Client:
    """Opens a connection for each request, and tells of those that did not go well."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/boards/demo/"
        self.answered = 0
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                httpx.get(self._url, timeout=PATIENCE, trust_env=False).raise_for_status()
                self.answered += 1
            except httpx.HTTPError as error:
                self.failures.append(repr(error))

    def until_answered(self, more: int) -> None:
        wanted = self.answered + more
        deadline = time.monotonic() + PATIENCE
        while self.answered < wanted and not self.failures:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_restart_refuses_no_connection(
    activated: Callable[..., Activated], sock: socket.socket
) -> None:
    server = activated().wait_until_serving()
    port = sock.getsockname()[1]
    assert server.port == port
    with Client(port) as client:
        for _ in range(2):
            client.until_answered(5)
            server.stop()
            time.sleep(0.3)  # nobody accepts, and connections wait
            server.restart()
        client.until_answered(5)
    assert client.failures == []


def test_several_processes_share_it(
    activated: Callable[..., Activated],
    sock: socket.socket,
    shared_database_url: str,
    redis_url: str,
) -> None:
    server = activated(
        "--processes=2", f"--database-url={shared_database_url}", f"--redis-url={redis_url}"
    ).wait_until_serving()
    with Client(sock.getsockname()[1]) as client:
        client.until_answered(5)
        server.stop()
        server.restart()
        client.until_answered(5)
    assert client.failures == []


def test_the_manager_is_told_of_start_and_stop(
    activated: Callable[..., Activated], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.settimeout(PATIENCE)
        path = str(tmp_path / "notify")
        told.bind(path)
        server = activated(NOTIFY_SOCKET=path)
        assert told.recv(100) == b"READY=1"
        assert httpx.get(f"http://127.0.0.1:{_port(server)}/readyz", timeout=PATIENCE).is_success
        server.stop()
        assert told.recv(100) == b"STOPPING=1"


def _port(server: ServerProcess) -> int:
    server.wait_until_serving()
    return server.port


@pytest.mark.parametrize("fds", ["0", "x", "9" * 5000, "2"])
def test_what_was_not_handed_over_ends_the_start(
    activated: Callable[..., Activated], fds: str
) -> None:
    server = activated(fds=fds)
    assert server.wait() == 1
    expected = "descriptor 4 of LISTEN_FDS is no" if fds == "2" else "LISTEN_FDS is not a number"
    assert expected in server.text
    assert len(server.text.splitlines()) == 1


def test_a_socket_of_another_kind_ends_the_start(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "sock"))
        sock.listen()
        server = Activated(tmp_path, sock)
        assert server.wait() == 1
        assert "descriptor 3 of LISTEN_FDS is no TCP socket that listens" in server.text


def test_what_is_for_another_process_is_left_alone() -> None:
    environ = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"}
    assert handed_sockets(environ) == []
    assert environ == {}, "and no child takes it for its own"
    assert handed_sockets({}) == []
