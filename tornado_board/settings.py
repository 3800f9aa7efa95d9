"""Every setting once: its name, type, default, bounds and help.

`tornado_board.command_line` makes flags and environment variables of them; `checked_settings` says
which values are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from tornado_board.setting_fields import setting


class SettingsError(ValueError):
    """A setting is unknown, of the wrong type or out of its bounds. `str(error)` says which."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process. Times are in seconds and sizes in bytes unless said otherwise.

    A field's name is its flag (with hyphens or underscores) and, in capitals and with a prefix,
    its environment variable.
    """

    # server
    address: str = setting(
        "localhost",
        "address or host name to listen on; 0.0.0.0 for every interface",
        group="server",
    )
    port: int = setting(
        8888, "port to listen on; 0 takes a free one", group="server", low=0, high=65535, bare=True
    )
    processes: int = setting(
        1,
        "how many server processes share the port (needs Redis and RethinkDB)",
        group="server",
        low=1,
        high=64,
    )
    uvloop: bool = setting(
        False,
        "run on uvloop's event loop (python -m pip install uvloop); cheaper requests",
        group="server",
    )
    fast_path: bool = setting(
        True,
        "answer the requests that make the load without Tornado's machinery; off to see whether "
        "that makes a difference",
        group="server",
    )
    tls_certificate: str = setting("", "PEM file with the certificate chain", group="server")
    tls_key: str = setting("", "PEM file with the certificate's private key", group="server")
    allowed_origins: tuple[str, ...] = setting(
        (), "origins that may call the API from a browser (CORS); * for any", group="server"
    )
    frame_ancestors: tuple[str, ...] = setting(
        (),
        "origins whose pages may show /embed/ in frames: https://www.example.org,"
        " https://*.example.org, or * for any; by default only this server's",
        group="server",
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "host names to answer for: names, *.example.org or *; on loopback only its own names "
        "by default, elsewhere any",
        group="server",
    )
    trust_forwarded: bool = setting(
        False,
        "take the client's address from X-Forwarded-For or X-Real-IP, as set by your proxy",
        group="server",
    )
    metrics: bool = setting(
        True, "count what /metrics tells; it costs next to nothing", group="server"
    )
    metrics_port: int = setting(
        0,
        "port of its own for /metrics, without tokens, of several processes one each from there on;"
        " 0 for none: they are served beside the rest",
        group="server",
        low=0,
        high=65535,
    )
    metrics_address: str = setting(
        "localhost", "address to serve them at, with metrics_port", group="server"
    )
    access_log: str = setting(
        "text",
        "how requests are logged: text, json (then all of the log is, an object a line) or none"
        " (then only those that fail)",
        group="server",
        choices=("text", "json", "none"),
    )
    log_level: str = setting(
        "info",
        "how much is logged: debug, info, warning or error",
        group="server",
        choices=("debug", "info", "warning", "error"),
    )
    stop_timeout: float = setting(
        4.0, "how long a stop waits for requests under way", group="server", low=0, high=60
    )
    base_path: str = setting(
        "/",
        "path that browsers find the server below, behind a proxy: /boards-of-ours/",
        group="server",
    )
    read_only_page: bool = setting(
        False, "show the page without buttons and forms that change boards", group="server"
    )

    # storage
    database_url: str = setting(
        "sqlite:///tornado_board.sqlite3",
        "where boards and players live: sqlite:///file or rethinkdb://[user:password@]host:port/db",
        group="storage",
        bare=True,
        secret=True,
    )
    redis_url: str = setting(
        "",
        "where the replay log lives: redis://..., or sqlite:///file; "
        "by default the SQLite file of database_url, or tornado_board.sqlite3",
        group="storage",
        bare=True,
        secret=True,
    )
    redis_prefix: str = setting(
        "tornado_board:",
        "what the names of all keys and channels in Redis begin with",
        group="storage",
    )
    database_ca_certs: str = setting(
        "",
        "PEM file of the authority that signed RethinkDB's certificate (turns TLS on)",
        group="storage",
    )
    database_timeout: float = setting(
        5.0, "how long a query may take", group="storage", low=0.1, high=300
    )
    database_wait: float = setting(
        60.0,
        "how long start-up waits for a database server that is not up yet",
        group="storage",
        low=0,
        high=86400,
    )
    database_durability: str = setting(
        "hard",
        "RethinkDB's writes: hard (on disk before the answer) or soft",
        group="storage",
        choices=("hard", "soft"),
    )
    waiting_writes: int = setting(
        10_000,
        "writes that may wait for the store; more are answered 503",
        group="storage",
        low=1,
        high=1_000_000,
    )
    replay_retention: float = setting(
        3600.0,
        "how long events are kept for clients that come back",
        group="storage",
        low=1,
        high=30 * 86400,
    )
    replay_length: int = setting(
        1000, "how many events are kept for each board", group="storage", low=1, high=100_000
    )
    replay_prune_interval: float = setting(
        60.0, "how often events past the retention are dropped", group="storage", low=1, high=86400
    )

    # upstream
    upstream: tuple[str, ...] = setting(
        (),
        "servers to follow instead of having a database, the first that answers: https://host[:port]",
        group="upstream",
        secret=True,
    )
    upstream_timeout: float = setting(
        10.0, "how long one may take to connect or answer", group="upstream", low=0.1, high=300
    )
    upstream_silence: float = setting(
        40.0, "how long its streams may say nothing", group="upstream", low=0.1, high=3600
    )
    upstream_ca_certs: str = setting(
        "",
        "PEM file of the authority that signed their certificate, if the system does not know it",
        group="upstream",
    )

    # history
    history_retention: float = setting(
        30 * 86400.0,
        "how long one event a minute of each board is kept to look back; 0 for no history beyond "
        "the replay log",
        group="history",
        low=0,
        high=3660 * 86400,
    )
    history_fine_retention: float = setting(
        3600.0,
        "how long one event a second is; 0 for not at all",
        group="history",
        low=0,
        high=7 * 86400,
    )
    history_bytes: int = setting(
        256 * 2**20,
        "bytes that the history of all boards takes; past that, and in Redis past a quarter of its "
        "maxmemory, the boards that take the most lose their oldest",
        group="history",
        low=2**16,
        high=2**50,
    )

    # realtime
    coalesce: float = setting(
        0.05,
        "changes of a board within this time become one event",
        group="realtime",
        low=0,
        high=10,
    )
    top_k: int = setting(
        100,
        "players of each live board kept in memory, the best ones",
        group="realtime",
        low=10,
        high=10_000,
    )
    live_boards: int = setting(
        10_000,
        "boards kept warm; the longest idle one makes room",
        group="realtime",
        low=1,
        high=1_000_000,
    )
    rank_entries: int = setting(
        20_000_000,
        "scores in memory for ranks, of all boards: 8 bytes each, 32 for a minute after a board is "
        "read; the longest unused board makes room; 0 for none: the database counts",
        group="realtime",
        low=0,
        high=10_000_000_000,
    )
    keepalive: float = setting(
        15.0, "how often a quiet stream gets a comment line", group="realtime", low=0.05, high=300
    )
    compress_streams: bool = setting(
        True,
        "send event streams in gzip to clients that accept it",
        group="realtime",
    )
    lease: float = setting(
        3.0, "how long the publishing lease lasts unless renewed", group="realtime", low=1, high=60
    )

    # trust
    token_secret: str = setting(
        "",
        "secret that tokens are signed with (HS256), 32 bytes or more; others on this machine see"
        " flags, so give it in the environment or in token_secret_file",
        group="trust",
        secret=True,
    )
    token_secret_file: str = setting(
        "",
        "file with such a secret, or with one on each line: the first one signs, all verify",
        group="trust",
    )
    token_keys: str = setting(
        "",
        "public keys that tokens are verified with (EdDSA, ES256, RS256): PEM or JWKS, in a file or"
        " at an https:// address",
        group="trust",
        secret=True,
    )
    token_private_key: str = setting(
        "",
        "PEM file with the private key that the command token signs with; the server does not read"
        " it",
        group="trust",
    )
    token_issuer: str = setting("", "what a token's iss has to be", group="trust")
    token_audience: str = setting("", "what a token's aud has to name", group="trust")
    token_cookie: str = setting(
        "tornado_board_token",
        "name of the cookie that may hold a token; empty for none",
        group="trust",
    )
    private: bool = setting(
        False, "reading needs a token, on every board; without it, on private ones", group="trust"
    )
    audit: int = setting(
        0,
        "entries of the audit trail that are kept: of each write with the scope admin; 0 for no "
        "trail",
        group="trust",
        low=0,
        high=1_000_000,
    )
    writes_per_token: float = setting(
        1000.0,
        "writes a second with one token, and ten times as many at once; 0 for any number",
        group="trust",
        low=0,
        high=1_000_000,
    )
    writes_per_player: float = setting(
        10.0,
        "the same, with tokens that are for one player only",
        group="trust",
        low=0,
        high=1_000_000,
    )
    writes_per_address: float = setting(
        200.0,
        "the same, from one address other than loopback, without a token or with such ones",
        group="trust",
        low=0,
        high=1_000_000,
    )

    # limits
    max_body: int = setting(65_536, "largest request body", group="limits", low=1, high=100 * 2**20)
    max_bulk_body: int = setting(
        4 * 2**20,
        "largest body with many submissions, of POST /boards/{board}/scores/",
        group="limits",
        low=1,
        high=100 * 2**20,
    )
    max_header: int = setting(
        16_384, "largest request header", group="limits", low=1024, high=2**20
    )
    header_timeout: float = setting(
        20.0,
        "how long a client may take to send a request's header or body",
        group="limits",
        low=0.05,
        high=3600,
    )
    idle_timeout: float = setting(
        75.0,
        "how long a connection may stay idle between requests",
        group="limits",
        low=0.05,
        high=3600,
    )
    max_connections: int = setting(
        20_000, "open connections in all", group="limits", low=1, high=1_000_000
    )
    max_connections_per_address: int = setting(
        0,
        "open connections from one address; 0 for a quarter of max_connections",
        group="limits",
        low=0,
        high=1_000_000,
    )
    live_boards_per_address: int = setting(
        0,
        "boards that one address may have streams and long-polls of; 0 for a quarter of "
        "live_boards",
        group="limits",
        low=0,
        high=1_000_000,
    )
    max_streams_per_board: int = setting(
        20_000,
        "streams and waiting long-polls of one board",
        group="limits",
        low=1,
        high=1_000_000,
    )

    @property
    def takes_tokens(self) -> bool:
        """Whether there are keys, so that tokens decide who may do what."""
        return bool(self.token_secret or self.token_secret_file or self.token_keys)

    @property
    def path_prefix(self) -> str:
        """What public paths begin with: `base_path` without its last slash."""
        return self.base_path.rstrip("/")

    @property
    def replay_url(self) -> str:
        """Where the replay log lives once the defaults are worked out."""
        if self.redis_url:
            return self.redis_url
        if self.upstream:
            return "sqlite:///tornado_board_edge.sqlite3"
        if self.database_url.startswith("sqlite:"):
            return self.database_url
        return "sqlite:///tornado_board.sqlite3"
