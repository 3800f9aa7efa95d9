"""A program for the tests of `tornado_board.processes`: small servers that tell their pid.

``python -m tests.supervised PORT COUNT MODE``. A request is a line: ``pid`` is answered, ``die``
ends the process, ``sleep`` keeps it from accepting for a while.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

from tornado_board.processes import bind, supervise


def main(port: int, count: int, mode: str) -> int:
    logging.basicConfig(level="INFO")
    groups = bind("127.0.0.1", port, count, 128)
    print(groups[0][0].getsockname()[1], flush=True)

    def serve(index: int, ready: Callable[[], None]) -> int:
        if mode == "fails":
            return 3
        if mode == "stubborn":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        else:
            signal.signal(signal.SIGTERM, _stop)
        ready()
        if mode == "crashes":
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        sock = groups[index][0]
        sock.setblocking(True)
        while True:
            connection = sock.accept()[0]
            _answer(connection)

    return supervise(count, serve, stop_timeout=1)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)


def _answer(connection: socket.socket) -> None:
    with connection:
        request = connection.recv(100).strip()
        if request == b"die":
            os._exit(9)
        connection.sendall(b"%d\n" % os.getpid())
        if request == b"sleep":
            time.sleep(1)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
