"""All players of a board: what each store gives, and what is sent of it."""

from __future__ import annotations

import asyncio
import csv
import dataclasses
import io
import json
import socket
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from tornado_board.inputs import NewBoard, Submission
from tornado_board.models import Player
from tornado_board.settings import Settings
from tornado_board.sqlite.limits import SNAPSHOTS
from tornado_board.store import NotFound, Store, StoreUnavailable
from tornado_board.store.sqlite import SQLiteStore
from tornado_board.web import export, exports

from .conftest import Opened
from .ranking_client import post
from .serving import Answer, Served, serving
from .tokens import SECRET, token

pytestmark = pytest.mark.usefixtures("io_loop")


async def fill(store: Store, board_id: str, count: int, order: str = "desc") -> None:
    """A board whose scores are three players' each."""
    await store.create_board(NewBoard(id=board_id, order=order))  # type: ignore[arg-type]
    items = [Submission(id=f"p{i:04}", score=i // 3 / 2) for i in range(count)]
    await store.submit(board_id, items)


async def all_of(store: Store, board_id: str) -> list[Player]:
    return [player async for piece in store.everyone(board_id) for player in piece]


# What stores give


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.gen_test
async def test_everyone_is_there_once_and_in_order(
    opened: Opened, database_url: str, settings: Settings, order: str
) -> None:
    store = await opened.store(database_url, settings)
    await fill(store, "b", 1201, order)
    found = await all_of(store, "b")
    assert found == list(await store.players_after("b", None, 2000))
    assert len({player.id for player in found}) == 1201
    await store.create_board(NewBoard(id="empty"))
    assert await all_of(store, "empty") == []
    with pytest.raises(NotFound, match="nope"):
        await all_of(store, "nope")


@pytest.mark.gen_test
async def test_who_does_not_move_is_there_once_while_others_move(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await fill(store, "b", 1500)
    seen: list[str] = []
    async with aclosing(store.everyone("b")) as pieces:
        async for piece in pieces:
            seen += [player.id for player in piece]
            await store.add_score("b", "p0000", 10_000)  # to the top, and from there on
            await store.add_score("b", "p1499", -10_000)
    moved = {"p0000", "p1499"}
    still = [player_id for player_id in seen if player_id not in moved]
    assert sorted(still) == [f"p{i:04}" for i in range(1, 1499)]


@pytest.mark.gen_test
async def test_sqlite_gives_all_of_one_moment(opened: Opened, settings: Settings) -> None:
    store = await opened.store(settings.database_url, settings)
    await fill(store, "b", 1200)
    before = list(await store.players_after("b", None, 2000))
    async with aclosing(store.everyone("b")) as pieces:
        found = list(await anext(pieces))
        await store.submit("b", [Submission(id=f"p{i:04}", score=-1) for i in range(1200)])
        await store.delete_board("b")
        async for piece in pieces:
            found += piece
    assert found == before


@pytest.mark.gen_test
async def test_sqlite_lets_go_of_reads_that_are_given_up(
    opened: Opened, settings: Settings
) -> None:
    store = await opened.store(settings.database_url, settings)
    assert isinstance(store, SQLiteStore)
    await fill(store, "b", 1200)
    for _ in range(3):
        reading = [store.everyone("b") for _ in range(SNAPSHOTS)]
        for pieces in reading:
            assert await anext(pieces)
        with pytest.raises(StoreUnavailable, match="too many"):
            await anext(store.everyone("b"))
        for pieces in reading:
            await pieces.aclose()
    # In the middle of a step, too.
    steps = [asyncio.ensure_future(all_of(store, "b")) for _ in range(SNAPSHOTS)]
    await asyncio.sleep(0)
    for step in steps:
        step.cancel()
    await asyncio.wait(steps)
    assert len(await all_of(store, "b")) == 1200
    # Nothing is held: the log of writes can begin anew.
    busy, *_ = await store._database.write(lambda c: c.execute("SELECT 0").fetchone(), quiet=True)
    connection = store._database._connection
    blocked, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, blocked) == (0, 0)


@pytest.mark.gen_test
async def test_a_store_that_closes_ends_its_long_reads(settings: Settings) -> None:
    store = await SQLiteStore.open(settings.database_url, settings)
    await fill(store, "b", 1200)
    pieces = store.everyone("b")
    await anext(pieces)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await anext(pieces)


# Over HTTP


@pytest.fixture
def settings_of_store(settings: Settings, database_url: str) -> Settings:
    """The settings of a server on each store in turn."""
    return dataclasses.replace(settings, database_url=database_url, redis_url=settings.database_url)


async def get(served: Served, query: str = "", accept: str = "") -> Answer:
    return await served.request("GET", f"/boards/b/export/{query}", headers={"Accept": accept})


def body(answer: Answer) -> str:
    """The body, which came in chunks and to its end."""
    assert answer.headers["Transfer-Encoding"] == "chunked"
    rest, whole = answer.body, b""
    while True:
        size, _, rest = rest.partition(b"\r\n")
        whole += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
        if int(size, 16) == 0:
            assert rest == b""
            return whole.decode()


def records(text: str) -> Sequence[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


@pytest.mark.gen_test
async def test_a_board_as_ndjson_and_csv(settings_of_store: Settings) -> None:
    async with serving(settings_of_store) as served:
        await post(served, "/boards/", {"id": "b", "name": "B"})
        items = [
            {"id": "x", "score": 2, "name": '"Ä", so', "meta": {"a": ["é", 1.5]}},
            {"id": "y", "score": 2.5},
            {"id": "z", "score": 2},
            {"id": "0", "score": -1},
        ]
        await post(served, "/boards/b/scores/", items)
        lines = body(await get(served, "?fields=meta")).rstrip("\n").split("\n")
        assert [json.loads(line) for line in lines] == [
            {"id": "y", "name": "y", "score": 2.5, "rank": 1, "meta": {}},
            {"id": "x", "name": items[0]["name"], "score": 2, "rank": 2, "meta": items[0]["meta"]},
            {"id": "z", "name": "z", "score": 2, "rank": 2, "meta": {}},
            {"id": "0", "name": "0", "score": -1, "rank": 4, "meta": {}},
        ]
        for answer in (
            await get(served, "?format=csv&fields=meta"),
            await get(served, "?fields=meta", "text/csv"),
            await get(served, "?fields=meta", "text/*, application/json;q=0.5"),
        ):
            assert answer.headers["Content-Type"].startswith("text/csv")
            assert answer.headers["Content-Disposition"] == 'attachment; filename="b.csv"'
            rows = records(body(answer))
            assert rows[1] | {"meta": json.loads(rows[1]["meta"])} == {
                **{"id": "x", "name": items[0]["name"], "score": "2", "rank": "2"},
                "meta": items[0]["meta"],
            }
        plain = await get(served, "", "*/*")
        assert plain.headers["Content-Type"].startswith("application/x-ndjson")
        # Who is hidden is in no list, and so in no file.
        hide = json.dumps({"hidden": True})
        hidden = await served.request("PATCH", "/boards/b/players/x/", hide)
        assert hidden.status == 200
        rows = records(body(await get(served, "?format=csv")))
        assert [(row["id"], row["rank"]) for row in rows] == [("y", "1"), ("z", "2"), ("0", "3")]
        await post(served, "/boards/", {"id": "e"})
        empty = await served.request("GET", "/boards/e/export/?format=csv")
        assert body(empty) == "id,name,score,rank\r\n"


@pytest.mark.gen_test
async def test_what_is_wrong_with_a_request_is_said(settings: Settings) -> None:
    async with serving(settings) as served:
        for target, status, detail in (
            ("/boards/nope/export/", 404, "there is no board 'nope'"),
            ("/boards/demo/export/?format=xml", 400, "format: must be csv or ndjson."),
            ("/boards/demo/export/?fields=rank", 400, "fields: must be of meta"),
        ):
            for method in ("GET", "HEAD"):
                answer = await served.request(method, target)
                assert answer.status == status
            assert detail in (await served.request("GET", target)).json()["detail"]
        head = await served.request("HEAD", "/boards/demo/export")
        assert (head.status, head.body) == (200, b"")
        assert "Content-Length" not in head.headers
        assert (await served.request("POST", "/boards/demo/export/", "{}")).status == 405


@pytest.mark.gen_test
async def test_a_private_board_wants_a_token(settings: Settings) -> None:
    settings = dataclasses.replace(settings, token_secret=SECRET)
    async with serving(settings) as served:
        admin = {"Authorization": f"Bearer {token(scope='admin')}"}
        body = json.dumps({"id": "b", "private": True})
        await served.request("POST", "/boards/", body, admin)
        assert (await get(served)).status == 401
        other = {"Authorization": f"Bearer {token(scope='read', boards=['c'])}"}
        assert (await served.request("GET", "/boards/b/export/", headers=other)).status == 403
        assert (await served.request("GET", "/boards/b/export/", headers=admin)).status == 200


class Slow:
    """A client that reads nothing until it is told to."""

    def __init__(self, served: Served) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", served.port))
        self.socket.sendall(b"GET /boards/b/export/ HTTP/1.0\r\nHost: localhost\r\n\r\n")
        self.socket.setblocking(False)

    async def rest(self) -> bytes:
        loop = asyncio.get_running_loop()
        data = b""
        while part := await asyncio.wait_for(loop.sock_recv(self.socket, 65536), 30):
            data += part
        return data


async def under_way(served: Served, number: int) -> None:
    """Wait until so many exports are."""
    while served.exports.under_way != number:
        await asyncio.sleep(0.01)


@pytest.mark.gen_test
async def test_one_address_has_two_at_a_time_and_others_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served:
        await fill(served.store, "b", 60_000)
        slow = [Slow(served) for _ in range(exports.MOST_OF_ONE)]
        await under_way(served, 2)
        refused = await get(served)
        assert (refused.status, "Retry-After" in refused.headers) == (429, True)
        monkeypatch.setattr(exports, "MOST_OF_ONE", 100)
        monkeypatch.setattr(exports, "MOST", 2)
        assert (await get(served)).status == 503
        # Writes go on meanwhile, and no other read waits.
        await served.store.add_score("b", "p0001", 1)
        assert (await served.request("GET", "/boards/b/")).status == 200
        slow[0].socket.close()  # gone in the middle
        assert (await slow[1].rest()).count(b"\n") > 60_000
        await under_way(served, 0)
        assert (await get(served)).status == 200


@pytest.mark.gen_test
async def test_one_that_takes_too_long_is_broken_off_and_not_ended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(export, "MOST_SECONDS", 0.3)
    async with serving(settings) as served:
        await fill(served.store, "b", 60_000)
        slow = Slow(served)
        await under_way(served, 1)
        await under_way(served, 0)
        with pytest.raises(ConnectionResetError):  # also to HTTP/1.0 it is no end
            await slow.rest()
    assert "the export of board b was broken off: not sent within 0.3 s" in caplog.text


@pytest.mark.gen_test
async def test_a_store_that_fails_in_the_middle_breaks_it_off(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served:
        await fill(served.store, "b", 1000)
        everyone = served.store.everyone

        async def failing(board_id: str, season: int | None):  # type: ignore[no-untyped-def]
            async with aclosing(everyone(board_id, season)) as pieces:
                yield await anext(pieces)
            raise StoreUnavailable("the store went away")

        monkeypatch.setattr(served.store, "everyone", failing)
        with pytest.raises(ConnectionResetError):
            await get(served)

        async def away(board_id: str, season: int | None):  # type: ignore[no-untyped-def]
            raise StoreUnavailable("the store is away")
            yield ()

        monkeypatch.setattr(served.store, "everyone", away)
        assert (await get(served)).status == 503


@pytest.mark.gen_test
async def test_it_ends_where_the_caller_may_read_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token runs out, or the board becomes private."""
    settings = dataclasses.replace(settings, token_secret=SECRET)
    async with serving(settings) as served:
        await fill(served.store, "b", 60_000)
        slow = Slow(served)
        await under_way(served, 1)
        admin = {"Authorization": f"Bearer {token(scope='admin')}"}
        await served.request("PATCH", "/boards/b/", '{"private": true}', admin)
        with pytest.raises(ConnectionResetError):
            await slow.rest()


def test_the_stores_have_room_for_as_many_as_there_may_be() -> None:
    assert SNAPSHOTS >= exports.MOST
