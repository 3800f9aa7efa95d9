"""The tests of one run in several processes (pytest-xdist), and those that run alone.

All tests together are run by as many processes as `workers` says. A test with the mark ``alone``
runs while no other does. Tests that are named on the command line run in one process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

#: Processes at most, whatever the machine has: each starts a RethinkDB and a Redis of its own.
MOST = 8


def workers() -> int:
    """Processes that run all tests. One more than there are CPUs, since most tests mostly wait."""
    return min(len(os.sched_getaffinity(0)) + 1, MOST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many ``-n auto`` means; 0 for none beside pytest's own process."""
    return workers() if config.args_source == config.ArgsSource.TESTPATHS else 0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those that want to be alone behind the others: all processes wait for them only once."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    if hasattr(item.config, "workerinput"):
        assert item.config.cache is not None
        folder = Path(item.config.cache.mkdir("turns"))
        with _turn(folder, alone=item.get_closest_marker("alone") is not None):
            return (yield)
    return (yield)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes' tests from what they do with `path`, a file or a folder, meanwhile."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _turn(folder: Path, *, alone: bool) -> Iterator[None]:
    """Wait until no test runs, or no test that is alone; until the end none of these begins."""
    gate, turn = folder / "gate", folder / "turn"
    gate.touch()
    turn.touch()
    descriptor = os.open(turn, os.O_RDONLY)
    try:
        # Who waits here to be alone lets nobody else begin, so that the wait ends.
        with locked(gate):
            fcntl.flock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)
