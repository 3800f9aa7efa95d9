"""The metrics at a port of their own."""

from __future__ import annotations

import dataclasses

from tornado_board.listening import bind_metrics
from tornado_board.web.application import make_metrics_application
from tornado_board.web.connections import Server
from tornado_board.web.exchange import Services
from tornado_board.web.hosts import Hosts

#: Connections that it takes: a few that scrape, and who looks by hand.
_CONNECTIONS = 64


def serve_metrics(services: Services) -> Server:
    """Serve them where the settings say, until the server that this returns is drained. Raises
    `StartError`."""
    settings = dataclasses.replace(
        services.settings,
        address=services.settings.metrics_address,
        allowed_hosts=(),  # those are names of the server's own port
        max_connections=_CONNECTIONS,
        max_connections_per_address=_CONNECTIONS,
    )
    sockets = bind_metrics(settings)
    server = Server(make_metrics_application(services), settings, Hosts(settings, sockets))
    server.add_sockets(sockets)
    return server
