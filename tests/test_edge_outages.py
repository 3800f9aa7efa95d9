"""An edge whose upstream, log or own process goes away and comes back: every event once, in order,
with the origin's ids."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import websockets

from tornado_board.realtime.wires.websocket import CloseCode

from .faults.relay import Relay
from .hopping_client import StreamClient
from .server_process import ServerProcess
from .stream_client import RawStream, add, contiguous, http_client, make_board
from .waiting import PATIENCE, until

Start = Callable[..., ServerProcess]
Pair = tuple[ServerProcess, ServerProcess]


def start_edge(
    start: Start, tmp_path: Path, name: str, *upstreams: str, **options: str
) -> ServerProcess:
    """An edge as a process, in a folder of its own."""
    folder = tmp_path / name
    folder.mkdir(exist_ok=True)
    flags = [f"--{flag}={value}" for flag, value in options.items()]
    return start(f"--upstream={','.join(upstreams)}", *flags, folder=folder)


@pytest.fixture
def pair(server_process: Start, tmp_path: Path) -> Pair:
    """An origin, and an edge of it."""
    origin = server_process()
    return origin, start_edge(server_process, tmp_path, "edge", origin.url)


@contextlib.asynccontextmanager
async def following(*servers: ServerProcess) -> AsyncIterator[list[StreamClient]]:
    """A client on each of `servers` that comes back whenever it is cut off."""
    clients = [StreamClient("b") for _ in servers]
    tasks = [
        asyncio.create_task(client.follow_for_good(server.port))
        for client, server in zip(clients, servers, strict=True)
    ]
    try:
        yield clients
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def shown(clients: list[StreamClient], score: int) -> None:
    """Wait until all clients show `score`."""
    await until(
        lambda: all(
            client.newest is not None
            and [player["score"] for player in client.newest["players"]] == [score]
            for client in clients
        )
    )


def check_whole(clients: list[StreamClient]) -> None:
    for client in clients:
        assert client.resets == 0, [r for r in client.received if r.event == "reset"]
        assert contiguous(client.ids)


async def missing(url: str) -> str:
    async with http_client(url) as client:
        response = await client.get("/readyz")
        return "" if response.status_code == 200 else str(response.json()["detail"])


@pytest.mark.gen_test
async def test_an_origin_that_is_killed_and_comes_back_costs_nobody_an_event(pair: Pair) -> None:
    origin, edge = pair
    async with http_client(origin.url) as there, following(edge, edge) as clients:
        await make_board(there, "b")
        for _ in range(5):
            await add(there, "b")
        await shown(clients, 5)
        begun = [list(client.begun) for client in clients]
        await asyncio.to_thread(origin.kill)
        await until_missing(edge.url, "can't be reached")
        async with http_client(edge.url) as here:
            assert (await here.get("/boards/b/")).json()["players"][0]["score"] == 5
            lost = await here.post("/boards/b/players/p/score-add/")
            assert lost.status_code == 502
            assert origin.url in lost.json()["detail"]
            assert (await here.get("/boards/unknown/events/")).status_code == 502
            late = await RawStream.open(edge.url, "/boards/b/", "Accept: text/event-stream")
            assert (await late.event())[1]["players"][0]["score"] == 5
        await asyncio.to_thread(origin.restart)
        await until_missing(edge.url, "")
        for _ in range(5):
            await add(there, "b")
        await shown(clients, 10)
        # They never noticed.
        assert [client.begun for client in clients] == begun
        while (await late.event())[1]["players"][0]["score"] < 10:
            pass
        late.close()
        check_whole(clients)


async def until_missing(url: str, text: str) -> None:
    """Wait until the server's ``/readyz`` says so; that it is ready, for an empty text."""
    began, found = time.monotonic(), await missing(url)
    while text not in found or bool(text) != bool(found):
        assert time.monotonic() - began < PATIENCE, found
        await asyncio.sleep(0.01)
        found = await missing(url)


@pytest.mark.gen_test
async def test_a_watched_place_lives_through_an_origin_that_is_killed(
    server_process: Start, tmp_path: Path
) -> None:
    origin = await asyncio.to_thread(server_process)
    first = await asyncio.to_thread(start_edge, server_process, tmp_path, "edge", origin.url)
    second = await asyncio.to_thread(start_edge, server_process, tmp_path, "second", first.url)
    path = "/boards/b/players/p/events/"
    async with http_client(origin.url) as there, http_client(second.url) as here:
        await make_board(there, "b")
        socket = await websockets.connect(f"ws{second.url[4:]}{path}")
        stream = await RawStream.open(second.url, path, "Accept: text/event-stream")
        began = (await stream.event())[1]
        assert json.loads(await socket.recv())["data"] == began
        await asyncio.to_thread(origin.kill)
        await until_missing(first.url, "can't be reached")
        await asyncio.to_thread(origin.restart)
        await add(there, "b")
        # Over the connections that were there before.
        while (await stream.event())[1]["score"] < began["score"] + 1:
            pass
        while json.loads(await socket.recv())["data"]["score"] < began["score"] + 1:
            pass
        await asyncio.to_thread(origin.kill)
        await until_missing(first.url, "can't be reached")
        late = await here.get(path)
        assert late.status_code == 200
        assert late.json()["events"][0]["data"]["score"] == began["score"] + 1
        await asyncio.to_thread(origin.restart)
        await there.delete("/boards/b/players/p/")
        assert await stream.ended()
        await socket.wait_closed()
        assert socket.close_code == CloseCode.NOT_FOUND


@pytest.mark.gen_test
async def test_an_edge_that_is_killed_takes_no_event_along(pair: Pair, tmp_path: Path) -> None:
    origin, edge = pair
    async with http_client(origin.url) as there, following(edge) as clients:
        await make_board(there, "b")
        for round_ in range(3):
            for _ in range(3):
                await add(there, "b")
            await shown(clients, round_ * 6 + 3)
            await asyncio.to_thread(edge.kill)
            for _ in range(3):
                await add(there, "b")
            if round_ == 1:
                # Even with nothing of its own left: the origin has it.
                for file in (tmp_path / "edge").glob("*.sqlite3*"):
                    file.unlink()
            await asyncio.to_thread(edge.restart)
            await shown(clients, round_ * 6 + 6)
        check_whole(clients)


@pytest.mark.gen_test
async def test_an_edge_that_starts_without_its_upstream_serves_what_its_log_has(pair: Pair) -> None:
    origin, edge = pair
    async with http_client(origin.url) as there, following(edge) as clients:
        await make_board(there, "b")
        await shown(clients, 0)
        for score in (1, 2, 3):
            await add(there, "b")
            await shown(clients, score)
        await asyncio.to_thread(origin.kill)
        await asyncio.to_thread(edge.kill)
        await asyncio.to_thread(edge.restart)
        first = await RawStream.open(
            edge.url,
            "/boards/b/",
            "Accept: text/event-stream",
            f"Last-Event-ID: {clients[0].ids[0]}",
        )
        seen = clients[0].ids
        for expected in seen[1:]:
            kind, _, id = await first.event()
            assert (kind, id) == ("update", expected)
        first.close()
        await asyncio.to_thread(origin.restart)
        await add(there, "b")
        await shown(clients, 4)
        check_whole(clients)


@pytest.mark.gen_test
async def test_another_upstream_is_asked_where_one_does_not_answer(
    server_process: Start, tmp_path: Path
) -> None:
    origin = await asyncio.to_thread(server_process)
    first = await asyncio.to_thread(start_edge, server_process, tmp_path, "first", origin.url)
    second = await asyncio.to_thread(start_edge, server_process, tmp_path, "second", origin.url)
    last = await asyncio.to_thread(
        start_edge, server_process, tmp_path, "last", first.url, second.url
    )
    async with http_client(origin.url) as there, following(last) as clients:
        await make_board(there, "b")
        score = 0
        for killed in (first, second, first):
            for _ in range(3):
                await add(there, "b")
            score += 3
            await shown(clients, score)
            await asyncio.to_thread(killed.kill)
            async with http_client(last.url) as here:
                await add(here, "b")
            await add(there, "b")
            score += 2
            await shown(clients, score)
            await asyncio.to_thread(killed.restart)
        assert len(clients[0].begun) == 1
        check_whole(clients)


@pytest.mark.gen_test
async def test_a_way_to_the_upstream_that_swallows_everything_is_noticed(
    server_process: Start, tmp_path: Path
) -> None:
    origin = await asyncio.to_thread(server_process, "--keepalive=0.3")
    relay = await Relay(("127.0.0.1", origin.port)).start()
    edge = await asyncio.to_thread(
        start_edge,
        server_process,
        tmp_path,
        "edge",
        f"http://127.0.0.1:{relay.port}",
        **{"upstream-silence": "1.5", "upstream-timeout": "1"},
    )
    try:
        async with http_client(origin.url) as there, following(edge) as clients:
            await make_board(there, "b")
            await add(there, "b")
            await shown(clients, 1)
            for fault in (relay.swallow, relay.refuse, relay.close_at_once, relay.cut):
                fault()
                for _ in range(3):
                    await add(there, "b")
                if fault != relay.cut:
                    await until_missing(edge.url, "the upstream")
                await relay.mend()
                newest = (await there.get("/boards/b/")).json()["players"][0]["score"]
                await shown(clients, newest)
            assert len(clients[0].begun) == 1
            check_whole(clients)
    finally:
        await relay.close()


@pytest.mark.gen_test
async def test_many_boards_go_over_few_streams_and_are_let_go_of(pair: Pair) -> None:
    origin, edge = pair
    async with http_client(origin.url) as there:
        boards = [f"b{n}" for n in range(120)]
        for board in boards:
            await make_board(there, board)
        streams = await asyncio.gather(
            *(
                RawStream.open(edge.url, f"/boards/{board}/", "Accept: text/event-stream")
                for board in boards
            )
        )
        for stream in streams:
            await stream.event()
        await asyncio.sleep(0.3)
        for board, stream in zip(boards, streams, strict=True):
            await add(there, board)
            kind, data, _ = await stream.event()
            assert (kind, data["id"], data["players"][0]["score"]) == ("update", board, 1)
        for stream in streams:
            stream.close()
    opened = sum("GET /events/ stream" in line for line in origin.output)
    assert opened <= 20
