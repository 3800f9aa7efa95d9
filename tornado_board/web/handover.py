"""Connections whose answer is a stream: how HTTP's part of it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado_board.realtime.subscriber import Subscriber
from tornado_board.realtime.websocket import WebSocketSubscriber
from tornado_board.realtime.wires.websocket import WebSocket
from tornado_board.web import streams, websocket
from tornado_board.web.access_log import log_stream_started
from tornado_board.web.connection import Connection
from tornado_board.web.cors import cors_headers
from tornado_board.web.exchange import SSEWire, StreamWire
from tornado_board.web.parameters import wants_stream

if TYPE_CHECKING:
    from tornado_board.web.handler import Handler


def wants_events(handler: Handler) -> bool:
    """Whether the request asks for a stream, of whatever kind.

    Raises `Problem` for a handshake that is none.
    """
    if handler.upgrades:
        websocket.check_handshake(handler)
    return wants_stream(handler)


def hand_over(handler: Handler, wire: StreamWire) -> tuple[Subscriber, bytes] | None:
    """Take the connection from HTTP. Gives the subscriber that has it from now on, and the head of
    the answer, which nobody has sent yet; ``None`` where the client has gone."""
    request, poller = handler.request, handler.hub.poller
    connection = handler.detach()
    assert isinstance(connection, Connection)
    if connection.closed() or handler.client_gone:
        connection.close()
        return None
    sock, release = connection.hand_over()
    if isinstance(wire, WebSocket):
        handler.count(101)
        log_stream_started(request.path, request.remote_ip, "websocket")
        head = websocket.handshake_answer(handler)
        return WebSocketSubscriber(sock, poller, release), head
    handler.count(200)
    log_stream_started(request.path, request.remote_ip)
    allowed = handler.services.settings.allowed_origins
    cors = cors_headers(allowed, request.headers.get("Origin"))
    return Subscriber(sock, poller, release), streams.response_head(cors, wire)


async def answer_head(handler: Handler, wire: SSEWire) -> None:
    """Answer HEAD with the header of a stream."""
    for name, value in streams.fields(wire):
        if name == "Vary":
            handler.add_header(name, value)
        else:
            handler.set_header(name, value)
    # Before `finish`, which would say that the stream has a length, and an ETag.
    await handler.flush()
    handler.finish()
