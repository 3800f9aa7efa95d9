"""The page's sources: their unit tests, which Node's own runner has, and their types."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from .node import STATIC, node, node_modules

#: An import of a package that is neither a file nor Node's own.
PACKAGE = re.compile(r'from "(?!\.|node:)')

FILES = sorted((STATIC / "test").glob("*.test.js"))


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=STATIC,
        # Run by a test runner that is itself run by one, Node would report to that.
        env={name: value for name, value in os.environ.items() if name != "NODE_TEST_CONTEXT"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_there_are_some() -> None:
    assert len(FILES) >= 3


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_javascript(file: Path) -> None:
    if PACKAGE.search(file.read_text("utf-8")):
        node_modules()
    done = run(node(), "--test", "--test-reporter=tap", str(file))
    passed = re.search(r"^# pass (\d+)$", done.stdout, re.MULTILINE)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert passed is not None
    assert int(passed[1]) > 3


def test_types() -> None:
    compiler = node_modules() / "typescript" / "bin" / "tsc"
    done = run(node(), str(compiler), "--project", "jsconfig.json")
    assert done.returncode == 0, done.stdout
