"""Errors as clients see them: ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping

import tornado.web
import ujson

from tornado_board.realtime.hub import LimitReached
from tornado_board.replay import LogUnavailable
from tornado_board.store import (
    AlreadyExists,
    HasPlayers,
    Invalid,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    OutOfRange,
    StoreUnavailable,
)
from tornado_board.upstream import (
    LoopFound,
    NotPublic,
    UpstreamBroke,
    UpstreamBusy,
    UpstreamLate,
    UpstreamRefused,
    UpstreamUnreachable,
)

CONTENT_TYPE = "application/problem+json; charset=utf-8"

#: Seconds after which a client that was answered 429 or 503 may try again.
RETRY_AFTER = 2

#: How what the rooms behind this one raise is told.
STATUSES: dict[type[Exception], int] = {
    NotFound: 404,
    AlreadyExists: 409,
    HasPlayers: 409,
    OutOfRange: 422,
    Invalid: 422,
    KeyReused: 422,
    StoreUnavailable: 503,
    OutcomeUnknown: 503,
    LogUnavailable: 503,
    LimitReached: 503,
    UpstreamUnreachable: 502,
    UpstreamBroke: 502,
    UpstreamRefused: 502,
    UpstreamBusy: 503,
    UpstreamLate: 504,
    LoopFound: 508,
    NotPublic: 503,
}

_TITLES = {
    413: "Content Too Large",  # as RFC 9110 calls them; http.client has older names
    422: "Unprocessable Content",
}

_DETAILS = {
    # Tornado's own, of a form that it can't take apart
    400: "The body is not the form that its Content-Type says; send it as application/json.",
    403: "A browser may change boards only from this server's own pages or from an origin named "
    "in the server's allowed_origins setting.",
    404: "There is nothing here; the boards are at /boards/.",
    500: "The server made a mistake; its log says more. The change may have been made or not.",
}


class Problem(tornado.web.HTTPError):
    """Ends a request with `status` and a `detail` that says what to do.

    `headers` are added to the answer; 429 and 503 get a ``Retry-After`` of their own.
    """

    def __init__(
        self, status: int, detail: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status)
        self.detail = detail or _DETAILS.get(status, title(status))
        self.headers = dict(headers or {})
        if status in (429, 503):
            self.headers.setdefault("Retry-After", str(RETRY_AFTER))

    def __str__(self) -> str:
        return f"{self.status_code} {title(self.status_code)}: {self.detail}"

    def json(self) -> str:
        """The body of the answer, with a line end behind it."""
        text: str = ujson.dumps(
            {
                "type": "about:blank",
                "title": title(self.status_code),
                "status": self.status_code,
                "detail": self.detail,
            },
            ensure_ascii=False,
            escape_forward_slashes=False,
        )
        return text + "\n"

    def response(self, cors: Iterable[tuple[str, str]] = (), *, body: bool = True) -> bytes:
        """A whole HTTP/1.1 response that closes the connection, for where no handler runs.

        `cors` are the fields that tell a browser which pages may read it. Without `body` it is the
        answer to HEAD.
        """
        content = self.json().encode()
        headers = {
            "Content-Type": CONTENT_TYPE,
            "Content-Length": str(len(content)),
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status_code} {title(self.status_code)}"]
        lines += [f"{name}: {value}" for name, value in (*headers.items(), *cors)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (content if body else b"")


def title(status: int) -> str:
    """What a status is called, the title of a problem of type ``about:blank``."""
    return _TITLES.get(status) or http.client.responses.get(status, "Unknown")


def problem_of(error: BaseException | None, status: int) -> Problem:
    """How a client is told of `error`; `status` is what Tornado would answer."""
    if isinstance(error, Problem):
        return error
    for kind, mapped in STATUSES.items():
        if isinstance(error, kind):
            return Problem(mapped, str(error))
    if isinstance(error, tornado.web.HTTPError):
        status = error.status_code
    return Problem(status)
