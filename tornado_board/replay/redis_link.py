"""The link to a Redis server: commands are sent once, and each is over within a bounded time.

redis-py sends a command again when a connection breaks, ten times by default. That is off here: a
command that may have run is not repeated, and a script that lay in a socket buffer until its
caller gave up can tell so from `RedisLink.deadline`.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import time
from collections.abc import Sequence
from importlib import resources
from typing import Any

import redis.asyncio
from redis.asyncio.client import PubSub
from redis.asyncio.connection import AbstractConnection, SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    MasterDownError,
    NoPermissionError,
    NoScriptError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from tornado_board.replay import BoardRefused, LogRefused, LogUnavailable, NotPublisher
from tornado_board.replay.redis_masters import Masters, connection_class
from tornado_board.replay.redis_url import RedisURL
from tornado_board.tasks import GRACE, time_limit

#: How long a command may take, connecting included, before the server counts as unavailable.
TIMEOUT = 1.0

#: After a failure to connect, calls fail at once for this long instead of each trying anew.
RETRY_AFTER = 0.2


#: Has redis-py tell the server nothing about itself, which takes a right of its own. Before
#: redis-py 7 it was said with other words.
_UNTOLD: dict[str, None] = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(AbstractConnection).parameters
    else {"lib_name": None, "lib_version": None}
)

#: Stands in a command for the run of the server that the connection leads to.
RUN = object()


class Late(Exception):
    """A script refused to run after its deadline. It has changed nothing."""


class Script:
    """A Lua script, made of `files` of a package of this program, and its SHA-1."""

    def __init__(self, *files: str, package: str = __package__) -> None:
        folder = resources.files(package)
        self.text = "".join(folder.joinpath(f"{file}.lua").read_text("utf-8") for file in files)
        self.sha = hashlib.sha1(self.text.encode()).hexdigest()


class RedisLink:
    """At most `connections` connections to the server at `url`, or to the master that the sentinels
    at `url` name.

    Callers see to it that no more commands than that are under way. Raises `ValueError` for a URL
    that names no server; connects only when there is something to send.

    Which server answers may change behind one address: after a failover, or when it is started
    again. Each connection knows the run of the server that it leads to; where one turns out to be
    a read-only replica, all are given up, so that the next ones resolve the address anew.
    """

    def __init__(self, url: str, connections: int) -> None:
        own: dict[str, Any] = {
            "max_connections": connections,
            "decode_responses": True,
            "protocol": 2,  # replies of one shape with every server and every redis-py
            "retry": Retry(NoBackoff(), 0),
            "retry_on_timeout": False,
            "socket_connect_timeout": TIMEOUT,
            "socket_timeout": None,  # `send` has the time-outs
            "health_check_interval": 0,
            "redis_connect_func": self._greet,
            **_UNTOLD,
        }
        parsed = RedisURL.parse(url)
        #: Whether connections are encrypted.
        self.tls = parsed.options.get("connection_class") is SSLConnection
        self._masters = None if parsed.sentinels is None else Masters(parsed.sentinels)
        if self._masters is not None:
            own |= {"connection_class": connection_class(self.tls), "masters": self._masters}
            parsed.options.pop("connection_class", None)
        try:
            self._pool = redis.asyncio.ConnectionPool(**parsed.options, **own)
            # Tells of options that no connection has.
            self._pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError):
            raise ValueError("redis_url: has an option that this kind of URL can't have") from None
        self.database = parsed.database
        self.description = f"Redis, {parsed.place}, database {self.database}"
        #: The run of the server that the newest connection leads to; "" while it is not known.
        self.run_id = ""
        self._away: LogUnavailable | None = None
        self._away_until = 0.0
        #: The server's clock less this process's monotonic one, in ms; never ahead of the truth.
        self._clock_offset: float | None = None

    async def send(
        self, *commands: tuple[Any, ...], within: float = TIMEOUT, repeatable: bool = False
    ) -> list[Any]:
        """Send `commands` in one go and return a reply or a `ResponseError` for each.

        They are sent once; `repeatable` ones, such as reads, once more if the connection breaks.

        Raises `LogUnavailable` when the server can't be reached, or takes longer than `within`
        seconds; then any of them may have been carried out or not. Raises `LogRefused` when it
        does not let this process in, or is still loading; then none was.
        """
        if self._away is not None and time.monotonic() < self._away_until:
            raise type(self._away)(str(self._away))
        connection = None
        try:
            async with time_limit(within):
                connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
                self._away = None
                replies: list[Any] = []
                try:
                    packed = connection.pack_commands(
                        [
                            [_run_of(connection) if word is RUN else word for word in command]
                            for command in commands
                        ]
                    )
                    await connection.send_packed_command(packed, check_health=False)
                    for _ in commands:
                        try:
                            replies.append(await connection.read_response())
                        except ResponseError as error:
                            replies.append(error)
                except BaseException:
                    # What is still to be read would answer the next command.
                    await connection.disconnect(nowait=True)
                    raise
                finally:
                    await self._pool.release(connection)
        except (RedisError, OSError, UnicodeError) as error:
            if isinstance(error, ResponseError | AuthenticationError | BusyLoadingError):
                refused = LogRefused(f"{self.description}: {_text(error)}")
                self._fail_fast(refused)
                raise refused from error
            reason = f"{self.description}: {str(error) or type(error).__name__}"
            if isinstance(error, TimeoutError) and not str(error):
                reason = f"{self.description} did not answer within {within:g} s"
            broken = isinstance(error, RedisConnectionError) and connection is not None
            if broken and repeatable:
                return await self.send(*commands, within=within)
            unavailable = LogUnavailable(reason)
            if connection is None:
                self._fail_fast(unavailable)
            raise unavailable from error
        if any(_is_read_only(reply) for reply in replies):
            await self._give_up_connections()
        return replies

    async def run(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[Any],
        within: float = TIMEOUT,
        repeatable: bool = False,
    ) -> Any:
        """Run `script` and return its reply.

        Raises `LogUnavailable`, or what the script says: `NotPublisher`, `Late`, `BoardRefused`,
        and `LogRefused` for any other error.
        """
        rest = (len(keys), *keys, *arguments)
        [reply] = await self.send(
            ("EVALSHA", script.sha, *rest), within=within, repeatable=repeatable
        )
        if isinstance(reply, NoScriptError):  # so it has not run
            [reply] = await self.send(
                ("EVAL", script.text, *rest), within=within, repeatable=repeatable
            )
        if isinstance(reply, ResponseError):
            kind, _, text = str(reply).partition(" ")
            if kind == "NOTPUBLISHER":
                raise NotPublisher(text)
            if kind == "LATE":
                raise Late
            if kind == "NOTOURS":
                raise BoardRefused(f"{self.description}: {text}")
            reason = text if kind == "REFUSED" else _text(reply)
            raise LogRefused(f"{self.description}: {reason}") from reply
        return reply

    async def now_ms(self) -> int:
        """The server's clock, in milliseconds since 1970."""
        seconds, microseconds = value(*await self.send(("TIME",), repeatable=True))
        now = int(seconds) * 1000 + int(microseconds) // 1000
        self.set_clock(now)
        return now

    def set_clock(self, now_ms: int) -> None:
        """Note what Redis's clock was during a command that has just ended."""
        offset, known = now_ms - _monotonic_ms(), self._clock_offset
        # The reply took a while, so this falls short of the truth, by at most the time-out: the
        # greatest is the best, unless the clock was set back.
        if known is None or offset > known or offset < known - (TIMEOUT + GRACE) * 1000:
            self._clock_offset = offset

    def deadline(self) -> int:
        """When this process will have given up a command sent now, on Redis's clock; or 0."""
        if self._clock_offset is None:
            return 0
        return int(_monotonic_ms() + self._clock_offset + (TIMEOUT + GRACE) * 1000)

    def pubsub(self) -> PubSub:
        """A subscriber on a connection of its own."""
        options = {"socket_timeout": None, **self._pool.connection_kwargs}
        pool = redis.asyncio.ConnectionPool(
            connection_class=self._pool.connection_class, max_connections=1, **options
        )
        return PubSub(pool)

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        await self._pool.aclose()
        if self._masters is not None:
            await self._masters.close()

    async def _greet(self, connection: Any) -> None:
        """Log in on a new connection, and ask which run of the server it leads to."""
        await connection.on_connect()
        connection.run_id = ""
        # A user without the right to ask can't tell, and goes without.
        with contextlib.suppress(NoPermissionError):
            await connection.send_command("INFO", "server", check_health=False)
            connection.run_id = info_fields(await connection.read_response()).get("run_id", "")[:12]
        self.run_id = connection.run_id

    def _fail_fast(self, error: LogUnavailable) -> None:
        self._away, self._away_until = error, time.monotonic() + RETRY_AFTER

    async def _give_up_connections(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            # Those in use find out for themselves.
            await self._pool.disconnect(inuse_connections=False)


async def close_pubsub(pubsub: PubSub) -> None:
    """Close what `RedisLink.pubsub` returned, whatever state it is in."""
    pool = pubsub.connection_pool
    with contextlib.suppress(RedisError, OSError, TimeoutError):
        async with time_limit(TIMEOUT):
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            await pool.aclose()


def info_fields(info: str) -> dict[str, str]:
    """What ``INFO`` says, by name."""
    pairs = (line.partition(":") for line in info.splitlines())
    return {name: text for name, colon, text in pairs if colon}


def value(reply: Any) -> Any:
    """`reply`, one of `RedisLink.send`'s. Raises `LogRefused` where it is an error."""
    if isinstance(reply, ResponseError):
        raise LogRefused(f"Redis: {_text(reply)}") from reply
    return reply


def _text(error: RedisError) -> str:
    """What the server said, with the code that redis-py takes off."""
    code = getattr(error, "status_code", None)
    return f"{code} {error}" if code and code not in str(error) else str(error)


def _run_of(connection: Any) -> str:
    run_id: str = connection.run_id
    return run_id


def _is_read_only(reply: Any) -> bool:
    return isinstance(reply, ResponseError) and (
        isinstance(reply, ReadOnlyError | MasterDownError) or "READONLY" in str(reply)
    )


def _monotonic_ms() -> float:
    return time.monotonic() * 1000
