"""The master that sentinels name: asked for whenever a connection is made."""

from __future__ import annotations

import contextlib
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tornado_board.replay.redis_url import Sentinels

#: Seconds that a sentinel may take: so much less than a command may that there is time for others.
_PATIENCE = 0.3


class Masters:
    """Asks the sentinels, one after the other, beginning with the one that has answered last."""

    def __init__(self, sentinels: Sentinels) -> None:
        self._service = sentinels.service
        account = {"username": sentinels.username, "password": sentinels.password}
        self._sentinel = Sentinel(  # type: ignore[no-untyped-call]
            sentinels.addresses,
            sentinel_kwargs={
                **{name: text for name, text in account.items() if text},
                "socket_timeout": _PATIENCE,
                "socket_connect_timeout": _PATIENCE,
                "retry": Retry(NoBackoff(), 0),
                "protocol": 2,
                "decode_responses": True,
            },
        )

    async def address(self) -> tuple[str, int]:
        """Host and port of the master. Raises redis-py's `ConnectionError` where no sentinel says
        it, or where they say that it is down."""
        try:
            host, port = await self._sentinel.discover_master(self._service)
        except RedisError as error:
            # redis-py's text has a line for each of its clients.
            reason = f"no sentinel names a master {self._service!r} that is up"
            raise RedisConnectionError(reason) from error
        return str(host), int(port)

    async def close(self) -> None:
        """Close the connections to the sentinels. May be called twice."""
        for client in self._sentinel.sentinels:
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()


class _ToMaster(AbstractConnection):
    """A connection to whatever is the master when it is made."""

    def __init__(self, *, masters: Masters, **options: Any) -> None:
        super().__init__(**options)
        self._masters = masters

    async def connect(self) -> None:
        if not self.is_connected:
            self.host, self.port = await self._masters.address()
        await super().connect()  # type: ignore[no-untyped-call]


class _Plain(_ToMaster, Connection):
    pass


class _Encrypted(_ToMaster, SSLConnection):
    pass


def connection_class(tls: bool) -> type[AbstractConnection]:
    """What redis-py's pool makes connections with, to the master of its option ``masters``."""
    return _Encrypted if tls else _Plain
