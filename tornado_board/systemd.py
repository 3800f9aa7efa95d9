"""What a service manager hands over, and is told: sockets that it listens on, and the state.

The protocols are systemd's (sd_listen_fds(3), sd_notify(3)); others speak them, too.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import MutableMapping

#: The first descriptor that is handed over; the others follow on it.
_FIRST = 3

#: The most that are taken.
_MOST = 64


def handed_sockets(environ: MutableMapping[str, str] = os.environ) -> list[socket.socket]:
    """The listening TCP sockets that this process was started with; none as a rule.

    What says so is taken out of `environ`, so that no child takes them for its own. Raises
    `ValueError` for descriptors that are none.
    """
    pid = environ.pop("LISTEN_PID", "")
    number = environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()):
        return []
    if not (number.isascii() and number.isdecimal() and 1 <= int(number[:4]) <= _MOST):
        raise ValueError(f"LISTEN_FDS is not a number from 1 to {_MOST}")
    sockets = []
    for descriptor in range(_FIRST, _FIRST + int(number)):
        os.set_inheritable(descriptor, False)
        sockets.append(_checked(descriptor))
    return sockets


def _checked(descriptor: int) -> socket.socket:
    wrong = f"descriptor {descriptor} of LISTEN_FDS is no TCP socket that listens"
    try:
        sock = socket.socket(fileno=descriptor)
    except OSError:
        raise ValueError(wrong) from None
    if sock.family not in (socket.AF_INET, socket.AF_INET6) or not _listens(sock):
        sock.detach()
        raise ValueError(wrong)
    sock.setblocking(False)
    return sock


def _listens(sock: socket.socket) -> bool:
    return sock.type == socket.SOCK_STREAM and bool(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    )


def tell(state: str) -> None:
    """Tell the service manager, if there is one, such as ``READY=1``. Never raises."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(1)
        sock.sendto(state.encode(), address)
