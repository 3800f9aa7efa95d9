"""What is asked of the driver's own connections, which wait without end for a lost server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from rethinkdb.errors import ReqlDriverError

from tornado_board.tasks import GRACE, retrieve

#: Seconds a connection may take to close.
_CLOSE_TIMEOUT = 1.0


async def run(
    driver: Any, term: Any, seconds: float, lost: asyncio.Future[None] | None = None, **options: Any
) -> Any:
    """Run `term` on a connection of the driver. Raises the driver's errors and `TimeoutError`.

    When `lost` is done the connection is given up. The driver can't take back a query, so one that
    nobody waits for any more goes on.
    """
    return await _answer(term.run(driver, **options), seconds, lost)


async def first(cursor: Any, seconds: float, lost: asyncio.Future[None]) -> Any:
    """The next element of a cursor of the driver. Raises the driver's errors and `TimeoutError`."""
    return await _answer(cursor.next(), seconds, lost)


async def _answer(
    answer: asyncio.Future[Any], seconds: float, lost: asyncio.Future[None] | None
) -> Any:
    answer.add_done_callback(retrieve)
    both = (answer,) if lost is None else (answer, lost)
    for limit in (seconds, GRACE):  # see `tasks.time_limit`, which would cancel the answer
        await asyncio.wait(both, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        if lost is not None and lost.done():
            # A query that was sent while the driver closed its connection would get no answer, and
            # no error either.
            raise ReqlDriverError("Connection is closed.")
    raise TimeoutError(f"no answer within {seconds:g} s")


def reason_of(error: Exception) -> str:
    """What an error of the driver says, on one line and without the query."""
    return " ".join(str(getattr(error, "message", error)).split())


async def close_driver(driver: Any) -> None:
    """Close a connection of the driver; never raises. Its queries under way fail."""
    with contextlib.suppress(Exception):
        # Without `noreply_wait=False` the driver waits for an answer, from a dead server forever.
        async with asyncio.timeout(_CLOSE_TIMEOUT):
            await driver.close(noreply_wait=False)
