"""Every setting once: its flag, environment variable, default, bounds and help.

A setting is taken from the first of: the command line (``--port=8888``), the environment
(``PORT=8888``), the file ``.env`` in the working folder, the default.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO, get_type_hints

import dotenv
import tornado.options

from tornado_board.cluster.keys import check_prefix


class SettingsError(ValueError):
    """A setting is unknown, of the wrong type or out of its bounds. `str(error)` says which."""


def _setting(
    default: Any, help: str, *, group: str, low: float | None = None, high: float | None = None
) -> Any:
    metadata = {"help": help, "group": group, "low": low, "high": high}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Times are in seconds and sizes in bytes unless said otherwise.

    A field's name is its flag (with hyphens or underscores) and, in capitals, its environment
    variable.
    """

    # server
    address: str = _setting(
        "localhost",
        "address or host name to listen on; 0.0.0.0 for every interface",
        group="server",
    )
    port: int = _setting(
        8888, "port to listen on; 0 takes a free one", group="server", low=0, high=65535
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
    log_level: str = _setting("info", "debug, info, warning or error", group="server")
    stop_timeout: float = _setting(
        4.0, "how long a stop waits for requests under way", group="server", low=0, high=60
    )
    base_path: str = _setting(
        "/",
        "path that browsers find the server below, behind a proxy: /boards-of-ours/",
        group="server",
    )
    read_only_page: bool = _setting(
        False, "show the page without buttons and forms that change boards", group="server"
    )

    # storage
    database_url: str = _setting(
        "sqlite:///tornado_board.sqlite3",
        "where boards and players live: sqlite:///file or rethinkdb://[user:password@]host:port/db",
        group="storage",
    )
    redis_url: str = _setting(
        "",
        "where the replay log lives: redis://..., or sqlite:///file; "
        "by default the SQLite file of database_url, or tornado_board.sqlite3",
        group="storage",
    )
    redis_prefix: str = _setting(
        "tornado_board:",
        "what the names of all keys and channels in Redis begin with",
        group="storage",
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
        "hard", "RethinkDB's writes: hard (on disk before the answer) or soft", group="storage"
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
    def path_prefix(self) -> str:
        """What public paths begin with: `base_path` without its last slash."""
        return self.base_path.rstrip("/")

    @property
    def replay_url(self) -> str:
        """Where the replay log lives once the defaults are worked out."""
        if self.redis_url:
            return self.redis_url
        if self.database_url.startswith("sqlite:"):
            return self.database_url
        return "sqlite:///tornado_board.sqlite3"


_HELP = """\
A realtime leaderboard server. Without settings it serves http://localhost:8888/ and keeps
everything in tornado_board.sqlite3, in the working folder.

A setting is taken from the first of: a flag (--port=8000), the environment variable in brackets
(PORT=8000), the file .env in the working folder, the default.
"""

_SWITCH = {
    **dict.fromkeys(("true", "t", "1", "yes", "on"), "true"),
    **dict.fromkeys(("false", "f", "0", "no", "off"), "false"),
}

_CHOICES = {
    "log_level": ("debug", "info", "warning", "error"),
    "database_durability": ("hard", "soft"),
}


def _spelled(kind: object, text: str) -> str:
    """`text` as Tornado understands it, to which a switch is on with every spelling but a few.

    Raises `ValueError` for a switch that is neither on nor off.
    """
    if kind is not bool:
        return text
    if text.lower() not in _SWITCH:
        raise ValueError("is neither true nor false")
    return _SWITCH[text.lower()]


class _Parser(tornado.options.OptionParser):
    """Prints its help where it was asked for, on standard output, and only then."""

    def print_help(self, file: TextIO | None = None) -> None:
        pass

    def _help_callback(self, value: bool) -> None:
        if value:
            print(_HELP)
            super().print_help(sys.stdout)
            raise SystemExit(0)


def load(
    arguments: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    dotenv_file: str | Path = ".env",
) -> Settings:
    """Read the settings from `arguments`, `environ` and `dotenv_file`, in this order of weight.

    The first two default to this process's. ``--help`` prints every setting and raises
    `SystemExit`. Raises `SettingsError`.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    environ = os.environ if environ is None else environ
    try:
        from_file = dotenv.dotenv_values(dotenv_file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{dotenv_file}: {error}") from None

    parser = _Parser()
    types = get_type_hints(Settings)
    for f in dataclasses.fields(Settings):
        several = types[f.name] == tuple[str, ...]
        parser.define(
            f.name,
            default=[] if several else f.default,
            type=str if several else types[f.name],
            multiple=several,
            help=f"{f.metadata['help']} [{f.name.upper()}]",
            group=f.metadata["group"],
        )
    options = parser._options  # OptionParser has no public way to parse a single value
    for f in dataclasses.fields(Settings):
        variable = f.name.upper()
        text = environ.get(variable, from_file.get(variable))
        if text is not None and (text != "" or types[f.name] is str):
            try:
                options[parser._normalize_name(f.name)].parse(_spelled(types[f.name], text))
            except (ValueError, tornado.options.Error):
                raise SettingsError(
                    f"{variable}: {text!r} is no {types[f.name].__name__}"
                ) from None
    for argument in arguments:
        flag, equals, text = argument.partition("=")
        kind = types.get(flag.lstrip("-").replace("-", "_"))
        try:
            spelled = f"{flag}={_spelled(kind, text)}" if equals else argument
            rest = parser.parse_command_line(["run.py", spelled])
        except ValueError as error:
            raise SettingsError(f"{argument}: {error}") from None
        except tornado.options.Error as error:
            raise SettingsError(f"{error}; --help shows every setting") from None
        if rest:
            raise SettingsError(f"unexpected argument {rest[0]!r}; --help shows every setting")

    values = {name: options[parser._normalize_name(name)].value() for name in types}
    values["allowed_origins"] = tuple(values["allowed_origins"])
    return checked(Settings(**values))


def checked(settings: Settings) -> Settings:
    """`settings`, if each lies within its bounds. Raises `SettingsError` naming the one that
    doesn't."""
    for f in dataclasses.fields(Settings):
        value, low, high = getattr(settings, f.name), f.metadata["low"], f.metadata["high"]
        if low is not None and not low <= value <= high:
            raise SettingsError(f"{f.name}: {value} is not from {low:g} to {high:g}")
        if f.name in _CHOICES and value not in _CHOICES[f.name]:
            raise SettingsError(f"{f.name}: {value!r} is none of {', '.join(_CHOICES[f.name])}")
    try:
        check_prefix(settings.redis_prefix)
    except ValueError as error:
        raise SettingsError(f"redis_prefix: {settings.redis_prefix!r} {error}") from None
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise SettingsError("tls_certificate and tls_key go together; one of them is not set")
    _check_base_path(settings.base_path)
    return settings


#: What the server itself has at its root. A base path that began with one of these could not be
#: told from a path without it.
_OWN_PATHS = frozenset({"boards", "static", "healthz", "readyz"})

#: The longest base path, in characters.
_BASE_PATH_LENGTH = 200


def _check_base_path(path: str) -> None:
    """Raise `SettingsError` unless `path` is ``/``, or segments that need no escape in a URL."""
    segments = path.removesuffix("/").split("/")
    if (
        len(path) > _BASE_PATH_LENGTH
        or segments.pop(0)
        or path == ""
        or not all(re.fullmatch(r"[A-Za-z0-9._~-]+", segment, re.ASCII) for segment in segments)
        or not {".", ".."}.isdisjoint(segments)
    ):
        raise SettingsError(
            f"base_path: {path[:_BASE_PATH_LENGTH]!r} is not a path; expected / or, as in"
            f" /our/boards/, segments of A-Z a-z 0-9 . _ ~ -, {_BASE_PATH_LENGTH} characters at"
            " most"
        )
    if segments and segments[0] in _OWN_PATHS:
        raise SettingsError(
            f"base_path: {path!r} begins with a path of the server's own; expected anything but"
            f" {', '.join(sorted(_OWN_PATHS))}"
        )
