"""The composition root: opens everything in order, serves, closes it in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import tornado.netutil
from tornado.ioloop import PeriodicCallback

from tornado_board.cluster import open_bus
from tornado_board.command_line import load
from tornado_board.processes import bind, supervise
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.realtime.places import Places
from tornado_board.realtime.ranks import Ranks
from tornado_board.replay import LogUnavailable, ReplayLog, is_shared, open_replay_log
from tornado_board.settings import Settings, SettingsError
from tornado_board.store import StoreError, StoreUnavailable, open_store
from tornado_board.web.application import make_application
from tornado_board.web.connections import Server
from tornado_board.web.express import Express
from tornado_board.web.handler import Services
from tornado_board.web.hosts import Hosts

logger = logging.getLogger(__name__)

#: Connections that the kernel holds for us until we accept them; a storm of clients that come
#: back is larger than the usual 128. The kernel's own limit (somaxconn) may be lower.
_BACKLOG = 4096


#: Files that the process has open beside its connections: databases, refused connections that
#: linger, sockets that change hands.
_OTHER_FILES = 512


class StartError(Exception):
    """The server can't start. `str(error)` is the line that says why."""


@dataclass(frozen=True)
class Running:
    """A server that serves."""

    url: str
    services: Services
    server: Server
    #: What is odd and keeps nothing from running, a sentence each.
    notices: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server until SIGTERM or Ctrl-C; the process's exit code."""
    notices: list[str] = []
    try:
        settings = load(arguments, notices=notices)
        _log_to_stderr(settings.log_level)

        def announce(server: Running) -> None:
            _print_banner(server)
            for notice in notices:
                logger.warning("%s", notice)
            for notice in server.notices:
                logger.info("%s", notice)

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
    shared = settings.database_url.startswith("rethinkdb:") and is_shared(settings.replay_url)
    if not shared:
        raise SettingsError(
            "processes: several processes need a store and a log that they share; set"
            " --database-url=rethinkdb://host:port/db and --redis-url=redis://host:port/db"
        )
    sockets = _bind(settings)

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
            _run(settings, serve_until_stopped(settings, on_serving, sockets[index]))
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
    async with running(settings, sockets) as server:
        on_serving(server)
        await stop.wait()
        logger.info("stopping")


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
    settings: Settings, sockets: Sequence[socket.socket] | None = None
) -> AsyncIterator[Running]:
    """Serve, on `sockets` or on those that the settings name, until the context ends.

    Raises `StartError`.
    """
    tls = _tls(settings)
    settings, notices = _within_open_files(settings)
    async with contextlib.AsyncExitStack() as stack:
        bound = list(sockets) if sockets is not None else _bind(settings)[0]
        for sock in bound:
            stack.callback(sock.close)
        try:
            hosts = Hosts(settings, bound)
        except ValueError as error:
            raise StartError(f"allowed_hosts: {error}") from error
        try:
            store = await open_store(settings.database_url, settings)
            stack.push_async_callback(store.close)
            log = await open_replay_log(settings.replay_url, settings, store.identity)
            stack.push_async_callback(log.close)
            bus = open_bus(settings.replay_url, settings, store.identity, shared_store=store.shared)
            stack.push_async_callback(bus.close)
        except (ValueError, StoreError, LogUnavailable) as error:
            raise StartError(str(error)) from error
        hub = Hub(
            live_boards=settings.live_boards,
            streams_per_board=settings.max_streams_per_board,
            keepalive=settings.keepalive,
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
        )
        stack.push_async_callback(places.close)
        await bus.start(boards)
        pruner = PeriodicCallback(
            lambda: _prune(log), settings.replay_prune_interval * 1000, jitter=0.1
        )
        ticks = (PeriodicCallback(tick, 1000) for tick in (ranks.tick, places.tick))
        for periodic in (pruner, *ticks):
            periodic.start()
            stack.callback(periodic.stop)

        async def readiness() -> list[str]:
            missing = []
            try:
                await asyncio.wait_for(store.ping(), settings.database_timeout)
            except (StoreUnavailable, TimeoutError) as error:
                missing.append(f"the store: {error or 'no answer'}")
            return missing + log.missing() + boards.missing()

        catch_ups = CatchUps(log)
        services = Services(
            store=store,
            log=log,
            hub=hub,
            catch_ups=catch_ups,
            ranks=ranks,
            places=places,
            settings=settings,
            readiness=readiness,
        )
        server = Server(
            make_application(services),
            settings,
            hosts,
            ssl_options=tls,
            short_cut=Express(hub, catch_ups, settings, hosts),
        )
        server.add_sockets(bound)
        # Last in, first out: no new connections, those who wait are answered, then all that is
        # under way, and the streams end at last (`hub.close` above). Their clients come back a
        # second after that at the soonest, when whoever takes this process's place can listen.
        stack.push_async_callback(server.drain, settings.stop_timeout)
        stack.callback(hub.stop_waiting)
        stack.callback(places.stop_waiting)
        # Early, so that another process takes over while this one winds up.
        stack.push_async_callback(bus.close)
        stack.push_async_callback(boards.close)
        stack.callback(server.stop)
        yield Running(_url(settings, bound), services, server, notices)


async def _prune(log: ReplayLog) -> None:
    try:
        pruned = await log.prune()
    except LogUnavailable as error:
        logger.warning("the replay log was not pruned: %s", error)
    else:
        logger.debug("%d events past the retention were dropped", pruned)


def _bind(settings: Settings) -> list[list[socket.socket]]:
    """The listening sockets of each process."""
    try:
        if settings.processes > 1:
            return bind(settings.address, settings.port, settings.processes, _BACKLOG)
        return [tornado.netutil.bind_sockets(settings.port, settings.address, backlog=_BACKLOG)]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(
            f"can't listen on {settings.address} port {settings.port}: {reason};"
            " choose another with --port or --address"
        ) from error


def _within_open_files(settings: Settings) -> tuple[Settings, tuple[str, ...]]:
    """`settings` with as many connections as the process may have files open, and what there is to
    say about that.

    Raises the soft limit as far as needed; without this a 1025th client would find a server that
    can't accept.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = settings.max_connections + _OTHER_FILES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    room = settings.max_connections if soft == resource.RLIM_INFINITY else soft - _OTHER_FILES
    if room >= settings.max_connections:
        return settings, ()
    most = max(room, 1)
    notice = (
        f"at most {most} connections, not {settings.max_connections}:"
        f" the process may have {soft} files open (ulimit -n)"
    )
    return dataclasses.replace(settings, max_connections=most), (notice,)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_certificate:
        return None
    for name in ("tls_certificate", "tls_key"):
        path = getattr(settings, name)
        try:
            open(path, "rb").close()  # what the ssl module says does not name the file
        except (OSError, ValueError) as error:
            raise StartError(f"{name}: {path!r}: {getattr(error, 'strerror', error)}") from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ValueError) as error:
        raise StartError(f"tls_certificate or tls_key can't be used: {error}") from error
    return context


def _url(settings: Settings, sockets: Sequence[socket.socket]) -> str:
    scheme = "https" if settings.tls_certificate else "http"
    host = settings.address or "localhost"
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}:{sockets[0].getsockname()[1]}{settings.path_prefix}/"


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # Clients that go away in the middle of something are no news.
    logging.getLogger("tornado.general").setLevel(logging.WARNING)
