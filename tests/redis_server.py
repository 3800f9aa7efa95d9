"""A real redis-server of a test's own: on a free port, in a folder of its own, killable."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from .ports import free_port

_DOCS = Path(__file__).parent.parent / "docs" / "redis.md"


def least_rights() -> list[str]:
    """The words of the ``user`` line in the docs, which every test's connections have."""
    found = re.search(r"```acl\n(user .*?)```", _DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    return found[1].split()


class RedisServer:
    """`start` it as often as `kill` or `stop` ended it; the port and the folder stay the same."""

    def __init__(self, folder: Path, *options: str) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
        self.folder = folder
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        #: With the least rights that do; the client has all of them.
        self.url = f"redis://board:secret@127.0.0.1:{self.port}/0"
        #: A blocking client for what a test does to the server behind the code's back.
        self.client: Any = redis.Redis(port=self.port, decode_responses=True, protocol=2)

    def start(self) -> RedisServer:
        """Returns once it answers."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        user, *rights = least_rights()
        command += [f"--{user}", *rights, "+select"]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--dir", str(self.folder), *self.options], stdout=log, stderr=log
            )
        while self.process.poll() is None:
            try:
                self.client.ping()
                return self
            except redis.ConnectionError:
                time.sleep(0.05)
        text = (self.folder / "redis.log").read_text("utf-8", "replace")
        raise RuntimeError(f"redis-server did not start: {text[-1000:]}")

    def key(self, pattern: str) -> str:
        """The name of the key that `pattern` fits; "" if there is none."""
        return next(iter(self.client.scan_iter(pattern)), "")

    def lease_pid(self) -> int:
        """The id of the process that holds the lease; 0 if none does."""
        token = str(self.client.get(self.key("*:lease")) or "")
        return int(token.split(":")[2]) if token else 0

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it answer nothing, and accept connections all the same."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        self.client.close()
        self.kill()
