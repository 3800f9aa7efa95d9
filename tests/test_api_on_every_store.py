"""Boards with settings, submissions, pages and keys over HTTP, on each store there is."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tornado_board.settings import Settings

from .ranking_client import lines, link, page, post
from .serving import Answer, Served, serving
from .test_repeated_requests import WRITES, check_replayed


@pytest.fixture
def settings_of_store(settings: Settings, database_url: str) -> Settings:
    """The settings of a server on each store in turn."""
    url = settings.database_url
    return dataclasses.replace(settings, database_url=database_url, redis_url=url)


async def patch(served: Served, target: str, body: Any) -> Answer:
    return await served.request("PATCH", target, json.dumps(body))


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.gen_test
async def test_a_season_of_a_game(settings_of_store: Settings, order: str) -> None:
    better = -1 if order == "asc" else 1
    async with serving(settings_of_store) as served:
        made = await post(served, "/boards/", {"id": "b", "order": order, "meta": {"a": [1, None]}})
        assert (made.status, made.json()["players"]) == (201, 0)
        items = [{"id": f"p{i:02}", "score": better * (i // 2)} for i in range(30)]
        results = lines(await post(served, "/boards/b/scores/", items))
        assert [r["status"] for r in results] == [201] * 30

        first, rows = await page(served, "/boards/b/players/?limit=20")
        assert first.json()["count"] == 30
        assert rows[:4] == [("p28", 1), ("p29", 1), ("p26", 3), ("p27", 3)]
        _, more = await page(served, link(first, "next"))
        assert [i for i, _ in rows + more] == [
            f"p{i:02}" for k in range(28, -1, -2) for i in (k, k + 1)
        ]
        _, around = await page(served, "/boards/b/players/?around=p01&limit=5")
        assert around == (rows + more)[-5:]
        _, from_rank = await page(served, "/boards/b/players/?from_rank=4&limit=2")
        assert from_rank == [("p24", 5), ("p25", 5)]
        friends, some = await page(served, "/boards/b/players/?ids=p00,none,p29")
        assert some == [("p29", 1), ("p00", 29)]
        assert friends.json()["missing"] == ["none"]

        score = await post(served, "/boards/b/players/p00/score/", {"score": better * 13.5})
        assert score.json() == {
            **{"id": "p00", "name": "p00", "score": better * 13.5, "rank": 3, "of": 30},
            **{"changed": True, "previous": {"score": 0, "rank": 29}},
        }
        worse = await post(served, "/boards/b/players/p00/score/", {"score": 0})
        assert worse.json()["changed"] is False
        added = await served.request("POST", "/boards/b/players/new/score-add/?create=1", "{}")
        assert added.status == 201
        gone = await served.request("DELETE", "/boards/b/players/p29/")
        assert gone.status == 204
        shown = await served.request("GET", "/boards/b/?limit=2&fields=rank,count,settings")
        assert shown.json()["count"] == 30
        assert [(p["id"], p["rank"]) for p in shown.json()["players"]] == [("p28", 1), ("p00", 2)]
        assert shown.json()["meta"] == {"a": [1, None]}

        patched = await patch(served, "/boards/b/", {"top": 3, "min": -100, "meta": {"a": None}})
        assert (patched.json()["top"], patched.json()["meta"]) == (3, {})
        assert (await patch(served, "/boards/b/", {"ties": "first"})).status == 409
        refused = await post(
            served, "/boards/b/players/p00/score/", {"score": -101, "operator": "set"}
        )
        assert refused.status == 422
        meta = {"n": 1.5, "deep": {"é": ["x", None, {"b": True}]}}
        await patch(served, "/boards/b/players/p00/", {"meta": meta})
        player = await served.request("GET", "/boards/b/players/p00/")
        assert player.json()["meta"] == meta
        assert player.json()["rank"] == 2


@pytest.mark.gen_test
async def test_requests_that_come_again(settings_of_store: Settings) -> None:
    key = {"Idempotency-Key": "k"}
    answers = []
    for restart in (False, True):
        async with serving(settings_of_store) as served:
            for i, (method, target, body) in enumerate(WRITES):
                key = {"Idempotency-Key": f"key-{i}"}
                answer = await served.request(method, target, body, key)
                if not restart:
                    assert answer.status in (200, 201), answer
                    answers.append(answer)
                    check_replayed(answer, await served.request(method, target, body, key))
                else:
                    assert answer.status == answers[i].status, answer
                    assert answer.headers["Idempotency-Replayed"] == "true"
                    assert answer.headers.get("Location") == answers[i].headers.get("Location")
                    other = await served.request(method, target, '{"name": "Other"}', key)
                    assert other.status in (400, 422)
            board = await served.request("GET", "/boards/demo/?limit=100&fields=count")
            players = board.json()["players"]
            if not restart:
                before = board.json()
    assert board.json() == before
    assert len(players) == board.json()["count"]
