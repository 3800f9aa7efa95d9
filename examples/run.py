"""Runs an example beside a server of boards that keeps nothing: python examples/run.py game"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import jwt

HERE = Path(__file__).resolve().parent

#: What is run, in the example's folder; PORT stands for the port that it is to listen on.
PROGRAMS = {
    "game": ["game_backend.py"],
    "quiz": ["-m", "http.server", "PORT", "--bind", "127.0.0.1"],
    "matches": ["-m", "uvicorn", "match_backend:app", "--port", "PORT", "--log-level", "warning"],
}
#: The page to open.
PAGES = {"game": "", "quiz": "quizmaster.html", "matches": "docs"}

#: Seconds that a server may take to start.
PATIENCE = 30.0


def token(secret: str, board: str, scope: str, hours: float = 12) -> str:
    """What `tornado-board token --scope=SCOPE --board=BOARD` prints."""
    claims = {"scope": scope, "boards": [board], "exp": time.time() + hours * 3600}
    return jwt.encode(claims, secret, "HS256")


def start(name: str, port: int, boards: str, secret: str) -> subprocess.Popen[bytes]:
    """The example's program, which finds the server of boards in its environment."""
    board = json.loads((HERE / name / "board.json").read_text("utf-8"))
    variables = {
        "PORT": str(port),
        "BOARDS_URL": boards,
        "BOARDS_SECRET": secret,
        "BOARDS_TOKEN": token(secret, board["id"], "submit"),
        "REFEREE_SECRET": secret,
    }
    arguments = [str(port) if word == "PORT" else word for word in PROGRAMS[name]]
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=HERE / name, env={**os.environ, **variables}
    )


def make_board(name: str, boards: str, secret: str) -> str:
    """Make the board that the example has in its `board.json`; the board's id."""
    settings = (HERE / name / "board.json").read_bytes()
    board: str = json.loads(settings)["id"]
    bearer = f"Bearer {token(secret, board, 'write')}"
    headers = {"Content-Type": "application/json", "Authorization": bearer}
    urllib.request.urlopen(urllib.request.Request(f"{boards}boards/", settings, headers)).close()
    return board


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until `url` is answered with a success. Raises `RuntimeError` where it never is."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):  # nobody listens yet, or it is not ready
            urllib.request.urlopen(url, timeout=5).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{url} does not answer")
        time.sleep(0.1)


def end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=PROGRAMS)
    parser.add_argument("--port", type=int, default=8000, help="the example's (8000)")
    parser.add_argument("--boards-port", type=int, default=8888, help="the server's (8888)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    secret = secrets.token_urlsafe(32)
    page, boards = f"http://localhost:{options.port}", f"http://localhost:{options.boards_port}/"
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        flags = [f"--port={options.boards_port}", f"--allowed-origins={page}"]
        server = subprocess.Popen(
            [sys.executable, "-m", "tornado_board", *flags, "--log-level=warning"],
            cwd=folder,
            env={**os.environ, "TORNADO_BOARD_TOKEN_SECRET": secret},
        )
        stack.callback(end, server)
        wait_for(f"{boards}readyz", server)
        board = make_board(options.name, boards, secret)
        program = start(options.name, options.port, boards, secret)
        stack.callback(end, program)
        wait_for(f"{page}/{PAGES[options.name]}", program)
        print(f"boards   {boards}?board={board}\nexample  {page}/{PAGES[options.name]}")
        if options.name == "quiz":
            print(f"wall     {page}/wall.html?boards={boards}")
            print(f"the quizmaster's token:\n{token(secret, board, 'write')}")
        print("Ctrl-C ends both", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            program.wait()


if __name__ == "__main__":
    main()
