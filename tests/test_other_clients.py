"""Some of the clients that ``python -m tests.other_clients`` tries: those of the test extra."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .other_clients.libraries import HERE, Library
from .other_clients.measure import Trial


@pytest.mark.parametrize("name", ["httpx-sse", "websockets"])
def test_a_client_of_others_misses_nothing(name: str, tmp_path: Path) -> None:
    command = (sys.executable, str(HERE / "follow.py"), name)
    row = Trial(Library(name, "Python", "", command), tmp_path).run()
    assert row.trouble == ""
    assert row.transport == ("websocket" if name == "websockets" else "sse-gzip")
    assert (row.missing, row.twice, row.resets) == (0, 0, 0)
    assert row.back == {"restart": False, "kill": False}
