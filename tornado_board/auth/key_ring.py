"""The keys of all sources, kept as they are now."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence

from tornado_board.auth.key_sources import KeysUnavailable, Source
from tornado_board.auth.keys import Key
from tornado_board.tasks import Shared, Tasks

#: Seconds after which a source that failed is asked again at first; doubles up to its interval.
RETRY = 5.0

#: Seconds for which a token with an unknown key has no source asked anew, after one had: whoever
#: sends made-up tokens must not have this server ask in circles.
EARLIEST = 30.0

logger = logging.getLogger(__name__)


class KeyRing:
    """Loads keys from sources, and hands them to `use` whenever they have become others.

    A source that fails keeps the keys that it gave last.
    """

    def __init__(self, sources: Iterable[Source], use: Callable[[Iterable[Key]], None]) -> None:
        self._sources = list(sources)
        self._use = use
        self._keys: dict[Source, Sequence[Key]] = {}
        self._failures: dict[Source, str] = {}
        self._loaded_at: dict[Source, float] = {}
        self._loading: Shared[Source, None] = Shared()
        self._tasks = Tasks()

    async def start(self) -> None:
        """Load all keys, and go on doing so.

        Raises `KeysUnavailable` where a file of this machine's can't be read, which waiting does
        not mend; another server may be away for a while.
        """
        await asyncio.gather(*(self._loading_of(source) for source in self._sources))
        for source in self._sources:
            if source in self._failures and not source.remote:
                raise KeysUnavailable(self._failures[source])
            if source.interval:
                self._tasks.start(self._keep(source))

    def missing(self) -> list[str]:
        """Which keys are not as they should be, a sentence each."""
        return list(self._failures.values())

    async def look_again(self) -> bool:
        """Ask the sources anew, because a token names a key that is not here; whether any was.

        A source is asked `EARLIEST` seconds after the last time at the soonest.
        """
        now = time.monotonic()
        due = [
            source
            for source in self._sources
            if source.interval > EARLIEST and now - self._loaded_at[source] >= EARLIEST
        ]
        await asyncio.gather(*(self._loading_of(source) for source in due))
        return bool(due)

    async def close(self) -> None:
        """Load nothing any more."""
        await self._tasks.cancel()
        for source in self._sources:
            source.close()

    async def _loading_of(self, source: Source) -> None:
        await self._loading.get(source, lambda: self._load(source))

    async def _load(self, source: Source) -> None:
        try:
            keys = await source.load()
        except KeysUnavailable as error:
            if self._failures.get(source) != str(error):
                still = "; those from before stay in use" if self._keys.get(source) else ""
                logger.error("the keys of tokens can't be read: %s%s", error, still)
            self._failures[source] = str(error)
        else:
            if self._failures.pop(source, None) is not None:
                logger.info("the keys of tokens can be read again: %s", source.description)
            if keys != self._keys.get(source):
                if source in self._keys:
                    logger.info("the keys of tokens have changed: %s", source.description)
                self._keys[source] = keys
                self._use([key for found in self._keys.values() for key in found])
        finally:
            self._loaded_at[source] = time.monotonic()

    async def _keep(self, source: Source) -> None:
        failed = source in self._failures
        pause = RETRY if failed else source.interval
        while True:
            # Several servers that were started at once need not ask at once.
            await asyncio.sleep(pause * random.uniform(0.8, 1.0))
            await self._loading_of(source)
            if source not in self._failures:
                failed, pause = False, source.interval
            else:
                pause = min(2 * pause, source.interval) if failed else RETRY
                failed = True
