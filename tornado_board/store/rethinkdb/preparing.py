"""What has to be done before a write of a player can be carried out, because of the seasons.

* The season is over by the calendar, and nobody has ended it yet: it is ended first, so that no
  score goes to a season that is over.
* The board is in another season than when the write came: it begins anew, in that one.
* The write has an idempotency key. Its request may have been carried out in a season before, whose
  documents have the keys of those writes. So these are looked through, as far as they are kept.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tornado_board.seasons import partition_of
from tornado_board.store import Once, OutcomeUnknown, StoreError, StoreUnavailable
from tornado_board.store.rethinkdb import queries
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import Document, past_of, player_of, qualified
from tornado_board.store.rethinkdb.once import entry_in, oldest_at
from tornado_board.store.rethinkdb.reordering import read_rules
from tornado_board.store.rethinkdb.rules import NONE_STORED, KnownRules, rules_of
from tornado_board.store.rethinkdb.runs import Write
from tornado_board.store.rethinkdb.steps import carried_out

#: Seasons that are looked through for a key, the newest ones.
_MOST_SEASONS = 16


class Preparing:
    """Does what has to be done before writes.

    Args:
        connection: what the queries run on.
        rules: of the boards.
        end_if_due: ends the season of a board if its time is over.
        put: puts a write back into its queue.
        start: starts a task, and waits for it when the store is closed.
    """

    def __init__(
        self,
        connection: Connection,
        rules: KnownRules,
        end_if_due: Callable[[str], Awaitable[bool]],
        put: Callable[[Write], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._end_if_due = end_if_due
        self._put = put
        self._start = start
        #: The writes that wait for the end of a season, by board.
        self._ending: dict[str, list[Write]] = {}

    def has_first(self, write: Write) -> bool:
        """Whether something has to be done before `write`, which is in no queue; that is begun, and
        puts the write back."""
        board = self._rules.get(write.board_id).board
        if board.season is not None and board.season.is_due(_now()):
            waiting = self._ending.setdefault(board.id, [])
            waiting.append(write)
            if len(waiting) == 1:
                self._start(self._end(board.id))
            return True
        if write.partition != board.partition:
            write.restart(board.partition)
            self._put(write)
            return True
        if write.once is None or board.number == 1 or write.looked_back == board.partition:
            return False
        self._start(self._look_back(write, write.once))
        return True

    def _go_on(self, write: Write) -> None:
        if not write.answer.done():
            write.restart(self._rules.get(write.board_id).board.partition)
            self._put(write)

    async def _end(self, board_id: str) -> None:
        try:
            await self._end_if_due(board_id)
            texts = await self._connection.run(read_rules(boards=[board_id]))
            self._rules.learn(board_id, texts.get(board_id))
        except Exception as error:
            for write in self._ending.pop(board_id):
                write.fail(_not_begun(error))
            if isinstance(error, StoreError):
                return
            raise
        for write in self._ending.pop(board_id):
            self._go_on(write)

    async def _look_back(self, write: Write, once: Once) -> None:
        partition = write.partition
        try:
            earlier = await self._earlier(write)
            if any(replay(write, document) for document in earlier):
                return
        except Exception as error:
            write.fail(_not_begun(error))
            if isinstance(error, StoreError):
                return
            raise
        write.looked_back = partition
        self._go_on(write)

    async def _earlier(self, write: Write) -> list[Document]:
        """The player's documents of the seasons that may have the key."""
        document: Document | None = await self._connection.run(
            queries.get_board(board=write.board_id)
        )
        oldest = oldest_at(_now())
        *before, last = past_of(document or {})[-_MOST_SEASONS:] or (None,)
        # The last one in any case: another program may have said when it ended.
        past = [one for one in (*before, last) if one and (one is last or one.ended > oldest)]
        partitions = [partition_of(write.board_id, one.number) for one in past]
        if not partitions:
            return []
        keys = {write.player_id, *(qualified(one, write.player_id) for one in partitions)}
        found = await self._connection.run(queries.get_whole(keys=sorted(keys)))
        return [one for one in found if one.get("board") in partitions]


def replay(write: Write, document: Document) -> bool:
    """Answer `write` with what `document` keeps of it, if anything."""
    try:
        entry = entry_in(document, write.once)
    except StoreError as error:
        write.fail(error)
        return True
    if entry is None or write.once is None:
        return False
    rules = rules_of(write.board_id, entry.get("rules", NONE_STORED))
    stored = entry.get("before")
    before = player_of({**stored, "id": document["id"]}) if isinstance(stored, dict) else None
    player = None if before is None else before[1]
    results, _ = carried_out(write.steps, write.board_id, rules, player, entry.get("at", 0))
    write.once.replayed = True
    write.succeed(results)
    return True


def _not_begun(error: Exception) -> StoreError:
    """What a write is told that was not begun since this went wrong."""
    if not isinstance(error, StoreError):
        return StoreUnavailable("the store failed; nothing was changed")
    kind = StoreUnavailable if isinstance(error, OutcomeUnknown) else type(error)
    return kind(*error.args)


def _now() -> int:
    return int(time.time() * 1000)
