"""The deletion of a board with all its players, which may take longer than one process lives.

A board has any number of players, and a query may delete a few thousand of them before it runs
into its time limit. So that a board of the same id that somebody makes meanwhile does not lose its
players to what is left of the deletion, the board's document stays until the last one is gone: it
says that it is being deleted, and by whom. To everybody it is no board any more (`documents`), but
its id is taken.

Several may delete one board at once: a caller who asks again, another process, one that was started
after the first died. Each has a claim in the document, renewed before each query. Whoever is done
takes the document away, unless there is another claim that is younger than `_expiry`: its owner may
have a query under way. A claim that is older is of somebody who died, or gave up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from tornado_board.backoff import Backoff
from tornado_board.models import new_id
from tornado_board.seasons import partition_of
from tornado_board.store import NotFound, OutcomeUnknown, StoreUnavailable
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import (
    BOARDS,
    DELETED_BY,
    DROPPED,
    NUMBERS,
    Document,
    board_of,
    is_being_deleted,
    is_listed,
    numbers_in,
    past_of,
)
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.standing import all_players
from tornado_board.tasks import Tasks

logger = logging.getLogger(__name__)

#: Players that one query deletes, so that none runs into the time limit.
SWEEP = 2_000

#: Seconds after which a claim is taken to be left behind; or this many time limits of a query.
EXPIRY = 60.0
_EXPIRY_TIMEOUTS = 12

#: Seconds between two attempts to complete a deletion: the first and the longest.
_BACKOFF = (0.5, 10.0)

#: Deletions that one process completes at the same time; others wait to be met again.
_COMPLETING = 1_000


def numbers_of(document: Document | None) -> list[int]:
    """The numbers of the seasons that the board in `document` may have players of."""
    board = board_of(document)
    if document is None or board is None:
        return []
    # One more, which may begin before the board is claimed.
    numbers = {1, board.number, board.number + 1, *numbers_in(document, DROPPED)}
    return sorted(numbers | {past.number for past in past_of(document)})


class Run(Protocol):
    """How a query is run; see `connection.Connection.run`."""

    async def __call__(self, term: Any, *, write: bool = False, last_step: bool = False) -> Any: ...


class Deletions:
    """Deletes boards, and completes what was begun by others.

    Args:
        run: runs a query.
        timeout: how long a query may take, in seconds.
    """

    def __init__(self, run: Run, timeout: float) -> None:
        self._run = run
        self._expiry = max(EXPIRY, _EXPIRY_TIMEOUTS * timeout)
        self._completing: set[str] = set()
        self._tasks = Tasks()

    async def delete(self, board_id: str) -> None:
        """Delete the board, then its players. Raises `NotFound`.

        Raises `OutcomeUnknown` where players may be left; they are deleted in the background.
        """
        if not await self._run(_is_anything_of(board=board_id)):
            raise NotFound(f"there is no board {board_id!r}")
        by = new_id()
        numbers = numbers_of(await self._run(queries.get_board(board=board_id)))
        try:
            claim = _claim(board=board_id, by=by, numbers=numbers)
            await self._run(claim, write=True, last_step=True)
        except OutcomeUnknown:
            self.complete(board_id)
            raise
        if not await self._sweep(board_id, by):
            self.complete(board_id)

    def complete(self, board_id: str) -> None:
        """Complete the deletion of a board in the background, if one is under way."""
        if board_id not in self._completing and len(self._completing) < _COMPLETING:
            self._completing.add(board_id)
            self._tasks.start(self._complete(board_id))

    def complete_all(self) -> None:
        """Complete in the background what others have left."""
        self._tasks.start(self._complete_all())

    async def close(self) -> None:
        """Break off what runs in the background; whoever comes next completes it."""
        await self._tasks.cancel()

    async def _sweep(self, board_id: str, by: str) -> bool:
        """Delete the players of a board that is claimed, and then the board; tell whether that is
        all, or others still do so."""
        try:
            document = await self._run(queries.get_board(board=board_id))
            for number in {1, *numbers_in(document or {}, NUMBERS)}:
                if not await self._sweep_season(board_id, number, by):
                    return True  # others took this for dead, and have completed it
            release = _release(board=board_id, by=by, expiry=self._expiry)
            return not await self._run(release, write=True)
        except (StoreUnavailable, OutcomeUnknown) as error:
            # The claim stays, since a query may be under way.
            self.complete(board_id)
            raise OutcomeUnknown(
                f"the board {board_id!r} is deleted, but perhaps not yet all of its players: "
                f"{error}"
            ) from error

    async def _sweep_season(self, board_id: str, number: int, by: str) -> bool:
        """Delete the players of one season; ``False`` where the claim is gone."""
        partition = partition_of(board_id, number)
        query = _delete_players(board=board_id, partition=partition, by=by, limit=SWEEP)
        while True:
            result = await self._run(query, write=True)
            if not result["claimed"]:
                return False
            queries.raise_first_error(result)
            if not result["deleted"]:
                return True

    async def _complete(self, board_id: str) -> None:
        backoff = Backoff(*_BACKOFF)
        try:
            while True:
                try:
                    by = new_id()
                    if not await self._run(_join(board=board_id, by=by, numbers=[]), write=True):
                        return
                    if await self._sweep(board_id, by):
                        logger.info("completed the deletion of the board %r", board_id)
                        return
                except (StoreUnavailable, OutcomeUnknown) as error:
                    logger.debug("the deletion of the board %r: %s", board_id, error)
                await asyncio.sleep(backoff.next())
        finally:
            self._completing.discard(board_id)

    async def _complete_all(self) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            try:
                found = await self._run(_under_way(limit=_COMPLETING))
                break
            except StoreUnavailable as error:
                logger.debug("the deletions that others have left: %s", error)
            await asyncio.sleep(backoff.next())
        for board_id in filter(is_listed, found):
            self.complete(board_id)


# The queries


def _claims(document: Any) -> Any:
    return r.branch(is_being_deleted(document), document[DELETED_BY], [])


def _others(document: Any, p: Any) -> Any:
    return _claims(document).filter(lambda claim: claim["by"].ne(p["by"]))


def _is_claimed(document: Any, p: Any) -> Any:
    return r.not_(_claims(document).filter(lambda claim: claim["by"].eq(p["by"])).is_empty())


def _claimed(document: Any, p: Any, now: Any, numbers: Any) -> dict[str, Any]:
    known = r.branch(is_being_deleted(document), document[NUMBERS].default([]), [])
    return {
        "id": p["board"],
        DELETED_BY: _others(document, p).append({"by": p["by"], "at": now}),
        NUMBERS: known.set_union(numbers),
    }


def _with_now(function: Callable[[Any], Any]) -> Any:
    return r.now().to_epoch_time().do(function)


#: Whether there is anything of `board`: a document of it, or a player's.
_is_anything_of = prepared(
    lambda p: r.or_(
        r.table(BOARDS).get(p["board"]).ne(None), r.not_(all_players(p["board"]).is_empty())
    )
)

#: At most `limit` ids of boards that are being deleted.
_under_way = prepared(
    lambda p: (
        r.table(BOARDS)
        .filter(is_being_deleted)
        .limit(p["limit"])
        .map(lambda board: board["id"])
        .coerce_to("array")
    )
)

#: Put in the place of `board` that it is being deleted, by `by` among others.
_claim = prepared(
    lambda p: _with_now(
        lambda now: (
            r.table(BOARDS)
            .get(p["board"])
            .replace(lambda document: _claimed(document, p, now, p["numbers"]))
        )
    )
)

#: The same if `board` is being deleted already, which is what it gives. What was made in its place
#: since somebody found it being deleted is left alone.
_join = prepared(
    lambda p: _with_now(
        lambda now: (
            r.table(BOARDS)
            .get(p["board"])
            .replace(
                lambda document: r.branch(
                    is_being_deleted(document), _claimed(document, p, now, []), document
                )
            )
        )
    ).do(lambda _: r.table(BOARDS).get(p["board"]).do(lambda board: _is_claimed(board, p)))
)

#: Delete `limit` players of the `partition` of `board` if it still is being deleted by `by`, which
#: the result's ``claimed`` tells.
_delete_players = prepared(
    lambda p: _with_now(
        lambda now: (
            r.table(BOARDS)
            .get(p["board"])
            .replace(
                lambda document: r.branch(
                    _is_claimed(document, p), _claimed(document, p, now, []), document
                )
            )
        )
    ).do(
        lambda _: r.branch(
            r.table(BOARDS).get(p["board"]).do(lambda board: _is_claimed(board, p)),
            all_players(p["partition"]).limit(p["limit"]).delete().merge({"claimed": True}),
            {"claimed": False},
        )
    )
)


def _released(p: Any) -> Any:
    def after(document: Any, now: Any) -> Any:
        alive = _others(document, p).filter(lambda claim: claim["at"].gt(now.sub(p["expiry"])))
        return r.branch(
            r.not_(_is_claimed(document, p)),
            document,
            alive.is_empty(),
            None,
            document.merge({DELETED_BY: alive}),
        )

    board = r.table(BOARDS).get(p["board"])
    return _with_now(lambda now: board.replace(lambda document: after(document, now))).do(
        lambda _: is_being_deleted(board)
    )


#: `by` is done with deleting `board`: take the document away unless somebody else was still
#: deleting it less than `expiry` seconds ago. Gives whether it is still there.
_release = prepared(_released)
