"""Deletes the players of seasons that are over and no longer kept, in the background.

The write that ends a season notes in the board's document which seasons are not kept any longer
(``dropped_seasons``). Whoever deletes their players, in pieces, takes a number away when none is
left. What a process leaves when it ends, the next one to start takes up, or the next one that ends
a season of the board. Several may do so at once: there is nothing that one could spoil for the
other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from tornado_board.backoff import Backoff
from tornado_board.seasons import partition_of
from tornado_board.store import OutcomeUnknown, StoreUnavailable
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.deletion import Run
from tornado_board.store.rethinkdb.documents import BOARDS, DROPPED, Document, is_listed, numbers_in
from tornado_board.store.rethinkdb.queries import prepared, raise_first_error
from tornado_board.store.rethinkdb.standing import all_players
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: Players that one query deletes: the server has time for others in between.
_SWEEP = 500

#: How much longer than a piece the pause behind it is, since nobody waits for the end: the server
#: is at it a quarter of the time. And the longest, in seconds: what took so long was waiting.
_PAUSE, _LONGEST_PAUSE = 3.0, 5.0

#: Seconds between two attempts: the first and the longest.
_BACKOFF = (0.5, 10.0)

#: Boards of which one process deletes seasons at a time; others wait until it, or another one,
#: starts again, or they end their next season.
_BOARDS = 1_000


class Dropping:
    """Deletes seasons.

    Args:
        run: runs a query.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        #: The numbers that are to be deleted, by board.
        self._waiting: dict[str, set[int]] = {}
        self._tasks = Tasks()

    def start(self, board_id: str, numbers: Sequence[int]) -> None:
        """Delete the players of these seasons in the background."""
        waiting = self._waiting.get(board_id)
        if waiting is not None:
            waiting.update(numbers)
        elif len(self._waiting) < _BOARDS:
            self._waiting[board_id] = set(numbers)
            self._tasks.start(self._drop(board_id))

    def complete_all(self) -> None:
        """Take up what others have left, in the background."""
        self._tasks.start(self._complete_all())

    async def close(self) -> None:
        """Break off; whoever starts next goes on."""
        await self._tasks.cancel()

    async def _drop(self, board_id: str) -> None:
        backoff = Backoff(*_BACKOFF)
        waiting = self._waiting[board_id]
        try:
            while waiting:
                number = min(waiting)
                try:
                    await self._drop_season(board_id, number)
                except (StoreUnavailable, OutcomeUnknown) as error:
                    logger.debug("season %d of board %s: %s", number, board_id, error)
                    await asyncio.sleep(backoff.next())
                else:
                    waiting.discard(number)
                    backoff.reset()
        finally:
            del self._waiting[board_id]

    async def _drop_season(self, board_id: str, number: int) -> None:
        partition = partition_of(board_id, number)
        parameters = {"board": board_id, "number": number, "partition": partition}
        while True:
            began = time.monotonic()
            result = await self._run(_delete_some(**parameters, limit=_SWEEP), write=True)
            raise_first_error(result)
            if not result["deleted"]:
                break
            await asyncio.sleep(min(_PAUSE * (time.monotonic() - began), _LONGEST_PAUSE))
        result = await self._run(_dropped(board=board_id, number=number), write=True)
        raise_first_error(result)
        logger.info("deleted the players of season %d of board %s", number, board_id)

    async def _complete_all(self) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            try:
                found: Sequence[Document] = await self._run(_under_way(limit=_BOARDS))
                break
            except StoreUnavailable as error:
                logger.debug("the seasons that others have left: %s", error)
            await asyncio.sleep(backoff.next())
        for document in found:
            if is_listed(document["id"]) and (numbers := numbers_in(document, DROPPED)):
                self.start(document["id"], numbers)


def _numbers(board: Any) -> Any:
    stored = board[DROPPED].default(None)
    return r.branch(stored.type_of().eq("ARRAY"), stored, [])


#: Boards with seasons that are to be deleted, at most `limit`.
_under_way = prepared(
    lambda p: (
        r.table(BOARDS)
        .filter(lambda board: board.has_fields(DROPPED))
        .limit(p["limit"])
        .pluck("id", DROPPED)
        .coerce_to("array")
    )
)

#: Delete `limit` players of the `partition` of the season `number` of `board`, if that is still to
#: be deleted: the board may have been deleted, and made again.
_delete_some = prepared(
    lambda p: r.branch(
        r.table(BOARDS).get(p["board"]).do(_numbers).contains(p["number"]),
        all_players(p["partition"]).limit(p["limit"]).delete(),
        {"deleted": 0, "errors": 0},
    )
)

#: All players of the season `number` of `board` were deleted.
_dropped = prepared(
    lambda p: (
        r.table(BOARDS)
        .get(p["board"])
        .replace(
            lambda board: r.branch(
                board.eq(None),
                None,
                _numbers(board)
                .difference([p["number"]])
                .do(
                    lambda left: r.branch(
                        left.is_empty(),
                        board.without(DROPPED),
                        board.merge({DROPPED: left}),
                    )
                ),
            )
        )
    )
)
