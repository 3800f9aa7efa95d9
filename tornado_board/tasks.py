"""Work that runs beside its owner and ends with it, the futures that others wait for, and how long
they do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, TypeVar

logger = logging.getLogger(__name__)

#: What an answer is granted on top, in seconds, that may have come while the event loop was busy.
GRACE = 0.25

K = TypeVar("K")
T = TypeVar("T")


@contextlib.asynccontextmanager
async def time_limit(seconds: float) -> AsyncIterator[None]:
    """Like `asyncio.timeout`, but for the time it takes others, not this process's event loop.

    After a stall, such as thousands of clients that come back at once, timers that are overdue run
    before what has arrived is read. So the limit is looked at a second time, shortly after.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        once_more = loop.call_later(seconds, lambda: limit.reschedule(loop.time() + GRACE))
        try:
            yield
        finally:
            once_more.cancel()


class Tasks:
    """The tasks of one owner. One that fails is logged, and takes nobody along."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work` until it ends, or until `cancel`."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._finished)
        return task

    async def cancel(self) -> None:
        """Break off all that runs, and return when it has ended."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            name = getattr(task.get_coro(), "__qualname__", "a task")
            logger.error("%s failed", name, exc_info=error)


class Shared(Generic[K, T]):
    """Work that is done once for all who ask for the same while it is under way."""

    def __init__(self) -> None:
        self._under_way: dict[K, asyncio.Future[T]] = {}

    async def get(self, key: K, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` gives, or raises; it is called if nothing is under way for `key`.

        One who gives up does not cancel it for the others.
        """
        doing = self._under_way.get(key)
        if doing is None:
            doing = self._under_way[key] = asyncio.ensure_future(work())
            doing.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(doing)

    def _done(self, key: K, done: asyncio.Future[T]) -> None:
        del self._under_way[key]
        retrieve(done)  # it is no mistake if all who asked have given up


def succeed(future: asyncio.Future[None]) -> None:
    """Let those who wait for `future` go on."""
    if not future.done():
        future.set_result(None)


def fail(future: asyncio.Future[None], error: Exception) -> None:
    """Have `error` raised by those who wait for `future`; it is no mistake if nobody does."""
    if not future.done():
        future.set_exception(error)
        future.exception()


def retrieve(done: asyncio.Future[Any]) -> None:
    """Look at the outcome of `done`, so that asyncio does not log it as one that nobody saw."""
    if not done.cancelled():
        done.exception()
