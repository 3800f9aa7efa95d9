"""Who listens in another way than to one board's event stream hears no more than who does."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.realtime.wires.websocket import CloseCode, close_frame
from tornado_board.settings import Settings
from tornado_board.web import privacy

from .serving import PATIENCE, Served
from .test_expiry import about_to_expire, change, guarded, whole
from .tokens import token
from .waiting import until

SEVERAL = "/events/?board=demo&board=shut"
PLACE = "/boards/shut/players/ada/events/"
TARGETS = (SEVERAL, PLACE, "/boards/shut/", "/boards/shut/events/")
ACCEPT = "Accept: text/event-stream\r\n"
GZIP = f"{ACCEPT}Accept-Encoding: gzip\r\n"
HANDSHAKE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def get(target: str, fields: str) -> str:
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"


async def status_of(served: Served, request: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(request.encode())
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE)
    writer.close()
    return answer.decode().split()[1]


def closed_with(got: str, code: CloseCode, reason: str) -> bool:
    return got.endswith(close_frame(code, reason).decode("latin-1"))


@pytest.mark.gen_test
async def test_every_kind_of_stream_ends_with_its_token(settings: Settings) -> None:
    async with guarded(settings) as served:
        asked = [(target, fields) for target in TARGETS for fields in (ACCEPT, HANDSHAKE)]
        began = time.time()
        answers = await asyncio.gather(
            *(whole(served, get(target, fields + about_to_expire(1))) for target, fields in asked)
        )
        assert time.time() - began > 0.4
        for (target, fields), got in zip(asked, answers, strict=True):
            what = target, fields
            assert "Ada" in got, what
            if fields is HANDSHAKE:
                assert got.startswith("HTTP/1.1 101"), what
                assert '{"id":null,"event":"expired","data":{"reason":' in got, what
                assert closed_with(got, CloseCode.UNAUTHORIZED, "the token has expired"), what
            else:
                assert 'event: expired\ndata: {"reason":"the token has expired"}\n\n' in got, what
                assert got.endswith("0\r\n\r\n"), what
        assert len(served.hub.expiries) == 0


@pytest.mark.gen_test
async def test_every_kind_of_long_poll_asks_again_whether_it_may(settings: Settings) -> None:
    async with guarded(settings) as served:
        for target in (SEVERAL, PLACE):
            more = "&" if "?" in target else "?"
            first = await whole(served, get(target, f"Connection: close\r\n{about_to_expire(5)}"))
            since = re.findall(r'"last_event_id":"([^"]+)"', first)[0]
            poll = get(
                f"{target}{more}since={since}&wait=1", f"Connection: close\r\n{about_to_expire()}"
            )
            got = await whole(served, poll)
            assert got.startswith("HTTP/1.1 401"), got
            assert "The token has expired." in got


@pytest.mark.gen_test
async def test_every_kind_of_stream_ends_when_a_board_becomes_private(settings: Settings) -> None:
    async with guarded(settings) as served:
        await served.store.create_board(NewBoard(id="open"))
        await served.store.create_player("open", NewPlayer(id="ada", name="Ada"))
        topic, other = await served.hub.open("open"), await served.hub.open("demo")
        targets = [
            "/events/?board=demo&board=open",
            "/boards/open/players/ada/events/",
            "/boards/open/events/",
        ]
        asked = [(target, fields) for target in targets for fields in (ACCEPT, HANDSHAKE)]
        streams = [
            asyncio.ensure_future(whole(served, get(target, fields))) for target, fields in asked
        ]
        zipped = asyncio.ensure_future(whole(served, get(targets[0], GZIP)))
        await until(lambda: topic.listeners == 5 and other.listeners == 3)
        await until(lambda: len(served.places._boards["open"].players["ada"]._audiences) == 2)
        await change(served, "open", name="Hidden", private=True)
        for (target, fields), stream in zip(asked, streams, strict=True):
            got = await stream
            assert "Ada" in got, (target, fields)
            assert "Hidden" not in got, (target, fields)
            assert "expired" not in got, (target, fields)
            if fields is HANDSHAKE:
                reason = "the board has become private"
                assert closed_with(got, CloseCode.UNAUTHORIZED, reason), target
            else:
                assert got.endswith("0\r\n\r\n"), target
            assert await status_of(served, get(target, fields)) == "401", target
        await zipped
        assert (topic.listeners, other.listeners) == (0, 0)
        assert not served.hub.multiplexes._all


@pytest.mark.gen_test
async def test_of_several_boards_each_that_is_private_needs_the_token(settings: Settings) -> None:
    async with guarded(settings) as served:
        await served.store.create_board(NewBoard(id="too", private=True))

        async def status(target: str, **claims: Any) -> str:
            field = f"Authorization: Bearer {token(**claims)}\r\n" if claims else ""
            got = await whole(served, get(target, f"Connection: close\r\n{field}"))
            return got.split()[1]

        both = "/events/?board=shut&board=too&board=demo"
        assert await status("/events/?board=demo") == "200"
        assert await status(both) == await status(SEVERAL) == "401"
        assert await status(SEVERAL, scope="read", boards=["shut"]) == "200"
        assert await status(both, scope="read", boards=["shut"]) == "403"
        assert await status(both, scope="read", boards=["demo"]) == "403"
        assert await status(both, scope="read", boards=["shut", "t*"]) == "200"
        assert await status(both, scope="submit") == "403"


@pytest.mark.gen_test
async def test_what_is_known_of_one_board_is_not_forgotten_over_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may take longer for a board than what it said of the one before counts for."""
    monkeypatch.setattr(privacy, "LASTING", 0.0)
    async with guarded(settings) as served:
        await served.store.create_board(NewBoard(id="too", private=True))
        fields = f"Connection: close\r\nAuthorization: Bearer {token(scope='submit')}\r\n"
        got = await whole(served, get("/events/?board=too&board=demo", fields))
        assert got.split()[1] == "403"


@pytest.mark.gen_test
async def test_a_ticket_lets_in_to_several_boards(settings: Settings) -> None:
    async with guarded(settings) as served:
        bearer = {"Authorization": f"Bearer {token(scope='read')}"}
        given = await served.request("POST", "/tickets/", "", bearer)
        target = f"{SEVERAL}&ticket={given.json()['ticket']}"
        assert "200" in (await whole(served, get(target, "Connection: close\r\n"))).split()[1]
        assert "401" in (await whole(served, get(target, "Connection: close\r\n"))).split()[1]
