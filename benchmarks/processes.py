"""Processes under measurement: starting them, talking to them, and what they use.

A measured program may be driven by lines on its stdin; each answer is one line of JSON on stdout.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


class Failed(Exception):
    """A measured program ended, or didn't answer. `str(error)` says which, with its last words."""


class Process:
    """A program started for a measurement, in a process group of its own."""

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        log: Path,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.name = Path(arguments[0]).name
        self._log = log
        with log.open("wb") as errors:
            self._popen = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self._popen.pid
        self._unread = b""

    def say(self, line: str) -> None:
        """Write a line to its stdin."""
        assert self._popen.stdin is not None
        try:
            self._popen.stdin.write(line.encode() + b"\n")
            self._popen.stdin.flush()
        except BrokenPipeError:
            raise self._failed("ended") from None

    def answer(self, timeout: float = 60) -> dict[str, Any]:
        """The next line of its stdout, which is JSON. Raises `Failed`."""
        assert self._popen.stdout is not None
        deadline = time.monotonic() + timeout
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._popen.stdout], [], [], left)[0]:
                raise self._failed(f"didn't answer within {timeout:g} s")
            data = os.read(self._popen.stdout.fileno(), 65536)
            if not data:
                raise self._failed("ended")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, line: str, timeout: float = 60) -> dict[str, Any]:
        """`say` and `answer`."""
        self.say(line)
        return self.answer(timeout)

    def running(self) -> bool:
        return self._popen.poll() is None

    def stop(self) -> None:
        """End it and what it started. May be called twice."""
        for sign, patience in ((signal.SIGTERM, 6), (signal.SIGKILL, 6)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience)
                break
        with contextlib.suppress(ProcessLookupError):  # children that outlived it
            os.killpg(self.pid, signal.SIGKILL)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _failed(self, what: str) -> Failed:
        words = self._log.read_text(errors="replace").strip()[-2000:]
        return Failed(f"{self.name} {what}" + (f":\n{words}" if words else ""))


def python(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of this tree with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def family(pid: int) -> list[int]:
    """`pid` and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
    found = [pid]
    for parent in found:
        found.extend(children.get(parent, ()))
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of all threads of the processes, as the scheduler counts it (in ns)."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*"):
            with contextlib.suppress(OSError):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_bytes(pids: Sequence[int]) -> int:
    """The processes' proportional set size. The kernel's socket buffers are not in it."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def wait_for_port(port: int, process: Process, timeout: float = 20) -> None:
    """Return when somebody listens on `port`. Raises `Failed`."""
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if not process.running() or time.monotonic() > deadline:
            raise process._failed("doesn't listen")
        time.sleep(0.05)


def raise_file_limit() -> int:
    """Lift the soft limit of open files to the hard one, for this process and what it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
