"""A line a request, and none that a client could forge."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import logging
import re
import socket
import struct
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tornado_board.settings import Settings
from tornado_board.web import access_log

from .server_process import ServerProcess
from .serving import Served, serving
from .waiting import PATIENCE


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """The lines logged so far, a list that grows."""
    logged: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logged.append(f"{record.levelname} {record.getMessage()}")

    caplog.set_level(logging.INFO)
    handler = Keep()
    logging.getLogger("tornado_board.access").addHandler(handler)
    try:
        yield logged
    finally:
        logging.getLogger("tornado_board.access").removeHandler(handler)


@pytest.mark.gen_test
async def test_a_line_a_request(settings: Settings, lines: list[str]) -> None:
    async with serving(settings) as served:
        await served.request("GET", "/boards/demo?limit=2")
        await served.request("DELETE", "/boards/none")
    assert re.fullmatch(r"INFO GET /boards/demo 200 \d+\.\dms 127\.0\.0\.1", lines[0])
    assert re.fullmatch(r"INFO DELETE /boards/none 404 \d+\.\dms 127\.0\.0\.1", lines[1])
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/boards/demo/", "{}", 200),
        ("GET", "/boards/demo/players/?around=mars", None, 200),
        ("POST", "/boards/demo/players/mars/score/", '{"score": 1}', 200),
        ("POST", "/boards/demo/players/new/score", '{"score": 1}', 201),
        ("POST", "/boards/demo/scores/", "[]", 200),
        ("POST", "/boards/demo/scores/", "{}", 400),
    ],
)
@pytest.mark.gen_test
async def test_a_line_a_request_about_the_ranking(
    settings: Settings, lines: list[str], method: str, path: str, body: str | None, status: int
) -> None:
    async with serving(settings) as served:
        await served.request(method, path, body)
    (line,) = lines
    path = re.escape(path.partition("?")[0])
    assert re.fullmatch(rf"INFO {method} {path} {status} \d+\.\dms 127\.0\.0\.1", line)


@pytest.mark.gen_test
async def test_a_path_cannot_forge_a_line(settings: Settings, lines: list[str]) -> None:
    async with serving(settings) as served:
        await served.request("GET", "/boards/\x9b31m\x85INFO")
        await served.request("GET", "/boards/" + "x" * 1000)
    assert len(lines) == 2
    assert all(line.isascii() and line.isprintable() and len(line) < 300 for line in lines)


@pytest.mark.gen_test
async def test_health_checks_are_quiet_unless_they_fail(
    settings: Settings, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as served:
        await served.request("GET", "/healthz")
        await served.request("GET", "/readyz/")
        assert lines == []

        async def hangs() -> None:
            raise TimeoutError

        monkeypatch.setattr(served.store, "ping", hangs)
        await served.request("GET", "/readyz/")
    assert [line.split()[:4] for line in lines] == [["WARNING", "GET", "/readyz/", "503"]]


async def open_stream(served: Served) -> asyncio.StreamWriter:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(
        b"GET /boards/demo HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    )
    await asyncio.wait_for(reader.readuntil(b"event: update"), 30)
    return writer


@pytest.mark.gen_test
async def test_a_stream_is_logged_when_it_starts(settings: Settings, lines: list[str]) -> None:
    async with serving(settings) as served:
        writer = await open_stream(served)
        assert lines == []
        await asyncio.sleep(2 * access_log._WAIT)
        assert lines == ["INFO GET /boards/demo stream 127.0.0.1"]
        writer.close()
    assert len(lines) == 1


@pytest.mark.parametrize("trusted", [False, True])
@pytest.mark.gen_test
async def test_a_proxy_tells_the_address_only_where_it_is_trusted(
    settings: Settings, lines: list[str], trusted: bool
) -> None:
    settings = dataclasses.replace(settings, trust_forwarded=trusted)
    async with serving(settings) as served:
        await served.request("GET", "/boards/", headers={"X-Forwarded-For": "203.0.113.7"})
    assert lines[0].endswith("203.0.113.7" if trusted else "127.0.0.1")


@pytest.mark.parametrize(
    ("forwarded_for", "real_ip", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("", "203.0.113.8", "203.0.113.8"),
        ("203.0.113.7", "203.0.113.8", "203.0.113.7"),
        # the last is the one that the proxy itself has seen
        ("198.51.100.1, 203.0.113.7", "203.0.113.8", "203.0.113.7"),
        ("nonsense,2001:DB8::7 ", "", "2001:db8::7"),
        # what is malformed is ignored, and no one before it believed
        ("203.0.113.7, unknown", "203.0.113.8", "203.0.113.8"),
        ("203.0.113.7, unknown", "", "127.0.0.1"),
        ("203.0.113.7,", "x", "127.0.0.1"),
        ("127.1", "1", "127.0.0.1"),
        ("fe80::1%\x9b31m", "203.0.113.7:80", "127.0.0.1"),
        (":" * 5000, "9" * 5000, "127.0.0.1"),
    ],
)
@pytest.mark.gen_test
async def test_which_address_a_proxy_tells(
    settings: Settings, lines: list[str], forwarded_for: str, real_ip: str, address: str
) -> None:
    async with serving(dataclasses.replace(settings, trust_forwarded=True)) as served:
        headers = {"X-Forwarded-For": forwarded_for, "X-Real-IP": real_ip}
        await served.request("GET", "/boards/", headers=headers)
    assert lines[0].split()[-1] == address


@pytest.mark.gen_test
async def test_a_client_that_goes_away_is_no_news(
    settings: Settings,
    lines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(settings) as served:
        caplog.clear()
        gone = asyncio.Event()
        done = asyncio.Event()

        async def slow(*_: object) -> list[object]:
            gone.set()
            while served.server.open_connections:
                await asyncio.sleep(0.01)
            done.set()
            return []

        monkeypatch.setattr(served.store, "list_boards", slow)
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(b"GET /boards/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await gone.wait()
        # A reset: the end of what it sends could also come from a client that waits for the answer.
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        await asyncio.wait_for(done.wait(), 30)
        await asyncio.sleep(0.05)
    assert lines == []
    assert [r.getMessage() for r in caplog.records if r.levelno > logging.INFO] == []


GET = "GET /boards/demo 200 1.5ms 127.0.0.1"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What the server's own handler writes, as the only one there is."""
    handler, out = access_log.Handler(), io.StringIO()
    handler.setStream(out)
    logger = access_log.logger
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield out
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])


def log(status: int = 200, path: str = "/boards/demo") -> None:
    access_log.log_answer("GET", path, status, 0.0015, "127.0.0.1", quiet=False)


@pytest.mark.gen_test
async def test_lines_wait_for_each_other_but_not_long(written: io.StringIO) -> None:
    for _ in range(3):
        log()
    assert written.getvalue() == ""
    await asyncio.sleep(2 * access_log._WAIT)
    lines = written.getvalue().splitlines()
    assert len(lines) == 3
    stamp = re.escape(" INFO tornado_board.access: " + GET)
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}" + stamp, line) for line in lines
    )
    log()
    await asyncio.sleep(2 * access_log._WAIT)
    assert len(written.getvalue().splitlines()) == 4


@pytest.mark.gen_test
async def test_an_error_is_written_at_once_and_in_its_place(written: io.StringIO) -> None:
    log()
    log(500)
    log()
    log(503)
    access_log.logger.warning("something else")
    log()
    found = [line.split()[2] for line in written.getvalue().splitlines()]
    assert found == ["INFO", "ERROR", "INFO", "WARNING", "WARNING"]
    access_log.flush()
    assert written.getvalue().endswith(GET + "\n")


@pytest.mark.gen_test
async def test_lines_that_wait_have_a_bound_and_need_no_level_of_their_own(
    written: io.StringIO,
) -> None:
    for _ in range(access_log._MOST_WAITING):
        log()
        log(path="/healthz")
    assert len(written.getvalue().splitlines()) == access_log._MOST_WAITING
    assert access_log._waiting == []


@pytest.mark.alone
@pytest.mark.gen_test
async def test_who_else_listens_gets_records_with_their_own_time(
    written: io.StringIO, lines: list[str]
) -> None:
    began = time.time()
    log()
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign,assignment]
    access_log.logger.addHandler(handler)
    await asyncio.sleep(2 * access_log._WAIT)
    access_log.logger.removeHandler(handler)
    assert lines == [f"INFO {GET}"]
    assert written.getvalue().endswith(f"{GET}\n")
    assert records[0].created - began < access_log._WAIT


def test_nothing_is_lost_at_a_stop(server_process: Callable[..., ServerProcess]) -> None:
    server = server_process()
    for number in range(50):
        for target in (f"/boards/demo/?limit={number + 1}", "/boards/demo/"):
            with urllib.request.urlopen(server.url + target, timeout=PATIENCE) as answer:
                answer.read()
    server.stop()
    lines = [line for line in server.output if " tornado_board.access: " in line]
    assert len(lines) == 100


def test_as_json_each_line_is_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    handler = access_log.Handler(json=True)
    handler.write(
        [
            access_log._Line(
                0.25, logging.INFO, access_log._ANSWER, ("GET", "/a", 200, 1.26, "::1")
            ),
            access_log._Line(0.5, logging.INFO, access_log._STREAM, ("/b", "websocket", None)),
        ]
    )
    try:
        raise ValueError('a "message"\nwith more')
    except ValueError:
        record = logging.LogRecord(
            "tornado_board.x", logging.ERROR, "", 0, "it %s", ("failed\n",), sys.exc_info()
        )
    handler.emit(record)
    one, two, three = map(json.loads, capsys.readouterr().err.splitlines())
    known = {"level": "INFO", "logger": "tornado_board.access", "method": "GET"}
    assert one == {
        **known,
        **{"time": "1970-01-01T00:00:00.250Z", "path": "/a", "status": 200},
        **{"ms": 1.3, "address": "::1"},
    }
    assert two == {
        **known,
        **{"time": "1970-01-01T00:00:00.500Z", "path": "/b", "kind": "websocket", "address": None},
    }
    assert (three["level"], three["message"]) == ("ERROR", "it failed\n")
    assert "ValueError" in three["exception"]


@pytest.mark.parametrize("form", ["text", "json", "none"])
def test_the_log_of_a_server_is_as_the_setting_says(
    server_process: Callable[..., ServerProcess], form: str
) -> None:
    server = server_process(f"--access-log={form}", "--log-level=debug")
    urllib.request.urlopen(f"{server.url}/boards/").close()
    server.stop()
    banner = server.text.index("stops it")
    lines = server.text[banner:].splitlines()[1:]
    assert any("/boards/" in line for line in lines) == (form != "none")
    for line in lines:
        if form == "json":
            assert {"time", "level", "logger"} <= set(json.loads(line)), line
        else:
            assert re.match(r"\d{4}-\d\d-\d\d ", line), line
