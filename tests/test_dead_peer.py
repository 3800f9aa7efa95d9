"""A client whose network is gone says nothing any more: no FIN, no RST, no acknowledgement."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tornado_board.realtime import subscriber as subscriber_module
from tornado_board.realtime.subscriber import Poller, Subscriber, _Silence
from tornado_board.realtime.wires import Message

from .server_process import ServerProcess

_CLIENT = """
import socket, sys, time
sock = socket.create_connection((sys.argv[1], int(sys.argv[2])))
sock.sendall(b"GET /boards/demo/ HTTP/1.1\\r\\nHost: h\\r\\nAccept: text/event-stream\\r\\n\\r\\n")
data = b""
while b"data: " not in data:
    data += sock.recv(65536)
print("streaming", flush=True)
if sys.argv[3] == "reads":
    while sock.recv(65536):
        pass
else:
    time.sleep(600)
"""


@dataclass
class Host:
    """A host of its own, in a network namespace, on a cable to this one."""

    name: str
    near: str

    def run(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, sys.executable, "-c", _CLIENT, *arguments],
            stdout=subprocess.PIPE,
            text=True,
        )

    def cut(self) -> None:
        """Pull the cable at the far end."""
        _ip("-n", self.name, "link", "set", f"{self.name}b", "down")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def host() -> Iterator[Host]:
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("making a network namespace takes root and iproute2")
    name = f"tb{secrets.token_hex(3)}"
    subnet = f"10.213.{secrets.randbelow(256)}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        _ip("addr", "add", f"{subnet}.1/30", "dev", f"{name}a")
        _ip("link", "set", f"{name}a", "up")
        _ip("-n", name, "addr", "add", f"{subnet}.2/30", "dev", f"{name}b")
        _ip("-n", name, "link", "set", f"{name}b", "up")
    except subprocess.CalledProcessError as error:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        pytest.skip(f"no network namespaces here: {error.stderr.decode().strip()}")
    yield Host(name, f"{subnet}.1")
    subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def connected(server: ServerProcess) -> int:
    """Connections that the server has open."""
    rows = Path(f"/proc/{server.process.pid}/net/tcp").read_text().splitlines()[1:]
    port = f":{server.port:04X}"
    return sum(row.split()[1].endswith(port) and row.split()[3] == "01" for row in rows)


@pytest.mark.parametrize("behaviour", ["reads", "sleeps"])
def test_a_vanished_client_is_dropped_after_a_few_keepalives(
    host: Host, server_process: Callable[..., ServerProcess], behaviour: str
) -> None:
    server = server_process("--address=0.0.0.0", "--keepalive=1")
    client = host.run(host.near, str(server.port), behaviour)
    try:
        assert client.stdout is not None
        assert client.stdout.readline() == "streaming\n"
        time.sleep(3.5)
        assert connected(server) == 1, "a quiet client that is there stays"
        host.cut()
        cut_at = time.monotonic()
        while connected(server) and time.monotonic() < cut_at + 60:
            time.sleep(0.1)
        # What it is sent next, two looks (four seconds), and room for a busy machine; the kernel
        # alone takes a quarter of an hour.
        assert time.monotonic() - cut_at < 30
    finally:
        client.kill()
        client.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of acknowledgements on Linux")
@pytest.mark.gen_test
async def test_a_client_that_was_quiet_and_has_just_been_sent_something_is_not_dead() -> None:
    poller = Poller()
    late = 0
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        ours, _ = listener.accept()
        subscriber = Subscriber(ours, poller, lambda: None)
        for _ in range(6):
            subscriber.deliver(Message(b"event"))
            assert not subscriber.is_dead(0.3)
            late += _unacknowledged(ours)
            client.recv(100)
            # Who answers acknowledges late: together with the answer, if there is one.
            client.send(b"answer")
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
            await asyncio.sleep(0.4)
        subscriber.close()
    poller.close()
    assert late, "each event was acknowledged before it could be looked at"


@pytest.mark.gen_test
async def test_it_takes_two_looks_with_no_answer_between_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[_Silence | None] = []
    monkeypatch.setattr(subscriber_module, "_silence", lambda _: looks.pop(0))
    ours, theirs = socket.socketpair()
    poller = Poller()
    subscriber = Subscriber(ours, poller, lambda: None)

    def dead(*told: _Silence | None) -> list[bool]:
        looks[:] = told
        return [subscriber.is_dead(15) for _ in told]

    # A quiet client that is sent something just as it loses its network for a few seconds.
    lost = _Silence(1_000, 20.0, is_long=True)
    assert dead(lost, None, lost) == [False, False, False]
    heard = _Silence(19_500, 16.5, is_long=True)  # since then, and lost it again
    assert dead(None, lost, heard, None) == [False] * 4
    # The kernel's clock and this process's are not read at the same moment.
    still = _Silence(1_004, 33.5, is_long=True)
    assert dead(lost, still) == [False, True]
    asked_once = _Silence(1_000, 33.5, is_long=False)
    assert dead(None, lost, asked_once, lost) == [False, False, False, True]
    subscriber.close()
    theirs.close()
    poller.close()


def _unacknowledged(sock: socket.socket) -> bool:
    """Whether something that was sent has not been acknowledged (tcpi_unacked)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28)
    return int.from_bytes(info[24:28], sys.byteorder) > 0
