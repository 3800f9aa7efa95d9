"""The supervisor of several processes, with small servers instead of ours."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tornado_board.processes import bind

from .waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[1]


class Supervised:
    """``tests/supervised.py``, running."""

    def __init__(self, count: int, mode: str = "serve", port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.supervised", str(port), str(count), mode],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline() or 0)
        self.errors = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors += line

    def ask(self, request: str = "pid", timeout: float = 30) -> int:
        """The pid of the process that answers; 0 if the connection ends without an answer."""
        # One that was accepted by a process which is killed then, is reset.
        with (
            contextlib.suppress(ConnectionResetError),
            socket.create_connection(("127.0.0.1", self.port), timeout) as connection,
        ):
            connection.sendall(f"{request}\n".encode())
            return int(connection.recv(100).strip() or 0)
        return 0

    def pids(self, count: int) -> set[int]:
        """The pids of `count` processes that answer."""
        found: set[int] = set()
        for _ in range(1_000):
            found |= {self.ask()} - {0}
            if len(found) == count:
                return found
        raise AssertionError(f"only {found} answer")

    def wait(self, timeout: float = 30) -> int:
        code = self.process.wait(timeout)
        self._reader.join(5)
        return code


@pytest.fixture
def supervised() -> Iterator[Callable[..., Supervised]]:
    made: list[Supervised] = []

    def make(count: int, mode: str = "serve", port: int = 0) -> Supervised:
        made.append(Supervised(count, mode, port))
        return made[-1]

    yield make
    for program in made:
        if program.process.poll() is None:
            program.process.kill()
        program.wait()


def _until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_connections_spread_evenly(supervised: Callable[..., Supervised]) -> None:
    program = supervised(3)
    answers = Counter(program.ask() for _ in range(600))
    assert len(answers) == 3
    assert min(answers.values()) > 100, answers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_stop_together(supervised: Callable[..., Supervised], number: int) -> None:
    program = supervised(3)
    pids = program.pids(3)
    program.process.send_signal(number)
    assert program.wait() == 0
    assert not any(map(_lives, pids))


@pytest.mark.parametrize("end", ["kill", "exit"])
def test_one_that_dies_is_replaced_and_the_others_go_on(
    supervised: Callable[..., Supervised], end: str
) -> None:
    program = supervised(2)
    first, other = program.pids(2)
    if end == "kill":
        os.kill(first, signal.SIGKILL)
        _until(lambda: not _lives(first))
    else:
        while program.ask("die"):
            pass
    _until(lambda: len({program.ask() for _ in range(20)} - {0, first, other}) == 1)
    assert len(program.pids(2) & {first, other}) == 1
    assert "another is started" in program.errors


def test_connections_that_wait_for_a_process_that_dies_are_not_lost(
    supervised: Callable[..., Supervised],
) -> None:
    program = supervised(1)
    pid = program.ask("sleep")  # now it accepts nothing for a second
    waiting = [socket.create_connection(("127.0.0.1", program.port), 30) for _ in range(20)]
    os.kill(pid, signal.SIGKILL)
    for connection in waiting:
        connection.sendall(b"pid\n")
        answer = int(connection.recv(100))
        connection.close()
        assert answer != pid


def test_one_that_keeps_dying_is_restarted_less_and_less_often(
    supervised: Callable[..., Supervised],
) -> None:
    program = supervised(1, "crashes")
    _until(lambda: program.errors.count("another is started") >= 4)
    waits = [float(wait) for wait in re.findall(r"started in ([\d.]+) s", program.errors)]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 0


def test_what_cannot_start_ends_with_its_exit_code(
    supervised: Callable[..., Supervised],
) -> None:
    program = supervised(2, "fails")
    assert program.wait() == 3, program.errors


def test_one_that_does_not_stop_is_killed(supervised: Callable[..., Supervised]) -> None:
    program = supervised(2, "stubborn")
    pids = program.pids(2)
    program.process.send_signal(signal.SIGTERM)
    assert program.wait() == 1
    assert not any(map(_lives, pids))


def test_they_stop_when_their_supervisor_is_killed(
    supervised: Callable[..., Supervised],
) -> None:
    program = supervised(2)
    pids = program.pids(2)
    program.process.kill()
    program.process.wait()
    _until(lambda: not any(map(_lives, pids)))


def test_a_port_in_use_is_not_shared_with_another_server(
    supervised: Callable[..., Supervised],
) -> None:
    program = supervised(2)
    with pytest.raises(OSError, match="in use"):
        bind("127.0.0.1", program.port, 2, 128)
