"""Keys: which are taken, and how they are had, lost and rotated while the server runs."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import logging
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tornado.httpserver
import tornado.netutil
import tornado.web
from cryptography.hazmat.primitives.asymmetric import ed25519

from tornado_board.auth import key_ring, key_sources
from tornado_board.auth.authority import Authority
from tornado_board.auth.claims import Refused, Token
from tornado_board.auth.key_sources import MOST_BYTES, KeysUnavailable
from tornado_board.server import running
from tornado_board.settings import Settings, SettingsError

from .serving import served_by
from .tokens import PRIVATE, SECRET, jwk, jwks, private_pem, signed, token
from .waiting import until

OTHER = ed25519.Ed25519PrivateKey.generate()


# Where they come from


class KeyServer:
    """Serves `body` with `status` under ``/keys``."""

    def __init__(self) -> None:
        self.body = jwks(jwk("EdDSA", kid="1"))
        self.status = 200
        self.asked = 0
        self.hangs: asyncio.Event | None = None
        server = self

        class Keys(tornado.web.RequestHandler):
            async def get(self) -> None:
                server.asked += 1
                if server.hangs is not None:
                    await server.hangs.wait()
                self.set_status(server.status)
                if server.status == 302:
                    self.set_header("Location", "/elsewhere")
                self.finish(server.body)

        (sock,) = tornado.netutil.bind_sockets(0, "127.0.0.1")
        self.server = tornado.httpserver.HTTPServer(
            tornado.web.Application([("/keys", Keys)], log_function=lambda handler: None)
        )
        self.server.add_socket(sock)
        self.url = f"http://user:hidden@127.0.0.1:{sock.getsockname()[1]}/keys?hidden=1"

    async def was_asked(self, times: int) -> None:
        """Return when it was asked so many times more."""
        wanted = self.asked + times
        await until(lambda: self.asked >= wanted)


@pytest.fixture
def key_server(io_loop: Any) -> Iterator[KeyServer]:
    async def start() -> KeyServer:
        return KeyServer()

    server: KeyServer = io_loop.run_sync(start)
    yield server
    if server.hangs is not None:
        server.hangs.set()
    server.server.stop()
    io_loop.run_sync(server.server.close_all_connections)


Open = Callable[..., Awaitable[Authority]]


@pytest.fixture
def authority(io_loop: Any) -> Iterator[Open]:
    opened: list[Authority] = []

    async def start(**settings: Any) -> Authority:
        opened.append(Authority(dataclasses.replace(Settings(), **settings)))
        await opened[-1].start()
        return opened[-1]

    yield start
    for one in opened:
        io_loop.run_sync(one.close)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and addresses are looked at again at once."""
    monkeypatch.setattr(key_sources._File, "interval", 0.02)
    monkeypatch.setattr(key_sources._Address, "interval", 0.02)
    monkeypatch.setattr(key_ring, "RETRY", 0.01)


@pytest.mark.gen_test
async def test_keys_of_all_places_together(
    authority: Open, key_server: KeyServer, tmp_path: Path
) -> None:
    (tmp_path / "secrets").write_text(f"{SECRET[::-1]}\n")
    one = await authority(
        token_secret=SECRET, token_secret_file=str(tmp_path / "secrets"), token_keys=key_server.url
    )
    for text in (
        token(scope="read"),
        token(SECRET[::-1], scope="read"),
        signed("EdDSA", kid="1", scope="read"),
    ):
        assert isinstance(one.verify(text), Token)
    assert one.missing() == []


@pytest.mark.gen_test
async def test_a_file_that_cannot_be_used_ends_the_start(authority: Open, tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_bytes(private_pem(PRIVATE["ES256"]))
    (tmp_path / "large").write_bytes(b" " * (MOST_BYTES + 1))
    (tmp_path / "weak").write_text("weak")
    for setting, name, message in (
        ("token_keys", "none.pem", "No such file"),
        ("token_keys", "private.pem", "private key"),
        ("token_keys", "large", "larger than"),
        ("token_keys", "weak", "neither PEM nor JSON"),
        ("token_secret_file", "none", "No such file"),
        ("token_secret_file", "weak", "32 or more"),
    ):
        with pytest.raises(KeysUnavailable, match=f"^{setting}: '.*{name}'.*{message}"):
            await authority(**{setting: str(tmp_path / name)})


@pytest.mark.parametrize(
    "url",
    ["http://keys.example/jwks", "ftp://127.0.0.1/", "https://", "https://[", "x://a", "http:///k"],
)
def test_an_address_has_to_be_one_that_nobody_can_tamper_with(url: str) -> None:
    with pytest.raises(SettingsError, match="token_keys: expected a file, or an address"):
        Authority(dataclasses.replace(Settings(), token_keys=url))


@pytest.mark.gen_test
@pytest.mark.usefixtures("often")
async def test_files_are_rotated_while_the_server_runs(authority: Open, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(SECRET)
    one = await authority(token_secret_file=str(file))
    old, new = token(scope="read"), token(SECRET[::-1], scope="read")
    assert isinstance(one.verify(old), Token)
    file.write_text(f"{SECRET[::-1]}\n{SECRET}\n")
    await until(lambda: isinstance(one.verify(new), Token))
    assert isinstance(one.verify(old), Token)
    file.write_text(SECRET[::-1])
    await until(lambda: isinstance(one.verify(old), Refused))
    assert isinstance(one.verify(new), Token)


@pytest.mark.gen_test
@pytest.mark.usefixtures("often")
async def test_a_server_that_fails_leaves_the_keys_that_there_are(
    authority: Open, key_server: KeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    one = await authority(token_keys=key_server.url)
    text = signed("EdDSA", kid="1", scope="read")
    for status, body, message in (
        (500, b"", "HTTP 500"),
        (302, b"", "HTTP 302"),
        (200, b"<html>", "neither PEM nor JSON"),
        (200, b'{"keys":[]}', "no key"),
        (200, b" " * (MOST_BYTES + 1), "closed|too large|long"),
    ):
        key_server.status, key_server.body = status, body
        await until(one.missing)
        await key_server.was_asked(3)
        assert isinstance(one.verify(text), Token)
        (missing,) = one.missing()
        assert re.search(message, missing), missing
        assert "hidden" not in missing
        key_server.status, key_server.body = 200, jwks(jwk("EdDSA", kid="1"))
        await until(lambda: not one.missing())
    assert "hidden" not in caplog.text
    said = [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.ERROR and record.name == key_ring.__name__
    ]
    # How a connection ends that brings too much is told in more than one way.
    assert len(said) >= 5
    assert all(one != next_one for one, next_one in itertools.pairwise(said)), "said again"


@pytest.mark.gen_test
@pytest.mark.usefixtures("often")
async def test_a_server_that_is_away_at_the_start_is_waited_for(
    authority: Open, key_server: KeyServer
) -> None:
    key_server.status = 503
    one = await authority(token_keys=key_server.url)
    assert not one.has_keys
    assert one.missing()
    key_server.status = 200
    await until(lambda: one.has_keys)
    assert isinstance(one.verify(signed("EdDSA", kid="1", scope="read")), Token)


@pytest.mark.gen_test
async def test_an_answer_that_does_not_come_holds_nothing_up(
    authority: Open, key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sources, "FETCH_TIMEOUT", 0.1)
    key_server.hangs = asyncio.Event()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    counting = asyncio.ensure_future(count())
    one = await authority(token_keys=key_server.url)
    counting.cancel()
    assert turns > 2, "the event loop went on"
    assert "imeout" in one.missing()[0]


@pytest.mark.gen_test
async def test_an_unknown_key_is_asked_for_at_once_and_then_not_for_a_while(
    authority: Open, key_server: KeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await authority(token_keys=key_server.url)
    assert key_server.asked == 1
    text = signed("EdDSA", OTHER, kid="2", scope="read")
    assert isinstance(one.verify(text), Refused)
    assert isinstance(await one.verify_again(text), Refused)
    assert key_server.asked == 1, "it was asked a moment ago"
    key_server.body = jwks(jwk("EdDSA", kid="1"), jwk("EdDSA", OTHER, kid="2"))
    monkeypatch.setattr(key_ring, "EARLIEST", 0.0)
    found = await asyncio.gather(*(one.verify_again(text) for _ in range(50)))
    assert all(isinstance(one_of_them, Token) for one_of_them in found)
    assert key_server.asked == 2, "once for all who ask at the same time"


@pytest.mark.gen_test
@pytest.mark.usefixtures("often")
async def test_a_server_without_keys_says_so_and_lets_nobody_in(
    settings: Settings, key_server: KeyServer
) -> None:
    key_server.status = 500
    bearer = {"Authorization": f"Bearer {signed('EdDSA', kid='1', scope='write')}"}
    settings = dataclasses.replace(settings, token_keys=key_server.url)
    async with running(settings) as server:
        served = served_by(server)
        ready = await served.request("GET", "/readyz")
        assert ready.status == 503
        assert b"token_keys" in ready.body
        assert b"HTTP 500" in ready.body
        assert b"hidden" not in ready.body
        assert (await served.request("GET", "/boards/demo/")).status == 200
        assert (await served.request("DELETE", "/boards/demo/")).status == 401
        refused = await served.request("DELETE", "/boards/demo/", headers=bearer)
        assert refused.status == 503, "its token may be good"
        assert "Retry-After" in refused.headers
        key_server.status = 200
        while (await served.request("GET", "/readyz")).status != 200:
            await asyncio.sleep(0.01)
        assert (await served.request("DELETE", "/boards/demo/", headers=bearer)).status == 204


def test_a_server_without_keys_does_without_the_libraries() -> None:
    """They take more memory than a thousand streams."""
    program = "import sys, tornado_board.server; print({'jwt', 'cryptography'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"
