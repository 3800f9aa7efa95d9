"""The promises while one part breaks at a time: the short runs of the fault harness.

``python -m tests.faults`` has all scenarios, and long runs; see docs/promises.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from .faults.run import SMALL, run
from .faults.scenarios import SCENARIOS
from .rethinkdb_server import PROGRAM, RethinkDBServer

#: How long each runs, in seconds.
SECONDS = 8.0

#: Those that a short run tells something about.
SHORT = [
    "server_killed_sqlite",
    "ghost_boards_sqlite",
    "publisher_frozen",
    "rolling_restart",
    "redis_slow",
    "redis_full",
    "script_flush",
    "everything_forgotten",
    "redis_evicts",
    "balancer_without_rethinkdb",
    "publisher_rethinkdb_refused",
    "rethinkdb_frozen",
]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RethinkDBServer]:
    """A RethinkDB for all runs that do it no harm."""
    if PROGRAM is None:
        pytest.skip("no rethinkdb on PATH")
    server = RethinkDBServer(tmp_path_factory.mktemp("faults"))
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("name", SHORT)
def test_promises_hold(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    scenario = SCENARIOS[name]
    nodes = []
    if not scenario.shape.sqlite:
        nodes.append(request.getfixturevalue("node"))
    result = asyncio.run(run(scenario, SECONDS, 1, SMALL, tmp_path, nodes))
    assert result.record.posts
    if not result.green:
        pytest.fail(result.report(), pytrace=False)
