"""What a ``redis://`` URL says. Nothing of a wrong one is ever shown: what is taken for a port, a
path or an option may be a piece of a password."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

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

#: The scheme of the master's own address, by that of a URL which names sentinels; what such a URL
#: may say besides; where a sentinel listens by default; and the most of them that are named.
_OF_MASTERS = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
_OF_SENTINELS = ("sentinel_username", "sentinel_password")
_SENTINEL_PORT = 26379
_MOST_SENTINELS = 32

_ENCODE = "special characters of a password need percent-encoding"
_FORM = "redis://[user:password@]host:port/database"
_SENTINEL_FORM = "redis+sentinel://[user:password@]host:port,host:port/name/database"

#: What no host name or address has.
_NO_HOST = re.compile(r"[^A-Za-z0-9._:%-]", re.ASCII)


#: The name of a master, as Sentinel has it.
_SERVICE = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)


class Sentinels(NamedTuple):
    """The sentinels that are asked for the address of the master `service`, and the account with
    which they are; empty without one."""

    addresses: tuple[tuple[str, int], ...]
    service: str
    username: str
    password: str


class RedisURL(NamedTuple):
    """`options` for redis-py's connection pool, and `place`, which may be shown. With `sentinels`
    the options lack host and port."""

    options: dict[str, Any]
    place: str
    database: int
    sentinels: Sentinels | None = None

    @classmethod
    def parse(cls, url: str) -> RedisURL:
        """Read `url`, ``redis://``, ``rediss://``, ``unix://`` or, with the sentinels' hosts and
        the master's name, ``redis+sentinel://`` or ``rediss+sentinel://``. Raises `ValueError`."""
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
        if scheme in _OF_MASTERS:
            return cls._parse_sentinels(scheme, rest)
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

    @classmethod
    def _parse_sentinels(cls, scheme: str, rest: str) -> RedisURL:
        place = re.split("[/?#]", rest, maxsplit=1)[0]
        account, at, hosts = place.rpartition("@")
        tail, query_mark, query = rest[len(place) :].partition("?")
        _, _, path = tail.partition("/")
        service, slash, database = path.rstrip("/").partition("/")
        if not _SERVICE.fullmatch(service):
            raise _Wrong(f"the name of the master has to follow the hosts: {_SENTINEL_FORM}")
        options = parse_qsl(query, True, True) if query else []
        own = dict(pair for pair in options if pair[0] in _OF_SENTINELS)
        others = urlencode([pair for pair in options if pair[0] not in _OF_SENTINELS])
        names = hosts.split(",", _MOST_SENTINELS)
        if len(names) > _MOST_SENTINELS or "" in names:
            raise _Wrong(f"between the commas have to be hosts, {_MOST_SENTINELS} at the most")
        of_master = _OF_MASTERS[scheme]
        path = f"{slash}{database}{query_mark if others else ''}{others}"
        parsed = [cls._parse(f"{of_master}://{account}{at}{name}{path}") for name in names]
        ports = [urlsplit(f"//{name}").port or _SENTINEL_PORT for name in names]
        addresses = [
            (str(one.options.get("host") or "localhost"), port)
            for one, port in zip(parsed, ports, strict=True)
        ]
        shown = ",".join(f"{host}:{port}" for host, port in addresses)
        return parsed[0]._replace(
            options={
                name: value
                for name, value in parsed[0].options.items()
                if name not in ("host", "port")
            },
            place=f"the master {service} of {shown}",
            sentinels=Sentinels(
                tuple(dict.fromkeys(addresses)),
                service,
                own.get("sentinel_username", ""),
                own.get("sentinel_password", ""),
            ),
        )


class _Wrong(Exception):
    """What is wrong with a URL, in words that show nothing of it."""
