"""Waiting for what becomes true by itself."""

from __future__ import annotations

import asyncio
import inspect
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

#: Seconds within which whatever has to happen does, also on a busy machine. Only a test that fails
#: waits that long. The limit of a whole test is in setup.cfg, and is a multiple of this, so that
#: it is the wait that fails and says what it saw.
PATIENCE = 60.0

#: Characters of each value that a failure shows.
_SHOWN = 1000


async def until(condition: Callable[..., object], seconds: float = PATIENCE) -> float:
    """Wait until `condition` holds; how many seconds that took.

    Raises AssertionError after `seconds`, with what `condition` looks at.
    """
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {_seen(condition)}"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


def until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when `port` of 127.0.0.1 takes connections, which `process` is to listen on.

    Raises AssertionError, with what it wrote to its stderr, if that is a pipe, where it ends.
    """
    began = time.monotonic()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() - began < PATIENCE, f"nothing listens on {port}"
            time.sleep(0.02)


def _seen(condition: Callable[..., object]) -> str:
    """Where `condition` stands, and the values of the names that it has from around it."""
    if not inspect.isfunction(condition):
        return repr(condition)
    names = {
        **inspect.getclosurevars(condition).nonlocals,
        **{
            name: parameter.default
            for name, parameter in inspect.signature(condition).parameters.items()
        },
    }
    code = condition.__code__
    values = "".join(f"\n  {name} = {repr(value)[:_SHOWN]}" for name, value in names.items())
    return f"{Path(code.co_filename).name}, line {code.co_firstlineno}{values}"
