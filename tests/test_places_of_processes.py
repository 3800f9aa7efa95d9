"""A player's place, watched on several processes, of which one dies."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from websockets.asyncio.client import connect

from .server_cluster import Cluster
from .server_process import ServerProcess
from .stream_client import RawStream, http_client
from .waiting import until

PATH = "/boards/b/players/p/events/"


class Watcher:
    """Watches a player's place on one server by one transport, and keeps what it was told."""

    def __init__(self, server: ServerProcess, transport: str) -> None:
        self.server = server
        self.told: list[Any] = []
        self.watching = asyncio.create_task(getattr(self, f"_{transport}")())

    @property
    def newest(self) -> Any:
        return self.told[-1] if self.told else None

    async def _stream(self) -> None:
        stream = await RawStream.open(self.server.url, PATH, "Accept: text/event-stream")
        try:
            while True:
                _, place, event_id = await stream.event()
                assert event_id is None
                self.told.append(place)
        finally:
            stream.close()

    async def _websocket(self) -> None:
        url = self.server.url.replace("http", "ws", 1)
        async with connect(f"{url}{PATH}") as websocket:
            async for message in websocket:
                self.told.append(json.loads(message)["data"])

    async def _poll(self) -> None:
        async with http_client(self.server.url) as http:
            since: dict[str, str] = {}
            while True:
                answer = await http.get(PATH, params={"wait": "5", **since})
                answer.raise_for_status()
                events = answer.json()["events"]
                self.told += [event["data"] for event in events]
                since = {"since": answer.json()["last_event_id"]}


def place(score: int, rank: int, to_next: int | None) -> dict[str, Any]:
    shown = {"id": "p", "name": "P", "score": score, "rank": rank, "of": 2, "to_next": to_next}
    return shown


@pytest.mark.gen_test
async def test_a_place_is_the_same_on_every_process_and_outlives_the_publisher(
    cluster: Cluster,
) -> None:
    await cluster.start(3)
    await cluster.make_board()
    body = {"id": "q", "name": "Q", "score": 5}
    answer = await cluster.http.post(f"{cluster.servers[0].url}/boards/b/players/", json=body)
    assert answer.status_code == 201
    await until(lambda: cluster.publisher is not None)
    watchers = [
        Watcher(server, transport)
        for server in cluster.servers
        for transport in ("stream", "websocket", "poll")
    ]
    cluster.tasks += [watcher.watching for watcher in watchers]

    def all_show(expected: dict[str, Any]) -> bool:
        for watcher in watchers:
            if watcher.watching.done() and watcher.server in cluster.servers:
                watcher.watching.result()
        return all(w.newest == expected for w in watchers if w.server in cluster.servers)

    await until(lambda: all_show(place(0, 2, 5)))
    for server in cluster.servers:
        assert await cluster.add(server)
    await until(lambda: all_show(place(3, 2, 2)))
    publisher = cluster.publisher
    assert publisher is not None
    cluster.servers.remove(publisher)
    publisher.kill()
    for _ in range(4):
        assert await cluster.add()
    await until(lambda: all_show(place(7, 1, None)))
    assert all(watcher.told[0] == place(0, 2, 5) for watcher in watchers)
