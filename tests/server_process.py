"""The server as a process of its own, for tests that stop and kill it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tornado_board.checked_settings import FIELDS
from tornado_board.command_line import PREFIX

from .ports import free_port
from .waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[1]


def clean_environ() -> dict[str, str]:
    """This process's environment without anything that a server takes for a setting."""
    bare = {name.upper() for name in FIELDS}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in bare and not name.startswith(PREFIX)
    }


class ServerProcess:
    """``python run.py`` in a folder of its own, with SQLite unless `flags` say otherwise."""

    #: What is run, with the flags behind it.
    program: tuple[str, ...] = (str(ROOT / "run.py"),)
    #: What the command is an argument of, and descriptors that it inherits.
    wrapper: tuple[str, ...] = ()
    pass_fds: tuple[int, ...] = ()

    def __init__(self, folder: Path, *flags: str, port: int = 0, **environ: str) -> None:
        self.folder = folder
        self.flags = flags
        self.port = port or free_port()
        self.environ = environ
        self.output: list[str] = []
        self._start()

    def _start(self) -> None:
        self.process = subprocess.Popen(
            [
                *self.wrapper,
                sys.executable,
                *self.program,
                f"--port={self.port}",
                "--address=127.0.0.1",
                *self.flags,
            ],
            cwd=self.folder,
            env={**clean_environ(), "PYTHONPATH": str(ROOT), **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            pass_fds=self.pass_fds,
        )
        self._started = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            match = re.search(r"tornado_board serves https?://[^/]*:(\d+)/", line)
            if match:
                self.port = int(match[1])
            if line.startswith("  Ctrl-C"):
                self._started.set()
        self._started.set()

    @property
    def text(self) -> str:
        """Everything it has printed."""
        return "".join(self.output)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_serving(self, seconds: float = 2 * PATIENCE) -> ServerProcess:
        assert self._started.wait(seconds), f"not serving after {seconds} s:\n{self.text}"
        assert self.process.poll() is None, f"it ended:\n{self.text}"
        return self

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for its end; its exit code."""
        code = self.process.wait(seconds)
        self._reader.join(5)
        return code

    def kill(self) -> None:
        """``kill -9``"""
        self.process.kill()
        self.wait()

    def stop(self, number: int = signal.SIGTERM, seconds: float = PATIENCE) -> float:
        """Signal it to stop and wait for its end; how many seconds that took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.wait(seconds)
        return time.monotonic() - began

    def restart(self) -> ServerProcess:
        """Start it again, on the same port; it has ended before."""
        self._start()
        return self.wait_until_serving()
