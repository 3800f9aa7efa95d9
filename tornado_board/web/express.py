"""A short cut for event streams: from an accepted socket to the hub, past everything else.

When a server with ten thousand viewers restarts, they are all back within three seconds, and each
costs Tornado's whole path from a connection to a handler: a buffered stream, a parser, a request, a
route, a handler, four tasks. A request for the stream of a live board, as browsers and libraries
send it, needs none of that. Whatever is out of the ordinary is left to the handlers, untouched.
"""

from __future__ import annotations

import functools
import re
import socket
from collections.abc import Callable

from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.settings import Settings
from tornado_board.web import streams
from tornado_board.web.accept import prefers_event_stream
from tornado_board.web.access_log import log_stream_started
from tornado_board.web.handler import cors_headers

#: The largest request that is looked at, in bytes.
_MOST = 4096

_REQUEST_LINE = re.compile(
    rb"GET (/boards/([A-Za-z0-9._~-]{1,64})/?(?:(?<=/)events/?)?)"
    rb"(?:\?(?:lastEventId|last_event_id)=([0-9]+-[0-9]+))? HTTP/1\.1\r\n"
)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*\r\n")

#: Fields that ask for more than a plain response, or come from a proxy that is to be believed.
_SPECIAL = frozenset(
    (
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"upgrade",
        b"x-real-ip",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-scheme",
    )
)

_prefers_event_stream = functools.lru_cache(maxsize=64)(prefers_event_stream)


class Express:
    """Takes requests for the streams of live boards straight from accepted sockets."""

    def __init__(self, hub: Hub, catch_ups: CatchUps, settings: Settings) -> None:
        self._hub = hub
        self._catch_ups = catch_ups
        self._allowed_origins = settings.allowed_origins

    def take(self, sock: socket.socket, peer: str, release: Callable[[], None]) -> bool:
        """Serve the request that has arrived on `sock`, and own the socket from then on.

        `peer` is the client's address; `release` is called once the stream has ended. Returns
        ``False``, with nothing read, unless the whole request is there already, is for the stream
        of a live board, and can be answered without waiting for anything.
        """
        try:
            data = sock.recv(_MOST, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return False
        line = _REQUEST_LINE.match(data)
        if line is None:
            return False
        fields = _fields(data, line.end())
        if fields is None or not _prefers_event_stream(
            fields.get(b"accept", b"").decode("latin-1")
        ):
            return False
        path, board_id, in_query = line.groups()
        topic = self._hub.live(board_id.decode())
        if topic is None:
            return False
        last_event_id = (fields.get(b"last-event-id") or in_query or b"").decode("latin-1")
        try:
            self._hub.check_room(topic)
        except LimitReached:
            return False
        first = streams.first_events(topic, last_event_id, self._catch_ups)
        if first is None:
            return False
        try:
            sock.recv(len(data))
        except OSError:
            return False
        origin = fields.get(b"origin")
        head = streams.response_head(
            cors_headers(self._allowed_origins, origin.decode("latin-1") if origin else None)
        )
        log_stream_started(path.decode(), peer)
        streams.subscribe(self._hub, topic, sock, release, head, first)
        return True


def _fields(data: bytes, position: int) -> dict[bytes, bytes] | None:
    """The header's fields by their names in lower case, from `position` to the end of `data`.

    ``None`` unless that is one whole header (RFC 9112, section 5) without anything behind it, a
    field that comes twice, or a special one.
    """
    fields: dict[bytes, bytes] = {}
    while field := _FIELD.match(data, position):
        name = field[1].lower()
        if name in fields or name in _SPECIAL:
            return None
        fields[name] = field[2]
        position = field.end()
    return fields if data[position:] == b"\r\n" and b"host" in fields else None
