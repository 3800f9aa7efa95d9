"""What every server does once it has what it serves: it listens, and winds up in order."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tornado_board.replay import LogUnavailable, ReplayLog
from tornado_board.web import access_log
from tornado_board.web.application import make_application
from tornado_board.web.connections import Server
from tornado_board.web.exchange import Services
from tornado_board.web.fast_path import FastPath
from tornado_board.web.handler import Handler
from tornado_board.web.hosts import Hosts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Running:
    """A server that serves."""

    url: str
    services: Services
    server: Server
    #: What is odd and keeps nothing from running, a sentence each.
    notices: tuple[str, ...] = ()
    #: Where others reach it without a token; empty where they don't.
    open_to: str = ""


def make_server(
    stack: contextlib.AsyncExitStack,
    services: Services,
    routes: Sequence[tuple[str, type[Handler]]],
    hosts: Hosts,
    tls: ssl.SSLContext | None,
) -> Server:
    """An HTTP server that does not listen yet; `stack` closes what belongs to it."""
    stack.callback(access_log.flush)
    settings = services.settings
    fast_path = FastPath(services, hosts, routes) if settings.fast_path else None
    if fast_path is not None:
        stack.push_async_callback(fast_path.close)
    server = Server(
        make_application(services, routes), settings, hosts, ssl_options=tls, fast_path=fast_path
    )
    server.gate, server.metrics = services.gate, services.metrics
    return server


def begin(
    stack: contextlib.AsyncExitStack,
    server: Server,
    services: Services,
    sockets: Sequence[socket.socket],
    closed_early: Sequence[Callable[[], Awaitable[None]]],
) -> None:
    """Take connections from now on. At the end `stack` closes those of `closed_early` before
    requests that are under way have been answered."""
    server.add_sockets(sockets)
    # Last in, first out: no new connections, those who wait are answered, then all that is
    # under way, and the streams end at last (`hub.close`, which was pushed before). Their clients
    # come back a second after that at the soonest, when whoever takes this process's place can
    # listen.
    stack.push_async_callback(server.drain, services.settings.stop_timeout)
    stack.callback(services.hub.stop_waiting)
    stack.callback(services.places.stop_waiting)
    for close in reversed(closed_early):
        stack.push_async_callback(close)
    stack.callback(server.stop)


async def prune(log: ReplayLog) -> None:
    """Drop what the log has kept for long enough. Never raises."""
    try:
        pruned = await log.prune()
    except LogUnavailable as error:
        logger.warning("the replay log was not pruned: %s", error)
    else:
        logger.debug("%d events past the retention were dropped", pruned)
