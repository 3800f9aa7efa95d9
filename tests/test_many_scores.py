"""Many scores in one request, over HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import json

import pytest

from tornado_board.settings import Settings

from .problems import SLASHES, problem
from .ranking_client import NDJSON, lines, post
from .serving import PATIENCE, serving


@SLASHES
@pytest.mark.parametrize("kind", ["application/json", NDJSON])
@pytest.mark.gen_test
async def test_many_scores_at_once(settings: Settings, slash: str, kind: str) -> None:
    items = [
        {"id": "mars", "score": 50},
        {"id": "new", "score": 1.5, "name": "Neu", "meta": {"a": 1}},
        {"id": "..", "score": 1},
        {"id": "mars", "score": 7, "operator": "add"},
        {"id": "venus", "score": 2**53, "operator": "add"},
        {"id": "earth", "score": 1},
        {"id": "earth"},
    ]
    text = [json.dumps(item) for item in items]
    body = f"[{','.join(text)}]" if kind != NDJSON else "\n".join(text)
    async with serving(settings) as served:
        answer = await post(served, f"/boards/demo/scores{slash}", body, **{"Content-Type": kind})
        assert answer.status == 200
        results = lines(answer)
        assert [r["status"] for r in results] == [200, 201, 400, 200, 422, 200, 400]
        for result in results:
            for name in ("rank", "of"):
                result.pop(name, None)
        assert results[0] == {
            **{"status": 200, "id": "mars", "name": "Mars", "score": 50},
            **{"changed": True, "previous": {"score": 19}},
        }
        assert results[1] == {
            **{"status": 201, "id": "new", "name": "Neu", "score": 1.5},
            **{"changed": True, "previous": None},
        }
        assert results[3]["score"] == 57
        assert (results[5]["changed"], results[5]["score"]) == (False, 27)
        assert all(len(results[i]) == 2 and len(results[i]["detail"]) > 10 for i in (2, 4, 6))
        board = await served.request("GET", "/boards/demo/?fields=count")
    assert board.json()["count"] == 6
    assert [(p["id"], p["score"]) for p in board.json()["players"][:2]] == [
        ("mars", 57),
        ("venus", 31),
    ]


@pytest.mark.gen_test
async def test_an_empty_array_is_answered_by_one(settings: Settings) -> None:
    async with serving(settings) as served:
        before = served.dump()
        answer = await post(served, "/boards/demo/scores/", " [ ] ")
        assert (answer.status, answer.body) == (200, b"[]\n")
        assert served.dump() == before


@pytest.mark.gen_test
async def test_as_many_as_there_may_be(settings: Settings) -> None:
    items = [{"id": f"p{i % 7000}", "score": i} for i in range(10_000)]
    async with serving(settings) as served:
        answer = await post(served, "/boards/demo/scores/", items)
        results = lines(answer)
        assert len(results) == 10_000
        assert {r["status"] for r in results} == {200, 201}
        assert [r["id"] for r in results] == [item["id"] for item in items]
        page = await served.request("GET", "/boards/demo/players/?limit=2")
    assert page.json()["count"] == 7005
    assert [p["score"] for p in page.json()["players"]] == [9999, 9998]


@pytest.mark.gen_test
async def test_large_bodies_are_only_for_many_scores(settings: Settings) -> None:
    settings = dataclasses.replace(settings, max_body=1000, max_bulk_body=5000)
    pad = " " * 3000
    async with serving(settings) as served:
        for target, status in (
            ("/boards/demo/scores", 200),
            ("/boards/demo/scores/?x=1", 200),
            ("/boards/demo/players/", 413),
            ("/boards/demo/players/scores/", 413),
            ("/scores/", 413),
        ):
            answer = await post(served, target, f'[{{"id": "mars", "score": 99}}]{pad}')
            assert answer.status == status, target
        for padding, answered in ((4900, b"200"), (5100, b"413")):
            chunked = (
                b"POST /boards/demo/scores/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2\r\n[]\r\n%x\r\n%s\r\n0\r\n\r\n"
            ) % (padding, b" " * padding)
            assert (await served.send(chunked)).startswith(b"HTTP/1.1 " + answered)
        refused = await post(served, "/boards/demo/scores/", " " * 5001)
        assert "5,000" in problem(refused, 413)
        assert served.server.body_room.taken == 0


@pytest.mark.gen_test
async def test_large_bodies_have_a_bound_in_all(settings: Settings) -> None:
    async with serving(settings) as served:
        room = served.server.body_room
        most = room.most_of_one
        size = settings.max_bulk_body
        head = (
            "POST /boards/demo/scores/ HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n["
        )
        writers = []
        for i in range(most // size):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(head.encode())
            writers.append(writer)
            async with asyncio.timeout(PATIENCE):
                while room.taken < size * (i + 1):
                    await asyncio.sleep(0.005)
        body = " " * (settings.max_body + 1)
        refused = await post(served, "/boards/demo/scores/", body)
        problem(refused, 429)
        assert int(refused.headers["Retry-After"]) > 0
        small = await post(served, "/boards/demo/scores/", [{"id": "mars", "score": 99}])
        assert small.status == 200
        writers[0].close()
        async with asyncio.timeout(PATIENCE):
            while room.taken > size * (len(writers) - 1):
                await asyncio.sleep(0.005)
        assert (await post(served, "/boards/demo/scores/", f"[]{body}")).status == 200
        room.taken += room.most  # as if other addresses had it
        problem(await post(served, "/boards/demo/scores/", body), 503)
        room.taken -= room.most
        for writer in writers:
            writer.close()
        async with asyncio.timeout(PATIENCE):
            while room.taken:
                await asyncio.sleep(0.005)
