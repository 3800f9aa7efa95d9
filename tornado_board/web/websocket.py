"""The handshake of a WebSocket (RFC 6455, section 4.2) on the paths of event streams.

Tornado computes what is answered. Its handler for WebSockets is not used: it has a buffer without a
bound, and a task, for each client, where a client here is a `Subscriber` like any other.
"""

from __future__ import annotations

import base64
import binascii
import urllib.parse

import tornado.web
from tornado.websocket import WebSocketProtocol13

from tornado_board.web.problems import Problem

#: The only version there is.
_VERSION = "13"


def is_upgrade(handler: tornado.web.RequestHandler) -> bool:
    """Whether the request asks for a WebSocket. One in HTTP/1.0 can't (RFC 9110, section 7.8)."""
    request = handler.request
    upgrades = request.headers.get("Upgrade", "").lower().split(",")
    return (
        request.method == "GET"
        and request.version == "HTTP/1.1"
        and "websocket" in (upgrade.strip() for upgrade in upgrades)
    )


def check_handshake(handler: tornado.web.RequestHandler) -> None:
    """Raise `Problem` 400, 403 or 426 unless the handshake is one, and its origin may read."""
    headers = handler.request.headers
    options = headers.get("Connection", "").lower().split(",")
    if "upgrade" not in (option.strip() for option in options):
        raise Problem(400, "Connection has to name Upgrade where Upgrade names websocket.")
    if headers.get("Sec-WebSocket-Version") != _VERSION:
        raise Problem(
            426,
            f"This server speaks version {_VERSION} of the WebSocket protocol.",
            {"Sec-WebSocket-Version": _VERSION, "Upgrade": "websocket", "Connection": "Upgrade"},
        )
    if not _is_key(headers.get("Sec-WebSocket-Key", "")):
        raise Problem(400, "Sec-WebSocket-Key has to be 16 bytes in base64.")
    if not _may_read(handler):
        raise Problem(
            403,
            "A browser may open a WebSocket only from this server's own pages or from an origin "
            "named in the server's allowed_origins setting.",
        )


def handshake_answer(handler: tornado.web.RequestHandler) -> bytes:
    """What the handshake is answered with, once it was checked. No extension and no subprotocol is
    chosen."""
    accept = WebSocketProtocol13.compute_accept_value(handler.request.headers["Sec-WebSocket-Key"])
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ).encode("latin-1")


def _is_key(text: str) -> bool:
    try:
        return len(text) == 24 and len(base64.b64decode(text, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _may_read(handler: tornado.web.RequestHandler) -> bool:
    """Whether a page of the request's origin may read what this server sends.

    Browsers don't ask for a WebSocket as they ask for all else (CORS); the server has to. Clients
    that are no browsers send no origin.
    """
    headers = handler.request.headers
    origin = headers.get("Origin")
    if origin is None or headers.get("Sec-Fetch-Site") == "same-origin":
        return True
    if handler.check_trusted_origin(origin):
        return True
    return urllib.parse.urlsplit(origin).netloc.lower() == headers.get("Host", "").lower()
