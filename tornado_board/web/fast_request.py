"""A plain request of HTTP/1.1, read from bytes that have all arrived.

Whatever is not plainly right, or asks for something out of the ordinary, is no plain request, and
left to Tornado. What is one, Tornado would read in the same way: tests compare the two.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from typing import Any

import httptools

#: The longest request that is looked at, in bytes.
MOST = 8_192

#: The longest head, in bytes, that is not parsed again when it comes again, as it does over a
#: connection that stays open; and how many such are kept.
_KEPT_HEAD, _KEPT_HEADS = 1_024, 512

#: Parameters of a query.
_MOST_PARAMETERS = 8

_END = b"\r\n\r\n"

#: Bytes that a header can have: those that are seen, blanks, those beyond ASCII, line ends.
_IN_HEADERS = bytes(i for i in range(256) if i in (0x09, 0x0A, 0x0D) or (i >= 0x20 and i != 0x7F))

#: Fields that ask for more than a plain answer, or for which there is more to do than here.
_SPECIAL = frozenset(
    (
        *(b"transfer-encoding", b"expect", b"upgrade", b"content-encoding", b"trailer"),
        *(b"idempotency-key", b"http2-settings", b"x-scheme"),
    )
)

#: What may make a target mean something else than it says.
_ESCAPES = ("%", "+", "#", ";", "\\")

_METHODS = (b"GET", b"POST")


class Head:
    """What stands before a body. Requests that come again share it: nothing in it is changed, but
    for `plan`."""

    __slots__ = ("closing", "fields", "length", "method", "path", "plan", "query")

    def __init__(
        self,
        method: str,
        path: str,
        fields: Mapping[bytes, bytes],
        query: Mapping[str, str],
        length: int,
    ) -> None:
        self.method = method
        self.path = path
        #: By names in lower case; none is there twice.
        self.fields = fields
        #: None of its parameters is escaped, or there twice.
        self.query = query
        #: Bytes of the body.
        self.length = length
        #: Whether the client wants the connection to end with the answer.
        self.closing = fields.get(b"connection", b"").lower() == b"close"
        #: What a server makes of it, which finds it here when it comes again.
        self.plan: object = None

    def find(self, name: bytes) -> str | None:
        """The field of that name in lower case."""
        value = self.fields.get(name)
        return None if value is None else value.decode("latin-1")


class PlainRequest:
    """A request: its head, the parts of that, and its body."""

    __slots__ = ("body", "closing", "fields", "head", "length", "method", "query", "started")

    def __init__(self, head: Head, body: bytes, length: int) -> None:
        self.head = head
        self.method = head.method
        self.fields = head.fields
        self.query = head.query
        self.closing = head.closing
        self.body = body
        #: How many bytes of the connection it is.
        self.length = length
        self.started = time.time()

    def get(self, name: str, default: str) -> str:
        """The field `name`, or `default` where it is not there."""
        value = self.fields.get(_key(name))
        return default if value is None else value.decode("latin-1")


@functools.lru_cache(maxsize=64)
def _key(name: str) -> bytes:
    return name.lower().encode()


def read(data: bytes) -> PlainRequest | None:
    """The request that `data` begins with, if that is a plain one and has all arrived."""
    end = data.find(_END)
    if end < 0 or not data.startswith(_METHODS):
        return None
    end += len(_END)
    head = _known_head(data[:end]) if end <= _KEPT_HEAD else _read_head(data[:end])
    if head is None:
        return None
    body = data[end : end + head.length]
    if len(body) < head.length:
        return None
    return PlainRequest(head, body, end + head.length)


def _read_head(head: bytes) -> Head | None:
    lines = head.count(b"\n")
    if head.count(b"\r\n") != lines or head.count(b"\r") != lines:
        return None
    if head.translate(None, _IN_HEADERS):
        return None
    raw: dict[bytes, bytes] = {}
    message = _Message(raw)
    parser = httptools.HttpRequestParser(message)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    if parser.get_http_version() != "1.1":
        return None
    fields = {name.lower(): value.strip(b" \t") for name, value in raw.items()}
    # One line is the request's, and the last is empty.
    if len(fields) != lines - 2 or b"host" not in fields or not _SPECIAL.isdisjoint(fields):
        return None
    method: bytes = parser.get_method()
    length = _body_length(fields)
    if method not in _METHODS or length is None or (length == 0) is not message.complete:
        return None
    if method == b"GET" and b"content-length" in fields:
        return None
    target = message.target
    if not target.startswith("/") or not target.isascii():
        return None
    if not head.startswith(b"%b %b HTTP/1.1\r\n" % (method, target.encode())):
        return None  # the parser takes several blanks for one
    for escape in _ESCAPES:  # five searches in C are quicker than a look at each character
        if escape in target:
            return None
    path, _, text = target.partition("?")
    # As none is escaped, this is all that urllib.parse.parse_qsl does.
    pieces = [piece for piece in text.split("&") if piece]
    query = {name: value for name, _, value in (piece.partition("=") for piece in pieces)}
    if len(query) < len(pieces) or len(pieces) > _MOST_PARAMETERS:
        return None
    return Head(method.decode(), path, fields, query, length)


_known_head = functools.lru_cache(maxsize=_KEPT_HEADS)(_read_head)


def _body_length(fields: dict[bytes, bytes]) -> int | None:
    text = fields.get(b"content-length", b"0")
    if not 1 <= len(text) <= 5 or not text.isdigit():
        return None
    return int(text)


class _Message:
    """What the parser tells of a request."""

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        # As it is called for each field, this is a call of C from C.
        self.on_header: Any = fields.__setitem__
        self.target = ""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url.decode("latin-1")

    def on_message_complete(self) -> None:
        self.complete = True
