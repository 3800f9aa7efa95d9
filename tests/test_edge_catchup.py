"""Clients that come back to an edge, to another one, or to the origin, with the ids they have."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tornado_board.settings import Settings

from .edges import Serve, edge_of, edge_settings, url_of
from .hopping_client import StreamClient
from .server_process import ServerProcess
from .stream_client import RawStream, add, contiguous, http_client, make_board, newest_id
from .waiting import until

ACCEPT = "Accept: text/event-stream"


async def history(url: str, board: str = "b") -> list[str]:
    async with http_client(url) as client:
        answer = await client.get(f"/boards/{board}/events/", params={"history": 1000})
        return [event["id"] for event in answer.json()["events"]]


@pytest.mark.gen_test
async def test_an_edge_that_was_not_there_gives_what_was_missed(
    serving: Serve, settings: Settings, tmp_path: Path, log_url: str
) -> None:
    """The log in SQLite and in Redis, in turn."""
    origin = await serving(dataclasses.replace(settings, coalesce=0.0))
    async with http_client(url_of(origin)) as there:
        await make_board(there, "b")
        newest = await newest_id(there, "b")
        for _ in range(8):
            await add(there, "b")
            newest = await newest_id(there, "b", newest)
        ids = await history(url_of(origin))
        assert len(ids) >= 9
        log = log_url if log_url.startswith("redis") else f"sqlite:///{tmp_path}/edge.sqlite3"
        edge = await serving(edge_settings(tmp_path, url_of(origin), redis_url=log))
        here = url_of(edge)
        for n in (5, 2, 7, 0):
            stream = await RawStream.open(here, "/boards/b/", ACCEPT, f"Last-Event-ID: {ids[n]}")
            for expected in ids[n + 1 :]:
                kind, _, id = await stream.event()
                assert (kind, str(id)) == ("update", expected)
            stream.close()
        # The second time it is asked of nobody.
        kept = await edge_of(edge).log.recent("b", len(ids) - 1)
        assert [str(event.id) for event in kept] == ids[1:]
        assert await history(here) == ids
        async with http_client(here) as client:
            for since, why in (("1-1", "older"), ("x", "no event id")):
                answers = []
                for url in (url_of(origin), here):
                    stream = await RawStream.open(
                        url, "/boards/b/", ACCEPT, f"Last-Event-ID: {since}"
                    )
                    answers.append([await stream.event(), await stream.event()])
                    stream.close()
                assert answers[0] == answers[1], why
                assert answers[0][0][0] == "reset"
            poll = await client.get("/boards/b/events/", params={"since": ids[3]})
            assert [event["id"] for event in poll.json()["events"]] == ids[4:]


@pytest.mark.gen_test
async def test_a_client_that_has_seen_more_than_this_edge_gets_nothing_twice(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    first = await serving(edge_settings(tmp_path, url_of(origin), name="first"))
    second = await serving(edge_settings(tmp_path, url_of(origin), name="second"))
    clients: list[StreamClient] = []
    async with http_client(url_of(origin)) as there:
        await make_board(there, "b")
        ports = [int(url_of(server).rpartition(":")[2]) for server in (first, second, origin)]
        client = StreamClient("b")
        clients.append(client)
        for round_ in range(9):
            following = asyncio.create_task(client.follow(ports[round_ % 3]))
            await add(there, "b")
            await add(there, "b")
            score = 2 * round_ + 2
            await until(
                lambda score=score: (
                    client.newest and [p["score"] for p in client.newest["players"]] == [score]
                )
            )
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
        assert client.resets == 0
        assert contiguous(client.ids)
        ids = await history(url_of(origin))
        assert [str(id) for id in client.ids] == ids[ids.index(str(client.ids[0])) :]


@pytest.mark.gen_test
async def test_a_stream_of_several_boards_resumes_on_another_edge(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    first = await serving(edge_settings(tmp_path, url_of(origin), name="first"))
    second = await serving(edge_settings(tmp_path, url_of(first), name="second"))
    async with http_client(url_of(origin)) as there:
        for board in ("a", "b"):
            await make_board(there, board)
        path = "/events/?board=a&board=b&board=nowhere"
        stream = await RawStream.open(url_of(first), path, ACCEPT)
        blocks = [(await stream.block()).fields for _ in range(3)]
        assert [fields["event"] for fields in blocks] == ["gone", "update", "update"]
        stream.close()
        ids_of = {board: await newest_id(there, board) for board in ("a", "b")}
        for board in ("a", "b", "a"):
            await add(there, board)
            ids_of[board] = await newest_id(there, board, ids_of[board])
        again = await RawStream.open(
            url_of(second), path, ACCEPT, f"Last-Event-ID: {blocks[-1]['id']}"
        )
        ids = []
        for board in ("a", "b", "a"):
            fields = (await again.block()).fields
            assert fields["event"] == "update"
            ids.append((board, fields["id"]))
        positions = dict(item.split(":") for item in ids[-1][1].split(","))
        assert positions == {**ids_of, "nowhere": "gone"}
        again.close()


@pytest.mark.gen_test
async def test_processes_of_one_edge_share_a_log_in_redis(
    server_process: Callable[..., ServerProcess], tmp_path: Path, redis_url: str
) -> None:
    origin = await asyncio.to_thread(server_process)
    folder = tmp_path / "edge"
    folder.mkdir()
    edge = await asyncio.to_thread(
        server_process,
        f"--upstream={origin.url}",
        "--processes=2",
        f"--redis-url={redis_url}",
        folder=folder,
    )
    async with http_client(origin.url) as there:
        await make_board(there, "b")
        clients = [StreamClient("b") for _ in range(6)]
        tasks = [asyncio.create_task(client.follow_for_good(edge.port)) for client in clients]
        for _ in range(30):
            await add(there, "b")
            await asyncio.sleep(0.02)
        await until(
            lambda: all(c.newest and c.newest["players"][0]["score"] == 30 for c in clients)
        )
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            assert client.resets == 0
            assert contiguous(client.ids)
        ids = await history(origin.url)
        assert [str(id) for id in clients[0].ids] == ids[ids.index(str(clients[0].ids[0])) :]
    await asyncio.to_thread(edge.stop)


@pytest.mark.gen_test
async def test_an_upstream_behind_tls_a_path_and_a_base_path_of_ones_own(
    serving: Serve, secure: Settings, tmp_path: Path
) -> None:
    origin = await serving(dataclasses.replace(secure, base_path="/there/"))
    port = origin.url.rstrip("/").split(":")[-1].split("/")[0]
    upstream = f"https://localhost:{port}/there"
    edge = await serving(
        edge_settings(
            tmp_path, upstream, upstream_ca_certs=secure.tls_certificate, base_path="/here/"
        )
    )
    base = f"http://127.0.0.1:{edge.url.split(':')[2].split('/')[0]}"
    async with http_client(base) as here:
        made = await here.post("/here/boards/", json={"id": "b"})
        assert made.headers["location"] == "/here/boards/b/"
        await here.post("/here/boards/b/players/", json={"id": "p", "name": "P"})
        await here.post("/here/boards/b/players/", json={"id": "q", "name": "Q"})
        page = await here.get("/here/boards/b/players/?limit=1")
        assert page.headers["link"].startswith("</here/boards/b/players/?")
        stream = await RawStream.open(base, "/here/boards/b/", ACCEPT)
        await stream.event()
        await here.post("/boards/b/players/p/score-add/")
        assert (await stream.event())[1]["players"][0]["score"] == 1
        stream.close()
    unknown = await serving(edge_settings(tmp_path, upstream, name="unknown"))
    assert "certificate" in edge_of(unknown).upstreams.down
