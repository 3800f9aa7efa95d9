"""A player's place as a stream: what it shows, when, and what becomes of it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tornado_board.models import Change, Ordering, Player, PlayerChanged
from tornado_board.ranking.rank_index import RankIndex
from tornado_board.realtime.places import Places, _Board
from tornado_board.realtime.watched import Watched
from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.store import open_store

from .stream_client import PATIENCE, RawStream, add, http_client, make_board
from .waiting import until

Serving = Callable[[Settings], Awaitable[Running]]

pytestmark = pytest.mark.gen_test

ACCEPT = "Accept: text/event-stream"

SCORES = {"ann": 30, "bob": 20, "cid": 20, "dan": 10}


def path(player: str, board: str = "b") -> str:
    return f"/boards/{board}/players/{player}/events/"


def place(player: str, score: float, rank: int, of: int, to_next: float | None) -> dict[str, Any]:
    return {
        **{"id": player, "name": player, "score": score},
        **{"rank": rank, "of": of, "to_next": to_next},
    }


async def watch(url: str, player: str, *headers: str) -> RawStream:
    stream = await RawStream.open(url, path(player), ACCEPT, *headers)
    assert stream.status == 200
    return stream


async def next_place(stream: RawStream) -> Any:
    kind, data, event_id = await stream.event()
    assert (kind, event_id) == ("rank", None)
    return data


async def shows(stream: RawStream, expected: Any) -> None:
    """Read until it shows `expected`: changes that come one by one may be told one by one."""
    async with asyncio.timeout(PATIENCE):
        while await next_place(stream) != expected:
            pass


@pytest.mark.parametrize("entries", [Settings().rank_entries, 0])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_place_is_told_at_once_and_when_it_changes(
    serving: Serving, settings: Settings, database_url: str, entries: int, encoding: str
) -> None:
    tuned = dataclasses.replace(settings, database_url=database_url, rank_entries=entries)
    url = (await serving(tuned)).url
    async with http_client(url) as http:
        await make_board(http, "b", SCORES)
        header = f"Accept-Encoding: {encoding}"
        ann, cid = await watch(url, "ann", header), await watch(url, "cid", header)
        assert "content-encoding" not in cid.headers
        assert await next_place(ann) == place("ann", 30, 1, 4, None)
        assert await next_place(cid) == place("cid", 20, 2, 4, 10)
        # Another one passes it.
        await add(http, "b", "dan", 15.5)
        await shows(cid, place("cid", 20, 3, 4, 5.5))
        # Its own score, its name, and how many there are.
        await add(http, "b", "cid", 100)
        await shows(cid, place("cid", 120, 1, 4, None))
        await shows(ann, place("ann", 30, 2, 4, 90))
        await http.patch("/boards/b/players/cid/", json={"name": "Cäcilie ☺"})
        await shows(cid, {**place("cid", 120, 1, 4, None), "name": "Cäcilie ☺"})
        await http.delete("/boards/b/players/bob/")
        await shows(ann, place("ann", 30, 2, 3, 90))
        for stream in (ann, cid):
            stream.close()


async def test_in_a_board_where_least_wins(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as http:
        (await http.post("/boards/", json={"id": "b", "order": "asc"})).raise_for_status()
        for player, score in (("x", 59.5), ("y", 61.25)):
            body = {"id": player, "name": player, "score": score}
            (await http.post("/boards/b/players/", json=body)).raise_for_status()
        stream = await watch(url, "y")
        assert await next_place(stream) == place("y", 61.25, 2, 2, 1.75)
        stream.close()


async def test_nothing_comes_while_nothing_of_it_changes(
    serving: Serving, settings: Settings
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as http:
        await make_board(http, "b", SCORES)
        stream = await watch(url, "bob")
        assert await next_place(stream) == place("bob", 20, 2, 4, 10)
        await add(http, "b", "dan")
        await asyncio.sleep(1.5)
        await add(http, "b", "ann")
        assert await next_place(stream) == place("bob", 20, 2, 4, 11)
        stream.close()


@pytest.mark.parametrize("what", ["player", "board"])
async def test_who_is_gone_is_told_of_and_then_not_found(
    serving: Serving, settings: Settings, what: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as http:
        await make_board(http, "b", SCORES)
        for player in ("nobody", "eve"):
            assert (await http.get(path(player))).status_code == 404
        assert (await http.get(path("ann", "nope"))).status_code == 404
        stream = await watch(url, "ann")
        await next_place(stream)
        waiting = asyncio.ensure_future(http.get(path("bob"), params={"since": await tag(http)}))
        async with connect(url.replace("http", "ws", 1).rstrip("/") + path("ann")) as client:
            await client.recv()
            await http.delete("/boards/b/" if what == "board" else "/boards/b/players/ann/")
            message = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
            assert message == {"id": None, "event": "gone", "data": {"id": "ann"}}
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), PATIENCE)
            assert (client.close_code, client.close_reason) == (4404, "the player was deleted")
        assert await stream.event() == ("gone", {"id": "ann"}, None)
        await stream.ended()
        assert stream.finished
        answer = await waiting
        assert answer.status_code == (404 if what == "board" else 200)
        assert (await http.get(path("ann"))).status_code == 404


async def tag(http: httpx.AsyncClient, player: str = "bob") -> str:
    answer = (await http.get(path(player))).json()
    text: str = answer["last_event_id"]
    return text


async def test_a_long_poll_waits_for_something_else(serving: Serving, settings: Settings) -> None:
    server = await serving(settings)
    async with http_client(server.url) as http:
        await make_board(http, "b", SCORES)
        answer = (await http.get(path("bob"))).json()
        since = answer["last_event_id"]
        first = {"id": None, "event": "rank", "data": place("bob", 20, 2, 4, 10)}
        assert answer["events"] == [first]
        same = (await http.get(path("bob"), params={"since": since, "wait": "0.1"})).json()
        assert same == {"events": [], "last_event_id": since}
        boards = server.services.places._boards
        waiting = asyncio.ensure_future(http.get(path("bob"), params={"since": since}))
        await until(lambda: boards["b"].clients)
        await add(http, "b", "bob")
        changed = (await waiting).json()
        assert changed["events"][0]["data"]["score"] == 21
        # Whatever else is said, it gets the newest; and it is not kept waiting at the end.
        other = (await http.get(path("bob"), params={"since": "other"})).json()
        assert other == changed
        assert (await http.get(path("bob"), params={"since": "x" * 65})).status_code == 400
        waiting = asyncio.ensure_future(
            http.get(path("bob"), params={"since": changed["last_event_id"]})
        )
        await until(lambda: boards["b"].clients)
        server.services.places.stop_waiting()
        assert (await waiting).json()["events"] == []
        assert (await http.get(path("bob"))).status_code == 503


async def test_what_others_write_is_told(
    serving: Serving, settings: Settings, database_url: str
) -> None:
    """Whoever writes to the store: here another process, as it were."""
    if database_url.startswith("sqlite"):
        pytest.skip("a file serves one process")
    tuned = dataclasses.replace(settings, database_url=database_url)
    url = (await serving(tuned)).url
    other = await open_store(database_url, tuned)
    async with http_client(url) as http:
        await make_board(http, "b", SCORES)
        stream = await watch(url, "cid")
        await next_place(stream)
        await other.add_score("b", "cid", 1)
        await shows(stream, place("cid", 21, 2, 4, 9))
        await other.delete_player("b", "ann")
        await shows(stream, place("cid", 21, 1, 3, None))
        stream.close()
    await other.close()


async def test_quiet_places_are_kept_alive_and_those_left_are_forgotten(
    serving: Serving, settings: Settings
) -> None:
    server = await serving(dataclasses.replace(settings, keepalive=0.5))
    places = server.services.places
    async with http_client(server.url) as http:
        await make_board(http, "b", SCORES)
        stream = await watch(server.url, "ann")
        await next_place(stream)
        line = await asyncio.wait_for(stream.reader.readline(), PATIENCE)
        assert line == b": keep-alive\n"
        stream.close()
        await until(lambda: not places._boards)
        # And it works again.
        stream = await watch(server.url, "ann")
        await next_place(stream)
        await add(http, "b", "ann")
        await shows(stream, place("ann", 31, 1, 4, None))
        stream.close()


async def test_many_watch_one_player(serving: Serving, settings: Settings) -> None:
    server = await serving(dataclasses.replace(settings, max_streams_per_board=300))
    async with http_client(server.url) as http:
        await make_board(http, "b", SCORES)
        streams = await asyncio.gather(*(watch(server.url, "ann") for _ in range(300)))
        for stream in streams:
            await next_place(stream)
        with contextlib.suppress(asyncio.IncompleteReadError):
            refused = await RawStream.open(server.url, path("ann"), ACCEPT)
            assert refused.status == 503
        await add(http, "b", "ann")
        for stream in streams:
            assert (await next_place(stream))["score"] == 31
            stream.close()


async def test_after_a_lost_feed_the_players_are_read_again(
    serving: Serving, settings: Settings
) -> None:
    server = await serving(settings)
    places = server.services.places
    async with http_client(server.url) as http:
        await make_board(http, "b", SCORES)
        stream, gone = await watch(server.url, "bob"), await watch(server.url, "cid")
        await next_place(stream)
        await next_place(gone)
        # What the feed did not tell.
        untold: list[Change] = []
        apply, places.apply = places.apply, untold.extend  # type: ignore[method-assign,assignment]
        await add(http, "b", "bob", 5)
        await http.delete("/boards/b/players/cid/")
        await until(
            lambda: {"bob", "cid"} <= {c.player_id for c in untold if isinstance(c, PlayerChanged)}
        )
        places.apply = apply  # type: ignore[method-assign]
        places.resync()
        await shows(stream, place("bob", 25, 2, 3, 5))
        assert (await gone.event())[0] == "gone"
        stream.close()


async def test_head(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as http:
        await make_board(http, "b", SCORES)
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip"}
        answer = await http.head(path("ann"), headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "content-encoding" not in answer.headers
        assert (await http.head(path("nobody"), headers=headers)).status_code == 404


@pytest.mark.gen_test
async def test_nobody_stands_behind_what_this_process_has_written_of_it() -> None:
    index = RankIndex(Ordering())
    index.scanned(["p", "q"], [5, 3])
    for _ in index.finish(0):
        pass
    ranks, nothing = cast(Any, Ready(index)), cast(Any, None)
    places = Places(nothing, ranks, nothing, per_board=10, keepalive=3600)
    board = places._boards["b"] = _Board()
    board.number = 1
    one = board.players["p"] = Watched("p")
    one.player = Player("p", "p", 5)
    one.show((2, 0, None))
    await places._look_up("b", board)
    assert json.loads(one.current.data) == place("p", 5, 1, 2, None)
    index.wrote("p", 5, 9, -1)
    await places._look_up("b", board)
    assert json.loads(one.current.data) == place("p", 5, 1, 2, None)
    assert board.is_stale, "so that it is looked up once the feed has told"
    change = PlayerChanged("b", "p", Player("p", "p", 9), 5)
    index.apply(change, 1)
    places.apply([change])
    await places._look_up("b", board)
    assert json.loads(one.current.data) == place("p", 9, 1, 2, None)
    assert not board.is_stale


class Ready:
    """Ranks of which one index is ready."""

    def __init__(self, only: RankIndex) -> None:
        self.only = only

    def index(self, partition: str) -> RankIndex:
        return self.only
