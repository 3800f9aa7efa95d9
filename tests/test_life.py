"""The life of the process: start, banner, log, stop, and what keeps it from starting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tornado_board.replay import EventId
from tornado_board.server import main, running
from tornado_board.settings import Settings

from .server_process import ROOT, ServerProcess, clean_environ
from .stream_client import PATIENCE, RawStream, Writer, add, http_client, make_board
from .waiting import until

gen_test = pytest.mark.gen_test

Start = Callable[..., ServerProcess]


def run(folder: Path, *flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the server to its end, which has to come by itself."""
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), "--log-level=warning", *flags],
        cwd=folder,
        env={**clean_environ(), "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The line with which it refused to start."""
    assert done.returncode not in (0, -signal.SIGABRT, -signal.SIGSEGV)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("tornado_board: ")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_the_banner_says_where_it_serves_and_what_it_uses(
    server_process: Start, tmp_path: Path
) -> None:
    server = server_process()
    banner = server.text
    assert f"tornado_board serves http://127.0.0.1:{server.port}/" in banner
    assert re.search(r"store: +SQLite, tornado_board\.sqlite3\n", banner)
    assert re.search(r"replay log: +SQLite, tornado_board\.sqlite3\n", banner)
    assert httpx.get(f"{server.url}/healthz", timeout=PATIENCE).status_code == 200
    assert (tmp_path / "tornado_board.sqlite3").exists()


def test_the_banner_comes_first(server_process: Start) -> None:
    server = server_process(SQUASH="0.1")
    server.stop()
    lines = server.output
    assert lines[0].startswith("tornado_board serves ")
    assert lines[3].startswith("  Ctrl-C")
    assert "WARNING tornado_board.server: SQUASH is an old name" in lines[4]


@gen_test
async def test_fewer_connections_than_asked_for_are_told_after_the_banner(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 2048))
    monkeypatch.setattr("resource.setrlimit", lambda *_: None)
    with caplog.at_level("INFO"):
        async with running(settings) as server:
            (notice,) = server.notices
            assert server.services.settings.max_connections == 1536
    assert notice.startswith("at most 1536 connections, not 20000")
    assert "1536" not in caplog.text


def test_a_sample_board_is_made_on_an_empty_database_only(server_process: Start) -> None:
    server = server_process()
    boards = httpx.get(f"{server.url}/boards/", timeout=PATIENCE).json()["boards"]
    assert boards == [{"id": "demo", "name": "Demo board"}]
    assert len(httpx.get(f"{server.url}/boards/demo/", timeout=PATIENCE).json()["players"]) == 5
    httpx.post(f"{server.url}/boards/", json={"id": "mine"}, timeout=PATIENCE).raise_for_status()
    httpx.delete(f"{server.url}/boards/demo/", timeout=PATIENCE).raise_for_status()
    server.stop()
    server.restart()
    assert httpx.get(f"{server.url}/boards/", timeout=PATIENCE).json()["boards"] == [
        {"id": "mine", "name": "mine"}
    ]


def test_health_and_readiness(server_process: Start) -> None:
    server = server_process()
    for path in ("/healthz", "/healthz/", "/readyz", "/readyz/"):
        deadline = time.monotonic() + PATIENCE
        answer = httpx.get(server.url + path, timeout=PATIENCE)
        while answer.status_code == 503 and time.monotonic() < deadline:
            assert answer.json()["detail"]
            answer = httpx.get(server.url + path, timeout=PATIENCE)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert httpx.head(server.url + path, timeout=PATIENCE).status_code == 200


def test_a_log_line_for_each_request_but_for_health_checks(server_process: Start) -> None:
    server = server_process()
    httpx.get(f"{server.url}/healthz", timeout=PATIENCE)
    httpx.get(f"{server.url}/readyz", timeout=PATIENCE)
    httpx.get(f"{server.url}/boards/", timeout=PATIENCE)
    httpx.get(f"{server.url}/boards/nope/", timeout=PATIENCE)
    httpx.post(f"{server.url}/boards/demo/players/venus/score-add/", timeout=PATIENCE)
    httpx.get(f"{server.url}/boards/demo/%0aforged%1b[31m", timeout=PATIENCE)
    with httpx.stream(
        "GET",
        f"{server.url}/boards/demo/",
        headers={"Accept": "text/event-stream"},
        timeout=PATIENCE,
    ):
        pass
    server.stop()
    lines = [line for line in server.output if "tornado_board.access" in line]
    text = "".join(lines)
    assert len(re.findall(r"INFO .* GET /boards/ 200 [\d.]+ms 127\.0\.0\.1\n", text)) == 1
    assert len(re.findall(r" GET /boards/nope/ 404 ", text)) == 1
    assert len(re.findall(r" POST /boards/demo/players/venus/score-add/ 200 ", text)) == 1
    assert len(re.findall(r" GET /boards/demo/ stream ", text)) == 1
    assert "healthz" not in text
    assert "readyz" not in text
    assert "\x1b" not in server.text
    assert not any(line.startswith("forged") for line in server.output)
    assert len(lines) == 5


@gen_test
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_stop_ends_streams_answers_polls_and_finishes_writes(
    server_process: Start, tmp_path: Path, number: int
) -> None:
    # What is under way ends by itself: a stop that waited for it would take that long.
    server = server_process("--stop-timeout=60")
    writing = True
    answered = 0

    async def write() -> None:
        nonlocal answered
        writer = Writer(server.url)
        with contextlib.suppress(OSError, EOFError):
            while writing:
                await writer.add("b")
                answered += 1
        writer.close()

    async with http_client(server.url) as client:
        await make_board(client, "b", {"p": 0, "other": 0})
        await make_board(client, "quiet")
        last_id = (await client.get("/boards/quiet/")).headers["last-event-id"]
        streams = [
            await RawStream.open(server.url, f"/boards/{board}/", "Accept: text/event-stream")
            for board in ("b", "quiet") * 10
        ]
        polls = [
            asyncio.ensure_future(client.get(f"/boards/quiet/events/?since={last_id}&wait=60"))
            for _ in range(10)
        ]
        idle = await asyncio.open_connection("127.0.0.1", server.port)
        writers = [asyncio.ensure_future(write()) for _ in range(10)]
        await until(lambda: answered > 20)

        took = await asyncio.to_thread(server.stop, number)
        writing = False
        assert server.process.returncode == 0, server.text
        assert took < 30
        await asyncio.gather(*writers)
        for poll in polls:
            response = await poll
            assert response.status_code == 200
            assert response.json() == {"events": [], "last_event_id": last_id}
        for stream in streams:
            await stream.ended()
            stream.close()
        idle[1].close()
    assert "Traceback" not in server.text
    with contextlib.closing(sqlite3.connect(tmp_path / "tornado_board.sqlite3")) as connection:
        ((score,),) = connection.execute(
            "SELECT score FROM players WHERE board = 'b' AND id = 'p'"
        ).fetchall()
    assert score >= answered
    assert score <= answered + len(writers)


@gen_test
async def test_a_request_that_never_ends_does_not_hold_up_a_stop(server_process: Start) -> None:
    server = server_process("--stop-timeout=0.5")
    _, stuck = await asyncio.open_connection("127.0.0.1", server.port)
    stuck.write(b"POST /boards/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    await asyncio.sleep(0.2)
    assert await asyncio.to_thread(server.stop) < 5
    assert server.process.returncode == 0
    assert "Traceback" not in server.text
    stuck.close()


@gen_test
async def test_a_second_signal_does_no_harm(server_process: Start) -> None:
    server = server_process()
    stream = await RawStream.open(server.url, "/boards/demo/", "Accept: text/event-stream")
    server.process.send_signal(signal.SIGINT)
    server.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.wait) == 0
    assert "Traceback" not in server.text
    stream.close()


@pytest.mark.alone
@gen_test
async def test_a_stop_in_time_while_another_program_holds_the_file(
    server_process: Start, tmp_path: Path
) -> None:
    server = server_process("--stop-timeout=1")
    async with http_client(server.url) as client:
        path = tmp_path / "tornado_board.sqlite3"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            waiting = asyncio.ensure_future(client.post("/boards/demo/players/venus/score-add/"))
            await asyncio.sleep(0.2)
            took = await asyncio.to_thread(server.stop)
            connection.execute("ROLLBACK")
            ((score,),) = connection.execute("SELECT score FROM players WHERE id = 'venus'")
        assert took < 4, "SQLite by itself would have waited five seconds for its turn"
        assert server.process.returncode == 0
        assert "Traceback" not in server.text
        with contextlib.suppress(httpx.TransportError):
            assert (await waiting).status_code == 503
        assert score == 31, "what was not answered with success was not written"


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = one_line(run(tmp_path, "--address=127.0.0.1", f"--port={port}"))
    assert f"127.0.0.1 port {port}" in line
    assert "in use" in line
    assert "--port" in line
    assert list(tmp_path.iterdir()) == [], "no file is made by a server that can't serve"


def test_a_second_process_on_the_same_file_is_one_line(
    server_process: Start, tmp_path: Path
) -> None:
    first = server_process()
    line = one_line(run(tmp_path, "--port=0"))
    assert "tornado_board.sqlite3" in line
    assert "RethinkDB" in line
    assert "Redis" in line
    assert httpx.get(f"{first.url}/readyz", timeout=PATIENCE).status_code == 200
    # The file is free as soon as the first one has ended, however it ended.
    first.kill()
    second = server_process()
    assert httpx.get(f"{second.url}/boards/demo/", timeout=PATIENCE).status_code == 200


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DATABASE_URL": "postgresql://localhost/x"}, "postgresql"),
        ({"DATABASE_URL": "nonsense"}, "nonsense"),
        ({"DATABASE_URL": ""}, "database_url"),
        ({"DATABASE_URL": "sqlite:///"}, "sqlite:///"),
        ({"DATABASE_URL": "sqlite://host/file"}, "sqlite:///file"),
        ({"DATABASE_URL": "sqlite:///no/such/folder/file"}, "No such file or directory"),
        ({"DATABASE_URL": "sqlite:///."}, ""),
        ({"DATABASE_URL": "sqlite:///text/file"}, "Not a directory"),
        ({"DATABASE_URL": "sqlite:///a%00b"}, ""),
        ({"DATABASE_URL": "sqlite:///text"}, "not a database"),
        ({"REDIS_URL": "memcached://localhost"}, "redis_url: must begin"),
        ({"TORNADO_BOARD_ADDRESS": "no.such.host.invalid"}, "no.such.host.invalid"),
        ({"TORNADO_BOARD_ADDRESS": "203.0.113.7"}, "203.0.113.7"),
        ({"PORT": "eighty"}, "PORT"),
        ({"PORT": "65536"}, "PORT"),
        ({"TORNADO_BOARD_PORT": "-1"}, "TORNADO_BOARD_PORT"),
        ({"TORNADO_BOARD_TLS_CERTIFICATE": "no.pem"}, "tls_key"),
        (
            {"TORNADO_BOARD_TLS_CERTIFICATE": "no.pem", "TORNADO_BOARD_TLS_KEY": "no.pem"},
            "tls_certificate",
        ),
        ({"TORNADO_BOARD_PROCESSES": "2"}, "processes"),
    ],
)
def test_what_keeps_it_from_starting_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    environ: dict[str, str],
    expected: str,
) -> None:
    """In this process, since it is quicker; `main` is all that run.py calls."""
    (tmp_path / "text").write_text("This is no database, and is long enough to look like one." * 20)
    monkeypatch.chdir(tmp_path)
    for variable in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(variable, raising=False)
    given = {"PORT": "0", "TORNADO_BOARD_LOG_LEVEL": "warning", **environ}
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    # Should it start, it has to be stopped.
    stop = threading.Timer(PATIENCE, os.kill, (os.getpid(), signal.SIGTERM))
    stop.start()
    try:
        code = main([])
    finally:
        stop.cancel()
    out, err = capfd.readouterr()
    assert expected in one_line(subprocess.CompletedProcess([], code, out, err))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "Permission denied" in one_line(run(tmp_path, "--port=0"))
    finally:
        tmp_path.chmod(0o700)


def test_a_file_of_a_newer_version_is_refused(server_process: Start, tmp_path: Path) -> None:
    server_process().stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "tornado_board.sqlite3")) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "newer" in one_line(run(tmp_path, "--port=0"))


@gen_test
async def test_events_go_on_after_a_clean_restart(server_process: Start) -> None:
    server = server_process()
    async with http_client(server.url) as client:
        await make_board(client, "b")
        stream = await RawStream.open(server.url, "/boards/b/", "Accept: text/event-stream")
        _, _, last_id = await stream.event()
        await asyncio.to_thread(server.stop)
        await stream.ended()
        await asyncio.to_thread(server.restart)
        back = await RawStream.open(
            server.url, "/boards/b/", "Accept: text/event-stream", f"Last-Event-ID: {last_id}"
        )
        await add(client, "b")
        _, board, event_id = await back.event()
        assert board["players"][0]["score"] == 1
        assert isinstance(event_id, EventId)
        assert isinstance(last_id, EventId)
        assert event_id.n == last_id.n + 1
        back.close()


def test_uvloop_is_asked_for_by_name_where_it_is_missing(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('not this one')")
    line = one_line(run(tmp_path, "--uvloop", PYTHONPATH=f"{tmp_path}{os.pathsep}{ROOT}"))
    assert line.endswith(": python -m pip install uvloop\n")
