"""The composition root of a server that follows another one: opens everything in order, serves,
closes it in reverse."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import cast

from tornado.ioloop import PeriodicCallback

from tornado_board.auth.tickets import open_tickets
from tornado_board.listening import (
    StartError,
    bind_sockets,
    tls_context,
    url_of,
    within_open_files,
)
from tornado_board.log_once import LogOnce
from tornado_board.metrics import open_metrics
from tornado_board.metrics_port import serve_metrics
from tornado_board.observed import LoopDelay, observe_edge
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.places import Places
from tornado_board.replay import LogUnavailable, open_replay_log
from tornado_board.serving import Running, begin, make_server, prune
from tornado_board.settings import Settings
from tornado_board.upstream.address import parse_all
from tornado_board.upstream.edge_log import EdgeLog
from tornado_board.upstream.followed import FollowedBoards
from tornado_board.upstream.identity import log_identity, own_id
from tornado_board.upstream.places import EdgePlaces
from tornado_board.upstream.upstreams import Upstreams
from tornado_board.web.application import ROUTES
from tornado_board.web.edge.kept_answers import KeptAnswers
from tornado_board.web.edge.reads import EdgeReads
from tornado_board.web.edge.routes import edge_routes
from tornado_board.web.edge.services import EdgeServices, no_ranks, no_store
from tornado_board.web.gate import Gate
from tornado_board.web.hosts import Hosts
from tornado_board.web.player_reads import PlayerReads
from tornado_board.web.privacy import Privacy

logger = logging.getLogger(__name__)

#: Seconds that the start waits at the most for an upstream to answer.
_WARM_UP = 2.0


@contextlib.asynccontextmanager
async def edge_running(
    settings: Settings,
    sockets: Sequence[socket.socket] | None = None,
    when_open: Callable[[], None] = lambda: None,
) -> AsyncIterator[Running]:
    """Serve what the upstreams of `settings` have, on `sockets` or on those that the settings name,
    until the context ends. `when_open` is called before the first client is served.

    An upstream that does not answer yet is no error. Raises `StartError`.
    """
    tls = tls_context(settings)
    settings, notices = within_open_files(settings)
    async with contextlib.AsyncExitStack() as stack:
        bound = list(sockets) if sockets is not None else bind_sockets(settings)[0]
        for sock in bound:
            stack.callback(sock.close)
        try:
            hosts = Hosts(settings, bound)
        except ValueError as error:
            raise StartError(f"allowed_hosts: {error}") from error
        try:
            addresses = parse_all(settings.upstream)
            identity = log_identity(addresses)
            # What boards were is the upstream's to know.
            own = dataclasses.replace(settings, history_retention=0.0)
            own_log = await open_replay_log(own.replay_url, own, identity)
            stack.push_async_callback(own_log.close)
        except (ValueError, LogUnavailable) as error:
            raise StartError(str(error)) from error
        upstreams = Upstreams(
            addresses,
            _tls_to_upstream(settings),
            own=own_id(bound[0].getsockname()[1]),
            timeout=settings.upstream_timeout,
        )
        stack.push_async_callback(upstreams.close)
        log = EdgeLog(own_log, upstreams, settings.replay_retention)
        metrics = open_metrics(wanted=settings.metrics)
        hub = Hub(
            live_boards=settings.live_boards,
            streams_per_board=settings.max_streams_per_board,
            keepalive=settings.keepalive,
            metrics=metrics,
        )
        stack.push_async_callback(hub.close)
        followed = FollowedBoards(upstreams, log, hub, settings.upstream_silence)
        hub.source = followed
        stack.push_async_callback(followed.close)
        places = EdgePlaces(
            upstreams,
            per_board=settings.max_streams_per_board,
            keepalive=settings.keepalive,
            silence=settings.upstream_silence,
            metrics=metrics,
        )
        stack.push_async_callback(places.close)
        pruner = PeriodicCallback(
            lambda: prune(log), settings.replay_prune_interval * 1000, jitter=0.1
        )
        for periodic in (pruner, PeriodicCallback(places.tick, 1000)):
            periodic.start()
            stack.callback(periodic.stop)

        async def readiness() -> list[str]:
            return upstreams.missing() + log.missing() + followed.missing()

        tickets = open_tickets(settings, identity)
        stack.push_async_callback(tickets.close)
        kept = KeptAnswers(hub)
        services = EdgeServices(
            store=no_store(f"none; follows {upstreams.description}"),
            log=log,
            hub=hub,
            catch_ups=CatchUps(log),
            reads=EdgeReads(upstreams, hub, kept),
            player_reads=PlayerReads(no_store(), Changefeed(no_store())),
            ranks=no_ranks(),
            gate=Gate(settings, None, tickets, Privacy(hub, no_store())),
            places=cast(Places, places),  # as far as handlers know them
            settings=settings,
            readiness=readiness,
            metrics=metrics,
            servers=lambda: upstreams.servers,
            upstreams=upstreams,
            followed=followed,
            kept=kept,
            said=LogOnce(logger),
        )
        server = make_server(stack, services, edge_routes(ROUTES), hosts, tls)
        delay = LoopDelay()
        stack.callback(delay.stop)
        delay.start()
        observe_edge(metrics, services, server, delay)
        if settings.metrics_port:
            stack.push_async_callback(serve_metrics(services).drain, 0)
        await upstreams.start(_WARM_UP)
        when_open()
        begin(stack, server, services, bound, (followed.close,))
        yield Running(url_of(settings, bound), services, server, notices)


def _tls_to_upstream(settings: Settings) -> ssl.SSLContext | None:
    """What certificates of upstreams are verified with. Raises `StartError`."""
    if not any(url.lower().startswith("https:") for url in settings.upstream):
        return None
    path = settings.upstream_ca_certs
    try:
        return ssl.create_default_context(cafile=path or None)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(f"upstream_ca_certs: {path!r}: {reason}") from error
