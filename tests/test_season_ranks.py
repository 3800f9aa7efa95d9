"""``since=season`` of a page: where each player ended in a season that is over."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tornado_board.models import Board, Player
from tornado_board.settings import Settings

from .problems import problem
from .ranking_client import link, post
from .serving import Served, serving


@pytest.fixture
def settings_of_store(settings: Settings, database_url: str) -> Settings:
    """The settings of a server on each store in turn."""
    url = settings.database_url
    return dataclasses.replace(settings, database_url=database_url, redis_url=url)


async def scored(served: Served, **scores: float) -> None:
    items = [{"id": id, "score": score} for id, score in scores.items()]
    assert (await post(served, "/boards/b/scores/", items)).status == 200


async def end(served: Served) -> int:
    answer = await served.request("POST", "/boards/b/seasons/")
    assert answer.status == 200, answer.body
    number: int = answer.json()["season"]["number"]
    return number


async def page(served: Served, query: str) -> tuple[Any, dict[str, tuple[int, int | None]]]:
    """What ``since`` of the page is, and each player's rank and that of then."""
    answer = await served.request("GET", f"/boards/b/players/?{query}")
    assert answer.status == 200, answer.body
    rows = answer.json()["players"]
    return answer.json()["since"], {row["id"]: (row["rank"], row["previous_rank"]) for row in rows}


@pytest.mark.gen_test
async def test_around_a_player_while_a_season_ends_is_of_one_season(
    settings_of_store: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings_of_store) as served:
        await post(served, "/boards/", {"id": "b", "season": {"every": "week", "keep": 2}})
        await scored(served, ann=9, bob=7)
        find_player = served.store.find_player

        async def found(*args: Any) -> tuple[Board, Player]:
            board_and_player = await find_player(*args)
            await end(served)
            await scored(served, bob=1)
            return board_and_player

        monkeypatch.setattr(served.store, "find_player", found)
        answer = await served.request("GET", "/boards/b/players/?around=bob")
        assert answer.status == 200, answer.body
        rows = [(row["id"], row["score"], row["rank"]) for row in answer.json()["players"]]
        assert rows == [("ann", 9, 1), ("bob", 7, 2)]


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.gen_test
async def test_the_final_ranks_of_a_season_are_told_of_everybody_who_was_in_it(
    settings_of_store: Settings, order: str, in_memory: bool
) -> None:
    entries = settings_of_store.rank_entries if in_memory else 0
    settings = dataclasses.replace(settings_of_store, rank_entries=entries)
    sign = 1 if order == "desc" else -1
    async with serving(settings) as served:
        season = {"every": "week", "keep": 2}
        made = await post(served, "/boards/", {"id": "b", "order": order, "season": season})
        assert made.status == 201
        await scored(served, ann=9 * sign, bob=7 * sign, cy=7 * sign, dan=1 * sign)
        # There is no season before the first.
        since, rows = await page(served, "since=season")
        assert since is None
        assert rows["ann"] == (1, None)
        assert await end(served) == 2
        await scored(served, dan=8 * sign, eve=6 * sign, cy=2 * sign, bob=1 * sign)
        ended = (await served.request("GET", "/boards/b/?season=1")).json()["season"]["ended"]
        expected = {"dan": (1, 4), "eve": (2, None), "cy": (3, 2), "bob": (4, 2)}
        for query in ("since=season", "since=season:1"):
            since, rows = await page(served, query)
            assert since == {"time": ended, "resolution": 0, "season": 1}
            assert rows == expected
        # The pages that follow compare with the same, wherever they begin.
        first = await served.request("GET", "/boards/b/players/?since=season&limit=3")
        behind = (await served.request("GET", link(first, "next"))).json()
        assert behind["since"]["season"] == 1
        assert behind["players"][0]["previous_rank"] == 2
        assert (await page(served, "since=season&around=eve&limit=1"))[1] == {"eve": (2, None)}
        assert (await page(served, "since=season&ids=cy,ann"))[1] == {"cy": (3, 2)}
        # Nobody of the page was in it: that is known, too.
        since, rows = await page(served, "since=season&ids=eve")
        assert (since["season"], rows) == (1, {"eve": (2, None)})

        # A season that is over is compared with the one before it, or with any other one.
        assert await end(served) == 3
        assert (await page(served, "season=2&since=season"))[1] == expected
        since, rows = await page(served, "season=1&since=season:2")
        assert since["season"] == 2
        assert rows == {"ann": (1, None), "bob": (2, 4), "cy": (2, 3), "dan": (4, 1)}
        assert await page(served, "since=season") == (since, {})
        assert await end(served) == 4
        await scored(served, bob=1 * sign)
        since, rows = await page(served, "since=season:1")
        assert since is None, "it is no longer kept"
        assert rows == {"bob": (1, None)}
        assert (await page(served, "since=season:2"))[1] == {"bob": (1, 4)}


@pytest.mark.gen_test
async def test_what_is_no_season_that_is_over_is_refused(settings: Settings) -> None:
    async with serving(settings) as served:
        await post(served, "/boards/", {"id": "b", "season": {}})
        await end(served)

        async def refused(query: str, status: int) -> str:
            answer = await served.request("GET", f"/boards/b/players/?{query}")
            return problem(answer, status)

        assert "season 2 is not over" in await refused("since=season:2", 422)
        assert "no season 3" in await refused("since=season:3", 404)
        assert "at most 100" in await refused("since=season&limit=101", 422)
        for wrong in (
            "season:",
            "season:0",
            "season:01",
            "seasons",
            "season:1:",
            f"season:{10**9}",
        ):
            detail = await refused(f"since={wrong}", 422)
            assert "must be a time" in detail
            assert "season:6" in detail
        answer = await served.request("GET", "/boards/demo/players/?since=season:1")
        assert "is not over" in problem(answer, 422)
        assert (await served.request("GET", "/boards/demo/players/?since=season")).status == 200
