"""Fixtures: every backend behind the protocol that its contract tests speak."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tornado_board.replay import ReplayLog, open_replay_log
from tornado_board.server import Running, running
from tornado_board.settings import Settings
from tornado_board.store import Store, open_store

from .server_process import ServerProcess

STORES = ["sqlite"]
LOGS = ["sqlite"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The defaults, with an SQLite file in the test's own folder and a free port."""
    return dataclasses.replace(
        Settings(), database_url=f"sqlite:///{tmp_path}/board.sqlite3", port=0, address="127.0.0.1"
    )


@pytest.fixture(params=STORES)
def database_url(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The URL of an empty database of each backend in turn."""
    return settings.database_url


@pytest.fixture(params=LOGS)
def log_url(request: pytest.FixtureRequest, settings: Settings) -> str:
    """The URL of an empty replay log of each backend in turn."""
    return settings.replay_url


class Opened:
    """Opens stores and logs inside a test's event loop, and closes them after it."""

    def __init__(self) -> None:
        self.closers: list[Callable[[], Awaitable[None]]] = []

    async def store(self, url: str, settings: Settings) -> Store:
        store = await open_store(url, settings)
        self.closers.append(store.close)
        return store

    async def log(self, url: str, settings: Settings) -> ReplayLog:
        log = await open_replay_log(url, settings)
        self.closers.append(log.close)
        return log


@pytest.fixture
def opened(io_loop: Any) -> Iterator[Opened]:
    everything = Opened()
    yield everything

    async def close() -> None:
        for closer in reversed(everything.closers):
            await asyncio.wait_for(closer(), 10)

    io_loop.run_sync(close)


@pytest.fixture
def server_process(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers as processes of their own, in the test's folder; kills them after it."""
    started: list[ServerProcess] = []

    def start(*flags: str, folder: Path = tmp_path, **environ: str) -> ServerProcess:
        started.append(ServerProcess(folder, *flags, **environ))
        return started[-1].wait_until_serving()

    yield start
    for process in started:
        if process.process.poll() is None:
            process.kill()


@pytest.fixture
def serving(io_loop: Any) -> Iterator[Callable[[Settings], Awaitable[Running]]]:
    """Serves inside the test's event loop, on real sockets; stops after the test."""
    stack = contextlib.AsyncExitStack()

    async def serve(settings: Settings) -> Running:
        return await stack.enter_async_context(running(settings))

    yield serve

    async def stop() -> None:
        await asyncio.wait_for(stack.aclose(), 10)

    io_loop.run_sync(stop)
