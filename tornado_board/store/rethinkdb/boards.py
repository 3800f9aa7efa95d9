"""Boards: made, listed, and changed by comparing and swapping the whole document."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict, replace

from tornado_board.inputs import UNSET, BoardPatch, NewBoard
from tornado_board.models import Board, new_id
from tornado_board.store import (
    AlreadyExists,
    HasPlayers,
    Invalid,
    Once,
    OutcomeUnknown,
    StoreUnavailable,
)
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.audit import Record
from tornado_board.store.rethinkdb.deletion import Deletions, Run
from tornado_board.store.rethinkdb.documents import (
    ONCE,
    REORDERED_BY,
    Document,
    board_of,
    check_meta,
    is_same,
    new_board,
)
from tornado_board.store.rethinkdb.once import (
    board_entry,
    board_in,
    entries_with,
    entry_in,
    id_from,
)
from tornado_board.store.rethinkdb.steps import no_board

#: How often a change is tried while others change the same board.
_ATTEMPTS = 50


class Boards:
    """Makes, reads and changes boards.

    Args:
        run: runs a query.
        deletions: completes what is left of a board that was here before.
    """

    def __init__(self, run: Run, deletions: Deletions) -> None:
        self._run = run
        self._deletions = deletions

    async def list(self, limit: int, after: str) -> list[Board]:
        documents = await self._run(queries.list_boards(limit=limit, after=after))
        return [board for board in map(board_of, documents) if board is not None]

    async def get(self, board_id: str) -> Board:
        """Raises `NotFound`."""
        board = board_of(await self._run(queries.get_board(board=board_id)))
        if board is None:
            raise no_board(board_id)
        return board

    async def create(self, new: NewBoard, once: Once | None, record: Record) -> Board:
        """Raises `AlreadyExists` or `Invalid`. `record` is told of the change."""
        if once is not None and new.id is None:
            new = replace(new, id=id_from(once))
        board = new.board()
        _check(board)
        document = dict(new_board(board, new))
        if once is not None:
            document[ONCE] = [board_entry(once, board, _now())]
        result = await self._run(
            queries.create_board(document=document), write=True, last_step=True
        )
        if result["inserted"]:
            record.board_id = board.id
            record.change(None, board)
            return board
        if not result["first_error"].startswith("Duplicate primary key"):
            raise StoreUnavailable(f"RethinkDB did not write: {result['first_error']}")
        there: Document = result["changes"][0]["old_val"]
        if board_of(there) is None:
            self._deletions.complete(board.id)
            raise StoreUnavailable(
                f"the board {board.id!r} that was here before is still being deleted; try again"
            )
        entry = entry_in(there, once)
        if entry is not None and once is not None:
            once.replayed = True
            return board_in(entry, board.id)
        raise AlreadyExists(f"there is a board {board.id!r} already")

    async def update(
        self, board_id: str, patch: BoardPatch, once: Once | None, record: Record
    ) -> Board:
        """Raises `NotFound`, `HasPlayers` or `Invalid`. `record` is told of the change."""
        by = new_id()
        if patch.meta is not UNSET:
            check_meta(patch.meta)
        for _ in range(_ATTEMPTS):
            old: Document | None = await self._run(queries.get_board(board=board_id))
            board = board_of(old)
            if old is None or board is None:
                raise no_board(board_id)
            entry = entry_in(old, once)
            if entry is not None and once is not None:
                once.replayed = True
                return board_in(entry, board_id)
            changed = patch.apply(board)
            _check(changed)
            new = _changed(old, board, changed, once)
            if is_same(new, old):
                return board
            if changed.ordering == board.ordering:
                is_done = await self._swap(old, new)
            else:
                is_done = await self._reorder(old, new, by)
            if is_done:
                record.change(board, changed)
                return changed
        raise StoreUnavailable(f"others change the board {board_id!r} all the time; try again")

    async def _swap(self, old: Document, new: Document) -> bool:
        """Put `new` in the place of `old`; whether that was still there."""
        query = queries.swap_board(old=old, new=new)
        result = await self._run(query, write=True, last_step=True)
        if result["errors"]:
            raise StoreUnavailable(f"RethinkDB did not write: {result['first_error']}")
        return bool(result["replaced"])

    async def _reorder(self, old: Document, new: dict[str, Any], by: str) -> bool:
        """Put `new`, which has another order, in the place of `old` if the board has no players;
        whether `old` was still there. See `reordering`."""
        if not await self._run(queries.has_no_players(board=old["id"])):
            raise _has_players(old)
        marked = {**old, REORDERED_BY: by}
        if not await self._swap(old, marked):
            return False
        try:
            is_empty = await self._run(queries.has_no_players(board=old["id"]))
            if is_empty:
                return await self._swap(marked, new)
        except (StoreUnavailable, OutcomeUnknown) as error:
            # The mark may stay; whoever makes a player takes it away in time.
            if isinstance(error, OutcomeUnknown):
                raise
            raise OutcomeUnknown(f"{error}; the board may have been changed or not") from error
        await self._swap(marked, {k: v for k, v in old.items() if k != REORDERED_BY})
        raise _has_players(old)


def _changed(old: Document, board: Board, changed: Board, once: Once | None) -> dict[str, Any]:
    """The document `old`, which is `board`, as `changed`."""
    new = {name: value for name, value in old.items() if name != REORDERED_BY}
    was = _stored(board)
    new |= {
        name: value for name, value in _stored(changed).items() if not is_same(value, was[name])
    }
    if once is not None:
        now = _now()
        new[ONCE] = entries_with(old, board_entry(once, changed, now), now)
    return new


def _stored(board: Board) -> Mapping[str, Any]:
    stored = asdict(board)
    return {**stored, "show": list(stored["show"])}


def _check(board: Board) -> None:
    """Raises `Invalid` if there can be no such board."""
    try:
        board.check()
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from None
    check_meta(board.meta)


def _has_players(document: Document) -> HasPlayers:
    return HasPlayers(
        f"the board {document['id']!r} has players, so its order and ties can't be changed"
    )


def _now() -> int:
    return int(time.time() * 1000)
