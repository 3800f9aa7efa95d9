"""Boards that make room for others at the worst moment: while a client is on its way to them."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tornado_board.inputs import NewBoard
from tornado_board.server import Running
from tornado_board.settings import Settings

from .serving import PATIENCE

Serve = Callable[[Settings], Awaitable[Running]]


class Held:
    """Holds reads of the replay log back until they are let go."""

    def __init__(self, running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached, self.released = asyncio.Event(), asyncio.Event()
        since = running.services.log.since

        async def held(*arguments: Any) -> Any:
            self.reached.set()
            await self.released.wait()
            return await since(*arguments)

        monkeypatch.setattr(running.services.log, "since", held)


async def connected(
    running: Running, path: str, *fields: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = running.url.rstrip("/").rpartition(":")[2]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]
    writer.write("\r\n".join(lines).encode())
    return reader, writer


async def demo_with_an_older_event(running: Running) -> str:
    """Makes board ``b``, and moves ``demo`` on; the id before that."""
    await running.services.store.create_board(NewBoard(id="b"))
    topic = await running.services.hub.open("demo")
    older = topic.current.id
    await running.services.store.add_score("demo", "mars", 1)
    while topic.current.id == older:
        await asyncio.sleep(0.01)
    return str(older)


@pytest.mark.gen_test
async def test_a_stream_joins_the_board_that_is_live_once_it_has_caught_up(
    serving: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(dataclasses.replace(settings, live_boards=1))
    older = await demo_with_an_older_event(running)
    held = Held(running, monkeypatch)
    fields = ("Accept: text/event-stream", f"Last-Event-ID: {older}")
    reader, writer = await connected(running, "/boards/demo/", *fields)
    await asyncio.wait_for(held.reached.wait(), PATIENCE)
    await running.services.hub.open("b")
    held.released.set()
    assert b"200 OK" in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert b'"score":20' in await asyncio.wait_for(reader.readuntil(b"\n\n"), PATIENCE)
    await running.services.store.add_score("demo", "mars", 1)
    assert b'"score":21' in await asyncio.wait_for(reader.readuntil(b"\n\n"), PATIENCE)
    writer.close()


@pytest.mark.gen_test
async def test_a_stream_of_a_board_deleted_meanwhile_is_not_found(
    serving: Serve, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(settings)
    older = await demo_with_an_older_event(running)
    held = Held(running, monkeypatch)
    fields = ("Accept: text/event-stream", f"Last-Event-ID: {older}")
    reader, writer = await connected(running, "/boards/demo/", *fields)
    await asyncio.wait_for(held.reached.wait(), PATIENCE)
    await running.services.store.delete_board("demo")
    while running.services.hub.current("demo") is not None:
        await asyncio.sleep(0.01)
    held.released.set()
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    assert head.startswith(b"HTTP/1.1 404")
    writer.close()
