"""A server that follows another one: what it answers is what that one answers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from tornado_board.replay import EventId
from tornado_board.settings import Settings

from .built_page import PAGE_IS_BUILT
from .edges import Serve, edge_of, edge_settings, url_of
from .ports import free_port
from .stream_client import RawStream, add, http_client, make_board
from .tokens import SECRET, token
from .waiting import until

#: Fields of answers that are each server's own.
_OWN = {"date", "connection", "transfer-encoding"}

READS = [
    "/boards/",
    "/boards/?fields=settings",
    "/boards/?limit=1",
    "/boards/b/",
    "/boards/b/?limit=1",
    "/boards/b/?fields=settings,count",
    "/boards/b/?limit=0",
    "/boards/b/players/",
    "/boards/b/players/?limit=1",
    "/boards/b/players/?around=p",
    "/boards/b/players/?ids=p,x",
    "/boards/b/players/?ids=!",
    "/boards/b/players/p/",
    "/boards/b/players/x/",
    "/boards/x/",
    "/boards/x/players/",
    "/boards/x/events/",
    "/boards/b/events/?since=1",
    "/boards/b/events/?history=5",
    "/boards/b/events/?wait=0",
    "/boards/b/players/p/events/",
    "/boards/b/players/x/events/",
    "/boards/../",
    "/boards/%2e%2e/",
    "/events/?board=b&board=x",
    "/events/?board=x",
    "/events/",
    "/nothing/",
    "/boards/b/score/",
]


def told(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in response.headers.items() if name not in _OWN}
    return response.status_code, response.content, headers


@pytest.mark.gen_test
async def test_reads_have_the_answers_of_the_origin(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        await make_board(there, "b", {"p": 3, "q": 5, "r": 4})
        await there.patch("/boards/b/", json={"meta": {"x": 1}, "show": ["meta"]})
        for method in ("GET", "HEAD", "OPTIONS", "PATCH"):
            for path in READS:
                expected = told(await there.request(method, path))
                for _ in range(2):
                    got = told(await here.request(method, path))
                    if method == "HEAD" or path.endswith("wait=0"):
                        got[2].pop("etag", None)
                        expected[2].pop("etag", None)
                    if path == "/boards/../":  # a client makes it the page, which is the edge's
                        assert got[0] == expected[0]
                        continue
                    assert got == expected, (method, path)


@PAGE_IS_BUILT
@pytest.mark.gen_test
async def test_the_page_has_the_board_that_it_is_asked_for_if_everybody_may_read_it(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(dataclasses.replace(settings, token_secret=SECRET))
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    headers = {"Authorization": f"Bearer {token(scope='write')}"}
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        for board, private in (("b", False), ("c", True)):
            new = {"id": board, "private": private}
            await there.post("/boards/", json=new, headers=headers)
            player = {"id": "p", "name": "Ann"}
            await there.post(f"/boards/{board}/players/", json=player, headers=headers)
        for path, is_shown in {
            "/?board=b": True,
            "/?board=c": False,
            "/?board=unknown": False,
            "/": False,
        }.items():
            for given in ({}, headers):
                answer = await here.get(path, headers=given)
                assert answer.status_code == 200
                assert ("Ann" in answer.text) == is_shown, path
        # And where the upstream is away.
        alone = await serving(
            edge_settings(tmp_path, f"http://127.0.0.1:{free_port()}", name="alone")
        )
        async with http_client(url_of(alone)) as lonely:
            assert (await lonely.get("/?board=b")).status_code == 200


@pytest.mark.gen_test
async def test_writes_are_passed_on_and_seen_by_who_made_them(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        made = await here.post("/boards/", json={"id": "b", "name": "B"})
        assert (made.status_code, made.headers["location"]) == (201, "/boards/b/")
        listed = (await here.get("/boards/")).json()["boards"]
        assert {"id": "b", "name": "B"} in listed
        player = await here.post("/boards/b/players/", json={"id": "p", "name": "P", "score": 1})
        assert player.headers["location"] == "/boards/b/players/p/"
        for score in range(2, 12):
            answer = await here.post("/boards/b/players/p/score/", json={"score": score})
            assert answer.json()["score"] == score
            assert (await here.get("/boards/b/")).json()["players"][0]["score"] == score
            assert (await here.get("/boards/b/players/p/")).json()["score"] == score
            page = (await here.get("/boards/b/players/?limit=5")).json()
            assert page["players"][0]["score"] == score
        lines = b'{"id":"p","score":50}\n{"id":"q","score":60}\n'
        bulk = await here.post(
            "/boards/b/scores/", content=lines, headers={"Content-Type": "application/x-ndjson"}
        )
        assert [json.loads(line)["rank"] for line in bulk.text.splitlines()] == [2, 1]
        refused = await here.post("/boards/b/players/p/score/", json={"score": "x"})
        assert told(refused) == told(
            await there.post("/boards/b/players/p/score/", json={"score": "x"})
        )
        key = {"Idempotency-Key": "once"}
        path = "/boards/b/players/p/score-add/"
        first = await here.post(path, json={"amount": 5}, headers=key)
        again = await here.post(path, json={"amount": 5}, headers=key)
        assert first.json() == again.json()
        assert again.headers["idempotency-replayed"] == "true"
        assert (await here.post(path, json={"amount": 6}, headers=key)).status_code == 422
        assert (await there.get("/boards/b/players/p/")).json()["score"] == 55
        assert (await here.delete("/boards/b/")).status_code == 204
        assert (await here.get("/boards/b/")).status_code == 404


@pytest.mark.gen_test
async def test_streams_long_polls_and_websockets_have_the_origins_events_and_ids(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    here = url_of(edge)
    accept = "Accept: text/event-stream"
    async with http_client(url_of(origin)) as there, http_client(here) as client:
        await make_board(there, "b")
        await make_board(there, "c")
        plain = await RawStream.open(here, "/boards/b/", accept)
        zipped = await RawStream.open(here, "/boards/b/events/", accept, "Accept-Encoding: gzip")
        raw = await RawStream.open(here, "/boards/b/", accept, version="1.0")
        several = await RawStream.open(here, "/events/?board=b&board=c", accept)
        async with websockets.connect(f"ws{here[4:]}/boards/b/events/") as socket:
            expected: list[tuple[str, Any, str]] = []
            for n in range(4):
                if n:
                    await add(there, "b")
                    expected_answer = await there.get(
                        "/boards/b/events/", params={"since": expected[-1][2], "wait": 10}
                    )
                else:
                    expected_answer = await there.get("/boards/b/events/")
                sent = expected_answer.json()["events"][-1]
                expected.append((sent["event"], sent["data"], sent["id"]))
            for stream in (plain, zipped, raw):
                for kind, data, id in expected:
                    assert await stream.event() == (kind, data, EventId.parse(id))
            for kind, data, id in expected:
                assert json.loads(await socket.recv()) == {"id": id, "event": kind, "data": data}
        got: list[str] = []
        while len(got) < len(expected):
            fields = (await several.block()).fields
            if json.loads(fields["data"])["id"] == "b":
                got.append(fields["id"].partition(",c:")[0].removeprefix("b:"))
        assert got == [id for _, _, id in expected]
        poll = await client.get("/boards/b/events/", params={"since": expected[0][2]})
        assert [event["id"] for event in poll.json()["events"]] == got[1:]
        for opened in (plain, zipped, raw, several):
            opened.close()


@pytest.mark.gen_test
async def test_a_chain_of_edges_gives_what_the_origin_gives(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    first = await serving(edge_settings(tmp_path, url_of(origin), name="first"))
    second = await serving(edge_settings(tmp_path, url_of(first), name="second"))
    async with http_client(url_of(origin)) as there, http_client(url_of(second)) as here:
        await make_board(here, "b")
        stream = await RawStream.open(url_of(second), "/boards/b/", "Accept: text/event-stream")
        seen = [await stream.event()]
        for _ in range(5):
            await add(here, "b")
            seen.append(await stream.event())
        history = (await there.get("/boards/b/events/", params={"history": 6})).json()["events"]
        assert [str(id) for _, _, id in seen] == [event["id"] for event in history]
        assert [data for _, data, _ in seen] == [event["data"] for event in history]
        about = (await here.get("/upstream/")).json()
        assert about["missing"] == []
        assert (await there.get("/upstream/")).json() == {"servers": [], "missing": []}
        stream.close()


@pytest.mark.gen_test
async def test_all_who_watch_a_players_place_share_one_stream(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    path = "/boards/b/players/p/events/"
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        await make_board(there, "b", {"p": 1, "q": 5})
        streams = [
            await RawStream.open(url_of(edge), path, "Accept: text/event-stream") for _ in range(5)
        ]
        for stream in streams:
            kind, data, id = await stream.event()
            assert (kind, data["rank"], data["to_next"], id) == ("rank", 2, 4, None)
        polled = (await here.get(path)).json()
        assert polled["events"][0]["data"]["rank"] == 2
        await add(there, "b", "p", 9)
        for stream in streams:
            assert (await stream.event())[1]["rank"] == 1
        newer = await here.get(path, params={"since": polled["last_event_id"]})
        assert newer.json()["events"][0]["data"]["rank"] == 1
        board = origin.services.places._boards["b"]
        assert board.clients == 1
        await there.delete("/boards/b/players/p/")
        for stream in streams:
            assert (await stream.event())[0] == "gone"
            assert await stream.ended() == b""
        await until(lambda: not edge_of(edge).upstreams.open_streams)
