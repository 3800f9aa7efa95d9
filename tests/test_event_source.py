"""A board followed by the npm package `eventsource`, which behaves as browsers do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tornado_board.replay import EventId

from .node import find
from .server_process import ServerProcess
from .stream_client import PATIENCE, add, contiguous, http_client, make_board

# One process has them all, since they have one installed package.
pytestmark = [pytest.mark.gen_test, pytest.mark.xdist_group("event_source")]

SOURCES = Path(__file__).parent / "event_source"
FILES = ("package.json", "package-lock.json", ".npmrc", "follow.js")


@pytest.fixture(scope="module")
def follow_js(request: pytest.FixtureRequest) -> list[str]:
    """The command that follows a stream; its package is installed into pytest's cache."""
    node, npm = find()
    assert request.config.cache is not None
    folder = Path(request.config.cache.mkdir("event_source"))
    lock = SOURCES / "package-lock.json"
    installed = folder / "node_modules" / "installed-lock.json"
    if not installed.exists() or installed.read_bytes() != lock.read_bytes():
        for name in FILES:
            shutil.copy(SOURCES / name, folder)
        done = subprocess.run(
            [*npm, "ci", "--ignore-scripts"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"npm could not install eventsource: {done.stderr.strip()[-300:]}")
        shutil.copy(lock, installed)
    shutil.copy(SOURCES / "follow.js", folder)
    return [str(node), str(folder / "follow.js")]


class NodeClient:
    """What an EventSource in a process of its own has seen."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ids: list[EventId] = []
        self.kinds: list[str] = []
        self.shown: Any = None
        self.closed_with: Any = None

    async def read_until(self, done: Callable[[NodeClient], bool]) -> None:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while not done(self):
                line = json.loads(await self.process.stdout.readline())
                self.kinds.append(line["type"])
                if line["type"] == "update":
                    self.ids.append(EventId.parse(line["id"]))
                    self.shown = json.loads(line["data"])
                elif line["type"] == "error" and line["closed"]:
                    self.closed_with = line["code"]

    async def read_until_score(self, score: int) -> None:
        await self.read_until(
            lambda self: self.shown is not None and self.shown["players"][0]["score"] == score
        )


@contextlib.asynccontextmanager
async def node_client(command: list[str], url: str) -> AsyncIterator[NodeClient]:
    process = await asyncio.create_subprocess_exec(
        *command, url, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield NodeClient(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 30)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_real_event_source_misses_nothing(
    server_process: Callable[..., ServerProcess], follow_js: list[str]
) -> None:
    """First event, updates, ``kill -9`` and a restart, and the end of the board."""
    server = server_process()
    async with http_client(server.url) as client, contextlib.AsyncExitStack() as stack:
        await make_board(client, "b")
        followers = [
            await stack.enter_async_context(node_client(follow_js, f"{server.url}{path}"))
            for path in ("/boards/b/", "/boards/b/events?lastEventId=1795279177639-42")
        ]
        await asyncio.gather(*(follower.read_until_score(0) for follower in followers))
        assert followers[0].kinds == ["open", "update"]
        # It asked for what this board never sent.
        assert followers[1].kinds == ["open", "reset", "update"]

        for score in range(1, 6):
            await add(client, "b")
            # One by one, so that each is an event.
            await asyncio.gather(*(follower.read_until_score(score) for follower in followers))
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.restart)
        # Nobody is back yet: they wait for a second at least.
        for score in range(6, 9):
            assert (await add(client, "b"))["score"] == score
            await asyncio.sleep(0.1)
        for follower in followers:
            await follower.read_until_score(8)
            assert follower.kinds.count("error") >= 1, "the connection was lost"
            assert follower.kinds.count("open") == 2
            assert follower.kinds.count("reset") == follower.kinds[:2].count("reset")
            assert "message" not in follower.kinds
            assert contiguous(follower.ids)
        assert followers[0].ids == followers[1].ids

        # The board is gone: an EventSource that is told 404 gives up.
        (await client.delete("/boards/b/")).raise_for_status()
        for follower in followers:
            await follower.read_until(lambda follower: follower.closed_with is not None)
            assert follower.closed_with == 404
            assert contiguous(follower.ids)
