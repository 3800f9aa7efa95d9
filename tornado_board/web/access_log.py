"""A log line a request: method, path, status, time and the client's address.

The lines of what went well are written together, a few times a second: one by one they cost as much
as the rest of a request. What went wrong is written at once, behind those that came before it.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import tornado.web

logger = logging.getLogger("tornado_board.access")

#: Asked every few seconds by whatever watches the process; logged only when they fail.
_HEALTH_CHECKS = frozenset({"/healthz", "/healthz/", "/readyz", "/readyz/"})

#: How much of a path is logged.
_PATH_LENGTH = 200

#: Seconds that a line waits at the most for others, and how many wait.
_WAIT = 0.1
_MOST_WAITING = 1_000

_ANSWER = "%s %s %d %.1fms %s"
_STREAM = "GET %s stream %s"


class _Line(NamedTuple):
    created: float
    level: int
    message: str
    arguments: tuple[object, ...]


_waiting: list[_Line] = []


def flush() -> None:
    """Write what waits. To be called at a stop, so that nothing is lost."""
    if not _waiting:
        return
    lines = _waiting.copy()
    _waiting.clear()
    handler = _only_handler()
    if handler is not None:
        handler.write(lines)
        return
    for created, level, message, arguments in lines:
        record = logger.makeRecord(logger.name, level, __file__, 0, message, arguments, None)
        record.__dict__.update(created=created, msecs=created % 1 * 1000)
        logger.handle(record)


atexit.register(flush)


class Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes records to stderr, and with each those lines that were still waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        flush()
        super().emit(record)

    def write(self, lines: list[_Line]) -> None:
        """Write `lines` as `emit` would write each, but at once."""
        text = "".join(
            f"{_second(int(created))},{int(created % 1 * 1000):03d} {logging.getLevelName(level)} "
            f"{logger.name}: {message % arguments}\n"
            for created, level, message, arguments in lines
        )
        with self.lock:  # type: ignore[union-attr]
            try:
                self.stream.write(text)
                self.flush()
            except OSError:
                pass  # as `emit` would, once it has said so on the same stream


def log_request(handler: tornado.web.RequestHandler) -> None:
    """Log an answered request; Tornado's ``log_function``."""
    request = handler.request
    log_answer(
        request.method or "",
        request.path,
        handler.get_status(),
        request.request_time(),
        request.remote_ip,
        quiet=getattr(handler, "client_gone", False),
    )


def log_answer(
    method: str, path: str, status: int, seconds: float, address: str | None, *, quiet: bool
) -> None:
    """Log an answered request; `quiet`: the client did not wait for it."""
    arguments = (method, _printable(path), status, 1000 * seconds, address)
    if status >= 500:
        flush()
        logger.log(logging.WARNING if status == 503 else logging.ERROR, _ANSWER, *arguments)
    elif quiet or path in _HEALTH_CHECKS:
        _add(logging.DEBUG, _ANSWER, arguments)
    else:
        _add(logging.INFO, _ANSWER, arguments)


def log_stream_started(path: str, address: str | None) -> None:
    """Log that an event stream was opened; it has no other line."""
    _add(logging.INFO, _STREAM, (_printable(path), address))


def _add(level: int, message: str, arguments: tuple[object, ...]) -> None:
    if not logger.isEnabledFor(level):
        return
    _waiting.append(_Line(time.time(), level, message, arguments))
    if len(_waiting) == 1:
        asyncio.get_running_loop().call_later(_WAIT, flush)
    elif len(_waiting) >= _MOST_WAITING:
        flush()


def _only_handler() -> Handler | None:
    """The handler of the access log's lines if that is one of this module's, and nobody else wants
    to see them."""
    found: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        if current.filters:
            return None
        found += current.handlers
        current = current.parent if current.propagate else None
    if len(found) == 1 and isinstance(found[0], Handler) and not found[0].filters:
        return found[0]
    return None


@functools.lru_cache(maxsize=2)
def _second(now: int) -> str:
    return time.strftime(logging.Formatter.default_time_format, time.localtime(now))


def _printable(path: str) -> str:
    """`path`, shortened, without anything that could forge a log line or move a cursor."""
    if len(path) > _PATH_LENGTH:
        path = path[:_PATH_LENGTH] + "..."
    return path if path.isascii() and path.isprintable() else ascii(path)
