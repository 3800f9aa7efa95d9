"""Where an upstream is."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

#: The most upstreams that one setting names.
MOST_UPSTREAMS = 16

_PORTS = {"http": 80, "https": 443}
_FORM = "write https://host[:port][/path]"

#: What a path may be made of: it is put before others' paths as it is.
_PATH = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~-/")


@dataclass(frozen=True)
class Address:
    """A server's address, and what lets this one in there."""

    secure: bool
    host: str
    port: int
    #: What the paths there begin with; empty, or without a slash at its end.
    path: str = ""
    #: The value of ``Authorization`` for a proxy in front of it; empty for none.
    authorization: str = field(default="", repr=False)

    @classmethod
    def parse(cls, url: str) -> Address:
        """Read ``http[s]://[user:password@]host[:port][/path]``.

        Raises `ValueError`, whose message shows nothing of the URL: it may hold a password.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError(f"upstream: the host or the port is not valid; {_FORM}") from None
        scheme = parts.scheme.lower()
        if scheme not in _PORTS:
            raise ValueError(f"upstream: has to begin with http:// or https://; {_FORM}")
        if not host or not host.isascii() or not host.isprintable() or " " in host:
            raise ValueError(f"upstream: there has to be a host, in ASCII; {_FORM}")
        if "?" in url or "#" in url:
            raise ValueError(f"upstream: has no ? and no #; {_FORM}")
        path = parts.path.rstrip("/")
        if not _PATH.issuperset(path) or "//" in path or {".", ".."} & set(path.split("/")):
            raise ValueError(f"upstream: the path may have A-Z a-z 0-9 . _ ~ - and /; {_FORM}")
        authorization = ""
        if parts.username is not None or parts.password is not None:
            user, password = unquote(parts.username or ""), unquote(parts.password or "")
            encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
            authorization = f"Basic {encoded}"
        secure = scheme == "https"
        return cls(secure, host, port or _PORTS[scheme], path, authorization)

    @property
    def authority(self) -> str:
        """The value of ``Host``: without a port that goes without saying."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self._scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """What a browser calls the origin of pages there."""
        return f"{self._scheme}://{self.authority}"

    def __str__(self) -> str:
        return f"{self.origin}{self.path}/"

    @property
    def _scheme(self) -> str:
        return "https" if self.secure else "http"


def parse_all(urls: tuple[str, ...]) -> tuple[Address, ...]:
    """The upstreams of the setting, each once and in its order. Raises `ValueError`."""
    addresses = tuple(dict.fromkeys(Address.parse(url) for url in urls))
    if len(addresses) > MOST_UPSTREAMS:
        raise ValueError(f"upstream: {len(addresses)} are too many; the most is {MOST_UPSTREAMS}")
    return addresses
