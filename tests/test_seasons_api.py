"""Seasons over HTTP: lists, old ones, ends by hand and by the calendar, and what streams tell."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, SeasonPlan, Submission
from tornado_board.settings import Settings

from .problems import SLASHES, problem
from .seasons import DAY, Clock, clock
from .serving import PATIENCE, Answer, Served, serving
from .stream_client import RawStream

__all__ = ["clock"]

WAYS = pytest.mark.parametrize("fast_path", [True, False])


async def post(served: Served, target: str, body: Any, **headers: str) -> Answer:
    return await served.request("POST", target, json.dumps(body), headers)


async def score(served: Served, player: str, number: float, **more: Any) -> Any:
    target = f"/boards/cup/players/{player}/score/"
    return (await post(served, target, {"score": number, **more})).json()


def url_of(served: Served) -> str:
    return f"http://127.0.0.1:{served.port}"


async def make_cup(served: Served, **season: Any) -> None:
    made = await post(served, "/boards/", {"id": "cup", "top": 2, "season": season})
    assert made.status == 201, made.body
    for player, number in (("ann", 5), ("bob", 3), ("cy", 3)):
        await score(served, player, number)


async def end(served: Served, **headers: str) -> Any:
    answer = await served.request("POST", "/boards/cup/seasons/", headers=headers)
    assert answer.status == 200, answer.body
    return answer.json()


@SLASHES
@pytest.mark.gen_test
async def test_a_board_has_a_season_and_shows_it(settings: Settings, slash: str) -> None:
    async with serving(settings) as served:
        plan = {"every": "week", "timezone": "Europe/Berlin", "keep": 3}
        made = (await post(served, f"/boards{slash}", {"id": "cup", "season": plan})).json()
        season = made["season"]
        assert {name: season[name] for name in plan} == plan
        assert season["number"] == 1
        assert season["started"] < season["ends"]
        assert season["ends"].endswith(":00:00Z")
        read = (await served.request("GET", f"/boards/cup{slash}")).json()
        times = {name: season[name] for name in ("number", "started", "ends")}
        assert read == {"season": times, "id": "cup", "name": "cup", "players": []}
        whole = (await served.request("GET", f"/boards/cup{slash}?fields=settings")).json()
        assert whole["season"] == season
        listed = (await served.request("GET", f"/boards{slash}?fields=settings")).json()["boards"]
        assert [board["season"] for board in listed] == [season, None]
        patched = await served.request(
            "PATCH", f"/boards/cup{slash}", json.dumps({"season": {"every": None, "keep": 5}})
        )
        changed = patched.json()["season"]
        assert (changed["every"], changed["ends"], changed["keep"]) == (None, None, 5)
        assert changed["started"] == season["started"]
        patched = await served.request("PATCH", f"/boards/cup{slash}", '{"season": null}')
        assert patched.json()["season"] is None
        listed = await served.request("GET", f"/boards/cup/seasons{slash}")
        assert listed.json() == {"seasons": []}


@pytest.mark.parametrize(
    ("season", "status", "detail"),
    [
        ({"every": "year"}, 422, "every: must be day, week, month"),
        ({"every": "61 * * * *"}, 422, "bad minute"),
        ({"every": "0 0 30 2 *"}, 422, "every: must be"),
        ({"every": "day", "timezone": "Mars"}, 422, "timezone: must be a name"),
        ({"timezone": "../UTC"}, 422, "timezone: must be a name"),
        ({"every": 7}, 400, "season.every: must be day, week, month, a cron expression"),
        ({"every": "x" * 101}, 400, "season.every: must be day"),
        ({"keep": 0}, 400, "season.keep: must be a whole number from 1 to 366"),
        ({"keep": 367}, 400, "season.keep: must be"),
        ({"number": 3}, 400, "season: must be an object"),
        ("week", 400, "season: must be an object"),
        ([], 400, "season: must be an object"),
    ],
)
@pytest.mark.gen_test
async def test_what_is_no_season_is_refused(
    settings: Settings, season: Any, status: int, detail: str
) -> None:
    async with serving(settings) as served:
        before = served.dump()
        for method, target in (("POST", "/boards/"), ("PATCH", "/boards/demo/")):
            answer = await served.request(method, target, json.dumps({"season": season}))
            assert problem(answer, status).find(detail) >= 0, answer.body
        assert served.dump() == before


@WAYS
@pytest.mark.gen_test
async def test_seasons_are_ended_listed_and_read(settings: Settings, fast_path: bool) -> None:
    settings = dataclasses.replace(settings, fast_path=fast_path)
    async with serving(settings) as served:
        await make_cup(served, keep=2)
        ended = await end(served)
        assert (ended["season"]["number"], ended["players"]) == (2, 0)
        assert (await score(served, "bob", 8))["rank"] == 1
        assert (await score(served, "bob", 9))["previous"] == {"score": 8, "rank": 1}
        await served.request("PATCH", "/boards/cup/", '{"meta": {"a": 1}}')

        listed = await served.request("GET", "/boards/cup/seasons/")
        present, past = listed.json()["seasons"]
        assert (present["number"], present["ends"], present["players"]) == (2, None, 1)
        assert present["top"] == [{"id": "bob", "name": "bob", "score": 9}]
        assert (past["number"], past["players"]) == (1, 3)
        assert past["started"] < past["ended"] == present["started"]
        assert [player["id"] for player in past["top"]] == ["ann", "bob"]

        old = await served.request("GET", "/boards/cup/?season=1")
        assert old.headers.get("Last-Event-ID") is None
        assert old.json()["season"] == {name: past[name] for name in ("number", "started", "ended")}
        assert [player["id"] for player in old.json()["players"]] == ["ann", "bob"]
        for method, body in (("PATCH", '{"score": 1}'), ("DELETE", "")):
            target = "/boards/cup/players/bob/?season=1"
            assert "leave it out" in problem(await served.request(method, target, body), 400)
        both = await served.request("GET", "/boards/cup/?season=1&at=2026-11-29")
        assert "send one of them" in problem(both, 400)
        more = await served.request("GET", "/boards/cup/?season=1&limit=3&fields=rank,count")
        assert more.json()["count"] == 3
        assert [player["rank"] for player in more.json()["players"]] == [1, 2, 2]
        assert (await served.request("GET", "/boards/cup/?season=2")).json()["players"] == present[
            "top"
        ]

        page = await served.request("GET", "/boards/cup/players/?season=1&limit=2")
        assert page.json()["count"] == 3
        assert [p["rank"] for p in page.json()["players"]] == [1, 2]
        link = page.headers["Link"]
        assert "season=1" in link
        following = await served.request("GET", link[link.index("<") + 1 : link.index(">")])
        assert following.json()["players"] == [{"id": "cy", "name": "cy", "score": 3, "rank": 2}]
        for query, ids in (
            ("around=bob&limit=3", ["ann", "bob", "cy"]),
            ("from_rank=2", ["bob", "cy"]),
            ("ids=ann,dee", ["ann"]),
        ):
            found = await served.request("GET", f"/boards/cup/players/?season=1&{query}")
            assert [player["id"] for player in found.json()["players"]] == ids, query
        one = await served.request("GET", "/boards/cup/players/bob/?season=1")
        assert one.json() == {"id": "bob", "name": "bob", "score": 3, "rank": 2}
        one = await served.request("GET", "/boards/cup/players/bob/")
        assert one.json() == {"id": "bob", "name": "bob", "score": 9, "rank": 1}
        assert (await served.request("GET", "/boards/cup/players/ann/")).status == 404

        for _ in range(2):
            await end(served)
        for target in ("", "players/", "players/ann/"):
            gone = await served.request("GET", f"/boards/cup/{target}?season=1")
            assert "no longer kept" in problem(gone, 410)
            none = await served.request("GET", f"/boards/cup/{target}?season=9")
            assert "no season 9" in problem(none, 404)
            for text in ("0", "x", "-1", "1.5", "", "9" * 10):
                bad = await served.request("GET", f"/boards/cup/{target}?season={text}")
                assert "season: must be a whole number" in problem(bad, 400)
        for headers in ({"Accept": "text/event-stream"},):
            stream = await served.request("GET", "/boards/cup/?season=2", headers=headers)
            assert "present season" in problem(stream, 400)
        first = await served.request("GET", "/boards/cup/seasons/?limit=2")
        assert [season["number"] for season in first.json()["seasons"]] == [4, 3]
        link = first.headers["Link"]
        rest = await served.request("GET", link[link.index("<") + 1 : link.index(">")])
        assert [season["number"] for season in rest.json()["seasons"]] == [2]
        assert "Link" not in rest.headers


@WAYS
@pytest.mark.gen_test
async def test_a_submission_can_name_its_season(settings: Settings, fast_path: bool) -> None:
    settings = dataclasses.replace(settings, fast_path=fast_path)
    async with serving(settings) as served:
        await make_cup(served)
        assert (await score(served, "ann", 6, season=1))["changed"]
        await end(served)
        late = await post(served, "/boards/cup/players/ann/score/", {"score": 7, "season": 1})
        assert "season 1 of board 'cup' is over; its season is 2" in problem(late, 409)
        lines = [{"id": "ann", "score": 1, "season": 2}, {"id": "ann", "score": 9, "season": 1}]
        answer = await post(served, "/boards/cup/scores/", lines)
        first, second = answer.json()
        assert first["score"] == 1
        assert second["status"] == 409
        for body in ({"season": 1}, {"season": 3}):
            refused = await post(served, "/boards/cup/seasons/", body)
            assert problem(refused, 409)
        assert (await post(served, "/boards/cup/seasons/", {"season": 2})).status == 200
        assert "no seasons" in problem(await post(served, "/boards/demo/seasons/", {}), 409)
        assert problem(await post(served, "/boards/none/seasons/", {}), 404)
        assert problem(await post(served, "/boards/cup/seasons/", {"season": 0}), 400)


@pytest.mark.gen_test
async def test_an_end_with_a_key_happens_once(settings: Settings) -> None:
    async with serving(settings) as served:
        await make_cup(served)
        key = {"Idempotency-Key": "k"}
        first = await served.request("POST", "/boards/cup/seasons/", headers=key)
        again = await served.request("POST", "/boards/cup/seasons/", headers=key)
        assert (first.status, first.json()) == (again.status, again.json())
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (await served.store.get_board("cup")).number == 2


@pytest.mark.gen_test
async def test_a_stream_tells_of_the_end_and_then_of_the_new_season(settings: Settings) -> None:
    async with serving(settings) as served:
        await make_cup(served)
        target = "/boards/cup/events/?stream=1"
        stream = await RawStream.open(url_of(served), target)
        kind, shown, first = await stream.event()
        while shown["players"] != [
            {"id": "ann", "name": "ann", "score": 5},
            {"id": "bob", "name": "bob", "score": 3},
        ]:
            kind, shown, first = await stream.event()
        await end(served)
        kind, final, second = await stream.event()
        assert kind == "season"
        assert final["players"] == shown["players"]
        assert final["season"]["number"] == 1
        assert final["season"]["ended"]
        kind, board, third = await stream.event()
        assert (kind, board["players"]) == ("update", [])
        assert board["season"] == {**board["season"], "number": 2, "ends": None}
        assert first is not None
        assert second is not None
        assert third is not None
        assert [first.n + 1, first.n + 2] == [second.n, third.n]
        stream.close()

        # Who was away gets both, by each transport.
        back = await RawStream.open(url_of(served), target, f"Last-Event-ID: {first}")
        assert [(await back.event())[0] for _ in range(2)] == ["season", "update"]
        back.close()
        poll = await served.request("GET", f"/boards/cup/events/?since={first}&wait=0")
        assert [event["event"] for event in poll.json()["events"]] == ["season", "update"]
        # Who is new gets the board as it is.
        poll = await served.request("GET", "/boards/cup/events/?wait=0")
        assert [event["data"]["season"]["number"] for event in poll.json()["events"]] == [2]


@pytest.mark.gen_test
async def test_the_calendar_ends_a_season_while_somebody_watches(
    settings: Settings, clock: Clock
) -> None:
    async with serving(settings) as served:
        await make_cup(served, every="week")
        stream = await RawStream.open(url_of(served), "/boards/cup/events/?stream=1")
        await stream.event()
        board = await served.store.get_board("cup")
        assert board.season is not None
        assert board.season.ends is not None
        clock.forward(board.season.ends)
        # Wakes the timer, which has waited for another time than the clock's.
        await served.store.update_board("demo", BoardPatch(season=SeasonPlan(every="* * * * *")))
        async with asyncio.timeout(PATIENCE):
            while (await stream.event())[0] != "season":
                pass
        _, shown, _ = await stream.event()
        assert (shown["season"]["number"], shown["players"]) == (2, [])
        board = await served.store.get_board("cup")
        assert board.season is not None
        assert (board.season.ends or 0) - board.season.started == 7 * DAY
        stream.close()


@pytest.mark.gen_test
async def test_places_live_through_the_end_of_a_season(settings: Settings) -> None:
    async with serving(settings) as served:
        await make_cup(served)
        target = "/boards/cup/players/bob/events/?stream=1"
        stream = await RawStream.open(url_of(served), target)
        kind, place, _ = await stream.event()
        assert (kind, place["rank"], place["of"]) == ("rank", 2, 3)
        await end(served)
        await score(served, "ann", 9)
        while place["rank"] is not None or place["of"] != 1:
            _, place, _ = await stream.event()
        assert place == {
            **{"id": "bob", "name": "bob", "score": None, "rank": None},
            **{"of": 1, "to_next": None},
        }
        # Who comes now waits for the same.
        other = await RawStream.open(url_of(served), target)
        assert (await other.event())[1] == place
        assert (await served.request("HEAD", target)).status == 200
        assert (await served.request("HEAD", target.replace("bob", "x"))).status == 404
        await score(served, "bob", 7)
        for one in (stream, other):
            while (await one.event())[1] != {
                **{"id": "bob", "name": "bob", "score": 7, "rank": 2},
                **{"of": 2, "to_next": 2},
            }:
                pass
            one.close()
        assert (await served.request("GET", "/boards/cup/players/x/events/?wait=0")).status == 404


@pytest.mark.gen_test
async def test_ranks_of_both_seasons_come_from_memory(settings: Settings) -> None:
    async with serving(settings) as served:
        await make_cup(served)
        many = [Submission(id=f"p{number}", score=number) for number in range(2_000)]
        await served.store.submit("cup", many)
        assert (await served.request("GET", "/boards/cup/?fields=count")).json()["count"] == 2_003
        await end(served)
        await served.store.submit("cup", many[:10])
        assert (await served.request("GET", "/boards/cup/?fields=count")).json()["count"] == 10
        for season, count, rank in ((1, 2_003, 1_997), (2, 10, 6)):
            found = await served.request("GET", f"/boards/cup/players/p4/?season={season}")
            assert found.json()["rank"] == rank
            async with asyncio.timeout(PATIENCE):
                while (
                    known := served.ranks.known(f"{season}:cup" if season > 1 else "cup")
                ) is None:
                    await asyncio.sleep(0.01)
            assert known.of == count
        assert (await score(served, "p4", 99))["rank"] == 1
        assert served.ranks.known("cup").of == 2_003  # type: ignore[union-attr]
