"""``tornado-board import`` and ``export``, called as they are, against a server of their own."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tornado_board.cli.progress import Progress

from .moving import Started, environ, players, run, scores, write_rows
from .server_process import ROOT
from .tokens import SECRET, token
from .waiting import PATIENCE


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
    httpx.post(f"{url}/boards/", json={"id": "a"}, timeout=PATIENCE).raise_for_status()
    httpx.post(f"{url}/boards/a/scores/", json=items, timeout=PATIENCE).raise_for_status()
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
    httpx.post(
        f"{url}/boards/", json={"id": "b", "operator": "add"}, timeout=PATIENCE
    ).raise_for_status()
    write_rows(tmp_path / "a.ndjson", 6000)
    command = [sys.executable, str(ROOT / "run.py"), "import", "b", "a.ndjson", "--rows=20"]
    # A shell has what it starts in the background ignore SIGINT: the tests, and what they start.
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environ(TORNADO_BOARD_URL=url),
        stderr=subprocess.PIPE,
    )
    signal.signal(signal.SIGINT, ignored)
    state = tmp_path / "a.ndjson.import-state"
    while not state.exists() or '"offset": 0' in state.read_text():
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    _, told = process.communicate(timeout=PATIENCE)
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
    httpx.post(
        f"{server.url}/boards/", json={"id": "b", "operator": "add"}, timeout=PATIENCE
    ).raise_for_status()
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
    _, told = process.communicate(timeout=PATIENCE)
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


def test_help_shows_how(tmp_path: Path) -> None:
    shown = run(tmp_path, "", "--help").stdout.decode()
    assert "tornado-board import and tornado-board export" in shown
    for command in ("import", "export"):
        done = run(tmp_path, "", command, "--help")
        assert done.returncode == 0
        assert b"--token-file FILE" in done.stdout


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_how_far_it_is_and_nobody_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("tornado_board.cli.progress.time.monotonic", lambda: next(clock))
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        progress = Progress(stream)
        progress.update(0)
        progress.update(1500, 0.25)
        progress.update(3000)
        progress.clear()
        progress.clear()
    assert file.getvalue() == ""
    shown = terminal.getvalue().split("\r")
    assert [text.rstrip() for text in shown if text.strip()] == [
        *("0 rows, 0/s", "1,500 rows, 375/s, 25%", "3,000 rows, 500/s")
    ]
    assert terminal.getvalue().endswith(" \r")
