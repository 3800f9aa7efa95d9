"""``tornado-board import`` and ``export``, called as they are, against a server of their own."""

from __future__ import annotations

import contextlib
import http.server
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from .server_process import ROOT, ServerProcess, clean_environ
from .tokens import SECRET, token

Started = Callable[..., ServerProcess]


def environ(**more: str) -> dict[str, str]:
    return {**clean_environ(), "PYTHONPATH": str(ROOT), **more}


def run(
    folder: Path, url: str, *arguments: str, stdin: bytes | None = None, **more: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, str(ROOT / "run.py"), *arguments],
        cwd=folder,
        env=environ(TORNADO_BOARD_URL=url, **more),
        capture_output=True,
        input=stdin,
        timeout=60,
        check=False,
    )


def players(url: str, board: str) -> list[dict[str, Any]]:
    """All players, by id."""
    answer = httpx.get(f"{url}/boards/{board}/export/?fields=meta").raise_for_status()
    found = [json.loads(line) for line in answer.text.split("\n") if line]
    return sorted(found, key=lambda player: str(player["id"]))


def scores(url: str, board: str) -> dict[str, Any]:
    return {player["id"]: player["score"] for player in players(url, board)}


def write_rows(path: Path, count: int, **more: Any) -> None:
    rows = ({"id": f"p{i:05}", "score": 1 + i % 7, **more} for i in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_what_was_exported_can_be_imported_as_it_is(
    server_process: Started, tmp_path: Path
) -> None:
    url = server_process().url
    items: list[dict[str, Any]] = [
        {
            "id": f"p{i}",
            "score": i / 2,
            "name": f'"{i}", ä;',
            "meta": {"n": [i, "ü\n"]} if i else {},
        }
        for i in range(40)
    ]
    httpx.post(f"{url}/boards/", json={"id": "a"}).raise_for_status()
    httpx.post(f"{url}/boards/a/scores/", json=items).raise_for_status()
    for name in ("a.csv", "a.ndjson"):
        done = run(tmp_path, url, "export", "a", name)
        assert (done.returncode, done.stdout) == (0, b"")
        assert done.stderr.startswith(b"40 players;")
        copy = name.replace(".", "-")
        done = run(tmp_path, url, "import", copy, name, "--create", "--rows=7")
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(b"40 rows: 40 taken (40 made a player, 0 changed one), 0 ref")
        assert players(url, copy) == players(url, "a")
    # By the standard streams, too.
    exported = run(tmp_path, url, "export", "a", "--format=csv")
    assert exported.stdout == (tmp_path / "a.csv").read_bytes()
    done = run(
        *(tmp_path, url, "import", "b", "-", "--format=csv", "--create"), stdin=exported.stdout
    )
    assert done.returncode == 0, done.stderr
    assert players(url, "b") == players(url, "a")
    assert [path.name for path in tmp_path.glob("*import-state*")] == []


def test_rows_that_are_wrong_are_listed_and_the_others_go_on(
    server_process: Started, tmp_path: Path
) -> None:
    url = server_process().url
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbfScore;ID;meta\r\n1;x;\r\nnan;y;\r\n\r\n2;a b;\r\n3\r\n4;z;{\r\n5;\xff;\r\n"
        b'6;"v\r\nw";\r\n7;u;"{""a"":1}"\r\n'
        + b"9" * 41
        + b";t;\r\n"
        + b"9" * 39
        + b';s;\r\n"8;r;\r\n'
    )
    done = run(tmp_path, url, "import", "demo", "a.csv", "--operator=add", "--rows=3")
    assert (done.returncode, done.stdout) == (1, b"")
    lines = done.stderr.decode().splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [
        f"line {number}" for number in (3, 5, 6, 7, 8, 9, 12, 13, 14)
    ]
    assert "score: is not a number" in lines[0]
    assert "400: id: must be" in lines[1]
    assert "has 1 columns; the header has 3" in lines[2]
    assert lines[-1].startswith("11 rows: 2 taken (2 made a player, 0 changed one), 9 refused")
    there = {player["id"]: player for player in players(url, "demo")}
    assert (there["x"]["score"], there["u"]["meta"]) == (1, {"a": 1})

    (tmp_path / "a.ndjson").write_text(
        '{"id":"x","score":1}\n\n  \nnonsense\n[1]\n{"id":"x","score":5,"operator":"set","rank":1}'
    )
    done = run(tmp_path, url, "import", "demo", "a.ndjson", "--operator=add")
    lines = done.stderr.decode().splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == ["line 4", "line 5"]
    assert lines[-1].startswith("4 rows: 2 taken (0 made a player, 2 changed one), 2 refused")
    assert scores(url, "demo")["x"] == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_import_that_was_cut_off_goes_on_and_nothing_counts_twice(
    server_process: Started, tmp_path: Path, number: int
) -> None:
    url = server_process().url
    httpx.post(f"{url}/boards/", json={"id": "b", "operator": "add"}).raise_for_status()
    write_rows(tmp_path / "a.ndjson", 6000)
    command = [sys.executable, str(ROOT / "run.py"), "import", "b", "a.ndjson", "--rows=20"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environ(TORNADO_BOARD_URL=url), stderr=subprocess.PIPE
    )
    state = tmp_path / "a.ndjson.import-state"
    while not state.exists() or '"offset": 0' in state.read_text():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    _, told = process.communicate(timeout=20)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert b"the same command goes on after it" in told
    assert 0 < len(scores(url, "b")) < 6000
    # Another import is not this one, and neither is another file.
    other = run(tmp_path, url, "import", "demo", "a.ndjson")
    assert b"that is not this one: another board" in other.stderr
    done = run(tmp_path, url, "import", "b", "a.ndjson")
    assert done.returncode == 0, done.stderr
    assert b"going on after line " in done.stderr
    assert b"6,000 rows: 6,000 taken" in done.stderr
    assert scores(url, "b") == {f"p{i:05}": 1 + i % 7 for i in range(6000)}
    assert not state.exists()


def test_a_server_that_is_killed_and_started_again_costs_nothing(
    server_process: Started, tmp_path: Path
) -> None:
    server = server_process()
    httpx.post(f"{server.url}/boards/", json={"id": "b", "operator": "add"}).raise_for_status()
    write_rows(tmp_path / "a.ndjson", 6000)
    command = [sys.executable, str(ROOT / "run.py"), "import", "b", "a.ndjson", "--rows=20"]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environ(TORNADO_BOARD_URL=server.url), stderr=subprocess.PIPE
    )
    for _ in range(3):
        before = len(scores(server.url, "b"))
        while len(scores(server.url, "b")) < before + 200:
            assert process.poll() is None
        server.kill()
        server.restart()
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert b"trying again for 300 s" in told
    assert b"6,000 rows: 6,000 taken (6,000 made a player, 0 changed one), 0 refused" in told
    assert scores(server.url, "b") == {f"p{i:05}": 1 + i % 7 for i in range(6000)}


def test_a_file_that_changed_is_not_gone_on_with(server_process: Started, tmp_path: Path) -> None:
    server = server_process()
    write_rows(tmp_path / "a.ndjson", 10)
    server.stop()
    cut = run(tmp_path, server.url, "import", "demo", "a.ndjson", "--patience=0")
    assert cut.returncode == 1
    assert b"Connection refused" in cut.stderr
    assert b"rows up to line 0 are in; the same command goes on after it" in cut.stderr
    server.restart()
    write_rows(tmp_path / "a.ndjson", 11)
    done = run(tmp_path, server.url, "import", "demo", "a.ndjson")
    assert b"cut off after line 0, and that is not this one: the file has changed" in done.stderr
    done = run(tmp_path, server.url, "import", "demo", "a.ndjson", "--restart")
    assert b"11 rows: 11 taken" in done.stderr


def test_rows_that_were_sent_a_day_ago_are_asked_about(
    server_process: Started, tmp_path: Path
) -> None:
    server = server_process()
    write_rows(tmp_path / "a.ndjson", 10, operator="add")
    server.stop()
    state = tmp_path / "a.ndjson.import-state"
    for choice, count in (("skip", 5), ("send", 10)):
        run(tmp_path, server.url, "import", "demo", "a.ndjson", "--patience=0", "--rows=5")
        kept = json.loads(state.read_text())
        kept["sent_at"] -= 24 * 3600
        state.write_text(json.dumps(kept))
        server.restart()
        unsure = run(tmp_path, server.url, "import", "demo", "a.ndjson")
        assert unsure.returncode == 1
        assert b"rows of the lines 1 to 5 were sent a day ago or more" in unsure.stderr
        done = run(tmp_path, server.url, "import", "demo", "a.ndjson", f"--unsure={choice}")
        assert done.returncode == 0, done.stderr
        there = scores(server.url, "demo")
        assert len(there) - 5 == count
        server.stop()


def test_what_the_server_limits_is_kept_to(server_process: Started, tmp_path: Path) -> None:
    """Bodies that are too large, and writes that are too many."""
    server = server_process(
        "--max-body=2000",
        "--max-bulk-body=2000",
        "--writes-per-token=100",
        TORNADO_BOARD_TOKEN_SECRET=SECRET,
    )
    allowed = token(scope="write")
    write_rows(tmp_path / "a.ndjson", 1200)
    (tmp_path / "token").write_text(allowed + "\n")
    done = run(tmp_path, server.url, "import", "demo", "a.ndjson")
    assert (done.returncode, b"401: " in done.stderr) == (1, True)
    assert b"nothing was changed" in done.stderr
    done = run(tmp_path, server.url, "import", "demo", "a.ndjson", "--token-file=token")
    assert done.returncode == 0, done.stderr
    assert b"1,200 rows: 1,200 taken" in done.stderr
    assert b"429: Too many writes with this token" in done.stderr
    exported = run(tmp_path, server.url, "export", "demo", TORNADO_BOARD_TOKEN=allowed)
    assert exported.stdout.count(b"\n") == 1205
    assert allowed.encode() not in done.stderr + exported.stderr


class Proxy(http.server.BaseHTTPRequestHandler):
    """Answers as its class says; counts."""

    answers: Sequence[tuple[int, dict[str, str], bytes]] = ()
    asked = 0

    def do_GET(self) -> None:
        cls = type(self)
        length = int(self.headers.get("Content-Length", 0))
        self.rfile.read(length)
        status, headers, body = self.answers[min(cls.asked, len(self.answers) - 1)]
        cls.asked += 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[str]:
    handler = type("Handler", (Proxy,), {"answers": answers})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_a_proxy_that_is_in_the_way_is_told(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.ndjson", 2)
    for answer, message in (
        ((301, {"Location": "https://b.example/"}, b""), "'https://b.example/'); give the address"),
        ((200, {}, b"<html>"), "the answer is not one of this server's"),
        ((403, {}, b"<html>"), "403: Forbidden"),
        ((502, {}, b"<html>"), "502: Bad Gateway; trying again for 0 s"),
    ):
        with answering(answer) as url:
            done = run(tmp_path, url, "import", "b", "a.ndjson", "--patience=0", "--restart")
            assert done.returncode == 1
            assert message in done.stderr.decode()


def test_rows_that_may_go_through_later_are_sent_again(tmp_path: Path) -> None:
    """With the same key: those that were taken are not carried out twice."""
    (tmp_path / "a.ndjson").write_text('{"id":"x","score":1}\n{"id":"x","score":2}\n')
    later = b'{"status":201}\n{"status":503,"detail":"away"}\n'
    with answering((200, {}, later), (200, {}, b'{"status":201}\n{"status":201}\n')) as url:
        done = run(tmp_path, url, "import", "b", "a.ndjson")
    assert done.returncode == 0, done.stderr
    assert b"503: away; trying again" in done.stderr
    assert b"2 rows: 2 taken (2 made" in done.stderr


def test_an_export_that_is_cut_off_begins_anew_and_the_file_is_whole(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("old")
    part = (200, {"Content-Length": "100"}, b"id,name,score,rank,meta\r\n")
    whole: tuple[int, dict[str, str], bytes] = (
        200,
        {},
        b"id,name,score,rank,meta\r\na,a,1,1,{}\r\n",
    )
    with answering(part, part, whole) as url:
        done = run(tmp_path, url, "export", "b", "a.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_bytes() == whole[2]
    with answering(part) as url:
        done = run(tmp_path, url, "export", "b", "a.csv", "--patience=0")
        assert done.returncode == 1
        assert (tmp_path / "a.csv").read_bytes() == whole[2]
        assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]
        # What went to a pipe can't be taken back.
        done = run(tmp_path, url, "export", "b", "--format=csv")
        assert (done.returncode, b"what was written is not all" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "b"], "required: FILE"),
        (["import", "b", "none.csv"], "none.csv: No such file"),
        (["import", "b", "file"], "--format: expected csv or ndjson"),
        (["import", "a/b", "a.csv"], "BOARD: expected the id of a board"),
        (["import", "b", "a.csv", "--rows=0"], "--rows: expected a whole number from 1"),
        (["import", "b", "a.csv", "--rows=x"], "--rows: invalid int value"),
        (["import", "b", "a.csv", "--patience=nan"], "--patience: expected seconds"),
        (["import", "b", "a.csv", "--url=ftp://x/"], "--url: expected http://host:port/"),
        (["import", "b", "a.csv", "--url=http://u:secret@x/"], "--url: expected no user"),
        (["import", "b", "a.csv", "--url=http://x:99999/"], "--url: the host or the port"),
        (["import", "b", "a.csv", "--token=a b"], "--token: has characters"),
        (["import", "b", "a.csv", "--token-file=none"], "--token-file: 'none': No such file"),
        (["import", "b", "a.csv", "--port=1"], "unrecognized arguments: --port=1"),
        (["import", "b", "a.csv"], "line 1: expected a header with the columns id and score"),
        (["import", "b", "b.csv"], "line 1: expected the columns id, score, name"),
        (["import", "b", "long.ndjson"], "line 2 is longer than 65,536 bytes"),
        (["export"], "required: BOARD"),
        (["export", "b", "no/such.csv"], "no/such.csv: No such file"),
        (["export", "b", "file"], "--format: expected csv or ndjson"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "file").write_text("id,score\n")
    (tmp_path / "a.csv").write_text("id,points\n")
    (tmp_path / "b.csv").write_text("id,score,points\n")
    (tmp_path / "long.ndjson").write_text("{}\n" + " " * 70_000 + "\n")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        done = run(tmp_path, url, *arguments)
    assert (done.returncode, done.stdout) == (1, b"")
    assert message in done.stderr.decode()
    assert "secret" not in done.stderr.decode()


def test_help_shows_how(tmp_path: Path) -> None:
    shown = run(tmp_path, "", "--help").stdout.decode()
    assert "tornado-board import and tornado-board export" in shown
    for command in ("import", "export"):
        done = run(tmp_path, "", command, "--help")
        assert done.returncode == 0
        assert b"--token-file FILE" in done.stdout
