"""``tornado-board import`` and ``export`` as processes, and what came of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from .server_process import ROOT, ServerProcess, clean_environ
from .waiting import PATIENCE

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
    answer = httpx.get(
        f"{url}/boards/{board}/export/?fields=meta", timeout=PATIENCE
    ).raise_for_status()
    found = [json.loads(line) for line in answer.text.split("\n") if line]
    return sorted(found, key=lambda player: str(player["id"]))


def scores(url: str, board: str) -> dict[str, Any]:
    return {player["id"]: player["score"] for player in players(url, board)}


def write_rows(path: Path, count: int, **more: Any) -> None:
    rows = ({"id": f"p{i:05}", "score": 1 + i % 7, **more} for i in range(count))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
