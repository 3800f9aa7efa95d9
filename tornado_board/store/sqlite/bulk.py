"""Many submissions of one request, in slices between which other writes pass."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from tornado_board.inputs import Submission
from tornado_board.store import Once, OutcomeUnknown, StoreError, StoreUnavailable, Submitted
from tornado_board.store.sqlite import submissions as one_transaction
from tornado_board.store.sqlite.outcomes import RESULTS, Codec, Results

#: Submissions that one write carries out: ten to twenty milliseconds.
SLICE = 1_000

#: Slices of all requests that are carried out or next: the writer always has one to go on with, and
#: a single write waits for few.
SLICES = 2

#: Submissions of all requests that wait or are carried out; more are refused.
WAITING = 200_000


class Write(Protocol):
    """Carries out a write as `SQLiteStore` does."""

    def __call__(
        self,
        work: Callable[[sqlite3.Connection], Results],
        once: Once | None,
        codec: Codec[Results],
        *,
        weight: int,
    ) -> Awaitable[Results]: ...


class Bulk:
    """Carries out `Store.submit`.

    Each slice is a transaction's. With a key each has one of its own, made of the request's, so
    that a request that comes again carries out the slices that were not, and no other.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._slices = asyncio.Semaphore(SLICES)
        self._waiting = 0

    async def submit(
        self, board_id: str, submissions: Sequence[Submission], once: Once | None
    ) -> list[Submitted | StoreError]:
        """As `Store.submit`."""
        if self._waiting and self._waiting + len(submissions) > WAITING:
            raise StoreUnavailable("too many submissions are waiting; nothing was changed")
        self._waiting += len(submissions)
        try:
            return await self._submit(board_id, submissions, once)
        finally:
            self._waiting -= len(submissions)

    async def _submit(
        self, board_id: str, submissions: Sequence[Submission], once: Once | None
    ) -> list[Submitted | StoreError]:
        results: list[Submitted | StoreError] = []
        for start in range(0, max(len(submissions), 1), SLICE):
            part = submissions[start : start + SLICE]
            own = None if once is None else replace(once, key=f"{once.key}/{start}")
            work = partial(one_transaction.submit, board_id=board_id, submissions=part)
            try:
                async with self._slices:
                    results += await self._write(work, own, RESULTS, weight=max(len(part), 1))
            except OutcomeUnknown as error:
                results += [error] * len(part)
            except StoreError as error:
                if not start:
                    raise
                # What stands in the way of this slice does so for the others.
                results += [error] * (len(submissions) - start)
                break
            if once is not None and own is not None:
                once.replayed = once.replayed or own.replayed
        return results
