"""Hidden players over HTTP: who sees them, what their own writes are answered, and who hears."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tornado_board.settings import Settings

from .ranking_client import link
from .serving import Answer, Served, serving
from .stream_client import STREAM, RawStream
from .tokens import SECRET, token

pytestmark = pytest.mark.gen_test

SCOPES = ("read", "submit", "write", "admin")
GOOD = {scope: {"Authorization": f"Bearer {token(scope=scope)}"} for scope in SCOPES}
ADMIN = GOOD["admin"]
ADA = "/boards/b/players/ada/"


@pytest.fixture(params=[True, False], ids=["fast", "tornado"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """For a server with the fast path, and for one without."""
    return dataclasses.replace(settings, token_secret=SECRET, fast_path=request.param)


@pytest.fixture
def settings_of_store(settings: Settings, database_url: str) -> Settings:
    """The same on each store in turn."""
    url = settings.database_url
    return dataclasses.replace(settings, database_url=database_url, redis_url=url)


async def send(
    served: Served, method: str, target: str, body: Any, headers: Mapping[str, str] = ADMIN
) -> Answer:
    return await served.request(method, target, json.dumps(body), headers)


async def make(served: Served, **scores: int) -> None:
    await send(served, "POST", "/boards/", {"id": "b"})
    items = [{"id": id, "score": score} for id, score in scores.items()]
    await send(served, "POST", "/boards/b/scores/", items)


async def hide(served: Served, player: str = "ada", hidden: bool = True) -> Answer:
    return await send(served, "PATCH", f"/boards/b/players/{player}/", {"hidden": hidden})


async def page(served: Served) -> list[tuple[str, int]]:
    """The players of the board with their ranks, as its page tells them."""
    answer = await served.request("GET", "/boards/b/players/")
    return [(player["id"], player["rank"]) for player in answer.json()["players"]]


async def shown(served: Served) -> list[tuple[str, int]]:
    """The same, as the board tells them, too."""
    answer = await served.request("GET", "/boards/b/players/")
    rows = [(player["id"], player["rank"]) for player in answer.json()["players"]]
    assert answer.json()["count"] == len(rows)
    board = (await served.request("GET", "/boards/b/?fields=rank,count")).json()
    assert [(player["id"], player["rank"]) for player in board["players"]] == rows
    assert board["count"] == len(rows)
    return rows


async def test_a_hidden_player_is_nowhere_and_comes_back(settings_of_store: Settings) -> None:
    async with serving(settings_of_store) as served:
        await make(served, ada=30, bob=20, cid=10)
        assert await shown(served) == [("ada", 1), ("bob", 2), ("cid", 3)]
        answer = await hide(served)
        assert (answer.status, answer.json()) == (
            200,
            {"id": "ada", "name": "ada", "score": 30, "hidden": True},
        )
        assert await shown(served) == [("bob", 1), ("cid", 2)]
        bob = await served.request("GET", "/boards/b/players/bob/")
        assert bob.json()["rank"] == 1
        friends = (await served.request("GET", "/boards/b/players/?ids=ada,cid")).json()
        assert (friends["missing"], [p["rank"] for p in friends["players"]]) == (["ada"], [2])
        for target in (
            ADA,
            f"{ADA}events/",
            f"{ADA}events/?wait=0",
            "/boards/b/players/?around=ada",
        ):
            for headers in (STREAM, {}):
                answer = await served.request("GET", target, headers=headers)
                assert answer.status == 404, target
        added = await send(served, "POST", "/boards/b/players/bob/score-add/", {"amount": 1})
        assert (added.json()["rank"], added.json()["of"]) == (1, 2)
        await hide(served, hidden=False)
        assert await shown(served) == [("ada", 1), ("bob", 2), ("cid", 3)]
        assert (await served.request("GET", ADA)).json() == {
            **{"id": "ada", "name": "ada", "score": 30, "rank": 1}
        }


async def test_only_who_has_admin_sees_that_somebody_is_hidden(settings: Settings) -> None:
    async with serving(settings) as served:
        await make(served, ada=30, bob=20)
        nobody = await served.request("GET", "/boards/b/players/nobody/")
        await hide(served)
        for headers in ({}, *(GOOD[scope] for scope in SCOPES if scope != "admin")):
            answer = await served.request("GET", ADA, headers=headers)
            assert answer.status == 404
            assert answer.body.replace(b"ada", b"nobody") == nobody.body
            answer = await served.request("GET", "/boards/b/players/?hidden=true", headers=headers)
            assert answer.status == (403 if headers else 401)
        elsewhere = {"Authorization": f"Bearer {token(scope='admin', boards=['c'])}"}
        assert (await served.request("GET", ADA, headers=elsewhere)).status == 404
        answer = await served.request("GET", ADA, headers=ADMIN)
        assert answer.json() == {
            **{"id": "ada", "name": "ada", "score": 30, "rank": None, "hidden": True}
        }
        assert answer.headers["Cache-Control"] == "no-store"
        for headers in (GOOD["write"], GOOD["submit"], {}):
            answer = await send(served, "PATCH", ADA, {"hidden": False, "score": 1}, headers)
            assert answer.status in (401, 403)
        assert (await served.request("GET", ADA, headers=ADMIN)).json()["score"] == 30
        # Who may write may change it, and is not told.
        answer = await send(served, "PATCH", ADA, {"score": 31}, GOOD["write"])
        assert answer.json() == {"id": "ada", "name": "ada", "score": 31}
        assert (await served.request("DELETE", ADA, headers=GOOD["write"])).status == 204
        assert await shown(served) == [("bob", 1)]


async def test_without_keys_everybody_may_hide(settings: Settings) -> None:
    async with serving(dataclasses.replace(settings, token_secret="")) as served:
        await make(served, ada=30, bob=20)
        assert (await send(served, "PATCH", ADA, {"hidden": True}, {})).status == 200
        assert await shown(served) == [("bob", 1)]
        assert (await served.request("GET", ADA)).json()["hidden"] is True


async def test_hidden_players_are_listed_in_pages(settings_of_store: Settings) -> None:
    async with serving(settings_of_store) as served:
        ids = [f"p{number}" for number in range(5)]
        await make(served, **dict.fromkeys(ids, 1), ada=3)
        await send(served, "PATCH", "/boards/b/players/p3/", {"meta": {"a": 1}})
        for id in ids:
            await hide(served, id)
        found, target = [], "/boards/b/players/?hidden=true&limit=2"
        while target:
            answer = await served.request("GET", target, headers=ADMIN)
            page = answer.json()["players"]
            assert len(page) <= 2
            found += page
            target = link(answer, "next") if "Link" in answer.headers else ""
        assert [player["id"] for player in found] == ids
        assert found[3] == {
            **{"id": "p3", "name": "p3", "score": 1, "rank": None, "hidden": True},
            "meta": {"a": 1},
        }
        for query in ("hidden=yes", "hidden&around=p1", "hidden&after=x", "hidden&from_rank=1"):
            answer = await served.request("GET", f"/boards/b/players/?{query}", headers=ADMIN)
            assert answer.status == 400, query
        answer = await served.request("GET", "/boards/b/players/?hidden=false")
        assert [player["id"] for player in answer.json()["players"]] == ["ada"]
        answer = await served.request("GET", "/boards/none/players/?hidden", headers=ADMIN)
        assert answer.status == 404


async def test_what_a_hidden_player_submits_is_stored_and_has_no_rank(
    settings_of_store: Settings,
) -> None:
    async with serving(settings_of_store) as served:
        await make(served, ada=30, bob=20, cid=10)
        assert await shown(served) == [("ada", 1), ("bob", 2), ("cid", 3)]
        await hide(served)
        own = {"Authorization": f"Bearer {token(scope='submit', sub='ada')}"}
        answer = await send(served, "POST", f"{ADA}score/", {"score": 40}, own)
        assert (answer.status, answer.json()) == (
            200,
            {
                **{"id": "ada", "name": "ada", "score": 40, "rank": None, "of": None},
                **{"changed": True, "previous": {"score": 30, "rank": None}},
            },
        )
        answer = await send(served, "POST", f"{ADA}score-add/", {"amount": 2}, own)
        assert answer.json() == {"id": "ada", "name": "ada", "score": 42, "rank": None, "of": None}
        items = [{"id": "cid", "score": 15}, {"id": "ada", "score": 50}, {"id": "bob", "score": 1}]
        answer = await send(served, "POST", "/boards/b/scores/", items, GOOD["submit"])
        results = answer.json()
        assert "rank" not in results[1]
        assert "of" not in results[1]
        assert [results[0]["rank"], results[2]["rank"], results[0]["of"]] == [2, 1, 2]
        assert await shown(served) == [("bob", 1), ("cid", 2)]
        await hide(served, hidden=False)
        assert await shown(served) == [("ada", 1), ("bob", 2), ("cid", 3)]
        assert (await served.request("GET", ADA)).json()["score"] == 50


async def test_streams_follow_when_somebody_is_hidden(settings_of_store: Settings) -> None:
    async with serving(settings_of_store) as served:
        await make(served, ada=30, bob=20)
        url = f"http://127.0.0.1:{served.port}"
        accept = f"Accept: {STREAM['Accept']}"
        board = await RawStream.open(url, "/boards/b/", accept)
        place = await RawStream.open(url, "/boards/b/players/bob/events/", accept)
        own = await RawStream.open(url, f"{ADA}events/", accept)

        async def shows(*ids: str) -> None:
            async with asyncio.timeout(30):
                while True:
                    _, data, _ = await board.event()
                    if [player["id"] for player in data["players"]] == list(ids):
                        return

        async def is_at(rank: int, of: int) -> None:
            async with asyncio.timeout(30):
                while True:
                    _, data, _ = await place.event()
                    if (data["rank"], data["of"]) == (rank, of):
                        return

        await shows("ada", "bob")
        await is_at(2, 2)
        await hide(served)
        await shows("bob")
        await is_at(1, 1)
        async with asyncio.timeout(30):
            kind = ""
            while kind != "gone":
                kind, _, _ = await own.event()
        await hide(served, hidden=False)
        await shows("ada", "bob")
        await is_at(2, 2)


async def test_another_process_follows_at_once(
    settings: Settings, rethinkdb_url: str, redis_url: str
) -> None:
    settings = dataclasses.replace(settings, database_url=rethinkdb_url, redis_url=redis_url)
    async with serving(settings) as one, serving(settings) as other:
        await make(one, ada=30, bob=20, cid=10)

        async def sees(*rows: tuple[str, int]) -> None:
            async with asyncio.timeout(30):
                while await page(other) != list(rows):
                    await asyncio.sleep(0.02)

        await sees(("ada", 1), ("bob", 2), ("cid", 3))
        url = f"http://127.0.0.1:{other.port}"
        stream = await RawStream.open(url, "/boards/b/", f"Accept: {STREAM['Accept']}")
        await hide(one)
        await sees(("bob", 1), ("cid", 2))
        async with asyncio.timeout(30):
            while True:
                _, data, _ = await stream.event()
                if [player["id"] for player in data["players"]] == ["bob", "cid"]:
                    break
        await hide(one, hidden=False)
        await sees(("ada", 1), ("bob", 2), ("cid", 3))
