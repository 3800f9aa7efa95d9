"""Boards that are deleted right after a change, while somebody watches, and made again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from .deployment import Deployment
from .record import Record
from .recorder import connected, request, scores_of
from .wire import Chunks, Events, WireError, read_head

#: How long a board that was deleted or made may look otherwise, in seconds.
_SOON = 5.0

#: Boards that are deleted at the same time.
_GHOSTS = 12


async def ghosts(
    parts: Deployment, times: AsyncIterator[None], chance: random.Random, record: Record
) -> None:
    """Delete some boards and make them again, each of `times`; `record` has what is wrong then."""
    number = 0
    async for _ in times:
        batch = [f"ghost{number + offset}" for offset in range(_GHOSTS)]
        number += len(batch)
        found = await asyncio.gather(*(_ghost(parts, board, chance.random()) for board in batch))
        record.found += [text for text in found if text]
    parts.mark(f"{number} boards were deleted")


async def _ghost(parts: Deployment, board: str, seed: float) -> str:
    """Delete a board right after a change, and make it again; what is wrong then."""
    chance = random.Random(seed)
    servers = range(len(parts.servers))
    path = f"/boards/{board}/"
    await _make(parts, board, chance.choice(servers), 0)
    async with _stream(parts, board, chance.choice(servers)) as status:
        if status != 200:
            return f"a stream of {board} is {status} where it was just made"
        added = asyncio.create_task(
            parts.request("POST", f"{path}players/p/score-add/", chance.choice(servers))
        )
        await asyncio.sleep(chance.uniform(0, 0.02))
        await parts.request("DELETE", path, chance.choice(servers))
        await added

    async def gone(server: int) -> str:
        status, _ = await parts.request("GET", path, server)
        async with _stream(parts, board, server) as stream:
            return "" if status == stream == 404 else f"GET {status}, stream {stream}"

    async def back(server: int) -> str:
        _, answer = await parts.request("GET", path, server)
        shown = await first_event(parts.servers[server].port, board)
        return "" if {"p": 1_000} == shown == scores_of(answer) else f"GET {answer}, stream {shown}"

    for server in servers:
        if wrong := await _still(gone, server):
            return f"{board}, deleted, on server {server}: {wrong}"
    await _make(parts, board, chance.choice(servers), 1_000)
    for server in servers:
        if wrong := await _still(back, server):
            return f"{board}, made again, on server {server}: {wrong}"
    await parts.request("DELETE", path)
    return ""


async def _still(wrong: Callable[[int], Awaitable[str]], server: int) -> str:
    """What is wrong with a server for `_SOON` seconds; empty as soon as nothing is."""
    until = time.monotonic() + _SOON
    while True:
        try:
            text = await wrong(server)
        except (OSError, EOFError, WireError) as error:
            text = repr(error)
        if not text or time.monotonic() > until:
            return text
        await asyncio.sleep(0.1)


async def _make(parts: Deployment, board: str, server: int, score: int) -> None:
    await parts.request("POST", "/boards/", server, {"id": board})
    body = {"id": "p", "name": "P", "score": score}
    await parts.request("POST", f"/boards/{board}/players/", server, body)


@contextlib.asynccontextmanager
async def _stream(parts: Deployment, board: str, server: int) -> AsyncIterator[int]:
    """A stream that nobody reads; its status."""
    async with connected(parts.servers[server].port) as (reader, writer):
        path = f"/boards/{board}/events/"
        writer.write(request("GET", path, "Accept: text/event-stream"))
        yield (await read_head(reader)).status


async def first_event(port: int, board: str) -> dict[str, int] | int:
    """What a new client is shown, or the status of the answer where it is none."""
    async with connected(port) as (reader, writer), asyncio.timeout(5):
        path = f"/boards/{board}/events/"
        writer.write(request("GET", path, "Accept: text/event-stream"))
        head = await read_head(reader)
        if head.status != 200:
            return head.status
        chunks, events = Chunks() if head.chunked else None, Events()
        while data := await reader.read(65_536):
            for event in events.feed(chunks.feed(data) if chunks else data):
                if event.event == "update":
                    return scores_of(json.loads(event.data))
    raise EOFError
