"""Boards with settings, submissions and pages, over HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from tornado_board.settings import Settings
from tornado_board.store import NotFound, StoreUnavailable

from .problems import SLASHES, problem
from .ranking_client import link, page, post
from .serving import PATIENCE, serving
from .test_api import DEMO, SETTINGS

# Boards


@SLASHES
@pytest.mark.gen_test
async def test_a_board_has_settings(settings: Settings, slash: str) -> None:
    own = {
        **{"order": "asc", "ties": "first", "operator": "add", "top": 2, "min": -1.5, "max": 10},
        **{"meta": {"unit": "s", "tags": [1, {"a": True}]}, "show": ["meta"], "private": False},
        "season": None,
    }
    async with serving(settings) as served:
        made = await post(served, f"/boards{slash}", {"id": "b", **own})
        assert (made.status, made.json()) == (201, {"id": "b", "name": "b", **own, "players": 0})
        listed = await served.request("GET", f"/boards{slash}?fields=settings")
        assert listed.json()["boards"] == [
            {"id": "b", "name": "b", **own},
            {"id": "demo", "name": "Demo board", **SETTINGS},
        ]
        plain = await served.request("GET", f"/boards{slash}")
        assert plain.json()["boards"][0] == {"id": "b", "name": "b"}
        shown = await served.request("GET", f"/boards/b{slash}?fields=settings,count")
        assert shown.json() == {"id": "b", "name": "b", **own, "count": 0, "players": []}
        assert list(shown.json())[-2:] == ["count", "players"]


@SLASHES
@pytest.mark.gen_test
async def test_a_board_is_changed(settings: Settings, slash: str) -> None:
    async with serving(settings) as served:
        await post(
            served, "/boards/", {"id": "b", "min": 0, "meta": {"a": 1, "b": {"c": 2, "d": 3}}}
        )
        path = f"/boards/b{slash}"
        patch = {"name": "B", "order": "asc", "min": None, "max": 3.0, "top": 1, "show": ["meta"]}
        patched = await served.request(
            "PATCH", path, json.dumps({**patch, "meta": {"a": None, "b": {"c": None, "e": [None]}}})
        )
        expected = {
            **{"id": "b", "name": "B", **SETTINGS, "order": "asc", "max": 3, "top": 1},
            **{"show": ["meta"], "meta": {"b": {"d": 3, "e": [None]}}, "players": 0},
        }
        assert (patched.status, patched.json()) == (200, expected)
        await post(served, "/boards/b/players/p/score/", {"score": 2})
        same = await served.request("PATCH", path, '{"order": "asc", "ties": "id"}')
        assert same.json() == expected | {"players": 1}
        for body in ('{"order": "desc"}', '{"ties": "first"}'):
            assert "players" in problem(await served.request("PATCH", path, body), 409)
        empty = await served.request("PATCH", path, "{}")
        assert empty.json() == expected | {"players": 1}


@pytest.mark.gen_test
async def test_a_new_boards_meta_has_no_null(settings: Settings) -> None:
    """As if it had been merged into an empty one."""
    async with serving(settings) as served:
        made = await post(served, "/boards/", {"id": "b", "meta": {"a": None, "b": [None]}})
        assert made.json()["meta"] == {"b": [None]}
        player = await post(
            served, "/boards/b/players/", {"name": "P", "meta": {"a": None, "b": 1}}
        )
        assert player.json()["meta"] == {"b": 1}


@pytest.mark.gen_test
async def test_what_a_board_shows_of_its_players(settings: Settings) -> None:
    async with serving(settings) as served:
        await post(served, "/boards/", {"id": "b", "top": 3})
        for i, score in enumerate((5, 9, 9, 7)):
            await post(served, f"/boards/b/players/p{i}/score/", {"score": score, "meta": {"n": i}})
        plain = await served.request("GET", "/boards/b/")
        assert plain.json()["players"] == [
            {"id": i, "name": i, "score": s} for i, s in (("p1", 9), ("p2", 9), ("p3", 7))
        ]
        every = await served.request("GET", "/boards/b/?limit=4&fields=rank,meta,count")
        assert every.json() == {
            **{"id": "b", "name": "b", "count": 4},
            "players": [
                {"id": "p1", "name": "p1", "score": 9, "rank": 1, "meta": {"n": 1}},
                {"id": "p2", "name": "p2", "score": 9, "rank": 1, "meta": {"n": 2}},
                {"id": "p3", "name": "p3", "score": 7, "rank": 3, "meta": {"n": 3}},
                {"id": "p0", "name": "p0", "score": 5, "rank": 4, "meta": {"n": 0}},
            ],
        }
        await served.request("PATCH", "/boards/b/", '{"show": ["meta"], "top": 1}')
        shown = await served.request("GET", "/boards/b/")
        assert shown.json()["players"] == [{"id": "p1", "name": "p1", "score": 9, "meta": {"n": 1}}]


async def next_event(reader: asyncio.StreamReader) -> Any:
    while True:
        line = await asyncio.wait_for(reader.readline(), PATIENCE)
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            return json.loads(line[6:])


@pytest.mark.gen_test
async def test_settings_show_in_the_stream(settings: Settings) -> None:
    async with serving(settings) as served:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            b"GET /boards/demo/events/ HTTP/1.1\r\nHost: localhost\r\n"
            b"Accept: text/event-stream\r\n\r\n"
        )
        first = await next_event(reader)
        assert [(p["id"], p["score"]) for p in first["players"]] == DEMO
        assert list(first) == ["id", "name", "players"]
        await served.request("PATCH", "/boards/demo/", '{"top": 2, "name": "Demo"}')
        second = await next_event(reader)
        assert second["name"] == "Demo"
        assert [p["id"] for p in second["players"]] == ["venus", "earth"]
        await served.request("PATCH", "/boards/demo/players/earth/", '{"meta": {"a": 1}}')
        await served.request("PATCH", "/boards/demo/", '{"show": ["meta"]}')
        shown = await next_event(reader)
        while "meta" not in shown["players"][0]:
            shown = await next_event(reader)
        assert [p["meta"] for p in shown["players"]] == [{}, {"a": 1}]
        writer.close()


# Submissions


@SLASHES
@pytest.mark.gen_test
async def test_a_score_is_submitted(settings: Settings, slash: str) -> None:
    path = f"/boards/demo/players/new/score{slash}"
    base = {"id": "new", "name": "new"}
    async with serving(settings) as served:
        made = await post(served, path, {"score": 27})
        assert made.status == 201
        assert made.headers["Location"] == "/boards/demo/players/new/"
        assert made.json() == {
            **base,
            **{"score": 27, "rank": 2, "of": 6, "changed": True, "previous": None},
        }
        for score, operator, after, rank, changed, before, rank_before in (
            (5, None, 27, 2, False, 27, 2),
            (27.0, "set", 27, 2, False, 27, 2),
            (31, "best", 31, 1, True, 27, 2),
            (4.5, "set", 4.5, 6, True, 31, 1),
            (20, "add", 24.5, 3, True, 4.5, 6),
            (30, None, 30, 2, True, 24.5, 3),
        ):
            body = {"score": score} | ({"operator": operator} if operator else {})
            answer = await post(served, path, body)
            assert answer.status == 200
            assert "Location" not in answer.headers
            previous = {"score": before, "rank": rank_before}
            assert answer.json() == {
                **base,
                **{"score": after, "rank": rank, "of": 6, "changed": changed, "previous": previous},
            }


@pytest.mark.gen_test
async def test_a_submission_says_more_than_a_score(settings: Settings) -> None:
    path = "/boards/demo/players/new/score/"
    async with serving(settings) as served:
        made = await post(served, path, {"score": 1, "name": "New", "meta": {"a": 1, "b": None}})
        assert (made.json()["name"], made.json()["meta"]) == ("New", {"a": 1})
        again = await post(served, path, {"score": 0, "name": "Newer", "meta": {"b": 2}})
        assert again.json()["changed"] is True
        assert again.json()["score"] == 1
        shown = await served.request("GET", "/boards/demo/players/new/")
        assert shown.json() == {
            **{"id": "new", "name": "Newer", "score": 1, "rank": 6},
            "meta": {"a": 1, "b": 2},
        }


@pytest.mark.gen_test
async def test_the_least_wins_where_the_board_says_so(settings: Settings) -> None:
    async with serving(settings) as served:
        await post(served, "/boards/", {"id": "lap", "order": "asc", "ties": "first"})
        for player_id, score in (("z", 60), ("a", 60), ("m", 55.5)):
            await post(served, f"/boards/lap/players/{player_id}/score/", {"score": score})
        worse = await post(served, "/boards/lap/players/m/score/", {"score": 57})
        assert worse.json()["changed"] is False
        better = await post(served, "/boards/lap/players/a/score/", {"score": 54})
        assert better.json()["rank"] == 1
        assert better.json()["previous"] == {"score": 60, "rank": 2}
        page = await served.request("GET", "/boards/lap/players/")
        assert [(p["id"], p["rank"]) for p in page.json()["players"]] == [
            ("a", 1),
            ("m", 2),
            ("z", 3),
        ]


@SLASHES
@pytest.mark.gen_test
async def test_an_addition_can_make_the_player(settings: Settings, slash: str) -> None:
    path = f"/boards/demo/players/new/score-add{slash}"
    async with serving(settings) as served:
        problem(await served.request("POST", path), 404)
        problem(await served.request("POST", f"{path}?create=0"), 404)
        made = await served.request("POST", f"{path}?create=1", '{"amount": 24}')
        assert (made.status, made.headers["Location"]) == (201, "/boards/demo/players/new/")
        assert made.json() == {"id": "new", "name": "new", "score": 24, "rank": 3, "of": 6}
        again = await served.request("POST", f"{path}?create", '{"amount": -1}')
        assert (again.status, again.json()["score"], again.json()["rank"]) == (200, 23, 3)


@pytest.mark.parametrize(
    "error", [StoreUnavailable("it does not answer"), NotFound("it is gone now")]
)
@pytest.mark.gen_test
async def test_a_write_is_answered_though_its_rank_is_not_known(
    settings: Settings, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served:

        async def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(served.ranks, "standing", fail)
        monkeypatch.setattr(served.ranks, "count", fail)
        monkeypatch.setattr(served.store, "count", fail)
        added = await served.request("POST", "/boards/demo/players/mars/score-add/")
        assert (added.status, added.json()) == (
            200,
            {"id": "mars", "name": "Mars", "score": 20, "rank": None, "of": None},
        )
        score = await post(served, "/boards/demo/players/mars/score/", {"score": 21})
        assert score.status == 200
        assert score.json()["previous"] == {"score": 20, "rank": None}
        board = await post(served, "/boards/", {"id": "b"})
        assert (board.status, board.json()["players"]) == (201, None)
        board = await served.request("PATCH", "/boards/b/", '{"top": 7}')
        assert (board.status, board.json()["top"], board.json()["players"]) == (200, 7, None)
        # What is only read can't be answered then.
        status = 503 if isinstance(error, StoreUnavailable) else 404
        for target in ("/boards/demo/players/mars", "/boards/demo/?fields=count"):
            problem(await served.request("GET", target), status)


@SLASHES
@pytest.mark.gen_test
async def test_pages_there_and_back(settings: Settings, slash: str) -> None:
    async with serving(settings) as served:
        items = [{"id": f"p{i:02}", "score": i // 3 / 2} for i in range(20)]
        await post(served, "/boards/demo/scores/", items)
        pages = []
        target = f"/boards/demo/players{slash}?limit=7&fields=meta"
        while target:
            answer, rows = await page(served, target)
            assert answer.json()["count"] == 25
            assert answer.json()["players"][0]["meta"] == {}
            pages.append(rows)
            last, target = answer, link(answer, "next")
        assert [len(rows) for rows in pages] == [7, 7, 7, 4]
        rows = [row for rows in pages for row in rows]
        assert [player_id for player_id, _ in rows[:5]] == [player_id for player_id, _ in DEMO]
        assert len(set(rows)) == 25
        assert rows[5:8] == [("p18", 6), ("p19", 6), ("p15", 8)]
        assert rows[-1] == ("p02", 23)
        back = []
        target = link(last, "prev")
        while target:
            answer, some = await page(served, target)
            back.append(some)
            target = link(answer, "prev")
        assert back == pages[-2::-1]
        assert answer.headers["Cache-Control"] == "no-cache"


@pytest.mark.gen_test
async def test_pages_that_begin_elsewhere(settings: Settings) -> None:
    players = "/boards/demo/players/"
    async with serving(settings) as served:
        await post(served, "/boards/demo/players/twin/score/", {"score": 27})
        whole, rows = await page(served, players)
        assert rows == [
            *(("venus", 1), ("earth", 2), ("twin", 2), ("jupiter", 4), ("mars", 5), ("mercury", 6)),
        ]
        assert "Link" not in whole.headers
        for rank, first in ((1, 0), (2, 1), (3, 3), (4, 3), (6, 5), (7, 6), (999_999_999, 6)):
            answer, some = await page(served, f"{players}?from_rank={rank}&limit=2")
            assert some == rows[first : first + 2]
            assert answer.json()["count"] == 6
            assert bool(link(answer, "next")) == (first + 2 < 6)
            assert bool(link(answer, "prev")) == (0 < first < 6)
        for around, limit, first in (
            *(("jupiter", 3, 2), ("jupiter", 4, 2), ("venus", 3, 0), ("earth", 4, 0)),
            *(("mercury", 3, 3), ("mars", 4, 2), ("mars", 100, 0), ("twin", 1, 2)),
        ):
            answer, some = await page(served, f"{players}?around={around}&limit={limit}")
            assert some == rows[first : first + limit], around
            assert bool(link(answer, "next")) == (first + limit < 6)
            assert bool(link(answer, "prev")) == (first > 0)
        ids, some = await page(served, f"{players}?ids=none,mars,twin,mars,x")
        assert some == [("twin", 2), ("mars", 5)]
        assert ids.json()["missing"] == ["none", "x"]
        assert "Link" not in ids.headers
        nobody, some = await page(served, f"{players}?ids=none")
        assert (some, nobody.json()["missing"]) == ([], ["none"])
        assert nobody.json()["count"] == 6


@pytest.mark.gen_test
async def test_pages_below_a_base_path(settings: Settings) -> None:
    settings = dataclasses.replace(settings, base_path="/ours/")
    async with serving(settings) as served:
        first, rows = await page(served, "/ours/boards/demo/players/?limit=2")
        assert link(first, "next").startswith("/ours/boards/demo/players/?after=")
        _, more = await page(served, link(first, "next"))
        assert [*rows, *more][:4] == [("venus", 1), ("earth", 2), ("jupiter", 3), ("mars", 4)]
        made = await post(served, "/ours/boards/demo/players/new/score", {"score": 1})
        assert made.headers["Location"] == "/ours/boards/demo/players/new/"
        many = await post(served, "/ours/boards/demo/scores/", f"[{' ' * 70_000}]")
        assert many.status == 200


@pytest.mark.gen_test
async def test_an_empty_board_has_an_empty_page(settings: Settings) -> None:
    async with serving(settings) as served:
        await post(served, "/boards/", {"id": "b"})
        for query in ("", "?from_rank=1", "?from_rank=2"):
            answer, rows = await page(served, f"/boards/b/players/{query}")
            assert (rows, answer.json()["count"]) == ([], 0)
            assert "Link" not in answer.headers


# Other sites


@pytest.mark.gen_test
async def test_another_sites_page_may_use_the_new_routes(settings: Settings) -> None:
    origin = {"Origin": "https://a.example"}
    settings = dataclasses.replace(settings, allowed_origins=("https://a.example",))
    async with serving(settings) as served:
        for target, method in (
            ("/boards/demo", "PATCH"),
            ("/boards/demo/players/", "GET"),
            ("/boards/demo/players/mars/score", "POST"),
            ("/boards/demo/scores/", "POST"),
        ):
            preflight = await served.request("OPTIONS", target, None, origin)
            assert method in preflight.headers["Access-Control-Allow-Methods"].split(", ")
            assert "Idempotency-Key" in preflight.headers["Access-Control-Allow-Headers"]
        score = await post(served, "/boards/demo/players/mars/score", {"score": 1}, **origin)
        assert score.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        large = await post(served, "/boards/demo/scores/", " " * (5 * 2**20), **origin)
        assert large.status == 413
        assert large.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        other = {"Origin": "https://b.example"}
        for target in ("/boards/demo/players/mars/score", "/boards/demo/scores/"):
            problem(await post(served, target, "[]", **other), 403)
        problem(await served.request("PATCH", "/boards/demo/", "{}", other), 403)
