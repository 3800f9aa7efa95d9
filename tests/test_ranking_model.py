"""Whatever is written over HTTP: ranks, counts and pages are those of a sorted list, with the
caller's own writes in them."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from typing import Any, cast

import pytest

from tornado_board.models import Order
from tornado_board.settings import Settings

from .ranking_client import lines, page, post
from .serving import Served, serving

#: Players, and how many things are done to them.
PLAYERS = [f"p{i}" for i in range(12)]
STEPS = 120


class Model:
    """A board as a plain dictionary, and the server that has to agree with it."""

    def __init__(self, served: Served, order: Order, seed: int) -> None:
        self.served = served
        self.sign = 1 if order == "asc" else -1
        self.scores: dict[str, float] = {}
        self.random = random.Random(seed)

    def rank(self, score: float) -> int:
        return 1 + sum(self.sign * other < self.sign * score for other in self.scores.values())

    def rows(self) -> list[tuple[str, int]]:
        """Ids and ranks, best first."""
        ordered = sorted(self.scores, key=lambda i: (self.sign * self.scores[i], i))
        return [(player_id, self.rank(self.scores[player_id])) for player_id in ordered]

    def score(self) -> float:
        return self.random.choice([-1, 0, 0.5, 1, 2, 2.5, 3])

    def submitted(self, player_id: str, score: float, operator: str) -> tuple[float, float | None]:
        """Do it; the score after and before."""
        before = self.scores.get(player_id)
        if before is not None and operator == "add":
            score += before
        elif before is not None and operator == "best" and self.sign * score >= self.sign * before:
            score = before
        self.scores[player_id] = score
        return score, before

    async def submit(self) -> None:
        player_id, score = self.random.choice(PLAYERS), self.score()
        operator = self.random.choice(["best", "set", "add"])
        rank_before = self.rank(self.scores[player_id]) if player_id in self.scores else None
        after, before = self.submitted(player_id, score, operator)
        path = f"/boards/b/players/{player_id}/score/"
        answer = (await post(self.served, path, {"score": score, "operator": operator})).json()
        assert answer["score"] == after
        assert (answer["rank"], answer["of"]) == (self.rank(after), len(self.scores))
        previous = None if before is None else {"score": before, "rank": rank_before}
        assert answer["previous"] == previous
        assert answer["changed"] == (before != after)

    async def add(self) -> None:
        player_id = self.random.choice(PLAYERS)
        after, _ = self.submitted(player_id, 1, "add")
        path = f"/boards/b/players/{player_id}/score-add/?create=1"
        answer = (await self.served.request("POST", path)).json()
        assert (answer["score"], answer["rank"]) == (after, self.rank(after))
        assert answer["of"] == len(self.scores)

    async def many(self) -> None:
        items = [
            {"id": self.random.choice(PLAYERS), "score": self.score(), "operator": "add"}
            for _ in range(self.random.randrange(6))
        ]
        scores = [self.submitted(i["id"], i["score"], "add")[0] for i in cast(Any, items)]
        results = lines(await post(self.served, "/boards/b/scores/", items))
        assert [r["score"] for r in results] == scores
        for result in results:
            if "rank" in result:
                assert result["rank"] == self.rank(result["score"])
                assert result["of"] == len(self.scores)

    async def patch(self) -> None:
        player_id, score = self.random.choice(PLAYERS), self.score()
        path = f"/boards/b/players/{player_id}/"
        answer = await self.served.request("PATCH", path, json.dumps({"score": score}))
        assert answer.status == (200 if player_id in self.scores else 404)
        if player_id in self.scores:
            self.scores[player_id] = score

    async def delete(self) -> None:
        player_id = self.random.choice(PLAYERS)
        answer = await self.served.request("DELETE", f"/boards/b/players/{player_id}/")
        assert answer.status == (204 if player_id in self.scores else 404)
        self.scores.pop(player_id, None)

    async def read(self) -> None:
        rows = self.rows()
        limit, rank = self.random.randrange(1, 8), self.random.randrange(1, 15)
        path = f"/boards/b/players/?limit={limit}"
        answer, some = await page(self.served, f"{path}&from_rank={rank}")
        assert some == [row for row in rows if row[1] >= rank][:limit]
        assert answer.json()["count"] == len(rows)
        player_id = self.random.choice(PLAYERS)
        if player_id in self.scores:
            at = [i for i, _ in rows].index(player_id)
            first = max(0, min(at - (limit - 1) // 2, len(rows) - limit))
            _, some = await page(self.served, f"{path}&around={player_id}")
            assert some == rows[first : first + limit]
        answer, some = await page(self.served, f"{path}&ids={','.join(PLAYERS[:5])}")
        assert some == [row for row in rows if row[0] in PLAYERS[:5]]
        board = await self.served.request("GET", "/boards/b/?fields=rank,count")
        assert [(p["id"], p["rank"]) for p in board.json()["players"]] == rows[:5]
        assert board.json()["count"] == len(rows)

    async def wait(self) -> None:
        """Let the feed tell what was written."""
        await asyncio.sleep(0.02)

    async def start_anew(self) -> None:
        assert (await self.served.request("DELETE", "/boards/b/")).status == 204
        self.scores.clear()
        await self.make()

    async def make(self) -> None:
        order = "asc" if self.sign == 1 else "desc"
        # RethinkDB has the old players for a moment.
        for _ in range(100):
            made = await post(self.served, "/boards/", {"id": "b", "order": order})
            if made.status != 503:
                break
            await asyncio.sleep(0.05)
        assert made.status == 201, made


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.gen_test
async def test_ranks_are_those_of_a_sorted_list(
    settings: Settings, database_url: str, order: Order, in_memory: bool
) -> None:
    settings = dataclasses.replace(
        settings, database_url=database_url, redis_url=settings.database_url
    )
    if not in_memory:
        settings = dataclasses.replace(settings, rank_entries=0)
    async with serving(settings) as served:
        model = Model(served, order, seed=len(database_url.partition(":")[0]))
        await model.make()
        steps = [model.submit] * 6 + [model.add, model.many, model.patch, model.delete] * 2
        steps += [model.read] * 6 + [model.wait]
        for i in range(STEPS):
            await model.random.choice(steps)()
            if i == STEPS // 2:
                await model.start_anew()
        await model.read()
        if in_memory:
            assert served.ranks.known("b") is not None
