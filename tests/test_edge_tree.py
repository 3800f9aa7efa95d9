"""An origin, two edges, and four edges of edges, each of which is killed: every client of every one
is shown each event once, in order, under the origin's id."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .server_process import ServerProcess
from .stream_client import contiguous, http_client, make_board
from .test_edge_outages import following, shown, start_edge

#: Clients of each server.
CLIENTS = 3


async def add_until_counted(client: httpx.AsyncClient, key: int) -> None:
    """Add 1, once, whatever is killed meanwhile."""
    while True:
        try:
            answer = await client.post(
                "/boards/b/players/p/score-add/", headers={"Idempotency-Key": str(key)}
            )
            if answer.status_code == 200:
                return
            assert answer.status_code in (409, 502, 503, 504), answer.text
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.05)


@pytest.mark.gen_test
async def test_whatever_is_killed_everybody_is_shown_everything_once(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    def start(name: str, *upstreams: ServerProcess) -> ServerProcess:
        urls = [upstream.url for upstream in upstreams]
        return start_edge(server_process, tmp_path, name, *urls)

    origin = await asyncio.to_thread(server_process)
    edges = await asyncio.gather(*(asyncio.to_thread(start, f"edge{n}", origin) for n in range(2)))
    # Each has the other edge to fall back on.
    leaves = await asyncio.gather(
        *(asyncio.to_thread(start, f"leaf{n}", edges[n % 2], edges[1 - n % 2]) for n in range(4))
    )
    servers = [origin, *edges, *leaves]
    async with http_client(origin.url) as there:
        await make_board(there, "b")
    score, chance = 0, random.Random(7)
    watched = [server for server in servers for _ in range(CLIENTS)]
    async with (
        http_client(origin.url) as there,
        http_client(leaves[0].url) as here,
        following(*watched) as clients,
    ):
        await shown(clients, 0)
        order = list(servers)
        chance.shuffle(order)
        for killed in order:
            await asyncio.to_thread(killed.kill)
            restarting = asyncio.create_task(asyncio.to_thread(killed.restart))
            for _ in range(6):
                score += 1
                await add_until_counted(chance.choice([there, here]), score)
                await asyncio.sleep(chance.uniform(0, 0.2))
            await restarting
        await shown(clients, score)
        answer = await there.get("/boards/b/events/", params={"history": 1000})
        ids = [event["id"] for event in answer.json()["events"]]
        assert (await there.get("/boards/b/players/p/")).json()["score"] == score
    for client in clients:
        assert client.resets == 0
        assert contiguous(client.ids)
        seen = [str(id) for id in client.ids]
        assert seen == ids[ids.index(seen[0]) :]
