"""A log line a request: method, path, status, time and the client's address."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tornado.web

logger = logging.getLogger("tornado_board.access")

#: Asked every few seconds by whatever watches the process; logged only when they fail.
_HEALTH_CHECKS = frozenset({"/healthz", "/healthz/", "/readyz", "/readyz/"})

#: How much of a path is logged.
_PATH_LENGTH = 200


def log_request(handler: tornado.web.RequestHandler) -> None:
    """Log an answered request; Tornado's ``log_function``."""
    status = handler.get_status()
    request = handler.request
    if status >= 500 and status != 503:
        level = logging.ERROR
    elif status == 503:
        level = logging.WARNING
    elif getattr(handler, "client_gone", False) or request.path in _HEALTH_CHECKS:
        level = logging.DEBUG
    else:
        level = logging.INFO
    logger.log(
        level,
        "%s %s %d %.1fms %s",
        request.method,
        _printable(request.path),
        status,
        1000 * request.request_time(),
        request.remote_ip,
    )


def log_stream_started(path: str, address: str | None, kind: str = "stream") -> None:
    """Log that an event stream, or another `kind` of connection, was opened; it has no other
    line."""
    logger.info("GET %s %s %s", _printable(path), kind, address)


def _printable(path: str) -> str:
    """`path`, shortened, without anything that could forge a log line or move a cursor."""
    if len(path) > _PATH_LENGTH:
        path = path[:_PATH_LENGTH] + "..."
    return path if path.isascii() and path.isprintable() else ascii(path)
