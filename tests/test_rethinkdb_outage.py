"""The whole server on a real RethinkDB that is killed, stopped and rebuilt under it."""

from __future__ import annotations

import asyncio
import collections
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.driver import run
from tornado_board.store.rethinkdb.standing import STANDING

from .rethinkdb_server import PROGRAM, RethinkDBServer
from .server_process import ServerProcess
from .waiting import PATIENCE, until

pytestmark = [
    pytest.mark.usefixtures("io_loop"),
    pytest.mark.skipif(PROGRAM is None, reason="no rethinkdb on PATH that could be killed"),
]

PLAYERS = [f"p{n}" for n in range(5)]
CLIENTS = 32
STREAMS = 10


@pytest.fixture
def database(tmp_path: Path) -> Iterator[RethinkDBServer]:
    """A RethinkDB server of the test's own."""
    server = RethinkDBServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(database: RethinkDBServer, tmp_path: Path) -> Iterator[ServerProcess]:
    """tornado_board on `database`."""
    process = ServerProcess(tmp_path, f"--database-url={database.url('board')}")
    yield process.wait_until_serving()
    if process.process.poll() is None:
        process.stop()
    assert "Traceback" not in process.text


class Streams:
    """Event streams of a board: the newest board each has seen, and those that ended."""

    def __init__(self) -> None:
        self.newest: dict[int, Any] = {}
        self.ended: list[str] = []

    async def follow(self, number: int, client: httpx.AsyncClient) -> None:
        try:
            async with client.stream(
                "GET", "/boards/b/", headers={"Accept": "text/event-stream"}
            ) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: "):
                        self.newest[number] = json.loads(line[6:])
            self.ended.append(f"stream {number} ended")
        except httpx.HTTPError as error:
            self.ended.append(f"stream {number}: {error!r}")

    async def agree_with(self, client: httpx.AsyncClient, seconds: float = PATIENCE) -> None:
        """Wait until every stream shows the board as a read does."""
        deadline = time.monotonic() + seconds
        while True:
            board = (await client.get("/boards/b/")).json()
            late = [n for n in range(STREAMS) if self.newest.get(n) != board]
            if not late:
                return
            assert time.monotonic() < deadline, f"{late} show {self.newest}, not {board}"
            await asyncio.sleep(0.1)


@asynccontextmanager
async def board_with_streams(server: ServerProcess) -> AsyncIterator[tuple[Any, Streams]]:
    """A board ``b`` with `PLAYERS`, and `STREAMS` that follow it to the end without a cut."""
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.url, timeout=30, limits=limits) as client:
        (await client.post("/boards/", json={"id": "b"})).raise_for_status()
        for player_id in PLAYERS:
            body = {"id": player_id, "name": player_id}
            (await client.post("/boards/b/players/", json=body)).raise_for_status()
        streams = Streams()
        following = [asyncio.create_task(streams.follow(n, client)) for n in range(STREAMS)]
        await streams.agree_with(client)
        try:
            yield client, streams
        finally:
            for task in following:
                task.cancel()
            await asyncio.wait(following)
        assert streams.ended == []


class Load:
    """Clients that add 1 to the players' scores in turn, and what they were answered."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.answered: dict[str, list[int]] = collections.defaultdict(list)
        self.unknown: collections.Counter[str] = collections.Counter()
        self.refused: list[httpx.Response] = []
        self.slowest = 0.0
        self._stopping = False
        self._clients: list[asyncio.Task[None]] = []

    async def add(self, player_id: str) -> None:
        began = time.monotonic()
        response = await self._client.post(f"/boards/b/players/{player_id}/score-add/")
        self.slowest = max(self.slowest, time.monotonic() - began)
        if response.status_code == 200:
            self.answered[player_id].append(response.json()["score"])
            return
        assert response.status_code == 503, response.text
        assert "Retry-After" in response.headers
        if "may have been applied" in response.json()["detail"]:
            self.unknown[player_id] += 1
        else:
            self.refused.append(response)
        await asyncio.sleep(0.05)

    async def _client_loop(self, number: int) -> None:
        while not self._stopping:
            await self.add(PLAYERS[number % len(PLAYERS)])
            number += 1

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Load]:
        self._clients = [asyncio.create_task(self._client_loop(n)) for n in range(CLIENTS)]
        try:
            yield self
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Return when every client has its last answer."""
        self._stopping = True
        await asyncio.gather(*self._clients)

    async def more_answers(self, number: int, seconds: float = 60) -> None:
        """Wait until `number` more additions were answered."""
        wanted = sum(map(len, self.answered.values())) + number
        deadline = time.monotonic() + seconds
        while sum(map(len, self.answered.values())) < wanted:
            assert time.monotonic() < deadline, f"{len(self.refused)} were refused"
            await asyncio.sleep(0.05)

    async def check_nothing_was_lost(self) -> None:
        """Every answered addition is in the score, and at most the unknown ones besides."""
        for player_id in PLAYERS:
            scores = self.answered[player_id]
            assert len(set(scores)) == len(scores), "two callers got one score"
            response = await self._client.get(f"/boards/b/players/{player_id}/")
            score = response.json()["score"]
            assert len(scores) <= score <= len(scores) + self.unknown[player_id]
            assert max(scores) <= score


async def readiness(client: httpx.AsyncClient, status: int, seconds: float) -> None:
    """Wait until ``/readyz`` answers `status`."""
    deadline = time.monotonic() + seconds
    while (response := await client.get("/readyz")).status_code != status:
        assert time.monotonic() < deadline, response.text
        await asyncio.sleep(0.05)


@pytest.mark.gen_test
async def test_kill_9_and_restart_under_load_with_streams_open(
    database: RethinkDBServer, server: ServerProcess
) -> None:
    async with board_with_streams(server) as (client, streams), Load(client).running() as load:
        for _ in range(2):
            await load.more_answers(200)
            database.kill()
            await readiness(client, 503, seconds=30)
            assert (await client.get("/healthz")).status_code == 200
            began = time.monotonic()
            refused = await client.get("/boards/b/")
            assert time.monotonic() - began < 4.5  # a timeout would be 5 s
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            await asyncio.sleep(1)
            await asyncio.to_thread(database.start)
            await readiness(client, 200, seconds=60)
        await load.more_answers(200)
        await load.stop()
        await load.check_nothing_was_lost()
        await streams.agree_with(client)
    assert load.refused
    assert server.text.count("connecting again until it is back") == 2


@pytest.mark.gen_test
async def test_a_server_that_is_stopped_for_20_seconds_and_goes_on(
    database: RethinkDBServer, server: ServerProcess
) -> None:
    async with board_with_streams(server) as (client, streams), Load(client).running() as load:
        await load.more_answers(200)
        database.signal(signal.SIGSTOP)
        began = time.monotonic()
        await readiness(client, 503, seconds=18)
        refused = len(load.refused)
        await asyncio.sleep(20 - (time.monotonic() - began))
        assert len(load.refused) > refused + CLIENTS, "they wait rather than being refused"
        database.signal(signal.SIGCONT)
        await readiness(client, 200, seconds=60)
        await load.more_answers(200)
        await load.stop()
        await load.check_nothing_was_lost()
        await streams.agree_with(client)
        assert load.slowest < 18


@pytest.mark.gen_test
async def test_tables_that_are_rebuilt_under_an_open_feed(
    database: RethinkDBServer, server: ServerProcess
) -> None:
    driver = await Address.parse(database.url("board")).connect(10)
    players, boards = r.table("players"), r.table("boards")
    async with board_with_streams(server) as (client, streams), Load(client).running() as load:
        for term in (
            players.reconfigure(shards=2, replicas=1),
            boards.reconfigure(shards=2, replicas=1),
            players.rebalance(),
            players.index_drop(STANDING),
            players.reconfigure(shards=1, replicas=1),
        ):
            await load.more_answers(50)
            await run(driver, term, 60)
            await readiness(client, 200, seconds=60)
        await load.more_answers(50)
        await load.stop()
        await load.check_nothing_was_lost()
        await streams.agree_with(client)
        # A write from outside reaches the streams as before.
        await run(driver, players.get("p3").update({"score": 10**6}), 30)
        first = {"id": "p3", "name": "p3", "score": 10**6}
        await until(lambda: streams.newest[0]["players"][0] == first)
        await streams.agree_with(client)
        assert streams.newest[0]["players"][0] == first
    await driver.close(noreply_wait=False)
