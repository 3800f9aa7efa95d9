"""Several streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import TypeVar

from tornado_board.tasks import retrieve

T = TypeVar("T")


async def merged(streams: Sequence[AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
    """What all of `streams` give, as it comes. Of each one the next element is waited for while the
    caller has another, and none is taken beyond that.

    Raises what the first of them that fails raises. Whatever ends it, all of them are closed then.
    """
    waits = {asyncio.ensure_future(_next(stream)): stream for stream in streams}
    try:
        while waits:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in done:
                elements, stream = wait.result(), waits.pop(wait)
                if elements:
                    waits[asyncio.ensure_future(_next(stream))] = stream
                    yield elements[0]
    finally:
        for wait in waits:
            wait.cancel()
            wait.add_done_callback(retrieve)
        if waits:
            await asyncio.wait(waits)
        for stream in streams:
            await stream.aclose()


async def _next(stream: AsyncGenerator[T, None]) -> list[T]:
    """The next element, or none."""
    async for element in stream:
        return [element]
    return []
