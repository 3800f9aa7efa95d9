"""A server that others reach: what it says, what its page keeps to itself, several processes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, NewBoard
from tornado_board.server import Running, running
from tornado_board.settings import Settings
from tornado_board.web.page import PAGE_HEADERS

from .conftest import Opened
from .problems import problem
from .server_process import ServerProcess
from .serving import Answer, serving
from .tokens import SECRET, token
from .waiting import until


@pytest.mark.parametrize(
    ("flags", "loud"),
    [
        (("--address=0.0.0.0",), True),
        (("--address=0.0.0.0", f"--token-secret={SECRET}"), False),
        (("--address=127.0.0.1",), False),
    ],
)
def test_a_server_in_the_open_that_asks_for_no_tokens_says_so_once(
    server_process: Callable[..., ServerProcess], flags: tuple[str, ...], loud: bool
) -> None:
    server = server_process(*flags)
    server.stop()
    assert server.text.count("ANYBODY who reaches") == loud
    assert server.text.count("docs/security.md") == loud


@pytest.mark.gen_test
async def test_the_page_keeps_to_itself(settings: Settings) -> None:
    for secret in ("", SECRET):
        async with serving(dataclasses.replace(settings, token_secret=secret)) as served:
            page = await served.request("GET", "/")
            assert page.status == 200
            for name, value in PAGE_HEADERS:
                assert page.headers[name] == value
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            for target in ("/", "/boards/", "/readyz", "/nowhere"):
                answer = await served.request("GET", target)
                assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.gen_test
async def test_without_a_key_pages_of_other_sites_change_nothing_on_loopback(
    settings: Settings,
) -> None:
    async with serving(settings) as served:
        before = served.dump()
        for headers in (
            {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Host": "evil.example"},
        ):
            for body in ("", "amount=1"):
                form = {"Content-Type": "application/x-www-form-urlencoded"}
                answer = await served.request(
                    "POST", "/boards/demo/players/mars/score-add/", body, {**form, **headers}
                )
                assert answer.status in (403, 421), headers
            shown = await served.request("GET", "/boards/demo/", headers=headers)
            assert "Access-Control-Allow-Origin" not in shown.headers
        assert served.dump() == before
        own = {"Sec-Fetch-Site": "same-origin"}
        answer = await served.request("POST", "/boards/demo/players/mars/score-add/", "", own)
        assert answer.status == 200


@pytest.mark.gen_test
async def test_a_board_is_private_in_each_store(
    database_url: str, settings: Settings, opened: Opened
) -> None:
    store = await opened.store(database_url, settings)
    made = await store.create_board(NewBoard(id="shut", private=True))
    assert made.private
    assert (await store.get_board("shut")).private
    assert (await store.ranking("shut", 5)).board.private
    assert {b.id: b.private for b in await store.list_boards(9)}["shut"]
    assert not (await store.update_board("shut", BoardPatch(private=False))).private
    assert not (await store.get_board("shut")).private
    assert (await store.update_board("shut", BoardPatch(private=True))).private


async def get(server: Running, target: str, text: str = "", method: str = "GET") -> Answer:
    """What the server answers to a request with the token `text`."""
    from .serving import served_by

    served = served_by(server)
    headers = {"Authorization": f"Bearer {text}"} if text else {}
    return await served.request(method, target, "" if method == "POST" else None, headers)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server")
@pytest.mark.gen_test
async def test_two_processes_are_of_one_mind(settings: Settings, reql: Any, redis_url: str) -> None:
    """They share tickets, and what becomes private in one is so in the other."""
    settings = dataclasses.replace(
        settings, database_url=reql.url("board"), redis_url=redis_url, token_secret=SECRET
    )
    reader = token(scope="read")
    async with contextlib.AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(settings))
        other = await stack.enter_async_context(running(settings))
        async with asyncio.timeout(30):
            for server in (one, other):
                while await server.services.readiness():
                    await asyncio.sleep(0.01)
        topics = [await server.services.hub.open("demo") for server in (one, other)]
        assert (await get(other, "/boards/demo/")).status == 200
        await one.services.store.update_board("demo", BoardPatch(private=True))
        for server, topic in zip((one, other), topics, strict=True):
            await until(lambda topic=topic: '"private":true' in topic.current.data)
            refused = await get(server, "/boards/demo/")
            assert refused.status == 401
            assert problem(refused)
        given = await get(one, "/tickets/", reader, "POST")
        assert given.status == 201
        target = f"/boards/demo/events/?wait=0&ticket={given.json()['ticket']}"
        assert (await get(other, target)).status == 200
        assert (await get(one, target)).status == 401
        # One that nobody watches is so within a second.
        await one.services.store.create_board(NewBoard(id="idle"))
        assert (await get(other, "/boards/idle/players/")).status == 200
        await one.services.store.update_board("idle", BoardPatch(private=True))
        async with asyncio.timeout(30):
            while (await get(other, "/boards/idle/players/")).status != 401:
                await asyncio.sleep(0.05)
