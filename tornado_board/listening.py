"""What a server listens with: its sockets, its certificate, and the files it may have open."""

from __future__ import annotations

import dataclasses
import resource
import socket
import ssl
from collections.abc import Sequence

import tornado.netutil

from tornado_board.processes import bind
from tornado_board.settings import Settings
from tornado_board.systemd import handed_sockets

#: Connections that the kernel holds for us until we accept them; a storm of clients that come
#: back is larger than the usual 128. The kernel's own limit (somaxconn) may be lower.
_BACKLOG = 4096

#: Files that the process has open beside its connections: databases, refused connections that
#: linger, sockets that change hands.
_OTHER_FILES = 512


#: The addresses of a socket that listens on every interface.
_ANY = ("0.0.0.0", "::")


class StartError(Exception):
    """The server can't start. `str(error)` is the line that says why."""


def bind_sockets(settings: Settings) -> list[list[socket.socket]]:
    """The listening sockets of each process: those that a service manager has handed over, which
    all processes share, or new ones. Raises `StartError`."""
    try:
        handed = handed_sockets()
    except (ValueError, OSError) as error:
        raise StartError(str(error)) from error
    if handed:
        # A copy for each process, which closes those of the others.
        others = [[sock.dup() for sock in handed] for _ in range(settings.processes - 1)]
        return [handed, *others]
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


def bind_metrics(settings: Settings) -> list[socket.socket]:
    """The listening sockets of the metrics' own port. Raises `StartError`."""
    try:
        return tornado.netutil.bind_sockets(settings.metrics_port, settings.metrics_address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StartError(
            f"can't listen on {settings.metrics_address} port {settings.metrics_port} for the"
            f" metrics: {reason}; choose another with --metrics-port or --metrics-address"
        ) from error


def within_open_files(settings: Settings) -> tuple[Settings, tuple[str, ...]]:
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


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What `settings` say of TLS, if anything. Raises `StartError`."""
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


def url_of(settings: Settings, sockets: Sequence[socket.socket]) -> str:
    """Where a server with these `settings` is reached that listens on `sockets`."""
    scheme = "https" if settings.tls_certificate else "http"
    host = settings.address or "localhost"
    if settings.address and (bound := sockets[0].getsockname()[0]) in _ANY:
        host = bound  # a service manager listens where it was told to
    if ":" in host:
        host = f"[{host}]"
    return f"{scheme}://{host}:{sockets[0].getsockname()[1]}{settings.path_prefix}/"
