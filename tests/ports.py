"""Ports for servers that are told theirs, and come back on it after they were killed."""

from __future__ import annotations

import itertools
import os
import random
import socket

#: Below those that the system gives to connections, and to sockets that ask for any: between the
#: end of one server and the start of the next nobody else gets a port of these.
_FIRST, _END = 12_000, 32_000

#: As many processes of one run of the tests take ports; each has a range of its own.
_PROCESSES = 16


def _range() -> range:
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
    length = (_END - _FIRST) // _PROCESSES
    return range(_FIRST + worker * length, _FIRST + (worker + 1) * length)


_MINE = _range()

# Another run of the tests on this machine begins elsewhere.
_candidates = itertools.cycle(_MINE)
for _ in range(random.SystemRandom().randrange(len(_MINE))):
    next(_candidates)


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on, and that this process was not given lately."""
    for port in itertools.islice(_candidates, len(_MINE)):
        with socket.socket() as trial:
            # As servers do, which is why connections that linger on it are no hindrance.
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no port is free")
