"""What tests of the RethinkDB store share: somebody who writes to the database beside it, and ways
to wait for what it makes of a server that is away."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tornado_board.settings import Settings
from tornado_board.store import FeedLost, OutcomeUnknown, Store, StoreUnavailable
from tornado_board.store.rethinkdb import RethinkDBStore
from tornado_board.store.rethinkdb.address import Address
from tornado_board.store.rethinkdb.driver import run

from .conftest import Opened
from .reql import ReQLServer
from .waiting import PATIENCE


class Admin:
    """Runs queries from outside, as the admin console or a script does."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)

    async def run(self, *terms: Any) -> Any:
        """Run `terms`, and return what the last one gives."""
        driver = await self._address.connect(10)
        try:
            for term in terms:
                result = await run(driver, term, 30)
        finally:
            await driver.close(noreply_wait=False)
        return result


async def opened_store(opened: Opened, url: str, settings: Settings) -> RethinkDBStore:
    store = await opened.store(url, settings)
    assert isinstance(store, RethinkDBStore)
    return store


def impatient(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, timeout: float, wait: float
) -> Settings:
    """`settings` with other limits, and heartbeats and attempts to connect that come fast."""
    monkeypatch.setattr("tornado_board.store.rethinkdb.connection.HEARTBEAT", 0.05)
    monkeypatch.setattr("tornado_board.store.rethinkdb.feed.HEARTBEAT", 0.05)
    monkeypatch.setattr("tornado_board.store.rethinkdb.connection.BACKOFF", (0.01, 0.05))
    return dataclasses.replace(settings, database_timeout=timeout, database_wait=wait)


async def eventually(call: Callable[[], Awaitable[Any]]) -> Any:
    """The result of `call` once the store is there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await call()
        except (StoreUnavailable, OutcomeUnknown):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)


async def unavailable(store: Store) -> None:
    """Wait until `store` knows that its server is away."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            await store.ping()
        except StoreUnavailable:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the store goes on")


async def lost(waiting: Awaitable[Any]) -> str:
    """The reason with which a feed ends."""
    with pytest.raises(FeedLost) as caught:
        await asyncio.wait_for(waiting, 30)
    return str(caught.value)


@asynccontextmanager
async def silence(server: ReQLServer) -> AsyncIterator[None]:
    """The server takes everything and does nothing, like a stopped process."""
    server.running.clear()
    try:
        yield
    finally:
        server.running.set()
