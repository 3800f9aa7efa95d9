"""Which of the upstreams is asked, and whether any of them answers.

One of them is asked, until it does not answer; then the next one. While none does, they are looked
at with growing pauses, one after the other, and everybody else waits for that or is told at once.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from tornado_board.backoff import Backoff
from tornado_board.upstream import LoopFound, UpstreamError, UpstreamUnreachable
from tornado_board.upstream.address import Address

logger = logging.getLogger(__name__)

#: Bounds of the pauses, in seconds, while no upstream answers.
_BACKOFF = (0.25, 10.0)

#: Seconds between two looks at an upstream that answers, at the most; half of it at the least.
_CHECK = 30.0


class State(enum.IntEnum):
    """How good an upstream is; the greater the better."""

    #: It follows this very server.
    LOOPED = 0
    SILENT = 1
    #: It answers, and says that something is missing.
    INCOMPLETE = 2
    READY = 3


class Found(NamedTuple):
    """What a look at an upstream has shown."""

    state: State
    #: The ids of the edges on the way from it, itself first.
    servers: Sequence[str] = ()
    #: What is wrong with it.
    reason: str = ""


class Choice:
    """Chooses among `addresses`, of which there is one at least."""

    def __init__(
        self,
        addresses: Sequence[Address],
        look: Callable[[Address], Awaitable[Found]],
        on_left: Callable[[Address], None],
    ) -> None:
        """`look` never raises; `on_left` is called with one that is not to be followed any more,
        though it may answer."""
        self._addresses = tuple(addresses)
        self._look = look
        self._on_left = on_left
        #: The one that is asked first.
        self.current = self._addresses[0]
        #: The ids of the edges on the way from there.
        self.servers: Sequence[str] = ()
        #: Why none of them can be asked; empty where one can.
        self.down = "no upstream has answered yet"
        #: What is missing at the one that is asked; empty for nothing.
        self.incomplete = ""
        self._looped: set[Address] = set()
        #: Those that gave no answer since one of them gave one.
        self._failing: set[Address] = set()
        self._up = asyncio.Event()
        self._fell = asyncio.Event()

    async def available(self) -> None:
        """Return when one of them answers, as far as is known."""
        await self._up.wait()

    def candidates(self) -> list[Address]:
        """Those to be asked, in order; none while none answers."""
        return [] if self.down else [a for a in self._ordered() if a not in self._looped]

    def error(self) -> UpstreamError:
        """What is told where there is none."""
        if self._looped.issuperset(self._addresses):
            return LoopFound(self.down)
        return UpstreamUnreachable(self.down)

    def answered(self, address: Address) -> None:
        """It gave an answer."""
        self._failing.discard(address)
        if not self.down:
            self.current = address

    def failed(self, address: Address, error: UpstreamError) -> None:
        """It could not be reached, or gave no answer."""
        self._failing.add(address)
        following = [other for other in self.candidates() if other not in self._failing]
        if self.down or (following and address != self.current):
            return
        if following:
            logger.warning("%s; %s is asked instead", error, following[0])
            self.current = following[0]
            self._fell.set()  # so that it is looked at
        else:
            self._lose(str(error))

    async def watch(self) -> None:
        """Look after them for good."""
        backoff = Backoff(*_BACKOFF)
        while True:
            await self.find()
            if self.down or self.incomplete:
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            self._fell.clear()
            try:
                async with asyncio.timeout(random.uniform(_CHECK / 2, _CHECK)):
                    await self._fell.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(backoff.next())

    async def find(self) -> None:
        """Look at the one that is asked, and at the others unless it is ready; choose the best."""
        best, at, reasons = Found(State.SILENT), self.current, []
        for address in self._ordered():
            found = await self._look(address)
            if found.state is State.LOOPED:
                self._ban(address, found.reason)
            else:
                self._looped.discard(address)
            if found.reason:
                reasons.append(found.reason)
            if found.state > best.state:
                best, at = found, address
            if found.state is State.READY:
                break
        if best.state <= State.SILENT:
            self._lose("; ".join(reasons))
            return
        before, was_down = self.current, bool(self.down)
        self.current, self.servers = at, best.servers
        self.down, self.incomplete = "", best.reason
        self._failing.clear()
        self._up.set()
        if at != before:
            self._on_left(before)
        if at != before or was_down:
            logger.info("following %s", at)

    def _ordered(self) -> Sequence[Address]:
        start = self._addresses.index(self.current)
        return self._addresses[start:] + self._addresses[:start]

    def _lose(self, reason: str) -> None:
        if not self.down:
            logger.warning("no upstream answers: %s", reason)
        self.down = reason
        self._up.clear()
        self._fell.set()

    def _ban(self, address: Address, reason: str) -> None:
        if address not in self._looped:
            logger.error("an upstream is not asked: %s", reason)
            self._looped.add(address)
            self._on_left(address)
