"""Turns at work that is bounded, so that what clients wait for need not stand behind the rest."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Turns:
    """At most `at_once` are at it at a time, and the others wait in order.

    Who is urgent, or is hurried while it waits, neither waits nor counts.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: dict[str, asyncio.Future[bool]] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def take(self, name: str, *, urgent: bool) -> AsyncIterator[None]:
        """Wait for a turn, and have it until the context ends. One of a name waits at a time."""
        counts = not urgent
        if counts and self._free:
            self._free -= 1
        elif counts:
            counts = await self._wait(name)
        try:
            yield
        finally:
            if counts:
                self._pass_on()

    def hurry(self, name: str) -> None:
        """Let `name` have its turn now, if it waits for one."""
        self._let(name, counts=False)

    async def _wait(self, name: str) -> bool:
        """Wait, and return whether the turn counts."""
        waiting = self._waiting[name] = asyncio.get_running_loop().create_future()
        try:
            return bool(await waiting)
        except asyncio.CancelledError:
            if not waiting.cancelled() and waiting.result():
                self._pass_on()
            raise
        finally:
            if self._waiting.get(name) is waiting:
                del self._waiting[name]

    def _let(self, name: str, *, counts: bool) -> bool:
        waiting = self._waiting.pop(name, None)
        if waiting is None or waiting.done():
            return False
        waiting.set_result(counts)
        return True

    def _pass_on(self) -> None:
        while self._waiting:
            if self._let(next(iter(self._waiting)), counts=True):
                return
        self._free += 1
