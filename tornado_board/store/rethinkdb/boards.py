"""Boards: made, listed, and changed by comparing and swapping the whole document."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from tornado_board.inputs import UNSET, BoardPatch, NewBoard
from tornado_board.models import Board, new_id
from tornado_board.seasons.course import reset
from tornado_board.store import (
    AlreadyExists,
    HasPlayers,
    Invalid,
    Once,
    OutcomeUnknown,
    Seasons,
    StoreUnavailable,
    WrongSeason,
)
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.audit import Record
from tornado_board.store.rethinkdb.deletion import Deletions, Run
from tornado_board.store.rethinkdb.documents import (
    DROPPED,
    ONCE,
    PAST,
    REORDERED_BY,
    Document,
    board_of,
    board_of_season,
    check_meta,
    is_same,
    new_board,
    numbers_in,
    past_of,
    stored_board,
)
from tornado_board.store.rethinkdb.dropping import Dropping
from tornado_board.store.rethinkdb.once import (
    board_entry,
    board_in,
    entries_with,
    entry_in,
    id_from,
)
from tornado_board.store.rethinkdb.steps import no_board
from tornado_board.store.scoring import check_season

#: How often a change is tried while others change the same board.
_ATTEMPTS = 50


class Boards:
    """Makes, reads and changes boards.

    Args:
        run: runs a query.
        deletions: completes what is left of a board that was here before.
        dropping: deletes the players of seasons that are no longer kept.
    """

    def __init__(self, run: Run, deletions: Deletions, dropping: Dropping) -> None:
        self._run = run
        self._deletions = deletions
        self._dropping = dropping

    async def list(self, limit: int, after: str) -> list[Board]:
        documents = await self._run(queries.list_boards(limit=limit, after=after))
        return [board for board in map(board_of, documents) if board is not None]

    async def get(self, board_id: str, season: int | None) -> Board:
        """See `Store.get_board`."""
        document: Document | None = await self._run(queries.get_board(board=board_id))
        board = board_of(document)
        if document is None or board is None:
            raise no_board(board_id)
        return board_of_season(document, board, season)

    async def create(self, new: NewBoard, once: Once | None, record: Record) -> Board:
        """Raises `AlreadyExists` or `Invalid`. `record` is told of the change."""
        if once is not None and new.id is None:
            new = replace(new, id=id_from(once))
        board = _made(new)
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
        if (outcome := _outcome_in(there, once, board.id)) is not None:
            return outcome
        raise AlreadyExists(f"there is a board {board.id!r} already")

    async def update(
        self, board_id: str, patch: BoardPatch, once: Once | None, record: Record
    ) -> Board:
        """Raises `NotFound`, `HasPlayers` or `Invalid`. `record` is told of the change."""
        by = new_id()
        if patch.meta is not UNSET:
            check_meta(patch.meta)
        for _ in range(_ATTEMPTS):
            old, board = await self._found(board_id)
            if (outcome := _outcome_in(old, once, board_id)) is not None:
                return outcome
            if board.season is not None and board.season.is_due(_now()):
                await self._swap_season(old, board, None)
                continue
            changed = _patched(board, patch)
            _check(changed)
            new = _changed(old, board, changed, once)
            if is_same(new, old):
                return board
            if changed.ordering == board.ordering:
                is_done = await self._swap(old, new)
            else:
                is_done = await self._reorder(old, new, by, board.partition)
            if is_done:
                record.change(board, changed)
                return changed
        raise _always_others(board_id)

    async def end_season(
        self, board_id: str, season: int | None, once: Once | None, record: Record
    ) -> Board:
        """See `Store.end_season`."""
        for _ in range(_ATTEMPTS):
            old, board = await self._found(board_id)
            if (outcome := _outcome_in(old, once, board_id)) is not None:
                return outcome
            if board.season is None:
                raise WrongSeason(
                    f"board {board_id!r} has no seasons; give it some by its setting season"
                )
            if board.season.is_due(_now()):
                await self._swap_season(old, board, None)
                continue
            check_season(board, board.number if season is None else season)
            # The one that is ended is the one that was found first.
            season = board.number
            ended = await self._swap_season(old, board, once)
            if ended is not None:
                record.change(board, ended)
                return ended
        raise _always_others(board_id)

    async def end_if_due(self, board_id: str) -> bool:
        """See `Store.end_if_due`."""
        for _ in range(_ATTEMPTS):
            old: Document | None = await self._run(queries.get_board(board=board_id))
            board = board_of(old)
            if old is None or board is None:
                return False
            if board.season is None or not board.season.is_due(_now()):
                return False
            if await self._swap_season(old, board, None) is not None:
                return True
        raise _always_others(board_id)

    async def _found(self, board_id: str) -> tuple[Document, Board]:
        """The board's document, and the board in it. Raises `NotFound`."""
        document: Document | None = await self._run(queries.get_board(board=board_id))
        board = board_of(document)
        if document is None or board is None:
            raise no_board(board_id)
        return document, board

    async def _swap_season(self, old: Document, board: Board, once: Once | None) -> Board | None:
        """End the present season of `board`, which is in `old`; the board after that, or ``None``
        where `old` was not there any more."""
        assert board.season is not None
        done = reset(board.season, past_of(old), _now(), board.order, board.ties)
        changed = replace(board, season=done.season)
        new = _changed(old, board, changed, once)
        new[PAST] = [to_builtins(one) for one in done.past]
        dropped = sorted({*numbers_in(old, DROPPED), *done.dropped})
        if dropped:
            new[DROPPED] = dropped
        if not await self._swap(old, new):
            return None
        if dropped:
            self._dropping.start(board.id, dropped)
        return changed

    async def seasons(self, board_id: str, before: int, limit: int) -> Seasons:
        """See `Store.seasons`."""
        document, board = await self._found(board_id)
        past = [one for one in past_of(document) if one.number < min(before, board.number)]
        return Seasons(board, past[-limit:])

    async def ending(self, limit: int) -> Sequence[Board]:
        """See `Store.ending_seasons`."""
        found = map(board_of, await self._run(queries.ending_seasons(limit=limit)))
        return [board for board in found if board is not None and board.season is not None]

    async def _swap(self, old: Document, new: Document) -> bool:
        """Put `new` in the place of `old`; whether that was still there."""
        query = queries.swap_board(old=old, new=new)
        result = await self._run(query, write=True, last_step=True)
        queries.raise_first_error(result)
        return bool(result["replaced"])

    async def _reorder(self, old: Document, new: dict[str, Any], by: str, partition: str) -> bool:
        """Put `new`, which has another order, in the place of `old` if the board has no players;
        whether `old` was still there. See `reordering`."""
        if not await self._run(queries.has_no_players(board=partition)):
            raise _has_players(old)
        marked = {**old, REORDERED_BY: by}
        if not await self._swap(old, marked):
            return False
        try:
            is_empty = await self._run(queries.has_no_players(board=partition))
            if is_empty:
                return await self._swap(marked, new)
        except (StoreUnavailable, OutcomeUnknown) as error:
            # The mark may stay; whoever makes a player takes it away in time.
            if isinstance(error, OutcomeUnknown):
                raise
            raise OutcomeUnknown(f"{error}; the board may have been changed or not") from error
        await self._swap(marked, {k: v for k, v in old.items() if k != REORDERED_BY})
        raise _has_players(old)


def _outcome_in(document: Document, once: Once | None, board_id: str) -> Board | None:
    """What the write with the key `once` made of the board, if `document` has that."""
    entry = entry_in(document, once)
    if entry is None or once is None:
        return None
    once.replayed = True
    return board_in(entry, board_id)


def _made(new: NewBoard) -> Board:
    """Raises `Invalid`."""
    try:
        return new.board(_now())
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from None


def _patched(board: Board, patch: BoardPatch) -> Board:
    """Raises `Invalid`."""
    try:
        return patch.apply(board, _now())
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from None


def _changed(old: Document, board: Board, changed: Board, once: Once | None) -> dict[str, Any]:
    """The document `old`, which is `board`, as `changed`."""
    new = {name: value for name, value in old.items() if name != REORDERED_BY}
    was = stored_board(board)
    new |= {
        name: value
        for name, value in stored_board(changed).items()
        if not is_same(value, was[name])
    }
    if once is not None:
        now = _now()
        new[ONCE] = entries_with(old, board_entry(once, changed, now), now)
    return new


def _check(board: Board) -> None:
    """Raises `Invalid` if there can be no such board."""
    try:
        board.check()
    except ValueError as error:
        raise Invalid(f"{error}; nothing was changed") from None
    check_meta(board.meta)


def _always_others(board_id: str) -> StoreUnavailable:
    return StoreUnavailable(f"others change the board {board_id!r} all the time; try again")


def _has_players(document: Document) -> HasPlayers:
    return HasPlayers(
        f"the board {document['id']!r} has players, so its order and ties can't be changed"
    )


def _now() -> int:
    return int(time.time() * 1000)
