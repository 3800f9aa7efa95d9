"""The first pages of boards, those of many boards in one query.

After the feed was lost every live board is read. With a query each, most of the time goes into
what a query takes by itself, here and in RethinkDB.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from tornado_board.models import Board
from tornado_board.store import StoreError, StoreUnavailable
from tornado_board.store.rethinkdb import page_queries
from tornado_board.store.rethinkdb.deletion import Run
from tornado_board.store.rethinkdb.reading import parameters
from tornado_board.tasks import Tasks, fail

#: Boards that one query reads.
TOGETHER = 32


class _Wanted(NamedTuple):
    parameters: dict[str, Any]
    found: asyncio.Future[Any]


class FirstPages:
    """Reads first pages; those that are asked for in one turn of the event loop go together."""

    def __init__(self, run: Run) -> None:
        """`run` runs a query."""
        self._run = run
        self._wanted: list[_Wanted] = []
        self._tasks = Tasks()

    async def read(self, board: Board, limit: int) -> Any:
        """What ``PAGES["desc", False]`` of `page_queries` finds of the present season of `board`,
        whose highest score is the best, without a place. Raises `StoreUnavailable`."""
        wanted = _Wanted(
            {**parameters(board, None), "limit": limit},
            asyncio.get_running_loop().create_future(),
        )
        if not self._wanted:
            # Not at once: what else is asked for in this turn of the loop goes with it.
            asyncio.get_running_loop().call_soon(self._send)
        self._wanted.append(wanted)
        return await wanted.found

    def _send(self) -> None:
        wanted = [one for one in self._wanted if not one.found.done()]
        self._wanted.clear()
        for start in range(0, len(wanted), TOGETHER):
            self._tasks.start(self._read(wanted[start : start + TOGETHER]))

    async def _read(self, wanted: list[_Wanted]) -> None:
        try:
            pages = await self._run(
                page_queries.first_pages(boards=[one.parameters for one in wanted])
            )
            for one, page in zip(wanted, pages, strict=True):
                if not one.found.done():
                    one.found.set_result(page)
        except StoreError as error:
            for one in wanted:
                # One exception each: a shared one would collect the tracebacks of all callers.
                fail(one.found, type(error)(*error.args))
        except BaseException:
            for one in wanted:
                fail(one.found, StoreUnavailable("the store failed"))
            raise
