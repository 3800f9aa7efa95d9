"""Several server processes on one port: bound before the fork, restarted when they die.

Each process has a listening socket of its own, all on the same port (``SO_REUSEPORT``): the kernel
spreads connections over them by a hash of their addresses, evenly however long they last. Were one
socket shared, whoever wakes up first would accept all that waits, and streams stay where they are
accepted. The supervisor keeps every socket open too. So when a process dies, connections that it
had not accepted yet are not reset, but wait in its socket's queue for its successor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import tornado.netutil

logger = logging.getLogger(__name__)

#: A process that dies sooner than this, in seconds, is restarted after a wait that doubles each
#: time, within these bounds; so is one that dies later, after the shortest wait.
_QUICK = 5.0
_BACKOFF = (0.1, 5.0)

_STOPS = (signal.SIGTERM, signal.SIGINT)

#: How often, in seconds, the supervisor looks after its processes if no signal makes it.
_LOOK = 0.5


def bind(address: str, port: int, count: int, backlog: int) -> list[list[socket.socket]]:
    """The listening sockets of `count` processes on one port, a free one if `port` is 0.

    Raises `OSError` if the port is in use.
    """
    # With SO_REUSEPORT alone a second server would share the port of the first one unnoticed.
    probe = tornado.netutil.bind_sockets(port, address, backlog=1)
    port = probe[0].getsockname()[1]
    for sock in probe:
        sock.close()
    return [
        tornado.netutil.bind_sockets(port, address, backlog=backlog, reuse_port=True)
        for _ in range(count)
    ]


@dataclass
class _Child:
    """One of the processes."""

    pid: int = 0
    started: float = 0.0
    wait: float = _BACKOFF[0]
    #: When it is to be started; ``inf`` while it runs.
    due: float = 0.0


def supervise(
    count: int, child: Callable[[int, Callable[[], None]], int], *, stop_timeout: float
) -> int:
    """Keep `count` processes running until SIGTERM or SIGINT; the exit code.

    Each calls ``child(index, ready)`` with an index from 0 and ends with the exit code that this
    returns. It is to call ``ready()`` once it serves, and to stop at SIGTERM within `stop_timeout`
    seconds; then it is killed. A process that can't even start ends the whole: where none has
    served yet, a failure is the settings' or the surroundings' and would only repeat itself.

    To be called before there are threads or an event loop.
    """
    return _Supervisor(count, child, stop_timeout).run()


class _Supervisor:
    def __init__(
        self, count: int, child: Callable[[int, Callable[[], None]], int], stop_timeout: float
    ) -> None:
        self._child = child
        self._stop_timeout = stop_timeout
        self._children = [_Child() for _ in range(count)]
        self._served = False
        self._stopping = False
        self._kill_at = float("inf")
        self._code = 0
        # Its other end closes with the supervisor, however that ends: then the processes stop.
        self._alive, self._alive_here = os.pipe()
        # Has something in it from when the first process served.
        self._ready, self._ready_there = os.pipe()
        os.set_blocking(self._ready_there, False)

    def run(self) -> int:
        watched = {signal.SIGCHLD, *_STOPS}
        before = signal.pthread_sigmask(signal.SIG_BLOCK, watched)
        try:
            while not self._stopping or self._running():
                now = time.monotonic()
                if not self._stopping:
                    for index, child in enumerate(self._children):
                        if child.due <= now:
                            self._start(index, child, before)
                elif now >= self._kill_at:
                    self._kill()
                due = min(child.due for child in self._children)
                wait = _LOOK if self._stopping else max(0.0, min(_LOOK, due - now))
                received = signal.sigtimedwait(watched, wait)
                if received is not None and received.si_signo in _STOPS:
                    self._stop()
                self._reap()
            return self._code
        finally:
            for fd in (self._alive, self._alive_here, self._ready, self._ready_there):
                os.close(fd)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _running(self) -> list[_Child]:
        return [child for child in self._children if child.pid]

    def _start(self, index: int, child: _Child, mask: Iterable[int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                # A terminal's Ctrl-C is the supervisor's to pass on, once.
                os.setpgid(0, 0)
                os.close(self._alive_here)
                os.close(self._ready)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                threading.Thread(target=_end_with, args=(self._alive,), daemon=True).start()
                code = self._child(index, self._say_ready)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
            finally:
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(code)
        child.pid, child.started, child.due = pid, time.monotonic(), float("inf")

    def _say_ready(self) -> None:
        """Called in a child."""
        with contextlib.suppress(BlockingIOError):  # full after tens of thousands of restarts
            os.write(self._ready_there, b".")

    def _reap(self) -> None:
        for child in self._running():
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                child.pid = 0
                self._ended(child, pid, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, pid: int, code: int) -> None:
        if self._stopping:
            # Stopped before it could see to stopping by itself, it has no other way to end.
            if code != -signal.SIGTERM:
                self._code = self._code or abs(code)
            return
        self._served = self._served or bool(select.select([self._ready], [], [], 0)[0])
        if not self._served and code > 0:
            self._code = code
            self._stop()
            return
        now = time.monotonic()
        if now - child.started >= _QUICK:
            child.wait = _BACKOFF[0]
        logger.error(
            "process %d %s; another is started in %.1f s",
            pid,
            f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}",
            child.wait,
        )
        child.due = now + child.wait
        child.wait = min(child.wait * 2, _BACKOFF[1])

    def _stop(self) -> None:
        """Have every process stop."""
        if not self._stopping:
            self._stopping = True
            self._kill_at = time.monotonic() + self._stop_timeout
            for child in self._running():
                os.kill(child.pid, signal.SIGTERM)

    def _kill(self) -> None:
        """End those that were to stop and have not."""
        self._kill_at = float("inf")
        self._code = 1
        for child in self._running():
            logger.error("process %d did not stop in time and is killed", child.pid)
            os.kill(child.pid, signal.SIGKILL)


def _end_with(supervisor: int) -> None:
    """Stop this process when the pipe from its supervisor closes."""
    with contextlib.suppress(OSError):
        os.read(supervisor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
