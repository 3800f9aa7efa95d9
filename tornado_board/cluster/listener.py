"""What Redis publishes: one subscriber connection, which comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from tornado_board.backoff import Backoff
from tornado_board.replay.redis_link import TIMEOUT, RedisLink, close_pubsub
from tornado_board.tasks import time_limit

logger = logging.getLogger(__name__)

#: Channels named in one command, when all of them are subscribed to anew.
_BATCH = 500

#: Seconds of silence after which the connection is asked whether it is alive; after as many more
#: it is given up.
_SILENCE = 2.0

#: Bounds, in seconds, of the wait before a lost connection is opened again.
_BACKOFF = (0.05, 1.0)


class Listener:
    """Listens on any number of channels.

    `on_message` is called with each message's channel and payload, in order. `on_subscribed` is
    called with a channel whenever messages on it are heard from now on: after `subscribe`, and
    again after each time the connection was lost. What was published before is not heard.
    """

    def __init__(
        self,
        link: RedisLink,
        on_message: Callable[[str, str], None],
        on_subscribed: Callable[[str], None],
    ) -> None:
        self._link = link
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._channels: dict[str, None] = {}
        self._pubsub: PubSub | None = None  # only while it is connected
        #: Whether everything published on the channels is heard at present.
        self.connected = False
        self._complained = False
        self._any = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def subscribe(self, channels: Iterable[str]) -> None:
        """Listen on `channels` too. `on_subscribed` tells when that has come into force."""
        added = [channel for channel in channels if channel not in self._channels]
        self._channels.update(dict.fromkeys(added))
        if self._channels:
            self._any.set()
        await self._tell(added, wanted=True)

    def unsubscribe(self, channels: Iterable[str]) -> Coroutine[Any, Any, None]:
        """Listen on `channels` no more. A message that is on its way may still be heard.

        They are left at once; what is returned tells the server, and is to be awaited.
        """
        dropped = [channel for channel in channels if channel in self._channels]
        for channel in dropped:
            del self._channels[channel]
        if not self._channels:
            self._any.clear()
        return self._tell(dropped, wanted=False)

    async def close(self) -> None:
        """Close the connection; no callback is called any more."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _tell(self, channels: list[str], *, wanted: bool) -> None:
        # Should that fail, the connection is lost, and the next one is told of all channels.
        with contextlib.suppress(RedisError, OSError, TimeoutError):
            async with time_limit(TIMEOUT):
                for start in range(0, len(channels), _BATCH):
                    # Without those about which somebody else thinks otherwise by now.
                    batch = [
                        channel
                        for channel in channels[start : start + _BATCH]
                        if (channel in self._channels) == wanted
                    ]
                    if self._pubsub is None:
                        return
                    if batch and wanted:
                        await self._pubsub.subscribe(*batch)
                    elif batch:
                        await self._pubsub.unsubscribe(*batch)

    async def _run(self) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            await self._any.wait()
            pubsub = self._link.pubsub()
            try:
                async with time_limit(2 * TIMEOUT):
                    await self._open(pubsub)
                await self._listen(pubsub, backoff)
            except (RedisError, OSError, TimeoutError, UnicodeError) as error:
                if not self._complained:
                    logger.warning(
                        "Redis is no longer heard: %s", str(error) or type(error).__name__
                    )
                    self._complained = True
            except Exception:
                logger.exception("listening to Redis failed and is begun anew")
            finally:
                self._pubsub = None
                self.connected = False
                await close_pubsub(pubsub)
            await asyncio.sleep(backoff.next())

    async def _open(self, pubsub: PubSub) -> None:
        """Subscribe to every channel, those added meanwhile too."""
        told: set[str] = set()
        while True:
            channels = [channel for channel in self._channels if channel not in told]
            if not channels:
                self._pubsub = pubsub
                return
            await pubsub.subscribe(*channels[:_BATCH])
            told.update(channels[:_BATCH])

    async def _listen(self, pubsub: PubSub, backoff: Backoff) -> None:
        """Pass on what is heard, until the connection is lost or no channel is left.

        Raises `NoPermissionError` where the server does not let this user listen: only the answer
        to a subscription shows that there is one.
        """
        asked = False
        while self._channels:
            message = await pubsub.get_message(timeout=_SILENCE)
            if self._leads_elsewhere(pubsub):
                raise RedisConnectionError("another server answers at its address now")
            if message is None:
                if asked:
                    raise TimeoutError(f"no answer within {_SILENCE:g} s")
                asked = True
                async with time_limit(TIMEOUT):
                    await pubsub.ping()
                continue
            asked = False
            if message["type"] == "message":
                self._on_message(message["channel"], message["data"])
            elif message["type"] == "subscribe":
                self._note_heard(backoff)
                if message["channel"] in self._channels:
                    self._on_subscribed(message["channel"])

    def _note_heard(self, backoff: Backoff) -> None:
        backoff.reset()
        self.connected = True
        if self._complained:
            self._complained = False
            logger.warning("Redis is heard again")

    def _leads_elsewhere(self, pubsub: PubSub) -> bool:
        """Whether commands go to another server by now, as after a failover."""
        mine = getattr(pubsub.connection, "run_id", "")
        return bool(mine and self._link.run_id and mine != self._link.run_id)
