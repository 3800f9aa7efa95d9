"""Every setting once: its name, type, default, bounds and help.

`tornado_board.command_line` makes flags and environment variables of them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, get_type_hints


class SettingsError(ValueError):
    """A setting is unknown, of the wrong type or out of its bounds. `str(error)` says which."""


def _setting(
    default: Any,
    help: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    bare: bool = False,
) -> Any:
    """A setting. `bare`: its environment variable is also known without the prefix."""
    metadata = {
        "help": help,
        "group": group,
        "low": low,
        "high": high,
        "choices": choices,
        "bare": bare,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Times are in seconds and sizes in bytes unless said otherwise.

    A field's name is its flag (with hyphens or underscores) and, in capitals and with a prefix,
    its environment variable.
    """

    # server
    address: str = _setting(
        "localhost",
        "address or host name to listen on; 0.0.0.0 for every interface",
        group="server",
    )
    port: int = _setting(
        8888, "port to listen on; 0 takes a free one", group="server", low=0, high=65535, bare=True
    )
    processes: int = _setting(
        1,
        "how many server processes share the port (needs Redis and RethinkDB)",
        group="server",
        low=1,
        high=64,
    )
    uvloop: bool = _setting(
        False,
        "run on uvloop's event loop (python -m pip install uvloop); cheaper requests",
        group="server",
    )
    tls_certificate: str = _setting("", "PEM file with the certificate chain", group="server")
    tls_key: str = _setting("", "PEM file with the certificate's private key", group="server")
    allowed_origins: tuple[str, ...] = _setting(
        (), "origins that may call the API from a browser (CORS); * for any", group="server"
    )
    trust_forwarded: bool = _setting(
        False,
        "take the client's address from X-Forwarded-For or X-Real-IP, as set by your proxy",
        group="server",
    )
    log_level: str = _setting(
        "info",
        "how much is logged: debug, info, warning or error",
        group="server",
        choices=("debug", "info", "warning", "error"),
    )
    stop_timeout: float = _setting(
        4.0, "how long a stop waits for requests under way", group="server", low=0, high=60
    )

    # storage
    database_url: str = _setting(
        "sqlite:///tornado_board.sqlite3",
        "where boards and players live: sqlite:///file or rethinkdb://[user:password@]host:port/db",
        group="storage",
        bare=True,
    )
    redis_url: str = _setting(
        "",
        "where the replay log lives: redis://..., or sqlite:///file; "
        "by default the SQLite file of database_url, or tornado_board.sqlite3",
        group="storage",
        bare=True,
    )
    database_ca_certs: str = _setting(
        "",
        "PEM file of the authority that signed RethinkDB's certificate (turns TLS on)",
        group="storage",
    )
    database_timeout: float = _setting(
        5.0, "how long a query may take", group="storage", low=0.1, high=300
    )
    database_wait: float = _setting(
        60.0,
        "how long start-up waits for a database server that is not up yet",
        group="storage",
        low=0,
        high=86400,
    )
    database_durability: str = _setting(
        "hard",
        "RethinkDB's writes: hard (on disk before the answer) or soft",
        group="storage",
        choices=("hard", "soft"),
    )
    waiting_writes: int = _setting(
        10_000,
        "writes that may wait for the store; more are answered 503",
        group="storage",
        low=1,
        high=1_000_000,
    )
    replay_retention: float = _setting(
        3600.0,
        "how long events are kept for clients that come back",
        group="storage",
        low=1,
        high=30 * 86400,
    )
    replay_length: int = _setting(
        1000, "how many events are kept for each board", group="storage", low=1, high=100_000
    )
    replay_prune_interval: float = _setting(
        60.0, "how often events past the retention are dropped", group="storage", low=1, high=86400
    )

    # realtime
    squash: float = _setting(
        0.05,
        "changes of a board within this time become one event",
        group="realtime",
        low=0,
        high=10,
    )
    standings_depth: int = _setting(
        100, "players of each live board kept in memory", group="realtime", low=10, high=10_000
    )
    live_boards: int = _setting(
        10_000,
        "boards kept warm; the longest idle one makes room",
        group="realtime",
        low=1,
        high=1_000_000,
    )
    keepalive: float = _setting(
        15.0, "how often a quiet stream gets a comment line", group="realtime", low=0.05, high=300
    )
    lease: float = _setting(
        3.0, "how long the publishing lease lasts unless renewed", group="realtime", low=1, high=60
    )

    # limits
    max_body: int = _setting(
        65_536, "largest request body", group="limits", low=1, high=100 * 2**20
    )
    max_header: int = _setting(
        16_384, "largest request header", group="limits", low=1024, high=2**20
    )
    header_timeout: float = _setting(
        20.0,
        "how long a client may take to send a request's header or body",
        group="limits",
        low=0.05,
        high=3600,
    )
    idle_timeout: float = _setting(
        75.0,
        "how long a connection may stay idle between requests",
        group="limits",
        low=0.05,
        high=3600,
    )
    max_connections: int = _setting(
        20_000, "open connections in all", group="limits", low=1, high=1_000_000
    )
    max_connections_per_address: int = _setting(
        20_000, "open connections from one address", group="limits", low=1, high=1_000_000
    )
    max_streams_per_board: int = _setting(
        20_000,
        "streams and waiting long-polls of one board",
        group="limits",
        low=1,
        high=1_000_000,
    )

    @property
    def replay_url(self) -> str:
        """Where the replay log lives once the defaults are worked out."""
        if self.redis_url:
            return self.redis_url
        if self.database_url.startswith("sqlite:"):
            return self.database_url
        return "sqlite:///tornado_board.sqlite3"


#: The fields of `Settings`, and their types, by name.
TYPES = get_type_hints(Settings)
FIELDS = {f.name: f for f in dataclasses.fields(Settings)}

#: How much of a wrong value a message shows, in characters.
_SHOWN = 60


def check(name: str, where: str, value: Any) -> None:
    """Raise `SettingsError`, which calls it `where`, unless the setting `name` may be `value`."""
    limits = FIELDS[name].metadata
    if limits["low"] is not None and not limits["low"] <= value <= limits["high"]:
        text = shown(str(value)).strip("'")
        raise SettingsError(f"{where}: {text} is out of range; expected {expected(name)}")
    if limits["choices"] and value not in limits["choices"]:
        raise SettingsError(f"{where}: {shown(value)} is not known; expected {expected(name)}")


def expected(name: str) -> str:
    """What the setting `name` takes, in words."""
    limits = FIELDS[name].metadata
    if limits["choices"]:
        *most, last = limits["choices"]
        return f"{', '.join(most)} or {last}"
    if limits["low"] is None:
        return "true or false"
    number = "a whole number" if TYPES[name] is int else "a number"
    return f"{number} from {limits['low']:.12g} to {limits['high']:.12g}"


def checked(settings: Settings) -> Settings:
    """`settings`, if each lies within its bounds. Raises `SettingsError` naming the one that
    doesn't."""
    for name in FIELDS:
        check(name, name, getattr(settings, name))
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError("tls_certificate and tls_key go together; one of them is not set")
    return settings


def shown(text: str) -> str:
    """`text` for a message: not much of it, on one line, and nothing of a URL's password."""
    scheme, separator, _ = text.partition("://")
    if separator:
        return repr(f"{scheme[:_SHOWN]}://...")
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
