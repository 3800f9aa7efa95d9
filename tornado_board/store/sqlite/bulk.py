"""Many submissions of one request, in slices between which other writes pass."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from tornado_board.inputs import Submission
from tornado_board.sqlite import limits
from tornado_board.store import Once, OutcomeUnknown, StoreError, StoreUnavailable, Submitted
from tornado_board.store.audit import Audited
from tornado_board.store.sqlite.outcomes import Results
from tornado_board.store.sqlite.submissions import Slice

#: Submissions that one write carries out: ten to twenty milliseconds.
SLICE = 1_000

#: Slices of all requests that are carried out or next: as many as two transactions take, so that
#: the writer can go on, and a single write waits for few.
SLICES = 2 * limits.HEAVY_BATCH // SLICE

#: Submissions of all requests that wait or are carried out; more are refused.
WAITING = 200_000


class Bulk:
    """Carries out `Store.submit`.

    Each slice is carried out in one transaction, maybe with others. With a key each has a key of
    its own, made of the request's, so that a request that comes again carries out the slices that
    were not, and no other.
    """

    def __init__(self, write: Callable[[Slice], Awaitable[Results]]) -> None:
        """`write` carries out a slice, and raises as `Store.submit`, `OutcomeUnknown` too."""
        self._write = write
        self._slices = asyncio.Semaphore(SLICES)
        self._waiting = 0

    async def submit(
        self,
        board_id: str,
        submissions: Sequence[Submission],
        once: Once | None,
        audited: Audited | None = None,
    ) -> list[Submitted | StoreError]:
        """As `Store.submit`. Each slice leaves an entry of its own in the audit trail."""
        if self._waiting and self._waiting + len(submissions) > WAITING:
            raise StoreUnavailable("too many submissions are waiting; nothing was changed")
        self._waiting += len(submissions)
        try:
            return await self._submit(board_id, submissions, once, audited)
        finally:
            self._waiting -= len(submissions)

    async def _submit(
        self,
        board_id: str,
        submissions: Sequence[Submission],
        once: Once | None,
        audited: Audited | None,
    ) -> list[Submitted | StoreError]:
        results: list[Submitted | StoreError] = []
        for start in range(0, max(len(submissions), 1), SLICE):
            part = submissions[start : start + SLICE]
            own = None if once is None else replace(once, key=f"{once.key}/{start}")
            try:
                async with self._slices:
                    results += await self._write(Slice(board_id, part, own, audited))
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
