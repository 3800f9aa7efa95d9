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

from tornado_board.realtime.replays import MOST_BYTES_IN_ALL
from tornado_board.replay import EventId

from .server_process import ServerProcess
from .stream_client import PATIENCE, RawStream, add, http_client, make_board

pytestmark = pytest.mark.gen_test

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


async def next_id(stream: RawStream) -> EventId:
    """The id of the next event."""
    event_id = (await stream.event())[2]
    assert event_id is not None
    return event_id


async def follow_large_board(
    server: ServerProcess, client: httpx.AsyncClient
) -> tuple[RawStream, EventId]:
    """A board ``b`` whose events are of 5 times `NAME` bytes; the API would not take such names.

    Returns a stream of it that shows them, and the id of the event that it shows.
    """
    await make_board(client, "b", {f"p{i}": i for i in range(5)})
    with contextlib.closing(sqlite3.connect(server.folder / "tornado_board.sqlite3")) as connection:
        connection.execute("UPDATE players SET name = ?", ("x" * NAME,))
        connection.commit()
    stream = await RawStream.open(server.url, "/boards/b/", "Accept: text/event-stream")
    while True:
        _, board, event_id = await stream.event()
        if len(board["players"][0]["name"]) == NAME:
            assert event_id is not None
            return stream, event_id


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_subscriber_that_stops_reading(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process(
        "--coalesce=0", "--replay-length=20", "--keepalive=0.5", "--log-level=warning"
    )
    async with http_client(server.url) as client:
        fast, _ = await follow_large_board(server, client)
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
    server_process: Callable[..., ServerProcess],
) -> None:
    """Live events must not be written into the middle of what is replayed."""
    server = server_process("--coalesce=0", "--log-level=warning")
    async with http_client(server.url) as client:
        fast, first = await follow_large_board(server, client)
        ids = [first]
        for _ in range(25):
            await add(client, "b", "p1")
            ids.append(await next_id(fast))
        back = await narrow_stream(server.url, f"Last-Event-ID: {ids[0]}")
        back.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(10):
            await add(client, "b", "p1")
            ids.append(await next_id(fast))
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


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_clients_that_ask_for_all_and_read_nothing_have_a_bound_together(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process("--coalesce=0", "--log-level=warning")
    async with http_client(server.url) as client:
        fast, first = await follow_large_board(server, client)
        ids = [first]
        for _ in range(21):
            await add(client, "b", "p1")
            ids.append(await next_id(fast))
        fast.close()
        size = 5 * NAME
        before = resident(server)
        streams, asked = [], 0
        for number in range(60):
            since = number % 10
            stream = await narrow_stream(server.url, f"Last-Event-ID: {ids[since]}")
            stream.writer.transport.pause_reading()  # type: ignore[attr-defined]
            streams.append((since, stream))
            asked += size * (len(ids) - 1 - since)
        grown = resident(server) - before
        # Ten different answers, of which each is there once, as far as there is room for them;
        # and what it took to make one of them.
        assert grown < MOST_BYTES_IN_ALL + 64 * 2**20 < asked / 2, f"{grown:,} bytes more"
        resets = 0
        for since, stream in streams:
            stream.writer.transport.resume_reading()  # type: ignore[attr-defined]
            kind, data, event_id = await stream.event()
            following = ids[since + 1 :]
            if kind == "reset":
                resets += 1
                assert list(data) == ["reason"]
                following = ids[-1:]
                _, _, event_id = await stream.event()
            for number, expected in enumerate(following):
                assert (await next_id(stream) if number else event_id) == expected
            stream.close()
        assert resets < len(streams)
