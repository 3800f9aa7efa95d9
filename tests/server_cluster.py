"""Server processes on one database and one Redis, with their clients and writers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tornado_board.replay import EventId

from .hopping_client import StreamClient
from .redis_server import RedisServer
from .server_process import ServerProcess
from .waiting import PATIENCE, until


class Cluster:
    """Server processes on one database and one Redis, with their clients and writers."""

    def __init__(self, folder: Path, database_url: str, redis_server: RedisServer) -> None:
        self.folder = folder
        self.redis = redis_server
        self.flags = [f"--database-url={database_url}", f"--redis-url={redis_server.url}"]
        self.servers: list[ServerProcess] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.http = httpx.AsyncClient(timeout=PATIENCE)
        self.added = 0

    async def start(self, count: int, *flags: str) -> None:
        """Start `count` more processes, each on a port of its own."""
        started = [ServerProcess(self.folder, *self.flags, *flags) for _ in range(count)]
        self.servers += started
        for server in started:
            await asyncio.to_thread(server.wait_until_serving)

    async def make_board(self) -> None:
        url = self.servers[0].url
        assert (await self.http.post(f"{url}/boards/", json={"id": "b"})).status_code == 201
        body = {"id": "p", "name": "P"}
        assert (await self.http.post(f"{url}/boards/b/players/", json=body)).status_code == 201

    def client(self, server: ServerProcess) -> StreamClient:
        """A client that comes back to `server` whenever it is cut off."""
        client = StreamClient("b")
        self.tasks.append(asyncio.create_task(client.follow_for_good(server.port)))
        return client

    async def add(self, server: ServerProcess | None = None) -> bool:
        """Add 1 on `server` or any; whether it was answered."""
        server = server or random.choice(self.servers)
        with contextlib.suppress(httpx.HTTPError):
            url = f"{server.url}/boards/b/players/p/score-add/"
            if (await self.http.post(url)).status_code == 200:
                self.added += 1
                return True
        return False

    @contextlib.asynccontextmanager
    async def writes(self, pause: float = 0.02) -> AsyncIterator[None]:
        """Add to the score all the time, and leave no addition under way at the end."""
        stop = asyncio.Event()

        async def write() -> None:
            while not stop.is_set():
                await self.add()
                await asyncio.sleep(pause)

        writing = [asyncio.create_task(write()) for _ in range(2)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*writing)

    async def score(self) -> int:
        """The score as the store has it."""
        for server in self.servers:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self.http.get(f"{server.url}/boards/b/players/p/")
                if answer.status_code == 200:
                    return int(answer.json()["score"])
        raise AssertionError("no server answers")

    async def settle(self, *clients: StreamClient, seconds: float = PATIENCE) -> float:
        """Wait until every client shows the score as it is; how long that took."""
        began = time.monotonic()
        while True:
            score = await self.score()  # each time: a request that was broken off may yet count
            shown = [c.newest["players"][0]["score"] if c.newest else -1 for c in clients]
            took = time.monotonic() - began
            if all(s == score for s in shown):
                return took
            assert took < seconds, f"clients show {shown}, not {score}"
            await asyncio.sleep(0.02)

    @property
    def publisher(self) -> ServerProcess | None:
        """The process that holds the lease."""
        pid = self.redis.lease_pid()
        return next((s for s in self.servers if s.process.pid == pid), None)

    async def new_publisher(self, old: ServerProcess, seconds: float = PATIENCE) -> float:
        return await until(lambda: self.publisher not in (None, old), seconds)

    async def log(self) -> list[tuple[EventId, int]]:
        """The log's ids and scores."""
        events = self.redis.client.xrange(self.redis.key("*:replay:b"))
        return [
            (EventId.parse(id), int(fields["data"].split('"score":')[1].split("}")[0]))
            for id, fields in events
        ]

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.http.aclose()
        for server in self.servers:
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
                await asyncio.to_thread(server.kill)
