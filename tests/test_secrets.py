"""Nothing that lets somebody in is shown: not in the log, an answer, an error or the settings."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tornado.httputil

from tornado_board.command_line import load
from tornado_board.settings import Settings, SettingsError

from .server_process import ServerProcess
from .serving import Served, serving
from .test_token_command import run
from .tokens import forged, token

#: Ours, so that nothing else has it.
SECRET = secrets.token_urlsafe(40)
PASSWORD = secrets.token_hex(8)


class Everything(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def log() -> Iterator[Everything]:
    """All that any logger says, at every level, with its tracebacks."""
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.setLevel(level)
    root.removeHandler(handler)


def held(text: str) -> list[str]:
    """The parts of a token that nobody else has: its claims and its signature."""
    return [part for part in text.split(".")[1:] if part]


async def try_everything(served: Served) -> tuple[list[str], list[str]]:
    """What was presented, and what was answered to that."""
    good = token(SECRET, scope="admin", sub="a-name-of-somebodys", jti="a-number-of-ones")
    narrow = token(SECRET, scope="submit", boards=["cup"], sub="somebody-else")
    wrong = token(SECRET[::-1], scope="admin")
    none = forged({"alg": "none"}, {"scope": "admin", "exp": 4e9})
    presented = [part for text in (good, narrow, wrong, none) for part in held(text)]
    presented += ["a-name-of-somebodys", "a-number-of-ones", "somebody-else"]
    answers = []

    async def ask(method: str, target: str, body: str | None, headers: dict[str, str]) -> str:
        answer = await served.request(method, target, body, headers)
        assert isinstance(answer.headers, tornado.httputil.HTTPHeaders)
        fields = "\n".join(f"{name}: {value}" for name, value in answer.headers.get_all())
        text = f"{answer.status}\n{fields}\n{answer.body.decode()}"
        answers.append(text)
        return answer.body.decode()

    for text in (good, narrow, wrong, none, "nonsense-that-somebody-sent"):
        for headers in (
            {"Authorization": f"Bearer {text}"},
            {"Authorization": f"Token {text}"},
            {"Cookie": f"tornado_board_token={text}", "Sec-Fetch-Site": "same-origin"},
        ):
            await ask("GET", "/boards/shut/", None, headers)
            await ask("GET", f"/boards/shut/?ticket={text}&access_token={text}", None, headers)
            await ask("GET", f"/boards/shut/events/?wait=0&ticket={text}", None, {})
            await ask("GET", "/nowhere", None, headers)
            await ask("PUT", "/boards/shut/", None, headers)
            await ask("GET", "/boards/demo/events/?since=x", None, headers)
            await ask("POST", "/boards/", '{"id": "shut", "private": true}', headers)
            await ask("POST", "/boards/shut/players/x/score/", "{", headers)
            await ask("POST", "/boards/shut/players/x/score/", '{"score": 1}', headers)
            await ask("GET", "/readyz", None, headers)
    for _ in range(3):
        headers = {"Authorization": f"Bearer {good}"}
        body = await ask("POST", "/tickets/", "", headers)
        answers.pop()  # who has asked for it is to have it
        ticket = body.split('"ticket":"')[1].split('"')[0]
        presented.append(ticket)
        await ask("GET", f"/boards/shut/?ticket={ticket}", None, {})
        await ask("GET", f"/boards/shut/?ticket={ticket}", None, {})
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(
            f"GET /boards/shut/?stream&ticket={ticket} HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: Bearer {good}\r\n\r\n".encode()
        )
        await asyncio.wait_for(reader.readuntil(b"event: update"), 30)
        writer.close()
    return presented, answers


@pytest.mark.gen_test
async def test_nothing_that_is_presented_is_logged_or_answered(
    settings: Settings, log: Everything, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = dataclasses.replace(
        settings,
        token_secret=SECRET,
        token_keys=f"http://somebody:{PASSWORD}@127.0.0.1:9/{PASSWORD}?key={PASSWORD}",
    )
    async with serving(dataclasses.replace(settings, token_keys="")) as served:
        presented, answers = await try_everything(served)

        async def fails(*_: object, **__: object) -> None:
            raise RuntimeError("a mistake of the program's")

        # A traceback is logged, with what led there.
        monkeypatch.setattr(served.store, "get_player", fails)
        good = token(SECRET, scope="admin")
        presented += held(good)
        failed = await served.request(
            "GET",
            f"/boards/demo/players/mars/?ticket={presented[0]}",
            headers={"Authorization": f"Bearer {good}"},
        )
        assert failed.status == 500
        answers.append(failed.body.decode())
    assert any("a mistake of the program's" in line for line in log.lines)
    from tornado_board.server import running

    async with running(settings) as server:
        answers += await server.services.readiness()
    assert any("token_keys" in answer for answer in answers)
    said = "\n".join([*log.lines, *answers, repr(settings), str(settings)])
    assert len(log.lines) > 100
    for secret in (*presented, SECRET, PASSWORD):
        assert len(secret) > 8
        assert secret not in said


@pytest.mark.parametrize("name", ["token_secret", "token_keys", "database_url", "redis_url"])
def test_settings_are_printed_without_secrets(name: str) -> None:
    secret: dict[str, Any] = {name: f"redis://:{PASSWORD}@h/{SECRET}"}
    settings = dataclasses.replace(Settings(), **secret)
    assert PASSWORD not in f"{settings} {settings!r}"
    assert SECRET not in f"{settings} {settings!r}"


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--token-secret={PASSWORD}"],
        ["--token-secret", PASSWORD, "--private", "--port=x"],
        [f"--token-keys=http://u:{PASSWORD}@h.example/"],
        [f"--token-keys=https://u:{PASSWORD}@h.example:x/"],
        [f"--token-secrets={PASSWORD}"],
    ],
)
def test_a_start_that_fails_shows_none(tmp_path: Path, arguments: list[str]) -> None:
    done = run(tmp_path, *arguments, "--port=0")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert PASSWORD not in done.stderr + done.stdout
    shown = run(tmp_path, "--help", environ={"TORNADO_BOARD_TOKEN_SECRET": SECRET})
    assert SECRET not in shown.stdout


def test_a_mistake_in_the_environment_shows_none(tmp_path: Path) -> None:
    environ = {"TORNADO_BOARD_TOKEN_SECRET": SECRET, "TORNADO_BOARD_PRIVATE": "perhaps"}
    notices: list[str] = []
    with pytest.raises(SettingsError) as caught:
        load([], environ, tmp_path / ".env", notices)
    load([], {"TORNADO_BOARD_TOKEN_SECRETS": SECRET}, tmp_path / ".env", notices)
    assert SECRET not in str(caught.value) + "".join(notices)
    assert len(notices) == 1


def test_the_output_of_a_process_has_none(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"TORNADO_BOARD_TOKEN_SECRET={SECRET}\n")
    process = ServerProcess(tmp_path, "--log-level=debug").wait_until_serving()
    process.stop()
    output = process.text
    assert "tornado_board serves" in output
    assert SECRET not in output
