"""Every route of the HTTP API, as DESIGN.md and docs/http-api.md describe it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from tornado_board.models import Board
from tornado_board.realtime.hub import LimitReached
from tornado_board.replay import LogUnavailable
from tornado_board.settings import Settings
from tornado_board.store import OutcomeUnknown, StoreUnavailable

from .problems import SLASHES, problem
from .serving import PATIENCE, Served, serving

#: What a board has that was made without settings.
SETTINGS: dict[str, Any] = {
    **{"order": "desc", "ties": "id", "operator": "best", "top": 5, "min": None, "max": None},
    **{"meta": {}, "show": [], "private": False, "season": None},
}

DEMO = [("venus", 31), ("earth", 27), ("jupiter", 23), ("mars", 19), ("mercury", 12)]


# Boards


@SLASHES
@pytest.mark.gen_test
async def test_boards_are_listed(settings: Settings, slash: str) -> None:
    async with serving(settings) as served:
        answer = await served.request("GET", f"/boards{slash}")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.json() == {"boards": [{"id": "demo", "name": "Demo board"}]}
    assert "Link" not in answer.headers


@pytest.mark.gen_test
async def test_a_long_list_of_boards_comes_in_pages(settings: Settings) -> None:
    async with serving(settings) as served:
        for i in range(4):
            await served.request("POST", "/boards/", json.dumps({"id": f"b{i}"}))
        seen, target = [], "/boards/?limit=2"
        while True:
            answer = await served.request("GET", target)
            seen.append([board["id"] for board in answer.json()["boards"]])
            if "Link" not in answer.headers:
                break
            link = answer.headers["Link"]
            assert link.endswith('>; rel="next"')
            target = link[1:].partition(">")[0]
        # exactly full: nothing more is promised
        full = await served.request("GET", "/boards/?limit=5")
    assert seen == [["b0", "b1"], ["b2", "b3"], ["demo"]]
    assert "Link" not in full.headers


@SLASHES
@pytest.mark.gen_test
async def test_a_board_is_made_shown_and_deleted(settings: Settings, slash: str) -> None:
    async with serving(settings) as served:
        made = await served.request("POST", f"/boards{slash}", '{"id": "b.1~x", "name": "Bé/d"}')
        whole = {"id": "b.1~x", "name": "Bé/d", **SETTINGS, "players": 0}
        assert (made.status, made.json()) == (201, whole)
        assert made.headers["Location"] == "/boards/b.1~x/"
        assert "Bé/d".encode() in made.body

        shown = await served.request("GET", f"/boards/b.1~x{slash}")
        assert (shown.status, shown.json()) == (200, {"id": "b.1~x", "name": "Bé/d", "players": []})

        again = await served.request("POST", f"/boards{slash}", '{"id": "b.1~x"}')
        problem(again, 409)

        player = await served.request("POST", f"/boards/b.1~x/players{slash}", '{"name": "P"}')
        path = player.headers["Location"]
        gone = await served.request("DELETE", f"/boards/b.1~x{slash}")
        assert (gone.status, gone.body) == (204, b"")
        for target in (f"/boards/b.1~x{slash}", path):
            problem(await served.request("GET", target), 404)
        problem(await served.request("DELETE", f"/boards/b.1~x{slash}"), 404)


@pytest.mark.parametrize("body", [None, "", "{}"])
@pytest.mark.gen_test
async def test_a_board_needs_neither_id_nor_name(settings: Settings, body: str | None) -> None:
    async with serving(settings) as served:
        made = await served.request("POST", "/boards/", body)
        assert made.status == 201
        board = made.json()
        assert len(board["id"]) == 22
        assert board["name"] == board["id"]
        shown = await served.request("GET", made.headers["Location"])
    assert shown.json() == {"id": board["id"], "name": board["id"], "players": []}


@pytest.mark.parametrize("board_id", ["...", ".a", "-", "~", "a" * 64])
@pytest.mark.gen_test
async def test_any_id_of_the_alphabet_works(settings: Settings, board_id: str) -> None:
    async with serving(settings) as served:
        made = await served.request("POST", "/boards/", json.dumps({"id": board_id}))
        location = made.headers["Location"]
        shown = await served.request("GET", location)
        made = await served.request(
            "POST", f"{location}players/", json.dumps({"id": board_id, "name": "P"})
        )
        player = await served.request("GET", made.headers["Location"])
    assert shown.json()["id"] == board_id
    assert player.json() == {"id": board_id, "name": "P", "score": 0, "rank": 1}


@pytest.mark.gen_test
async def test_a_board_that_no_path_leads_to_is_not_listed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stored(limit: int, after: str = "") -> list[Board]:
        ids = [i for i in (" ", ".", "..", "a", "a b", "demo", "zoo", "é") if i > after]
        return [Board(i, i) for i in ids[:limit]]

    async with serving(settings) as served:
        monkeypatch.setattr(served.store, "list_boards", stored)
        listed, target = [], "/boards/?limit=1"
        while target:
            answer = await served.request("GET", target)
            (board,) = answer.json()["boards"]
            listed.append(board["id"])
            target = answer.headers.get("Link", "")[1:].partition(">")[0]
    assert listed == ["a", "demo", "zoo"]


@SLASHES
@pytest.mark.gen_test
async def test_a_board_shows_its_best_players(settings: Settings, slash: str) -> None:
    async with serving(settings) as served:
        for i, score in enumerate([31, 40, -5, 31.5]):
            body = json.dumps({"id": f"p{i}", "name": f"P{i}", "score": score})
            await served.request("POST", "/boards/demo/players/", body)
        top = await served.request("GET", f"/boards/demo{slash}")
        two = await served.request("GET", f"/boards/demo{slash}?limit=1&limit=2&unknown=x")
        every = await served.request("GET", f"/boards/demo{slash}?limit=100")
    expected = [("p1", 40), ("p3", 31.5), ("p0", 31), *DEMO, ("p2", -5)]
    for answer, count in ((top, 5), (two, 2), (every, 9)):
        players = answer.json()["players"]
        assert [(p["id"], p["score"]) for p in players] == expected[:count]
    assert top.json()["players"][0] == {"id": "p1", "name": "P1", "score": 40}


@pytest.mark.gen_test
async def test_a_board_has_a_position_and_an_etag(settings: Settings) -> None:
    async with serving(settings) as served:
        first = await served.request("GET", "/boards/demo/")
        ms, n = first.headers["Last-Event-ID"].split("-")
        assert int(ms) > 1_600_000_000_000
        assert int(n) >= 1
        assert first.headers["Cache-Control"] == "no-cache"
        assert "Accept" in first.headers["Vary"]
        etag = first.headers["ETag"]
        assert etag.startswith('"')  # strong

        same = await served.request("GET", "/boards/demo/", headers={"If-None-Match": etag})
        assert (same.status, same.body) == (304, b"")
        assert same.headers["ETag"] == etag

        await served.request("POST", "/boards/demo/players/mars/score-add/")
        changed = await served.request("GET", "/boards/demo/", headers={"If-None-Match": etag})
    assert changed.status == 200
    assert changed.headers["ETag"] != etag


@SLASHES
@pytest.mark.parametrize("path", ["/boards/demo", "/boards/demo/events"])
@pytest.mark.gen_test
async def test_head_of_a_stream_has_no_body(settings: Settings, path: str, slash: str) -> None:
    accept = {"Accept": "text/event-stream"}
    async with serving(settings) as served:
        answer = await served.request("HEAD", path + slash, headers=accept)
        missing = await served.request("HEAD", f"/boards/none{slash}", headers=accept)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert (missing.status, missing.body) == (404, b"")


# Players


@SLASHES
@pytest.mark.gen_test
async def test_the_life_of_a_player(settings: Settings, slash: str) -> None:
    async with serving(settings) as served:
        players = f"/boards/demo/players{slash}"
        made = await served.request("POST", players, '{"id": "p", "name": "P", "score": 27.0}')
        assert (made.status, made.json()) == (201, {"id": "p", "name": "P", "score": 27})
        assert made.headers["Location"] == "/boards/demo/players/p/"
        problem(await served.request("POST", players, '{"id": "p", "name": "Q"}'), 409)

        path = f"/boards/demo/players/p{slash}"
        shown = await served.request("GET", path)
        assert shown.json() == {"id": "p", "name": "P", "score": 27, "rank": 2}
        fourth = await served.request("GET", f"/boards/demo/players/jupiter{slash}")
        assert fourth.json()["rank"] == 4

        patched = await served.request("PATCH", path, '{"score": 0.5}')
        assert (patched.status, patched.json()) == (200, {"id": "p", "name": "P", "score": 0.5})
        patched = await served.request("PATCH", path, '{"name": "Q"}')
        assert patched.json() == {"id": "p", "name": "Q", "score": 0.5}
        patched = await served.request("PATCH", path, "{}")
        assert patched.json() == {"id": "p", "name": "Q", "score": 0.5}

        gone = await served.request("DELETE", path)
        assert (gone.status, gone.body) == (204, b"")
        for method, body in (("GET", None), ("PATCH", "{}"), ("DELETE", None)):
            problem(await served.request(method, path, body), 404)


@pytest.mark.gen_test
async def test_a_player_without_an_id_gets_one(settings: Settings) -> None:
    async with serving(settings) as served:
        made = await served.request("POST", "/boards/demo/players/", '{"name": "P"}')
        player = made.json()
        assert (made.status, player["score"], len(player["id"])) == (201, 0, 22)
        shown = await served.request("GET", made.headers["Location"])
    assert shown.json() == player | {"rank": 6}


FORM = "application/x-www-form-urlencoded"


@SLASHES
@pytest.mark.parametrize(
    ("body", "content_type", "score"),
    [
        (None, "", 20),
        ("", FORM, 20),
        ("{}", "application/json", 20),
        ('{"amount": 5}', "application/json", 24),
        ('{"amount": -19}', "application/json; charset=utf-8", 0),
        ('{"amount": 0.5}', 'Application/JSON; charset="UTF-8"', 19.5),
        ('{"amount": 1e2}', "application/vnd.board+json", 119),
        ("amount=5", FORM, 24),
        ("amount=-1.5", f"{FORM}; charset=utf-8", 17.5),
        ("amount=1e2", FORM, 119),
    ],
)
@pytest.mark.gen_test
async def test_adding_to_a_score(
    settings: Settings, slash: str, body: str | None, content_type: str, score: float
) -> None:
    path = f"/boards/demo/players/mars/score-add{slash}"
    async with serving(settings) as served:
        answer = await served.request("POST", path, body, {"Content-Type": content_type})
    rank = 1 + sum(other > score for player, other in DEMO if player != "mars")
    expected = {"id": "mars", "name": "Mars", "score": score, "rank": rank, "of": 5}
    assert (answer.status, answer.json()) == (200, expected)
    assert isinstance(answer.json()["score"], type(score))


@pytest.mark.gen_test
async def test_a_sum_out_of_range_changes_nothing(settings: Settings) -> None:
    async with serving(settings) as served:
        before = served.dump()
        answer = await served.request(
            "POST", "/boards/demo/players/mars/score-add/", f'{{"amount": {2**53}}}'
        )
        problem(answer, 422)
        assert served.dump() == before


@pytest.mark.parametrize(
    "path", ["/boards/none/players/mars", "/boards/demo/players/none", "/boards/none/players"]
)
@pytest.mark.gen_test
async def test_unknown_boards_and_players_are_404(settings: Settings, path: str) -> None:
    async with serving(settings) as served:
        if path.endswith("players"):
            problem(await served.request("POST", path, '{"name": "P"}'), 404)
        else:
            problem(await served.request("GET", path), 404)
            problem(await served.request("POST", f"{path}/score-add"), 404)
        assert len(served.dump()) > 5


# What goes wrong behind the API


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("the database does not answer"),
        OutcomeUnknown("the database was lost; the addition may have been applied or not"),
        LogUnavailable("the replay log does not answer"),
        LimitReached("as many boards are live as the settings allow"),
    ],
)
@pytest.mark.gen_test
async def test_what_may_pass_is_a_503_with_a_time(
    settings: Settings, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served:

        async def fail(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(served.store, "add_score", fail)
        answer = await served.request("POST", "/boards/demo/players/mars/score-add")
    assert problem(answer, 503) == str(error)
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Cache-Control"] == "no-store"


async def opened_stream(served: Served, board_id: str) -> asyncio.StreamWriter:
    """A stream of the board that has had its first event."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    head = (
        f"GET /boards/{board_id} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    )
    writer.write(head.encode())
    await asyncio.wait_for(reader.readuntil(b"event: update"), PATIENCE)
    return writer


@pytest.mark.gen_test
async def test_more_streams_than_a_board_may_have(settings: Settings) -> None:
    settings = dataclasses.replace(settings, max_streams_per_board=1)
    async with serving(settings) as served:
        writer = await opened_stream(served, "demo")
        for path in ("/boards/demo/", "/boards/demo/events/"):
            refused = await served.request("GET", path, headers={"Accept": "text/event-stream"})
            problem(refused, 503)
            assert int(refused.headers["Retry-After"]) > 0
        writer.close()


@pytest.mark.gen_test
async def test_a_board_that_cannot_be_live_can_be_read(settings: Settings) -> None:
    settings = dataclasses.replace(settings, live_boards=1)
    async with serving(settings) as served:
        writer = await opened_stream(served, "demo")
        await served.request("POST", "/boards/", '{"id": "b"}')
        answer = await served.request("GET", "/boards/b/")
        assert answer.status == 200
        assert "Last-Event-ID" not in answer.headers
        problem(await served.request("GET", "/boards/b/events/"), 503)
        problem(await served.request("GET", "/boards/none/"), 404)
        writer.close()
