"""The audit trail: what it has of whom, on every store, by both ways, and who may read it."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tornado_board.inputs import (
    BoardPatch,
    NewBoard,
    NewPlayer,
    PlayerPatch,
    SeasonPlan,
    Submission,
)
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    NotFound,
    Once,
    OutOfRange,
    StoreUnavailable,
    WrongSeason,
)
from tornado_board.store.audit import Audited, AuditEntry
from tornado_board.store.rethinkdb.address import r

from .conftest import Opened
from .ranking_client import link
from .rethinkdb_admin import Admin
from .serving import Answer, Served, serving
from .tokens import SECRET, token

pytestmark = pytest.mark.gen_test

OPS = Audited({"jti": "ops-7"}, "PATCH", "/there/")
PLAYER = {
    **{"id": "p", "name": "p", "score": 1, "reached_at": 0, "meta": {}, "hidden": False},
    "season": 1,
}


def changes(entries: Any) -> list[tuple[Any, ...]]:
    """What entries say that was changed, the oldest first."""
    return [(e.board, e.player, e.before, e.after, e.done) for e in reversed(entries)]


@pytest.fixture
def kept(settings: Settings) -> Settings:
    return dataclasses.replace(settings, audit=100)


async def test_each_write_leaves_what_it_changed(
    opened: Opened, database_url: str, kept: Settings
) -> None:
    store = await opened.store(database_url, kept)
    board = await store.create_board(NewBoard(id="b", max=100), audited=OPS)
    await store.update_board("b", BoardPatch(name="B"), audited=OPS)
    await store.update_board("b", BoardPatch(name="B"), audited=OPS)
    await store.create_player("b", NewPlayer(id="p", name="p", score=1), audited=OPS)
    await store.update_player("b", "p", PlayerPatch(hidden=True), audited=OPS)
    await store.update_player("b", "p", PlayerPatch(hidden=True), audited=OPS)
    await store.add_score("b", "p", 2, audited=OPS)
    await store.add_score("b", "p", 1)
    await store.submit("b", [Submission(id="q", score=5)], audited=OPS)
    await store.submit("b", [Submission(id="q", score=4)], audited=OPS)
    await store.submit("b", [Submission(id=id, score=6) for id in "qrs"], audited=OPS)
    await store.delete_player("b", "p", audited=OPS)
    refused = [
        (store.create_board(NewBoard(id="b"), audited=OPS), AlreadyExists),
        (store.update_player("b", "q", PlayerPatch(score=101), audited=OPS), OutOfRange),
        (store.update_player("b", "p", PlayerPatch(score=1), audited=OPS), NotFound),
        (store.add_score("b", "q", 100, audited=OPS), OutOfRange),
        (store.delete_player("b", "p", audited=OPS), NotFound),
        (store.delete_board("none", audited=OPS), NotFound),
    ]
    for call, error in refused:
        with pytest.raises(error):
            await call
    await store.delete_board("b", audited=OPS)
    entries = await store.audit("b", "", 100)
    first = changes(entries)[0]
    assert (first[3]["id"], first[3]["max"]) == (board.id, 100)
    assert changes(entries) == [
        ("b", None, None, first[3], True),
        ("b", None, first[3], {**first[3], "name": "B"}, True),
        ("b", "p", None, PLAYER, True),
        ("b", "p", PLAYER, {**PLAYER, "hidden": True}, True),
        ("b", "p", {**PLAYER, "hidden": True}, {**PLAYER, "score": 3, "hidden": True}, True),
        ("b", "q", None, {**PLAYER, "id": "q", "name": "q", "score": 5}, True),
        ("b", None, None, {"submissions": 3, "changed": 3}, True),
        ("b", "p", {**PLAYER, "score": 4, "hidden": True}, None, True),
        ("b", None, {**first[3], "name": "B"}, None, True),
    ]
    for entry in entries:
        assert (entry.by, entry.method, entry.resource) == (OPS.by, "PATCH", "/there/")
    assert sorted(e.at for e in entries) == [e.at for e in reversed(entries)]


async def test_a_write_that_is_carried_out_once_is_recorded_once(
    opened: Opened, database_url: str, kept: Settings
) -> None:
    store = await opened.store(database_url, kept)
    for _ in range(3):
        await store.create_board(NewBoard(id="b"), Once("a", "r"), audited=OPS)
        new = NewPlayer(id="p", name="p")
        await store.create_player("b", new, Once("b", "r"), audited=OPS)
        await store.add_score("b", "p", 1, once=Once("c", "r"), audited=OPS)
        patch = PlayerPatch(name="P")
        await store.update_player("b", "p", patch, Once("d", "r"), audited=OPS)
        await store.submit("b", [Submission(id="p", score=9)], Once("e", "r"), audited=OPS)
        some = [Submission(id=id, score=9) for id in "xy"]
        await store.submit("b", some, Once("f", "r"), audited=OPS)
        await store.update_board("b", BoardPatch(top=3), Once("g", "r"), audited=OPS)
    assert len(await store.audit("b", "", 100)) == 7


async def test_entries_come_in_pages_the_newest_first_and_the_oldest_go(
    opened: Opened, database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tornado_board.store.rethinkdb.audit._PRUNE_AFTER", 1)
    store = await opened.store(database_url, dataclasses.replace(settings, audit=6))
    for board in ("b", "c"):
        await store.create_board(NewBoard(id=board), audited=OPS)
    for number in range(1, 9):
        await store.create_player("bc"[number % 2], NewPlayer(name="P"), audited=OPS)
        await asyncio.sleep(0.002)  # ids are made of the time, in ms
    async with asyncio.timeout(30):
        while len(entries := await store.audit(None, "", 100)) != 6:
            await asyncio.sleep(0.01)
    assert [entry.board for entry in entries] == ["b", "c"] * 3
    found: list[AuditEntry] = []
    while page := await store.audit(None, found[-1].id if found else "", 4):
        assert len(page) <= 4
        found += page
    assert found == entries
    assert await store.audit("c", "", 2) == [entries[1], entries[3]]
    assert await store.audit("c", entries[1].id, 9) == [entries[3], entries[5]]
    assert await store.audit("none", "", 9) == []


async def test_a_server_without_a_trail_keeps_nothing(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="b"), audited=OPS)
    await store.submit("b", [Submission(id=id, score=1) for id in "pq"], audited=OPS)
    assert await store.audit(None, "", 9) == []


@pytest.mark.parametrize("database_url", ["reql", "rethinkdb"], indirect=True)
async def test_on_rethinkdb_nothing_is_changed_that_can_not_be_recorded(
    opened: Opened, database_url: str, kept: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await opened.store(database_url, kept)
    await store.create_board(NewBoard(id="b"))

    # A process that ends between the change and its entry leaves what it was about to do.
    async def lost(*_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr("tornado_board.store.rethinkdb.audit.Trail._end", lost)
        with pytest.raises(StoreUnavailable):
            await store.create_player("b", NewPlayer(id="p", name="P"), audited=OPS)
    (entry,) = await store.audit("b", "", 9)
    assert (entry.player, entry.before, entry.after, entry.done) == ("p", None, None, None)
    await Admin(database_url).run(r.table("audit_trail").insert({"id": "0", "board": "b"}))
    assert len(await store.audit("b", "", 9)) == 1, "what is no entry is passed over"
    await Admin(database_url).run(r.table_drop("audit_trail"))
    with pytest.raises(StoreUnavailable):
        await store.add_score("b", "p", 1, audited=OPS)
    assert (await store.get_player("b", "p")).score == 0
    await store.add_score("b", "p", 1)


# Over HTTP


@pytest.fixture(params=[True, False], ids=["fast", "tornado"])
def served_settings(kept: Settings, request: pytest.FixtureRequest) -> Settings:
    return dataclasses.replace(kept, token_secret=SECRET, fast_path=request.param)


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(**claims)}"}


async def send(
    served: Served, method: str, target: str, body: Any, headers: Mapping[str, str]
) -> Answer:
    text = None if body is None else json.dumps(body)
    answer = await served.request(method, target, text, headers)
    assert answer.status < 300, answer
    return answer


WRITES: list[tuple[str, str, Any, tuple[str | None, str | None]]] = [
    ("POST", "/boards/", {"id": "b"}, ("b", None)),
    ("PATCH", "/boards/b/", {"name": "B"}, ("b", None)),
    ("POST", "/boards/b/players/", {"id": "p", "name": "P"}, ("b", "p")),
    ("PATCH", "/boards/b/players/p/", {"hidden": True}, ("b", "p")),
    ("POST", "/boards/b/players/p/score/", {"score": 4}, ("b", "p")),
    ("POST", "/boards/b/players/p/score-add/", {"amount": 4}, ("b", "p")),
    ("POST", "/boards/b/scores/", [{"id": "p", "score": 9}], ("b", "p")),
    ("POST", "/boards/b/scores/", [{"id": "q", "score": 1}, {"id": "r", "score": 1}], ("b", None)),
    ("DELETE", "/boards/b/players/p/", None, ("b", "p")),
    ("DELETE", "/boards/b/", None, ("b", None)),
]


async def test_writes_with_admin_are_recorded_and_no_others(served_settings: Settings) -> None:
    async with serving(served_settings) as served:
        named = bearer(scope="admin", jti="ops-7", sub="ann")
        for method, target, body, _ in WRITES:
            await send(served, method, target, body, named)
        for method, target, body, _ in WRITES:
            if "hidden" not in str(body):
                await send(served, method, target, body, bearer(scope="write", jti="x"))
        entries = (await served.request("GET", "/audit/", headers=named)).json()["entries"]
        assert [
            (e["method"], e["resource"], (e["board"], e["player"])) for e in reversed(entries)
        ] == [(method, target, place) for method, target, _, place in WRITES]
        assert {str(e["by"]) for e in entries} == {"{'jti': 'ops-7'}"}
        assert all(e["done"] for e in entries)
        assert (entries[-4]["before"]["hidden"], entries[-4]["after"]["hidden"]) == (False, True)


async def test_who_made_a_change_is_told_without_a_secret(served_settings: Settings) -> None:
    async with serving(served_settings) as served:
        plain = token(scope="admin")
        for headers in (
            bearer(scope="admin", sub="ann"),
            {"Authorization": f"Bearer {plain}"},
            bearer(scope="admin", jti="j" * 500),
        ):
            await send(served, "POST", "/boards/?x=1", {}, headers)
        answer = await served.request("GET", "/audit/", headers=bearer(scope="admin"))
        long, digest, named = (e["by"] for e in answer.json()["entries"])
        assert named == {"sub": "ann"}
        assert long == {"jti": "j" * 200}
        assert list(digest) == ["token"]
        for part in plain.split("."):
            assert part.encode() not in answer.body
        assert answer.headers["Cache-Control"] == "no-store"


async def test_the_trail_is_read_by_who_may(served_settings: Settings) -> None:
    async with serving(served_settings) as served:
        admin = bearer(scope="admin")
        for board in ("cup-1", "cup-2", "other"):
            await send(served, "POST", "/boards/", {"id": board}, admin)
            await send(served, "PATCH", f"/boards/{board}/", {"top": 3}, admin)

        async def boards(query: str, headers: Mapping[str, str]) -> list[str]:
            found: list[str] = []
            target = f"/audit/{query}"
            while target:
                answer = await served.request("GET", target, headers=headers)
                assert answer.status == 200, answer
                found += [entry["board"] for entry in answer.json()["entries"]]
                target = link(answer, "next")
            return found

        everything = ["other", "other", "cup-2", "cup-2", "cup-1", "cup-1"]
        assert await boards("", admin) == everything
        assert await boards("?limit=1", admin) == everything
        assert await boards("?board=cup-2&limit=1", admin) == ["cup-2"] * 2
        cups = bearer(scope="admin", boards=["cup-*"])
        assert await boards("?board=cup-1", cups) == ["cup-1"] * 2
        for query, headers, status in (
            ("", cups, 403),
            ("?board=other", cups, 403),
            ("?board=.", admin, 400),
            ("?limit=0", admin, 400),
            ("?after=%00", admin, 400),
            ("?after=" + "x" * 65, admin, 400),
            ("?after=nothing", admin, 200),
            ("", bearer(scope="write"), 403),
            ("", {}, 401),
        ):
            answer = await served.request("GET", f"/audit/{query}", headers=headers)
            assert answer.status == status, query


async def test_a_server_without_a_trail_says_so(settings: Settings) -> None:
    async with serving(settings) as served:
        answer = await served.request("GET", "/audit/")
        assert answer.status == 404
        assert "audit" in answer.json()["detail"]


async def test_without_keys_nothing_is_done_with_admin(kept: Settings) -> None:
    async with serving(kept) as served:
        await send(served, "POST", "/boards/", {"id": "b"}, {})
        assert (await served.request("GET", "/audit/")).json() == {"entries": []}


async def test_the_end_of_a_season_leaves_an_entry(
    opened: Opened, database_url: str, kept: Settings
) -> None:
    store = await opened.store(database_url, kept)
    await store.create_board(NewBoard(id="b", season=SeasonPlan()))
    await store.end_season("b", audited=OPS)
    with pytest.raises(WrongSeason):
        await store.end_season("b", 1, audited=OPS)
    [(_, _, before, after, _)] = changes(await store.audit("b", "", 100))
    assert (before["season"]["number"], after["season"]["number"]) == (1, 2)
