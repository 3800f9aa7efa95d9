"""What a scenario is, and the clock that it goes by."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from .deployment import Deployment
from .record import Record
from .relay import Relay
from .rules import Rules
from .shape import Shape

#: How long a server may take to see that its SQLite file was restored or replaced; what clients
#: are shown until then, and what is answered, may be from before.
RESTORED = 5.0


class Clock:
    """The time that a scenario has."""

    def __init__(self, seconds: float, seed: int) -> None:
        self.random = random.Random(seed)
        self._end = time.monotonic() + seconds

    async def every(self, seconds: float) -> AsyncIterator[None]:
        """Once each `seconds`, a bit more or less, for as long as there is time for one more;
        at least once."""
        await self.pause(0.5)
        while True:
            following = time.monotonic() + self.random.uniform(0.7, 1.3) * seconds
            yield
            if following + seconds > self._end:
                await self.rest()
                break
            await asyncio.sleep(following - time.monotonic())

    async def pause(self, seconds: float) -> None:
        """About `seconds`."""
        await asyncio.sleep(self.random.uniform(0.7, 1.3) * seconds)

    async def rest(self) -> None:
        await asyncio.sleep(self._end - time.monotonic())


Run = Callable[[Deployment, Clock, Record], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A scenario with what it runs on."""

    name: str
    run: Run
    shape: Shape
    rules: Rules
    #: Whether it needs RethinkDB nodes of its own, which it harms.
    harms_rethinkdb: bool

    @property
    def description(self) -> str:
        return (self.run.__doc__ or "").strip().split("\n")[0]


SCENARIOS: dict[str, Scenario] = {}

USUAL = Shape()
SQLITE = Shape(servers=1, nodes=0)
ALL_RULES = Rules()
FORGETFUL = Rules(counters_reused=True)
EARLY = Rules(unanswered_lost=True)


def scenario(
    shape: Shape = USUAL, rules: Rules = ALL_RULES, harms_rethinkdb: bool = False
) -> Callable[[Run], Run]:
    """Registers a scenario under its function's name."""

    def register(run: Run) -> Run:
        name = run.__name__
        SCENARIOS[name] = Scenario(name, run, shape, rules, harms_rethinkdb or shape.nodes > 1)
        return run

    return register


async def broken(
    parts: Deployment,
    clock: Clock,
    what: str,
    links: Sequence[Relay],
    fault: Callable[[Relay], None],
    seconds: float = 4,
) -> None:
    """Have a fault on some links for some seconds."""
    parts.mark(what)
    for link in links:
        fault(link)
    await clock.pause(seconds)
    parts.mark(f"over: {what}")
    for link in links:
        await link.mend()


def slow(link: Relay) -> None:
    link.delay(0.15)
