"""The bytes of an `Answer`, as Tornado would send it for a `Handler`."""

from __future__ import annotations

import functools
import hashlib
import http.client
import time
from email.utils import formatdate

import tornado.httputil

from tornado_board.web.exchange import Answer

#: Longer bodies are hashed anew each time, so that they are not kept for it.
_KEPT_BODY = 16_384


def rendered(
    answer: Answer,
    cors: tuple[tuple[str, str], ...],
    *,
    get: bool,
    closing: bool,
    if_none_match: str = "",
) -> tuple[int, bytes]:
    """The status and the whole response; `cors` are its CORS fields.

    `get`: the request is a GET, and an answer of 200 has an ETag. `closing`: the connection ends
    with it. `if_none_match` is such an ETag, or empty.
    """
    status, body, content_type, fields = answer
    etag = _etag(body) if get and status == 200 else ""
    if etag and if_none_match.removeprefix("W/") == etag:
        status, body, content_type = 304, b"", ""
    before, after = _head(status, content_type, fields, cors)
    parts = [before, _date(int(time.time())), after]
    if etag:
        parts.append(b"Etag: %b\r\n" % etag.encode())
    if status != 304:
        parts.append(b"Content-Length: %d\r\n" % len(body))
    parts.append(b"Connection: close\r\n\r\n" if closing else b"\r\n")
    parts.append(body)
    return status, b"".join(parts)


@functools.lru_cache(maxsize=256)
def _head(
    status: int,
    content_type: str,
    fields: tuple[tuple[str, str], ...],
    cors: tuple[tuple[str, str], ...],
) -> tuple[bytes, bytes]:
    """What stands before the date, and what after it."""
    reason = http.client.responses.get(status, "Unknown")
    before = f"HTTP/1.1 {status} {reason}\r\n"
    if content_type:
        before += f"Content-Type: {content_type}\r\n"
    headers = tornado.httputil.HTTPHeaders({"X-Content-Type-Options": "nosniff"})
    for name, value in cors:
        headers.add(name, value)
    for name, value in fields:
        if name == "Vary":
            headers.add(name, value)
        else:
            headers[name] = value
    after = "".join(f"{name}: {value}\r\n" for name, value in headers.get_all())
    return (before + "Date: ").encode("latin-1"), ("\r\n" + after).encode("latin-1")


@functools.lru_cache(maxsize=2)
def _date(now: int) -> bytes:
    return formatdate(now, usegmt=True).encode()


def _etag(body: bytes) -> str:
    return _hashed(body) if len(body) <= _KEPT_BODY else _hash(body)


def _hash(body: bytes) -> str:
    return f'"{hashlib.sha1(body).hexdigest()}"'


_hashed = functools.lru_cache(maxsize=64)(_hash)
