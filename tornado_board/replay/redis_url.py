"""What a ``redis://`` URL says. Nothing of a wrong one is ever shown: what is taken for a port, a
path or an option may be a piece of a password."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from redis.asyncio.connection import parse_url

#: The options that a URL may have, with `RedisLink`'s own left out.
_OPTIONS = (
    "db",
    "username",
    "password",
    "socket_keepalive",
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_check_hostname",
    "ssl_cert_reqs",
)

_ENCODE = "special characters of a password need percent-encoding"
_FORM = "redis://[user:password@]host:port/database"

#: What no host name or address has.
_NO_HOST = re.compile(r"[^A-Za-z0-9._:%-]", re.ASCII)


class RedisURL(NamedTuple):
    """`options` for redis-py's connection pool, and `place`, which may be shown."""

    options: dict[str, Any]
    place: str
    database: int

    @classmethod
    def parse(cls, url: str) -> RedisURL:
        """Read `url`, ``redis://``, ``rediss://`` or ``unix://``. Raises `ValueError`."""
        try:
            return cls._parse(url)
        except _Wrong as wrong:
            raise ValueError(f"redis_url: {wrong}") from None
        except (ValueError, TypeError):
            # redis-py and urllib quote what they don't like.
            raise ValueError(f"redis_url: can't be understood; write {_FORM} ({_ENCODE})") from None

    @classmethod
    def _parse(cls, url: str) -> RedisURL:
        if any(ord(c) < 33 or ord(c) == 127 for c in url):
            raise _Wrong(f"has blanks or control characters ({_ENCODE})")
        scheme, _, rest = url.partition("://")
        scheme = scheme.lower()
        url = f"{scheme}://{rest}"
        parts = urlsplit(url)
        if parts.fragment or "#" in url or "@" in parts.path or "@" in parts.query:
            raise _Wrong(f"has an @ or # where none can be ({_ENCODE})")
        names = [name for name, _ in parse_qsl(parts.query, True, True)] if parts.query else []
        if not set(names) <= {*_OPTIONS}:
            raise _Wrong(f"has an option that is not one of {', '.join(_OPTIONS)}")
        try:
            port = parts.port
        except ValueError:
            raise _Wrong(f"the port is not a valid number ({_ENCODE})") from None
        path = parts.path.strip("/")
        if scheme == "unix":
            if not path or (parts.netloc and "@" not in parts.netloc):
                raise _Wrong("unix:// needs the path of a socket: unix:///folder/socket")
            place = unquote(parts.path)
        else:
            if _NO_HOST.search(parts.hostname or ""):
                raise _Wrong(f"the host is not a valid name ({_ENCODE})")
            if path and not (path.isascii() and path.isdecimal()):
                raise _Wrong(f"what follows the host is not a valid database number ({_ENCODE})")
            place = f"{parts.hostname or 'localhost'}:{port or 6379}"
        options: dict[str, Any] = {**parse_url(url)}
        return cls(options, place, int(options.get("db") or 0))


class _Wrong(Exception):
    """What is wrong with a URL, in words that show nothing of it."""
