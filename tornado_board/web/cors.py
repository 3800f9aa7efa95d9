"""What pages of other sites may do (CORS; the Fetch Standard, "CORS protocol")."""

from __future__ import annotations

from collections.abc import Sequence

ALLOWED_ORIGIN = "Access-Control-Allow-Origin"
ALLOWED_CREDENTIALS = "Access-Control-Allow-Credentials"

#: What pages of other origins may send, and what their scripts may read, beyond what a browser
#: always lets them.
REQUEST_HEADERS = (
    "Authorization, Cache-Control, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, "
    "X-Requested-With"
)
_RESPONSE_HEADERS = (
    "ETag, Idempotency-Replayed, Last-Event-ID, Link, Location, Retry-After, WWW-Authenticate"
)


def cors_headers(allowed: Sequence[str], origin: str | None) -> tuple[tuple[str, str], ...]:
    """The CORS fields of a response to a page of `origin` (the ``Origin`` header).

    `allowed` are the origins that may read it, ``*`` for any. An origin that is named may send
    credentials (cookies, HTTP authentication); with ``*`` no origin may. See the Fetch Standard,
    "HTTP responses" of the CORS protocol.
    """
    if not allowed:
        return ()
    exposed = ("Access-Control-Expose-Headers", _RESPONSE_HEADERS)
    if origin is not None and origin != "*" and origin in allowed:
        return (
            ("Vary", "Origin"),
            (ALLOWED_ORIGIN, origin),
            (ALLOWED_CREDENTIALS, "true"),
            exposed,
        )
    vary = () if len(allowed) == 1 and "*" in allowed else (("Vary", "Origin"),)
    return (*vary, (ALLOWED_ORIGIN, "*"), exposed) if "*" in allowed else vary
