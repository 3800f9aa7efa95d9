"""The benchmarks' measuring parts: what they count must be there."""

from __future__ import annotations

import shutil
import socket
import threading
from pathlib import Path

import pytest

from benchmarks import payload
from benchmarks.fanout import Contestant
from benchmarks.load import LoadClient
from benchmarks.peers.c_floor import CFloor
from benchmarks.peers.tornado_board import HubDirect

pytestmark = pytest.mark.skipif(
    shutil.which("cc") is None or not Path("/proc/self/schedstat").exists(),
    reason="the benchmarks need a C compiler, and Linux",
)


def test_the_load_client_counts_losses_and_repetitions(tmp_path: Path) -> None:
    served = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            stream, _ = server.accept()
            with stream:
                stream.recv(4096)
                stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                # 3 and 4 are lost, 5 comes twice; the last event is cut in the midst of its marker.
                stream.sendall(b": a comment\n\n" + b"".join(map(payload.event, (1, 2, 5, 5, 6))))
                last = payload.event(7)
                cut = last.index(b"@") + 3
                stream.sendall(last[:cut])
                served.wait(0.2)
                stream.sendall(last[cut:])
                served.wait(30)

        thread = threading.Thread(target=serve)
        thread.start()
        port = server.getsockname()[1]
        client = LoadClient(port, "/events", 1, log=tmp_path / "client.log", sources=0)
        try:
            report = client.settled(7)
        finally:
            served.set()
            client.stop()
            thread.join()
    assert (report["events"], report["lost"], report["repeated"]) == (6, 2, 1)
    assert 0 <= report["latency_us"]["p50"] < 30e6


def test_the_load_client_tells_of_refused_connections(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = LoadClient(port, "/", 3, log=tmp_path / "client.log", wait=False, sources=0)
    try:
        assert client.process.answer()["failed"] == 3
    finally:
        client.stop()


@pytest.mark.parametrize("peer", [CFloor, HubDirect])
def test_what_a_server_publishes_is_what_the_clients_get(
    peer: type[CFloor | HubDirect], tmp_path: Path
) -> None:
    contestant = Contestant(peer(), 20, tmp_path / "server")
    try:
        figures = contestant.deliver(50, 0.5)
    finally:
        contestant.stop()
    assert figures["missed"] == figures["repeated"] == figures["closed"] == 0
    assert figures["cpu_us"] > 0
