"""Backups are made and restored with the commands of the docs, beside a server that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .rethinkdb_server import PROGRAM, RethinkDBServer
from .server_process import ROOT, ServerProcess
from .waiting import PATIENCE

TEXT = (ROOT / "docs" / "backup.md").read_text("utf-8")


def command(start: str, **replaced: str) -> str:
    """The command in the docs that begins with `start`, with other names in it."""
    found = re.search(rf"^{re.escape(start)}.*$", TEXT, re.MULTILINE)
    assert found is not None
    text = found[0]
    for old, new in replaced.items():
        assert old in NAMES
        assert NAMES[old] in text
        text = text.replace(NAMES[old], new)
    return text


NAMES = {
    "file": "/srv/board/tornado_board.sqlite3",
    "made": "/backup/board-$(date +%F).sqlite3",
    "kept": "/backup/board-2026-11-29.sqlite3",
    "server": "db.example:28015",
}


def run(text: str, folder: Path) -> str:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/local/bin"
    done = subprocess.run(
        ["sh", "-c", text],
        cwd=folder,
        env={"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def score(server: ServerProcess) -> int:
    found: int = httpx.get(f"{server.url}/boards/demo/players/venus/", timeout=PATIENCE).json()[
        "score"
    ]
    return found


def add(server: ServerProcess) -> None:
    httpx.post(
        f"{server.url}/boards/demo/players/venus/score-add/", timeout=PATIENCE
    ).raise_for_status()


def until_score(server: ServerProcess, wanted: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while (shown := score(server)) != wanted:
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


def test_sqlite(server_process: Callable[..., ServerProcess], tmp_path: Path) -> None:
    if shutil.which("sqlite3") is None:
        pytest.skip("sqlite3 is not installed")
    server = server_process()
    file, backup = str(tmp_path / "tornado_board.sqlite3"), str(tmp_path / "backup.sqlite3")
    add(server)
    run(command("sqlite3 /srv", file=file, made=backup), tmp_path)
    assert run(command("sqlite3 /backup", kept=backup), tmp_path) == "ok\n5\n"
    add(server)
    assert score(server) == 33
    restore = [line for line in TEXT.splitlines() if ".restore" in line]
    text = restore[0].replace(NAMES["file"], file).replace(NAMES["kept"], backup)
    run(text, tmp_path)
    until_score(server, 32)
    add(server)
    assert score(server) == 33


def test_rethinkdb(server_process: Callable[..., ServerProcess], tmp_path: Path) -> None:
    if PROGRAM is None:
        pytest.skip("no rethinkdb on PATH")
    database = RethinkDBServer(tmp_path)
    database.start()
    try:
        server = server_process(f"--database-url={database.url('leaderboard')}")
        add(server)
        place = f"{database.host}:{database.port}"
        run(command("rethinkdb-dump", server=place), tmp_path)
        add(server)
        assert score(server) == 33
        run(command("rethinkdb-restore", server=place), tmp_path)
        until_score(server, 32)
        add(server)
        assert score(server) == 33
    finally:
        database.kill()
