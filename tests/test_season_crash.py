"""``kill -9`` at every step of the end of a season, under load, on both stores: the season ends
once, and every addition counts once, in the season that it came in."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import rethinkdb

from tornado_board.seasons import partition_of
from tornado_board.store.rethinkdb.address import Address

from .killed_at import STEPS
from .redis_server import RedisServer
from .server_process import ROOT, ServerProcess
from .waiting import PATIENCE

PLAYERS = 4


class KilledServer(ServerProcess):
    def __init__(self, folder: Path, step: str, number: int, *flags: str) -> None:
        marker = str(folder / f"killed-{number}")
        self.program = (str(ROOT / "tests" / "killed_at.py"), step, marker)
        super().__init__(folder, *flags)


class Load:
    """Additions, each with a key and sent until it is answered, to any of the servers."""

    def __init__(self, servers: list[KilledServer]) -> None:
        self.servers = servers
        self.client = httpx.AsyncClient(timeout=PATIENCE)
        #: What was answered, by player.
        self.scores: list[list[int]] = [[] for _ in range(PLAYERS)]
        self.goes_on = True

    async def request(self, method: str, path: str, turn: int = 0, **more: Any) -> httpx.Response:
        """Send it until some server answers."""
        for attempt in range(10_000):
            server = self.servers[(turn + attempt) % len(self.servers)]
            try:
                answer = await self.client.request(method, server.url + path, **more)
            except httpx.TransportError:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code not in (409, 503):
                return answer
            await asyncio.sleep(0.05)
        raise AssertionError("nobody answers")

    async def add(self, player: int) -> None:
        path = f"/boards/cup/players/p{player}/score-add/?create=1"
        number = 0
        while self.goes_on:
            number += 1
            headers = {"Idempotency-Key": f"{player}-{number}"}
            answer = await self.request("POST", path, player + number, headers=headers)
            assert answer.status_code in (200, 201), answer.text
            self.scores[player].append(answer.json()["score"])

    @property
    def answered(self) -> int:
        return sum(map(len, self.scores))


def end_now_in_sqlite(folder: Path) -> None:
    """Another program says that the season's time is over."""
    with contextlib.closing(sqlite3.connect(folder / "tornado_board.sqlite3", timeout=20)) as c:
        c.execute("UPDATE boards SET season = json_set(season, '$.ends', 1000) WHERE id = 'cup'")
        c.commit()


def end_now_in_rethinkdb(url: str) -> None:
    address = Address.parse(url)
    r = rethinkdb.RethinkDB()
    with r.connect(address.host, address.port, db=address.database) as connection:
        r.table("boards").get("cup").update({"season": {"ends": 1000}}).run(connection)


def was_killed(folder: Path) -> bool:
    return any(folder.glob("killed-*"))


async def check(folder: Path, servers: list[KilledServer], end_now: Callable[[], None]) -> None:
    for server in servers:
        await asyncio.to_thread(server.wait_until_serving)
    load = Load(servers)
    watcher: asyncio.Task[None] | None = None

    async def restart_the_killed() -> None:
        while True:
            for server in servers:
                if server.process.poll() is not None:
                    await asyncio.to_thread(server.restart)
            await asyncio.sleep(0.1)

    try:
        made = await load.request("POST", "/boards/", json={"id": "cup", "season": {}})
        assert made.status_code == 201
        await load.request("GET", "/boards/cup/events/?wait=0")
        writing = [asyncio.ensure_future(load.add(player)) for player in range(PLAYERS)]
        while load.answered < 100:
            await asyncio.sleep(0.02)
        watcher = asyncio.ensure_future(restart_the_killed())
        await asyncio.to_thread(end_now)
        async with asyncio.timeout(60):
            while not was_killed(folder):
                await asyncio.sleep(0.02)
            before = load.answered
            while load.answered < before + 200:
                await asyncio.sleep(0.02)
        load.goes_on = False
        await asyncio.gather(*writing)

        seasons = (await load.request("GET", "/boards/cup/seasons/")).json()["seasons"]
        assert [season["number"] for season in seasons] == [2, 1], "it ended once"
        for player, scores in enumerate(load.scores):
            stored = []
            for season in (1, 2):
                path = f"/boards/cup/players/p{player}/?season={season}"
                stored.append((await load.request("GET", path)).json().get("score", 0))
            expected = [*range(1, stored[0] + 1), *range(1, stored[1] + 1)]
            assert scores == expected, f"p{player} has {stored}"

        async def told() -> list[dict[str, Any]]:
            answer = await load.request("GET", "/boards/cup/events/?history=1000")
            return list(answer.json()["events"])

        async with asyncio.timeout(30):
            while (events := await told())[-1]["data"]["season"]["number"] != 2:
                await asyncio.sleep(0.1)
        ends = [event for event in events if event["event"] == "season"]
        assert len(ends) == 1, "the stream was told once"
        assert ends[0]["data"]["season"]["number"] == 1
        position = events.index(ends[0])
        assert [event["data"]["season"]["number"] for event in events[:position]] == [1] * position
        assert events[position + 1]["data"]["season"]["number"] == 2
    finally:
        load.goes_on = False
        if watcher is not None:
            watcher.cancel()
        await load.client.aclose()
        for server in servers:
            if server.process.poll() is None:
                await asyncio.to_thread(server.kill)
    assert not any("Traceback" in server.text for server in servers)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.gen_test
async def test_kill_minus_nine_at_each_step_on_sqlite(tmp_path: Path, step: str) -> None:
    servers = [KilledServer(tmp_path, step, 0, "--log-level=warning")]
    await check(tmp_path, servers, lambda: end_now_in_sqlite(tmp_path))


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.gen_test
async def test_kill_minus_nine_at_each_step_of_three_processes(
    tmp_path: Path, step: str, rethinkdb_url: str, own_redis: RedisServer
) -> None:
    flags = [f"--database-url={rethinkdb_url}", f"--redis-url={own_redis.url}"]
    servers = [
        KilledServer(tmp_path, step, number, "--log-level=warning", *flags) for number in range(3)
    ]
    await check(tmp_path, servers, lambda: end_now_in_rethinkdb(rethinkdb_url))


def test_the_partitions_are_those_that_the_docs_name() -> None:
    assert [partition_of("cup", number) for number in (1, 2, 10)] == ["cup", "2:cup", "10:cup"]
