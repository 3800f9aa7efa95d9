"""The names under which this server answers: a defence against DNS rebinding.

A page of evil.example whose name is made to lead to 127.0.0.1 is, to a browser, of the same origin
as a server there; only the ``Host`` that its requests carry tells them from the server's own page.
"""

from __future__ import annotations

import functools
import socket
from collections.abc import Iterable

from tornado_board.settings import Settings
from tornado_board.web.loopback import is_loopback

#: The longest that a ``Host`` field may be: a DNS name, a colon and a port.
_LONGEST = 253 + 1 + 5

_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_ADDRESS = frozenset("0123456789abcdef:.")

#: Addresses that a server listens on, and nobody calls it by.
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})


class Hosts:
    """Decides for which hosts a server answers.

    On loopback only, these are the names and addresses of loopback and those that the settings
    name (`address`, `allowed_hosts`). Elsewhere it is any host, until `allowed_hosts` names some:
    then it is these, `address`, and the names and addresses of loopback, which no one else's DNS
    can take.
    """

    def __init__(self, settings: Settings, sockets: Iterable[socket.socket] = ()) -> None:
        """`sockets` are those that the server listens on.

        Raises `ValueError` where `allowed_hosts` has something else than a name, an address,
        ``*.`` with a name, or ``*``.
        """
        self._names = set()
        for entry in settings.allowed_hosts:
            wildcard = "*." if entry.startswith("*.") else ""
            bare = entry.removeprefix(wildcard)
            name = bare if bare == "*" else host_name(f"[{bare}]" if bare.count(":") > 1 else bare)
            if name is None or (name == "*" and wildcard) or bare.count(":") == 1:
                raise ValueError(f"{entry!r} is no host name; such as boards.example.org")
            self._names.add(wildcard + name)
        self._suffixes = tuple(name[1:] for name in self._names if name.startswith("*."))
        addresses = [sock.getsockname() for sock in sockets if sock.family != socket.AF_UNIX]
        #: Whether only programs of this machine's reach the server.
        self.on_loopback = bool(addresses) and all(is_loopback(name[0]) for name in addresses)
        self._any = "*" in self._names or not (self._names or self.on_loopback)
        if settings.address not in _WILDCARDS:
            self._names.add(settings.address.lower())
        self.allows = functools.lru_cache(maxsize=64)(self._allows)

    def _allows(self, host: str) -> bool:
        """Whether the server answers for `host`, the value of a ``Host`` field (RFC 9110, section
        7.2); the port doesn't matter."""
        name = host_name(host)
        if name is None:
            return False
        return (
            self._any
            or name in self._names
            or name.endswith(self._suffixes)
            or name == "localhost"
            or name.endswith(".localhost")
            or is_loopback(name)
        )


def host_name(host: str) -> str | None:
    """The name or address in `host`, a ``Host`` field, in lower case and without brackets.

    ``None`` unless it is a host with, perhaps, a port behind it.
    """
    if len(host) > _LONGEST:
        return None
    host = host.lower()
    if host.startswith("["):
        name, bracket, port = host[1:].partition("]")
        alphabet, colon = _ADDRESS, port[:1]
        if not bracket or (port and colon != ":"):
            return None
        port = port[1:]
    else:
        name, colon, port = host.partition(":")
        alphabet = _NAME
    if not alphabet.issuperset(name) or (port and not (port.isascii() and port.isdigit())):
        return None
    return name.removesuffix(".") or None
