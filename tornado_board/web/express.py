"""A short cut for event streams: from an accepted socket to the hub, past everything else.

When a server with ten thousand viewers restarts, they are all back within three seconds, and each
costs Tornado's whole path from a connection to a handler: a buffered stream, a parser, a request, a
route, a handler, four tasks. A request for the stream of a live board, as browsers and libraries
send it, needs none of that. Whatever is out of the ordinary is left to the handlers, untouched.
"""

from __future__ import annotations

import functools
import socket
import urllib.parse

import httptools
import msgspec

from tornado_board.auth.policy import Action
from tornado_board.models import is_id
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.hub import Hub, LimitReached
from tornado_board.settings import Settings
from tornado_board.web import streams
from tornado_board.web.accept import wants_event_stream
from tornado_board.web.access_log import log_stream_started
from tornado_board.web.cors import cors_headers
from tornado_board.web.gate import Attempt, Gate
from tornado_board.web.hosts import Hosts
from tornado_board.web.problems import Problem
from tornado_board.web.shares import Share

#: The largest request that is looked at, in bytes.
_MOST = 4096

_BEGIN = b"GET /boards/"
_END = b"\r\n\r\n"

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

_wants_event_stream = functools.lru_cache(maxsize=64)(wants_event_stream)


class Request(msgspec.Struct, frozen=True):
    """A plain GET of a board, or of its events, without a body."""

    path: str
    board_id: str
    #: The query's parameters; none of them is escaped or there twice.
    query: dict[str, str]
    #: The header's fields by their names in lower case; none is there twice, or special.
    fields: dict[bytes, str]


class Express:
    """Takes requests for the streams of live boards straight from accepted sockets."""

    def __init__(
        self, hub: Hub, catch_ups: CatchUps, settings: Settings, hosts: Hosts, gate: Gate
    ) -> None:
        self._hub = hub
        self._gate = gate
        self._catch_ups = catch_ups
        self._allowed_origins = settings.allowed_origins
        self._compress = settings.compress_streams
        self._hosts = hosts

    def take(self, sock: socket.socket, share: Share) -> bool:
        """Serve the request that has arrived on `sock`, and own the socket from then on.

        `share` is what the client's address holds by this connection; it is let go once the stream
        has ended. Returns ``False``, with nothing read, unless the whole request is there already,
        is for the stream of a live board, and can be answered without waiting for anything.
        """
        try:
            data = sock.recv(_MOST, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except OSError:
            return False
        request = parse(data)
        if request is None or not self._hosts.allows(request.fields[b"host"]):
            return False
        try:
            accept = request.fields.get(b"accept", "")
            if not _wants_event_stream(accept, request.query.get("stream")):
                return False
        except ValueError:
            return False
        topic = self._hub.live(request.board_id)
        if topic is None:
            return False
        try:
            allowed = self._gate.at_once(_attempt(request, share.address))
        except Problem:
            return False
        if allowed is None:
            return False
        last_event_id = (
            request.fields.get(b"last-event-id")
            or request.query.get("lastEventId")
            or request.query.get("last_event_id")
            or ""
        )
        try:
            self._hub.check_room(topic)
        except LimitReached:
            return False
        wire = streams.wire_for(request.fields.get(b"accept-encoding", ""), self._compress)
        first = streams.first_events(self._hub, topic, last_event_id, self._catch_ups, wire)
        if first is None or not share.hold(topic.board_id):
            return False
        try:
            sock.recv(len(data))
        except OSError:
            share.drop()
            return False
        head = streams.response_head(
            cors_headers(self._allowed_origins, request.fields.get(b"origin")), wire
        )
        log_stream_started(request.path, share.address)
        until = None if allowed.token is None else allowed.token.until
        streams.subscribe(self._hub, topic, sock, share.leave, head, first, wire, until=until)
        return True


def _attempt(request: Request, address: str) -> Attempt:
    fields = request.fields
    return Attempt(
        Action.READ,
        request.board_id,
        None,
        address,
        fields.get(b"authorization"),
        fields.get(b"cookie"),
        host=fields[b"host"],
        origin=fields.get(b"origin"),
        fetch_site=fields.get(b"sec-fetch-site"),
    )


def parse(data: bytes) -> Request | None:
    """The request in `data`, if that is one whole request, a plain one, and nothing behind it."""
    if not data.startswith(_BEGIN) or data.find(_END) != len(data) - len(_END):
        return None
    message = _Message()
    parser = httptools.HttpRequestParser(message)
    try:
        parser.feed_data(data)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    if message.plain and message.complete and parser.get_http_version() == "1.1":
        return message.request()
    return None


class _Message:
    """What the parser calls: the fields as it finds them."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: dict[bytes, str] = {}
        self.plain = True
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        text = value.strip(b" \t").decode("latin-1")
        if name in self.fields or name in _SPECIAL:
            self.plain = False
        self.fields[name] = text

    def on_message_complete(self) -> None:
        self.complete = True

    def request(self) -> Request | None:
        """The request, if it has a host and is for a board or its events."""
        try:
            target = self.target.decode("ascii")
            path, _, query = target.partition("?")
            pairs = urllib.parse.parse_qsl(query, keep_blank_values=True, max_num_fields=4)
        except ValueError:  # UnicodeDecodeError is one, too
            return None
        root, _, board_id, *rest = path.split("/", 5)
        plain = b"host" in self.fields and _ESCAPES.isdisjoint(target)
        if not plain or root or not is_id(board_id) or rest not in _BOARD_AND_EVENTS:
            return None
        parameters = dict(pairs)
        if len(parameters) < len(pairs) or not _PARAMETERS.issuperset(parameters):
            return None
        return Request(path, board_id, parameters, self.fields)


#: What may make a target mean something else than it says.
_ESCAPES = frozenset("%+#;")

#: What may stand behind a board's id in a path, between slashes.
_BOARD_AND_EVENTS: tuple[list[str], ...] = ([], [""], ["events"], ["events", ""])

#: The parameters that mean something to a stream. A request with others is left to the handlers.
_PARAMETERS = frozenset(("stream", "lastEventId", "last_event_id"))
