"""For which hosts a server answers: no page whose name was made to lead here gets anything."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tornado_board.server import StartError, running
from tornado_board.settings import Settings
from tornado_board.web.hosts import Hosts, host_name

from .bad_requests import ADD
from .problems import problem
from .proxies import Proxy
from .serving import parse, serving
from .stream_client import http_client

EVIL = "evil.example:8888"


@contextlib.contextmanager
def listening(*addresses: str) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(socket.create_server((a, 0))) for a in addresses]


@pytest.mark.parametrize(
    ("addresses", "settings", "allowed", "refused"),
    [
        (
            ["127.0.0.1"],
            {},
            "localhost LOCALHOST:8888 localhost. a.b.localhost 127.0.0.1:1 127.8.9.1 [::1]:8 "
            "[0:0:0:0:0:0:0:1] [::ffff:127.0.0.1]",
            "evil.example localhost.evil.example notlocalhost 128.0.0.1 [::2] 0.0.0.0 evil:80",
        ),
        (["127.0.0.1", "127.0.0.2"], {"address": "Board"}, "board:80 localhost", "boards"),
        (
            ["127.0.0.1"],
            {"allowed_hosts": ("boards.example.org", "*.Game.example", "fd00::1")},
            "boards.example.org:443 BOARDS.example.org. eu.game.example a.b.game.example "
            "localhost [fd00::1]:80",
            "game.example a.boards.example.org xgame.example evil.example",
        ),
        (["127.0.0.1"], {"allowed_hosts": ("*",)}, "evil.example 10.0.0.1", ""),
        (["0.0.0.0"], {"address": "0.0.0.0"}, "evil.example 10.0.0.1 localhost", ""),
        (["127.0.0.1", "0.0.0.0"], {"address": ""}, "evil.example", ""),
        (
            ["0.0.0.0"],
            {"address": "", "allowed_hosts": ("boards.example",)},
            "boards.example localhost:8888 127.0.0.1",
            "evil.example 10.0.0.1",
        ),
    ],
)
def test_which_hosts(
    addresses: list[str], settings: dict[str, Any], allowed: str, refused: str
) -> None:
    with listening(*addresses) as sockets:
        hosts = Hosts(dataclasses.replace(Settings(), **settings), sockets)
    assert [h for h in allowed.split() if not hosts.allows(h)] == []
    assert [h for h in refused.split() if hosts.allows(h)] == []


@pytest.mark.parametrize(
    "host",
    [
        *("", ":80", "a:b", "a:80:80", "a b", "a@b", "a/b", "[::1", "[::1]x", "[x]:1", "[]"),
        *("a,b", "é", ".", "a" * 300, "a:" + "9" * 5000),
    ],
)
def test_what_is_no_host(host: str) -> None:
    assert host_name(host) is None


@pytest.mark.gen_test
async def test_a_page_whose_name_was_made_to_lead_here_gets_nothing(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with serving(settings) as served:
        await served.request("GET", "/boards/demo/events/")  # it is live now
        before = served.dump()
        for method, target in (
            ("POST", ADD),
            ("GET", "/"),
            ("GET", "/boards/demo/"),
            ("GET", "/boards/demo/events/"),
            ("GET", "/boards/demo/?stream=1"),
            ("GET", "/nothing"),
            ("GET", "/static/x"),
            ("GET", "/healthz"),
            ("OPTIONS", "*"),
            ("BREW", "/"),
        ):
            headers = {"Host": EVIL, "Origin": f"http://{EVIL}"}
            answer = await served.request(method, target, headers=headers)
            assert answer.status == 421, (method, target)
            assert "allowed_hosts" in problem(answer)
        assert (await served.request("HEAD", "/", headers={"Host": EVIL})).body == b""
        # in one piece, as the fast path takes them
        stream = f"GET /boards/demo/ HTTP/1.1\r\nHost: {EVIL}\r\nAccept: text/event-stream\r\n\r\n"
        assert parse(await served.send(stream.encode())).status == 421
        # the target's authority is what counts
        answer = await served.request("POST", f"http://{EVIL}{ADD}")
        assert answer.status == 421
        assert served.dump() == before
        answer = await served.request("POST", f"http://localhost{ADD}", headers={"Host": EVIL})
        assert answer.status == 200
        # nobody's browser leaves it out
        assert parse(await served.send(b"GET /boards/ HTTP/1.0\r\n\r\n")).status == 200
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "allowed_hosts" in warnings[0]


@pytest.mark.parametrize("names", ["http://a.example", "a.example:80", "*.", "a b", "", "*.*"])
@pytest.mark.gen_test
async def test_a_name_that_is_none_is_told_at_the_start(settings: Settings, names: str) -> None:
    with pytest.raises(StartError, match="allowed_hosts"):
        async with running(dataclasses.replace(settings, allowed_hosts=(names,))):
            pass


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
@pytest.mark.parametrize(
    ("kind", "allowed", "status"),
    [
        ("nginx", (), 200),  # it sends the host of its proxy_pass
        ("nginx, passing the host on", (), 421),
        ("nginx, passing the host on", ("boards.example",), 200),
    ],
)
@pytest.mark.gen_test
async def test_behind_nginx(
    settings: Settings, tmp_path: Path, kind: str, allowed: tuple[str, ...], status: int
) -> None:
    async with serving(dataclasses.replace(settings, allowed_hosts=allowed)) as served:
        proxy = Proxy(kind, served.port, tmp_path)
        try:
            async with http_client(f"http://127.0.0.1:{proxy.port}") as client:
                answer = await client.get("/boards/demo/", headers={"Host": "boards.example"})
        finally:
            proxy.stop()
    assert answer.status_code == status
