"""A subscriber that stops reading: it costs next to nothing, and gets the newest board after."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tornado_board.replay import EventId

from .server_process import ServerProcess
from .stream_client import PATIENCE, RawStream, add, http_client, make_board

pytestmark = pytest.mark.gen_test(timeout=120)

SLOW = 10
CHANGES = 80
#: Characters of a player's name, so that events are large and the kernel's buffers soon full.
NAME = 60_000


def resident(process: ServerProcess) -> int:
    """The server's resident memory in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match
    return int(match[1]) * 1024


async def narrow_stream(url: str, *headers: str) -> RawStream:
    """A stream of the board ``b`` for which the kernel keeps little that isn't read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    parts = urlsplit(url)
    await asyncio.get_running_loop().sock_connect(sock, (parts.hostname, parts.port))
    return await RawStream.open(url, "/boards/b/", "Accept: text/event-stream", *headers, sock=sock)


async def id_of(stream: RawStream) -> EventId:
    """The id of the next event, which has one."""
    _, _, event_id = await stream.event()
    assert event_id is not None
    return event_id


async def make_large_board(client: httpx.AsyncClient, folder: Path) -> None:
    """A board ``b`` whose events are of 5 times `NAME` bytes; the API would not take such names."""
    await make_board(client, "b", {f"p{i}": i for i in range(5)})
    with contextlib.closing(sqlite3.connect(folder / "tornado_board.sqlite3")) as connection:
        connection.execute("UPDATE players SET name = ?", ("x" * NAME,))
        connection.commit()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_subscriber_that_stops_reading(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    server = server_process(
        "--squash=0", "--replay-length=20", "--keepalive=0.5", "--log-level=warning"
    )
    async with http_client(server.url) as client:
        await make_large_board(client, tmp_path)
        fast = await RawStream.open(server.url, "/boards/b/", "Accept: text/event-stream")
        board = (await fast.event())[1]
        while len(board["players"][0]["name"]) < NAME:
            board = (await fast.event())[1]
        slow = [await narrow_stream(server.url) for _ in range(SLOW)]
        for stream in slow:
            await stream.event()
            stream.writer.transport.pause_reading()  # type: ignore[attr-defined]

        async def change() -> EventId:
            """One change; the fast subscriber gets each."""
            score = (await add(client, "b", "p0"))["score"]
            kind, data, event_id = await fast.event()
            assert kind == "update"
            assert {p["id"]: p["score"] for p in data["players"]}["p0"] == score
            assert event_id is not None
            return event_id

        # What the kernel holds is full, and memory has settled, before anything is measured.
        ids = [await change() for _ in range(20)]
        before = resident(server)
        ids += [await change() for _ in range(CHANGES)]
        grown = resident(server) - before
        assert [i.n for i in ids] == list(range(ids[0].n, ids[0].n + len(ids)))
        # To keep all of it for one of them only would take this much.
        passed = CHANGES * 5 * NAME
        assert grown < passed / 3, f"{grown:,} bytes more, {passed:,} were sent"

        final = (await client.get("/boards/b/")).json()
        for stream in slow:
            stream.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for stream in slow:
            seen, data = [], None
            async with asyncio.timeout(PATIENCE):
                # Each is whole, since it is read as JSON; and no change is needed for the last.
                while data != final:
                    kind, data, event_id = await stream.event()
                    assert kind == "update"
                    assert event_id is not None
                    seen.append(event_id)
            assert seen == sorted(set(seen))
            assert seen[-1] == ids[-1]
            assert len(seen) < len(ids) / 2, "it had stopped reading"
        # From now on it gets each, like everyone.
        event_id = await change()
        for stream in slow:
            assert (await stream.event())[2] == event_id
            stream.close()
        fast.close()


async def test_a_client_that_reads_its_replay_slowly_gets_whole_events(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """Live events must not be written into the middle of what is replayed."""
    server = server_process("--squash=0", "--log-level=warning")
    async with http_client(server.url) as client:
        await make_large_board(client, tmp_path)
        fast = await RawStream.open(server.url, "/boards/b/", "Accept: text/event-stream")
        ids = [await id_of(fast)]
        for _ in range(25):
            await add(client, "b", "p1")
            ids.append(await id_of(fast))
        back = await narrow_stream(server.url, f"Last-Event-ID: {ids[0]}")
        back.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(10):
            await add(client, "b", "p1")
            ids.append(await id_of(fast))
        back.writer.transport.resume_reading()  # type: ignore[attr-defined]
        final = (await client.get("/boards/b/")).json()
        seen, data = [ids[0]], None
        while data != final:
            _, data, event_id = await back.event()
            assert event_id is not None
            seen.append(event_id)
        # All that was replayed, then the newest of those that came meanwhile.
        assert seen[:26] == ids[:26]
        assert seen == sorted(set(seen))
        assert data == final
        back.close()
        fast.close()
