"""Several boards on one connection, over HTTP: ``/events/?board=a&board=b``."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tornado_board.realtime.positions import LONGEST, MOST_BOARDS, parse
from tornado_board.server import Running
from tornado_board.settings import Settings

from .proxies import KINDS, Proxy
from .server_process import ServerProcess
from .several_boards import Follower, Seen
from .stream_client import (
    PATIENCE,
    RawStream,
    add,
    event_source,
    http_client,
    make_board,
    next_event,
)

Serving = Callable[[Settings], Awaitable[Running]]

ACCEPT = "Accept: text/event-stream"


def path(*boards: str, **parameters: str) -> str:
    query = [*(("board", board) for board in boards), *parameters.items()]
    return f"/events/?{urlencode(query)}"


class Stream:
    """An event stream of several boards, whose ids are checked."""

    def __init__(self, raw: RawStream, since: str = "") -> None:
        self.raw = raw
        self.follower = Follower(since)

    @classmethod
    async def open(cls, url: str, target: str, *headers: str, since: str = "") -> Stream:
        if since:
            headers = (*headers, f"Last-Event-ID: {since}")
        raw = await RawStream.open(url, target, ACCEPT, *headers)
        assert raw.status == 200
        return cls(raw, since)

    async def event(self) -> Seen:
        while True:
            fields = (await self.raw.block()).fields
            if "data" in fields:
                seen = Seen(fields["event"], json.loads(fields["data"]), fields.get("id"))
                self.follower.take(seen)
                return seen

    async def events(self, count: int) -> list[tuple[str, str]]:
        """Of the next events, what they are and of which board."""
        seen = [await self.event() for _ in range(count)]
        return [(one.event, one.data["id"]) for one in seen]


@contextlib.asynccontextmanager
async def three_boards(serving: Serving, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    server = await serving(dataclasses.replace(settings, coalesce=0.0))
    async with http_client(server.url) as http:
        for board in "abc":
            await make_board(http, board)
        yield http


@pytest.mark.parametrize("headers", [(), ("Accept-Encoding: gzip",)])
@pytest.mark.gen_test
async def test_a_stream_brings_all_boards(
    serving: Serving, settings: Settings, headers: Sequence[str]
) -> None:
    async with three_boards(serving, settings) as http:
        url = str(http.base_url)
        stream = await Stream.open(url, path("b", "a", "b"), *headers)
        assert await stream.events(2) == [("update", "b"), ("update", "a")]
        for board in "abcab":
            await add(http, board)
        assert await stream.events(4) == [("update", board) for board in "abab"]
        since = stream.follower.last_id
        assert list(parse(since)) == ["b", "a"]
        assert stream.follower.boards["a"]["players"][0]["score"] == 2
        stream.raw.close()
        for board in "aab":
            await add(http, board)
        stream = await Stream.open(url, path("b", "a"), *headers, since=since)
        assert await stream.events(3) == [("update", board) for board in "aab"]
        assert stream.follower.skipped == 0
        # Nothing is missing now; a board that was not asked for then comes as it is.
        since = stream.follower.last_id
        late = await Stream.open(url, path("a", "b", "c"), *headers, since=since)
        assert await late.events(1) == [("update", "c")]
        await add(http, "b")
        assert await late.events(1) == [("update", "b")]
        assert await stream.events(1) == [("update", "b")]


@pytest.mark.gen_test
async def test_boards_that_are_gone(serving: Serving, settings: Settings) -> None:
    async with three_boards(serving, settings) as http:
        url = str(http.base_url)
        stream = await Stream.open(url, path("a", "nope", "b"))
        assert await stream.events(3) == [("gone", "nope"), ("update", "a"), ("update", "b")]
        await http.delete("/boards/a/")
        assert await stream.events(1) == [("gone", "a")]
        await add(http, "b")
        assert await stream.events(1) == [("update", "b")]
        # Who comes back knows of the ones that are gone; one that is there again begins anew.
        await make_board(http, "nope")
        again = await Stream.open(url, path("a", "nope", "b"), since=stream.follower.last_id)
        assert await again.events(1) == [("update", "nope")]
        await http.delete("/boards/nope/")
        assert await again.events(1) == [("gone", "nope")]
        # When there is none left, it ends.
        await http.delete("/boards/b/")
        for one in (stream, again):
            assert await one.events(1) == [("gone", "b")]
            await one.raw.ended()
            assert one.raw.finished
        for accept in ("text/event-stream", "application/json"):
            answer = await http.get(path("a", "b"), headers={"Accept": accept})
            assert answer.status_code == 404


@pytest.mark.gen_test
async def test_resets_name_their_board(serving: Serving, settings: Settings) -> None:
    async with three_boards(serving, settings) as http:
        url = str(http.base_url)
        stream = await Stream.open(url, path("a", "b"))
        await stream.events(2)
        position = parse(stream.follower.last_id)["b"]
        since = f"a:1-1,b:{position}"
        stream = await Stream.open(url, path("a", "b"), since=since)
        assert await stream.events(2) == [("reset", "a"), ("update", "a")]
        # What is no id at all says nothing of any board.
        for nonsense in ("nonsense", "1-1", "a:1-1,a:1-1", "x" * (LONGEST + 1)):
            raw = await RawStream.open(url, path("a", "b"), ACCEPT, f"Last-Event-ID: {nonsense}")
            stream = Stream(raw, since="a:0-0,b:0-0")
            assert await stream.events(4) == [
                *(("reset", "a"), ("update", "a")),
                *(("reset", "b"), ("update", "b")),
            ]


@pytest.mark.gen_test
async def test_a_long_poll_of_several_boards(serving: Serving, settings: Settings) -> None:
    async with three_boards(serving, settings) as http:
        follower = Follower()

        async def poll(**parameters: str) -> list[tuple[str, str]]:
            answer = (await http.get(path("a", "b", "nope", **parameters))).json()
            for event in answer["events"]:
                follower.take(Seen(event["event"], event["data"], event["id"]))
            assert answer["last_event_id"] == follower.last_id
            return [(event["event"], event["data"]["id"]) for event in answer["events"]]

        assert await poll() == [("gone", "nope"), ("update", "a"), ("update", "b")]
        assert await poll(since=follower.last_id, wait="0.05") == []
        waiting = asyncio.ensure_future(poll(since=follower.last_id))
        await asyncio.sleep(0.1)
        await add(http, "b")
        assert await waiting == [("update", "b")]
        for board in "aba":
            await add(http, board)
        seen: list[tuple[str, str]] = []
        while len(seen) < 3:
            seen += await poll(since=follower.last_id)
        assert sorted(seen) == [("update", board) for board in "aab"]
        assert follower.skipped == 0
        waiting = asyncio.ensure_future(poll(since=follower.last_id))
        await asyncio.sleep(0.1)
        await http.delete("/boards/a/")
        assert await waiting == [("gone", "a")]
        answer = await http.get(path("a", "b", since="nonsense"))
        assert answer.status_code == 400


@pytest.mark.gen_test
async def test_a_websocket_of_several_boards(serving: Serving, settings: Settings) -> None:
    async with three_boards(serving, settings) as http:
        url = str(http.base_url).replace("http", "ws", 1).rstrip("/")
        follower = Follower()

        async def take(client: Any) -> tuple[str, str]:
            message = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
            follower.take(Seen(message["event"], message["data"], message["id"]))
            return message["event"], message["data"]["id"]

        async with connect(url + path("a", "b")) as client:
            assert [await take(client), await take(client)] == [("update", "a"), ("update", "b")]
            await add(http, "b")
            assert await take(client) == ("update", "b")
        await add(http, "a")
        async with connect(url + path("a", "b", since=follower.last_id)) as client:
            assert await take(client) == ("update", "a")
            for board in "ab":
                await http.delete(f"/boards/{board}/")
                assert await take(client) == ("gone", board)
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), PATIENCE)
            assert client.close_code == 4404
        assert follower.skipped == 0


@pytest.mark.parametrize(
    "query",
    [
        *("", "board=", "board=a%20b", "board=..", "boards=a", "board=a&stream=2"),
        "&".join(f"board=b{i}" for i in range(MOST_BOARDS + 1)),
    ],
)
@pytest.mark.gen_test
async def test_what_asks_for_nothing(serving: Serving, settings: Settings, query: str) -> None:
    async with three_boards(serving, settings) as http:
        assert (await http.get(f"/events/?{query}")).status_code == 400


@pytest.mark.gen_test
async def test_head(serving: Serving, settings: Settings) -> None:
    async with three_boards(serving, settings) as http:
        headers = {"Accept": "text/event-stream"}
        answer = await http.head(path("nope", "a"), headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (await http.head(path("nope"), headers=headers)).status_code == 404


@pytest.mark.gen_test
async def test_limits_count_each_board(serving: Serving, settings: Settings) -> None:
    tuned = dataclasses.replace(settings, live_boards_per_address=3, max_streams_per_board=2)
    server = await serving(tuned)
    async with http_client(server.url) as http:
        for board in "abcd":
            await make_board(http, board)
        assert (await http.get(path("a", "b", "c", "d"))).status_code == 429
        first = await Stream.open(server.url, path("a", "b"))
        await first.events(2)
        # Those that are held already count once.
        second = await Stream.open(server.url, path("a", "b", "c"))
        await second.events(3)
        assert (await http.get(path("c", "d"))).status_code == 429
        stream = {"Accept": "text/event-stream"}
        assert (await http.get("/boards/a/", headers=stream)).status_code == 503
        assert (await http.get(path("a", "c"), headers=stream)).status_code == 503
        second.raw.close()
        async with asyncio.timeout(PATIENCE):
            while (await http.get(path("a", "d"))).status_code != 200:
                await asyncio.sleep(0.02)


@pytest.mark.gen_test
async def test_over_tls(serving: Serving, secure: Settings) -> None:
    server = await serving(dataclasses.replace(secure, coalesce=0.0))
    context = ssl.create_default_context(cafile=secure.tls_certificate)
    context.check_hostname = False
    async with http_client(server.url, verify=context) as http:
        for board in "ab":
            await make_board(http, board)
        url = server.url.replace("http", "ws", 1).rstrip("/")
        async with connect(url + path("a", "b"), ssl=context) as client:
            for count in range(6):
                assert json.loads(await asyncio.wait_for(client.recv(), PATIENCE))["id"]
                if count:
                    await add(http, "ab"[count % 2])


LONG = [f"{i:02d}" + "x" * 62 for i in range(MOST_BOARDS)]


@pytest.mark.parametrize("kind", ["nginx", "haproxy", None])
@pytest.mark.gen_test
async def test_the_longest_ids_pass(
    server_process: Callable[..., ServerProcess], tmp_path: Path, kind: str | None
) -> None:
    """50 boards of 64 characters each, in the path and in ``Last-Event-ID``."""
    server = server_process()
    if kind is not None and shutil.which(KINDS[kind][0]) is None:
        pytest.skip(f"{kind} is not installed")
    proxy = None if kind is None else Proxy(kind, server.port, tmp_path)
    url = server.url if proxy is None else f"http://127.0.0.1:{proxy.port}"
    try:
        async with http_client(server.url) as http:
            for board in LONG:
                await make_board(http, board)
            async with event_source(http, url + path(*LONG)) as events:
                for _ in LONG:
                    since = (await next_event(events)).id
            assert len(since) > 4000
            await add(http, LONG[7])
            resume = {"Last-Event-ID": since}
            async with event_source(http, url + path(*LONG), headers=dict(resume)) as events:
                assert (await next_event(events)).json()["id"] == LONG[7]
            answer = await http.get(url + path(*LONG), headers=resume)
            assert [event["data"]["id"] for event in answer.json()["events"]] == [LONG[7]]
    finally:
        if proxy is not None:
            proxy.stop()
