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
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import ujson

if TYPE_CHECKING:
    import tornado.web

logger = logging.getLogger("tornado_board.access")

#: Asked every few seconds by whatever watches the process; logged only when they fail.
_HEALTH_CHECKS = frozenset(
    {"/healthz", "/healthz/", "/readyz", "/readyz/", "/metrics", "/metrics/"}
)

#: How much of a path is logged.
_PATH_LENGTH = 200

#: Seconds that a line waits at the most for others, and how many wait.
_WAIT = 0.1
_MOST_WAITING = 1_000

_ANSWER = "%s %s %d %.1fms %s"
_STREAM = "GET %s %s %s"


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
    """Writes records to stderr, and with each those lines that were still waiting; as `json` each
    is an object on a line of its own."""

    def __init__(self, *, json: bool = False) -> None:
        super().__init__()
        self._json = json
        text = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self.setFormatter(_JSONFormatter() if json else text)

    def emit(self, record: logging.LogRecord) -> None:
        flush()
        super().emit(record)

    def write(self, lines: list[_Line]) -> None:
        """Write `lines` as `emit` would write each, but at once."""
        text = "".join(map(_json_line if self._json else _text_line, lines))
        with self.lock:  # type: ignore[union-attr]
            try:
                self.stream.write(text)
                self.flush()
            except OSError:
                pass  # as `emit` would, once it has said so on the same stream


class _JSONFormatter(logging.Formatter):
    """A record of any logger as a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {}
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        if isinstance(record.args, tuple) and record.name == logger.name:
            fields |= _fields(str(record.msg), record.args)
        else:
            fields["message"] = record.getMessage()
        return _as_json(record.created, record.levelno, record.name, fields)


def _text_line(line: _Line) -> str:
    """As the formatter of `Handler` would write it."""
    created, level, message, arguments = line
    return (
        f"{_second(int(created))},{int(created % 1 * 1000):03d} {logging.getLevelName(level)} "
        f"{logger.name}: {message % arguments}\n"
    )


def _json_line(line: _Line) -> str:
    fields = _fields(line.message, line.arguments)
    return _as_json(line.created, line.level, logger.name, fields) + "\n"


def _fields(message: str, arguments: tuple[object, ...]) -> dict[str, object]:
    """What an access line says, by name."""
    if message is _STREAM:
        path, kind, address = arguments
        return {"method": "GET", "path": path, "kind": kind, "address": address}
    method, path, status, milliseconds, address = arguments
    assert isinstance(milliseconds, float)
    return {
        "method": method,
        "path": path,
        "status": status,
        "ms": round(milliseconds, 1),
        "address": address,
    }


def _as_json(created: float, level: int, name: str, fields: Mapping[str, object]) -> str:
    known = {
        "time": f"{_utc_second(int(created))}.{int(created % 1 * 1000):03d}Z",
        "level": logging.getLevelName(level),
        "logger": name,
    }
    text: str = ujson.dumps({**known, **fields}, ensure_ascii=True, escape_forward_slashes=False)
    return text


def log_request(handler: tornado.web.RequestHandler) -> None:
    """Log an answered request, and have its handler count it; Tornado's ``log_function``."""
    request = handler.request
    if (count := getattr(handler, "count", None)) is not None:
        count(handler.get_status())
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


def log_stream_started(path: str, address: str | None, kind: str = "stream") -> None:
    """Log that an event stream, or another `kind` of connection, was opened; it has no other
    line."""
    _add(logging.INFO, _STREAM, (_printable(path), kind, address))


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
def _utc_second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


@functools.lru_cache(maxsize=2)
def _second(now: int) -> str:
    return time.strftime(logging.Formatter.default_time_format, time.localtime(now))


def _printable(path: str) -> str:
    """`path`, shortened, without anything that could forge a log line or move a cursor."""
    if len(path) > _PATH_LENGTH:
        path = path[:_PATH_LENGTH] + "..."
    return path if path.isascii() and path.isprintable() else ascii(path)
