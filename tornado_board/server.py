"""The composition root: opens everything in order, serves, closes it in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from tornado.ioloop import PeriodicCallback

from tornado_board.auth.tickets import open_tickets
from tornado_board.cli import COMMANDS, run_command
from tornado_board.cluster import Role, open_bus
from tornado_board.command_line import load
from tornado_board.edge import edge_running
from tornado_board.listening import (
    StartError,
    bind_sockets,
    tls_context,
    url_of,
    within_open_files,
)
from tornado_board.metrics import open_metrics
from tornado_board.metrics_port import serve_metrics
from tornado_board.observed import LoopDelay, observe
from tornado_board.processes import supervise
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.daily import Daily
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.realtime.places import Places
from tornado_board.realtime.ranks import Ranks
from tornado_board.realtime.season_clock import SeasonClock
from tornado_board.replay import LogUnavailable, is_shared, open_replay_log
from tornado_board.serving import Running, begin, make_server, prune
from tornado_board.settings import Settings, SettingsError
from tornado_board.store import StoreError, StoreUnavailable, open_store
from tornado_board.systemd import tell
from tornado_board.web import access_log
from tornado_board.web.application import ROUTES
from tornado_board.web.board_reads import BoardReads
from tornado_board.web.exchange import Services
from tornado_board.web.gate import Gate
from tornado_board.web.hosts import Hosts
from tornado_board.web.player_reads import PlayerReads
from tornado_board.web.privacy import Privacy

if TYPE_CHECKING:
    from tornado_board.auth.authority import Authority

__all__ = ["Running", "StartError", "main", "running", "serve_until_stopped"]

logger = logging.getLogger(__name__)

#: Containers that are made, and not freed, until Python looks for cycles among the youngest; and
#: how many such looks come to one at older ones, and those to one at all (`gc.set_threshold`).
_GARBAGE = (20_000, 20, 50)

#: What is said, with where, to who runs a server that anybody may change.
_OPEN = (
    "ANYBODY who reaches %s MAY CHANGE every board: no key for tokens is set;"
    " docs/security.md says how to run in the open"
)

#: Seconds that clients wait at the most for the boards of the replay log to be live. A storm that
#: finds its board live costs half as much.
_WARM_UP = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until SIGTERM or Ctrl-C, or the command that the first of `arguments` names;
    the process's exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    notices: list[str] = []
    try:
        if arguments and arguments[0] in COMMANDS:
            return run_command(arguments)
        settings = load(arguments, notices=notices)
        _log_to_stderr(settings)

        def announce(server: Running) -> None:
            _print_banner(server)
            tell("READY=1")
            for notice in notices:
                logger.warning("%s", notice)
            for notice in server.notices:
                logger.info("%s", notice)
            if server.open_to:
                logger.warning(_OPEN, server.open_to)

        if settings.processes > 1:
            return _serve_in_several(settings, announce)
        _run(settings, serve_until_stopped(settings, announce))
    except (SettingsError, StartError) as error:
        print(f"tornado_board: {error}", file=sys.stderr)
        return 1
    return 0


def _run(settings: Settings, serving: Coroutine[Any, Any, None]) -> None:
    """`asyncio.run`, on the event loop that `settings` name. Raises `StartError`."""
    factory = None
    if settings.uvloop:
        try:
            import uvloop
        except ImportError:
            serving.close()
            raise StartError(
                "--uvloop needs a package that isn't installed: python -m pip install uvloop"
            ) from None
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serving)


def _serve_in_several(settings: Settings, announce: Callable[[Running], None]) -> int:
    """Run `settings.processes` servers on one port until SIGTERM or Ctrl-C; the exit code.

    The first one calls `announce` when it serves.
    """
    if settings.upstream and not is_shared(settings.replay_url):
        raise SettingsError(
            "processes: several processes that follow another server need a log that they share;"
            " set --redis-url=redis://host:port/db"
        )
    has_shared_store = settings.upstream or settings.database_url.startswith("rethinkdb:")
    if not (has_shared_store and is_shared(settings.replay_url)):
        raise SettingsError(
            "processes: several processes need a store and a log that they share; set"
            " --database-url=rethinkdb://host:port/db and --redis-url=redis://host:port/db"
        )
    sockets = bind_sockets(settings)

    def serve(index: int, ready: Callable[[], None]) -> int:
        def on_serving(server: Running) -> None:
            ready()
            if index == 0:
                announce(server)
            logger.info("process %d serves", os.getpid())

        for other, group in enumerate(sockets):
            if other != index:
                for sock in group:
                    sock.close()
        try:
            own = settings
            if settings.metrics_port:
                own = dataclasses.replace(settings, metrics_port=settings.metrics_port + index)
            _run(own, serve_until_stopped(own, on_serving, sockets[index]))
        except StartError as error:
            print(f"tornado_board: {error}", file=sys.stderr)
            return 1
        return 0

    return supervise(settings.processes, serve, stop_timeout=settings.stop_timeout + 2)


async def serve_until_stopped(
    settings: Settings,
    on_serving: Callable[[Running], None],
    sockets: Sequence[socket.socket] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `on_serving` is called when it begins.

    Raises `StartError`.
    """
    stop = asyncio.Event()
    begun = False

    def begin(server: Running) -> None:
        nonlocal begun
        begun = True
        on_serving(server)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    serving = asyncio.ensure_future(_serve(settings, begin, sockets, stop))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not serving.done():
        if begun:
            await asyncio.wait({serving}, timeout=settings.stop_timeout + 0.5)
        serving.cancel()  # it may be starting still, and wait for a database
    with contextlib.suppress(asyncio.CancelledError):
        await serving


async def _serve(
    settings: Settings,
    on_serving: Callable[[Running], None],
    sockets: Sequence[socket.socket] | None,
    stop: asyncio.Event,
) -> None:
    async with running(settings, sockets, collect_rarely) as server:
        on_serving(server)
        await stop.wait()
        logger.info("stopping")
        tell("STOPPING=1")


def collect_rarely() -> None:
    """Have Python look for unreachable cycles less often than it does by itself. Each full search
    goes through all that there is, while nobody is served; hardly anything here is in a cycle, so
    that it finds next to nothing. What is there already it need not look at any more. The search
    here takes some 20 ms: nobody is to wait for it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GARBAGE)


def _print_banner(server: Running) -> None:
    print(
        f"tornado_board serves {server.url}\n"
        f"  store:      {server.services.store.description}\n"
        f"  replay log: {server.services.log.description}\n"
        "  Ctrl-C stops it; --help shows every setting",
        flush=True,
    )


@contextlib.asynccontextmanager
async def running(
    settings: Settings,
    sockets: Sequence[socket.socket] | None = None,
    when_open: Callable[[], None] = lambda: None,
) -> AsyncIterator[Running]:
    """Serve, on `sockets` or on those that the settings name, until the context ends. `when_open`
    is called when everything is open, before the first client is served.

    Raises `StartError`.
    """
    if settings.upstream:
        async with edge_running(settings, sockets, when_open) as following:
            yield following
        return
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
        authority = await _authority(settings, stack)
        try:
            store = await open_store(settings.database_url, settings)
            stack.push_async_callback(store.close)
            log = await open_replay_log(settings.replay_url, settings, store.identity)
            stack.push_async_callback(log.close)
            bus = open_bus(settings.replay_url, settings, store.identity, shared_store=store.shared)
            stack.push_async_callback(bus.close)
        except (ValueError, StoreError, LogUnavailable) as error:
            raise StartError(str(error)) from error
        metrics = open_metrics(wanted=settings.metrics)
        hub = Hub(
            live_boards=settings.live_boards,
            streams_per_board=settings.max_streams_per_board,
            keepalive=settings.keepalive,
            metrics=metrics,
        )
        stack.push_async_callback(hub.close)
        log.fence = bus.fence
        feed = Changefeed(store)
        stack.push_async_callback(feed.close)
        boards = hub.source = LiveBoards(store, log, hub, bus, feed, settings)
        stack.push_async_callback(boards.close)
        ranks = Ranks(store, feed, settings)
        stack.push_async_callback(ranks.close)
        places = Places(
            store,
            ranks,
            feed,
            per_board=settings.max_streams_per_board,
            keepalive=settings.keepalive,
            metrics=metrics,
        )
        stack.push_async_callback(places.close)
        seasons = SeasonClock(
            store,
            feed,
            lambda: boards.role is not None and boards.role is not Role.FOLLOWER,
            metrics=metrics,
        )
        stack.push_async_callback(seasons.close)
        await bus.start(boards)
        pruner = PeriodicCallback(
            lambda: prune(log), settings.replay_prune_interval * 1000, jitter=0.1
        )
        daily = Daily(store, log, hub, boards)
        stack.push_async_callback(daily.close)
        keeper = PeriodicCallback(daily.tick, settings.replay_prune_interval * 1000, jitter=0.1)
        player_reads = PlayerReads(store, feed)
        each_second = (ranks.tick, places.tick, seasons.tick, player_reads.tick)
        ticks = (PeriodicCallback(tick, 1000) for tick in each_second)
        for periodic in (pruner, keeper, *ticks):
            periodic.start()
            stack.callback(periodic.stop)

        async def readiness() -> list[str]:
            missing = []
            try:
                await asyncio.wait_for(store.ping(), settings.database_timeout)
            except (StoreUnavailable, TimeoutError) as error:
                missing.append(f"the store: {error or 'no answer'}")
            keys = [] if authority is None else authority.missing()
            return missing + log.missing() + boards.missing() + keys

        catch_ups = CatchUps(log)
        tickets = open_tickets(settings, store.identity)
        stack.push_async_callback(tickets.close)
        gate = Gate(settings, authority, tickets, Privacy(hub, store))
        services = Services(
            store=store,
            log=log,
            hub=hub,
            catch_ups=catch_ups,
            reads=BoardReads(store, hub),
            player_reads=player_reads,
            ranks=ranks,
            gate=gate,
            places=places,
            settings=settings,
            readiness=readiness,
            metrics=metrics,
            lag=feed.lag,
        )
        server = make_server(stack, services, ROUTES, hosts, tls)
        delay = LoopDelay()
        stack.callback(delay.stop)
        delay.start()
        observe(metrics, services, server, boards, feed, seasons, delay)
        if settings.metrics_port:
            stack.push_async_callback(serve_metrics(services).drain, 0)
        await boards.shown(_WARM_UP)
        when_open()
        # Closed early, so that another process takes over while this one winds up.
        begin(stack, server, services, bound, (boards.close, bus.close))
        url, asks = url_of(settings, bound), settings.takes_tokens or hosts.on_loopback
        yield Running(url, services, server, notices, "" if asks else url)


async def _authority(settings: Settings, stack: contextlib.AsyncExitStack) -> Authority | None:
    """What verifies tokens, if `settings` name a key; `stack` closes it. Raises `StartError`."""
    if not settings.takes_tokens:
        return None
    from tornado_board.auth.authority import Authority, KeysUnavailable

    try:
        authority = Authority(settings)
        stack.push_async_callback(authority.close)
        await authority.start()
    except (SettingsError, KeysUnavailable) as error:
        raise StartError(str(error)) from error
    return authority


def _log_to_stderr(settings: Settings) -> None:
    handler = access_log.Handler(json=settings.access_log == "json")
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
    if settings.access_log == "none":
        access_log.logger.setLevel(logging.WARNING)
    # Clients that go away in the middle of something are no news.
    logging.getLogger("tornado.general").setLevel(logging.WARNING)
