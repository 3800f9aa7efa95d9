"""Runs a RethinkDB server for tests, in a folder of its own on free ports."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from .ports import free_port

#: The server's program; ``None`` where it is not installed.
PROGRAM = shutil.which("rethinkdb")

#: Seconds that a start may take on a busy machine.
START_TIMEOUT = 120


class RethinkDBServer:
    """A server process that can be killed, stopped and started again; its data stay.

    Args:
        folder: where it keeps its data and its log.
        cache_size: in MB.
        name: what the cluster calls it.
        options: further ones of the command line.
        host: where its clients reach it.
        namespace: the network namespace that it runs in.
    """

    def __init__(
        self,
        folder: Path,
        cache_size: int = 256,
        name: str = "one",
        *,
        options: Sequence[str] = (),
        host: str = "127.0.0.1",
        namespace: str = "",
    ) -> None:
        assert PROGRAM is not None
        self._folder = folder
        self.name = name
        self.host = host
        self.port, self.cluster_port = free_port(), free_port()
        self._command = [
            *(("ip", "netns", "exec", namespace) if namespace else ()),
            PROGRAM,
            *("--directory", str(folder / "data")),
            *("--log-file", str(folder / "log")),
            *("--driver-port", str(self.port)),
            *("--cluster-port", str(self.cluster_port)),
            *("--server-name", name, "--server-tag", name),
            *("--bind", "127.0.0.1"),
            *("--cache-size", str(cache_size)),
            "--no-http-admin",
            "--no-update-check",
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def join(self, others: Iterable[RethinkDBServer]) -> None:
        """Make it one of a cluster, before it is started. It waits for the first of `others`."""
        for other in others:
            self._command += ["--join", f"127.0.0.1:{other.cluster_port}"]

    def url(self, database: str, user: str = "") -> str:
        return f"rethinkdb://{user}{self.host}:{self.port}/{database}"

    def start(self, wait: float = START_TIMEOUT) -> None:
        """Start it, and return when it takes connections; `wait=0` returns at once."""
        with open(self._folder / "output", "ab") as output:
            self._process = subprocess.Popen(
                self._command, stdout=output, stderr=output, cwd=self._folder
            )
        if wait:
            self.await_connections(wait)

    def await_connections(self, wait: float = START_TIMEOUT) -> None:
        """Return when it takes connections."""
        assert self._process is not None
        deadline = time.monotonic() + wait
        while True:
            try:
                socket.create_connection((self.host, self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    output_text = (self._folder / "output").read_text()[-2000:]
                    self.kill()
                    raise RuntimeError(f"rethinkdb does not come up:\n{output_text}") from None
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, for instance `signal.SIGSTOP`."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """``kill -9``, also if it is stopped or dead."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
