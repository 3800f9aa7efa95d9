"""Nobody reads over an edge what the origin would not show, and nothing goes round in circles."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path

import pytest
import websockets

from tornado_board.realtime.wires.websocket import CloseCode
from tornado_board.settings import Settings
from tornado_board.upstream import hops
from tornado_board.web.edge import passing_on

from .edges import Serve, edge_of, edge_settings, url_of
from .ports import free_port
from .stream_client import RawStream, http_client
from .tokens import SECRET, token
from .waiting import until

ADMIN = {"Authorization": f"Bearer {token(scope='write read submit')}"}
READER = {"Authorization": f"Bearer {token(scope='read')}"}
ELSEWHERE = {"Authorization": f"Bearer {token(scope='read', boards=['other'])}"}
ACCEPT = "Accept: text/event-stream"
HANDSHAKE = (
    *("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"),
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def bearer(headers: dict[str, str]) -> str:
    return f"Authorization: {headers['Authorization']}"


@pytest.fixture
def guarded(settings: Settings) -> Settings:
    return dataclasses.replace(settings, token_secret=SECRET)


@pytest.mark.gen_test
async def test_a_private_board_is_shown_to_nobody_but_who_may_read_it(
    serving: Serve, guarded: Settings, tmp_path: Path
) -> None:
    origin = await serving(guarded)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        await there.post("/boards/", json={"id": "b", "private": True}, headers=ADMIN)
        body = {"id": "p", "name": "Secret"}
        await there.post("/boards/b/players/", json=body, headers=ADMIN)
        paths = (
            *("/boards/b/", "/boards/b/?limit=3", "/boards/b/players/", "/boards/b/players/p/"),
            *("/boards/b/events/", "/boards/b/events/?history=3", "/events/?board=b"),
            *("/events/?board=demo&board=b", "/boards/b/players/p/events/", "/boards/b/history/"),
        )
        # Whoever was here before, and however often.
        callers: list[tuple[dict[str, str], int]] = [(READER, 200), ({}, 401), (ELSEWHERE, 403)]
        for headers, status in callers * 2:
            for path in paths:
                answer = await here.get(path, headers=headers)
                expected = await there.get(path, headers=headers)
                assert answer.status_code == expected.status_code == status, (path, headers)
                assert ("Secret" in answer.text) == ("Secret" in expected.text)
                assert answer.headers.get("www-authenticate") == expected.headers.get(
                    "www-authenticate"
                )
                if "events" in path and "history" not in path and status != 200:
                    shown = [bearer(headers)] if headers else []
                    for wanted in ((ACCEPT,), HANDSHAKE):
                        opened = await RawStream.open(url_of(edge), path, *wanted, *shown)
                        assert opened.status == status
                        opened.close()
        assert edge_of(edge).hub.live("b") is None
        assert not list(await edge_of(edge).log.recent("b", 10))


@pytest.mark.gen_test
async def test_who_may_listen_to_a_private_board_has_a_stream_of_its_own(
    serving: Serve, guarded: Settings, tmp_path: Path
) -> None:
    origin = await serving(guarded)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        await there.post("/boards/", json={"id": "b", "private": True}, headers=ADMIN)
        body = {"id": "p", "name": "P"}
        await there.post("/boards/b/players/", json=body, headers=ADMIN)
        fields = (ACCEPT, bearer(READER))
        stream = await RawStream.open(url_of(edge), "/boards/b/", *fields)
        zipped = await RawStream.open(
            url_of(edge), "/events/?board=b", *fields, "Accept-Encoding: gzip"
        )
        place = await RawStream.open(url_of(edge), "/boards/b/players/p/events/", *fields)
        first = await stream.event()
        assert (await zipped.block()).fields["event"] == "update"
        assert (await place.event())[1]["rank"] == 1
        poll = asyncio.create_task(
            here.get("/boards/b/events/", params={"since": str(first[2])}, headers=READER)
        )
        await asyncio.sleep(0.1)
        added = await here.post("/boards/b/players/p/score-add/", headers=ADMIN)
        assert added.status_code == 200
        assert (await stream.event())[1]["players"][0]["score"] == 1
        assert json.loads((await zipped.block()).fields["data"])["players"][0]["score"] == 1
        assert (await poll).json()["events"][0]["data"]["players"][0]["score"] == 1
        ticket = (await here.post("/tickets/", headers=READER)).json()["ticket"]
        redeemed = await RawStream.open(url_of(edge), f"/boards/b/?ticket={ticket}", ACCEPT)
        assert (await redeemed.event())[1]["players"][0]["score"] == 1
        for opened in (stream, zipped, place, redeemed):
            opened.close()
        await until(lambda: not edge_of(edge).upstreams.open_streams)


@pytest.mark.gen_test
async def test_who_may_listen_to_a_private_board_has_a_websocket_of_its_own(
    serving: Serve, guarded: Settings, tmp_path: Path
) -> None:
    origin = await serving(guarded)
    first = await serving(edge_settings(tmp_path, url_of(origin), name="first"))
    edge = await serving(edge_settings(tmp_path, url_of(first), name="second"))

    def listening(path: str) -> websockets.connect:
        url = url_of(edge).replace("http", "ws", 1)
        return websockets.connect(f"{url}{path}", additional_headers=READER)

    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        await there.post("/boards/", json={"id": "b", "private": True}, headers=ADMIN)
        body = {"id": "p", "name": "P"}
        await there.post("/boards/b/players/", json=body, headers=ADMIN)
        async with (
            listening("/boards/b/events/") as board,
            listening("/events/?board=b") as several,
            listening("/boards/b/players/p/events/") as place,
        ):
            seen = json.loads(await board.recv())
            assert json.loads(await several.recv())["event"] == "update"
            assert json.loads(await place.recv())["data"]["rank"] == 1
            await (await board.ping())  # which the origin answers
            added = await here.post("/boards/b/players/p/score-add/", headers=ADMIN)
            assert added.status_code == 200
            news = json.loads(await board.recv())
            assert news["data"]["players"][0]["score"] == 1
            async with listening(f"/boards/b/events/?since={seen['id']}") as again:
                assert json.loads(await again.recv())["id"] == news["id"]
            for server in (edge, first):
                await until(lambda s=server: edge_of(s).upstreams.open_streams == 3)
            await there.delete("/boards/b/", headers=ADMIN)
            for opened in (board, place):
                await opened.wait_closed()
                assert opened.close_code == CloseCode.NOT_FOUND
        for server in (edge, first):
            await until(lambda s=server: not edge_of(s).upstreams.open_streams)


@pytest.mark.gen_test
async def test_an_upstream_may_be_silent_for_as_long_as_the_setting_says(
    serving: Serve, guarded: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing_on, "_LONG_POLL", 0.2)
    origin = await serving(dataclasses.replace(guarded, keepalive=300))
    edge = await serving(edge_settings(tmp_path, url_of(origin), upstream_silence=3600))
    async with http_client(url_of(origin)) as there:
        await there.post("/boards/", json={"id": "b", "private": True}, headers=ADMIN)
        stream = await RawStream.open(url_of(edge), "/boards/b/", ACCEPT, bearer(READER))
        await stream.event()
        url = url_of(edge).replace("http", "ws") + "/boards/b/"
        async with websockets.connect(url, additional_headers=READER) as socket:
            await socket.recv()
            await asyncio.sleep(1)
            await there.post("/boards/b/players/p/score-add/?create=1", headers=ADMIN)
            assert (await stream.event())[1]["players"]
            assert json.loads(await socket.recv())["data"]["players"]
        stream.close()


@pytest.mark.gen_test
async def test_a_websocket_ends_with_the_upstream_that_serves_it(
    serving: Serve, guarded: Settings, tmp_path: Path
) -> None:
    origin = await serving(guarded)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    async with http_client(url_of(origin)) as there:
        await there.post("/boards/", json={"id": "b", "private": True}, headers=ADMIN)
    url = f"{url_of(edge).replace('http', 'ws', 1)}/boards/b/events/"
    async with (
        websockets.connect(url, additional_headers=READER) as left,
        websockets.connect(url, additional_headers=READER) as cut,
    ):
        await left.recv()
        await cut.recv()
        left.transport.abort()  # without a word
        await until(lambda: edge_of(edge).upstreams.open_streams == 1)
        for reply in list(edge_of(edge).upstreams._streams):
            reply.abort()
        with pytest.raises(websockets.ConnectionClosed):
            await cut.recv()
    await until(lambda: not edge_of(edge).upstreams.open_streams)


@pytest.mark.gen_test
async def test_streams_of_a_board_that_becomes_private_end_and_nothing_of_it_is_left(
    serving: Serve, guarded: Settings, tmp_path: Path
) -> None:
    origin = await serving(guarded)
    first = await serving(edge_settings(tmp_path, url_of(origin), name="first"))
    second = await serving(edge_settings(tmp_path, url_of(first), name="second"))
    async with http_client(url_of(origin)) as there, http_client(url_of(second)) as here:
        for board in ("b", "c"):
            await there.post("/boards/", json={"id": board}, headers=ADMIN)
            body = {"id": "p", "name": "P"}
            await there.post(f"/boards/{board}/players/", json=body, headers=ADMIN)
        here_url = url_of(second)
        other = await RawStream.open(here_url, "/boards/c/", ACCEPT)
        await other.event()
        streams = [
            await RawStream.open(here_url, path, ACCEPT)
            for path in ("/boards/b/", "/boards/b/players/p/events/", "/events/?board=b&board=c")
        ]
        for stream in streams:
            assert (await stream.block()).fields["event"] in ("update", "rank")
        socket = await websockets.connect(f"ws{here_url[4:]}/boards/b/events/")
        await socket.recv()
        assert (await here.get("/boards/b/players/")).status_code == 200
        await there.patch("/boards/b/", json={"private": True}, headers=ADMIN)
        for stream in streams:
            assert b"private" not in await stream.ended()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == CloseCode.UNAUTHORIZED
        for path in ("/boards/b/", "/boards/b/players/", "/boards/b/events/"):
            assert (await here.get(path)).status_code == 401
        for edge in (first, second):
            assert edge_of(edge).hub.live("b") is None
            assert not list(await edge_of(edge).log.recent("b", 10))
        await there.post("/boards/c/players/p/score-add/", headers=ADMIN)
        assert (await other.event())[1]["players"][0]["score"] == 1
        other.close()


@pytest.mark.gen_test
async def test_what_one_caller_is_answered_no_other_is(
    serving: Serve, guarded: Settings, tmp_path: Path
) -> None:
    origin = await serving(guarded)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    async with http_client(url_of(origin)) as there, http_client(url_of(edge)) as here:
        await there.post("/boards/", json={"id": "secret", "private": True}, headers=ADMIN)
        for headers in (READER, {}, READER, ELSEWHERE, {}):
            listed = await here.get("/boards/", headers=headers)
            expected = await there.get("/boards/", headers=headers)
            assert listed.json() == expected.json()
            cookie = headers.get("Authorization", "Bearer ").removeprefix("Bearer ")
            by_cookie = {"Cookie": f"x=1; tornado_board_token={cookie}"}
            listed = await here.get("/boards/", headers=by_cookie)
            assert listed.json() == expected.json()
        kept = edge_of(edge).kept
        assert kept.size == 1  # that of who presented nothing


@pytest.mark.gen_test
async def test_a_browsers_page_may_change_boards_over_an_edge_as_over_the_origin(
    serving: Serve, guarded: Settings, tmp_path: Path
) -> None:
    origin = await serving(guarded)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    cookie = f"tornado_board_token={token(scope='write')}"
    async with http_client(url_of(edge)) as here:
        own = {"Cookie": cookie, "Origin": url_of(edge), "Sec-Fetch-Site": "same-origin"}
        assert (await here.post("/boards/", json={"id": "a"}, headers=own)).status_code == 201
        old = {"Cookie": cookie, "Origin": url_of(edge)}
        assert (await here.post("/boards/", json={"id": "c"}, headers=old)).status_code == 201
        for site in ({"Sec-Fetch-Site": "cross-site"}, {}):
            foreign = {"Cookie": cookie, "Origin": "http://evil.example", **site}
            assert (
                await here.post("/boards/", json={"id": "d"}, headers=foreign)
            ).status_code == 403


@pytest.mark.gen_test
async def test_an_edge_that_follows_itself_refuses_to(serving: Serve, tmp_path: Path) -> None:
    port = free_port()
    own = f"http://127.0.0.1:{port}"
    edge = await serving(edge_settings(tmp_path, own, port=port))
    async with http_client(own) as here:
        await until(lambda: "a loop" in edge_of(edge).upstreams.down)
        for path in ("/boards/b/", "/boards/b/events/", "/boards/", "/events/?board=b"):
            answer = await here.get(path)
            assert answer.status_code == 508, path
            assert "a loop" in answer.json()["detail"]
        assert (await here.post("/boards/", json={})).status_code == 508
        ready = await here.get("/readyz")
        assert (ready.status_code, "a loop" in ready.text) == (503, True)


@pytest.mark.gen_test
async def test_edges_that_follow_each_other_find_out_and_go_back_to_the_origin(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    """Each has the other to fall back on: while the origin is away, neither follows the other."""
    ports = [free_port(), free_port()]
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    origin_port = free_port()
    origin = f"http://127.0.0.1:{origin_port}"
    edges = [
        await serving(edge_settings(tmp_path, origin, urls[1 - n], name=f"edge{n}", port=ports[n]))
        for n in range(2)
    ]
    async with http_client(urls[0]) as first, http_client(urls[1]) as second:

        async def ready() -> list[int]:
            return [(await client.get("/readyz")).status_code for client in (first, second)]

        assert await ready() == [503, 503]
        for client in (first, second):
            assert (await client.get("/boards/demo/events/")).status_code in (502, 508)
        assert await ready() == [503, 503]
        await serving(dataclasses.replace(settings, port=origin_port))
        while await ready() != [200, 200]:
            await asyncio.sleep(0.05)
        for client in (first, second):
            assert (await client.get("/boards/demo/events/")).status_code == 200
    followed = [edge_of(edge).upstreams.servers for edge in edges]
    assert min(map(len, followed)) == 1, "one of them follows the origin itself"


@pytest.mark.gen_test
async def test_a_request_that_has_been_here_is_refused_however_it_is_served(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(settings)
    edge = await serving(edge_settings(tmp_path, url_of(origin)))
    own = edge_of(edge).upstreams.own
    far = ", ".join(f"{hops.PREFIX}{n}" for n in range(hops.MOST_HOPS))
    async with http_client(url_of(edge)) as here:
        await here.get("/boards/demo/")  # now it is followed, and answered the fast way
        for field in (own, f"other.example, {own}", far):
            for path in (
                "/boards/demo/",
                "/boards/demo/events/",
                "/boards/",
                "/events/?board=demo",
            ):
                answer = await here.get(path, headers={hops.FIELD: field})
                assert answer.status_code == 508, path
            path = "/boards/demo/players/mars/score-add/"
            assert (await here.post(path, headers={hops.FIELD: field})).status_code == 508
        fine = await here.get("/boards/demo/", headers={hops.FIELD: "other.example"})
        assert fine.status_code == 200


@pytest.mark.gen_test
async def test_what_is_passed_on_counts_for_the_client_and_not_for_the_edge(
    serving: Serve, settings: Settings, tmp_path: Path
) -> None:
    origin = await serving(
        dataclasses.replace(settings, trust_forwarded=True, writes_per_address=1.0)
    )
    edge = await serving(edge_settings(tmp_path, url_of(origin), trust_forwarded=True))
    async with http_client(url_of(edge)) as here:
        statuses: dict[str, list[int]] = {}
        for address in ("192.0.2.1", "192.0.2.2"):
            for _ in range(20):
                answer = await here.post(
                    "/boards/demo/players/mars/score-add/",
                    headers={"X-Forwarded-For": f"10.0.0.1, {address}"},
                )
                statuses.setdefault(address, []).append(answer.status_code)
        for address, seen in statuses.items():
            assert seen[:5] == [200] * 5, address
            assert seen[-1] == 429, address
