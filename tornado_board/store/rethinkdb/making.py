"""The players that writes make, many in one query.

A document is inserted only where there is none, and the same query looks, after that, whether the
board is still there with the rules that were assumed, and the id is not taken under the other key.
Where that is not so the document is taken back, and the write begins anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from tornado_board.store import AlreadyExists, Invalid, OutcomeUnknown, StoreError, StoreUnavailable
from tornado_board.store.rethinkdb import groups, queries
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import (
    ONCE,
    Document,
    document_of,
    qualified,
)
from tornado_board.store.rethinkdb.reordering import Reordered
from tornado_board.store.rethinkdb.rules import KnownRules
from tornado_board.store.rethinkdb.runs import Run, Write
from tornado_board.store.rethinkdb.steps import Create


class Making:
    """Makes players.

    Args:
        connection: what the queries run on.
        rules: of the boards.
        put: puts a write back into its queue.
        has_first: whether a write has to wait for something: see `preparing`.
        max_wait: how long a write waits for its board, in seconds.
    """

    def __init__(
        self,
        connection: Connection,
        rules: KnownRules,
        put: Callable[[Write], None],
        has_first: Callable[[Write], bool],
        max_wait: float,
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._put = put
        self._has_first = has_first
        #: The writes that make a player each, by its primary key.
        self._waiting: dict[str, list[Write]] = {}
        #: The keys of which a query is under way.
        self._busy: set[str] = set()
        self._max_wait = max_wait
        self._reordered = Reordered(connection, rules, max_wait)

    def add(self, write: Write, key: str) -> None:
        """Make the player of `write` under the primary key `key`."""
        self._waiting.setdefault(key, []).append(write)

    def next_group(self, size: int) -> dict[str, Run]:
        """What one query is to make: at most `size` players, by primary key."""
        group: dict[str, Run] = {}
        now = int(time.time() * 1000)
        for key in list(self._waiting):
            if len(group) == size:
                break
            if key in self._busy:
                continue
            writes = [write for write in self._waiting[key] if not write.answer.done()]
            if not writes:
                del self._waiting[key]
                continue
            first, *self._waiting[key] = writes
            rules = self._rules.get(first.board_id)
            if self._has_first(first):
                continue
            group[key] = Run([first], rules, now)
        self._busy.update(group)
        return group

    def made(self, group: dict[str, Run]) -> None:
        """The query about `group` is over."""
        for key in group:
            self._busy.discard(key)
            others = self._waiting.pop(key, [])
            for write in others:  # they may find the player now
                if isinstance(write.steps[0], Create) and write.once is None:
                    self._waiting.setdefault(key, []).append(write)
                else:
                    self._restart(write)

    def _restart(self, write: Write) -> None:
        if not write.answer.done():
            write.restart(self._rules.get(write.board_id).board.partition)
            self._put(write)

    async def make(self, group: dict[str, Run]) -> None:
        """Make the players of `group`, and answer."""
        documents, outcomes, delayed = {}, {}, []
        for key, run in list(group.items()):
            write = run.writes[0]
            (outcomes[key],), player = run.results(None)
            if player is None and run.rules.text is not None:
                write.succeed(outcomes[key])  # all refused
                continue
            if run.rules.reordered_by is not None:
                delayed.append((key, write))
                continue
            document: dict[str, Any] = {"id": key, "board": write.partition}
            if player is not None:
                document = dict(document_of(write.partition, player, key))
            if write.once is not None:
                document[ONCE] = [{**run.entry(), "before": None}]
            documents[key] = document
        if documents:
            await self._insert(group, documents, outcomes)
        if delayed:
            await self._reordered.wait({write.board_id for _, write in delayed})
            for key, write in delayed:
                if write.since < asyncio.get_running_loop().time() - self._max_wait:
                    write.fail(StoreUnavailable("the board is about to change its order"))
                self._retry(key, write)

    async def _insert(
        self,
        group: dict[str, Run],
        documents: dict[str, dict[str, Any]],
        outcomes: dict[str, Any],
    ) -> None:
        writes = {key: group[key].writes[0] for key in documents}
        other_keys = {key: _other(write, key) for key, write in writes.items()}
        boards = sorted({write.board_id for write in writes.values()})
        texts = {write.board_id: group[key].rules.text for key, write in writes.items()}
        assumed = {board_id: text for board_id, text in texts.items() if text is not None}
        # Of a board that is not there nothing is made; the query says whether it is.
        pairs = [
            {"document": document, "other": other_keys[key]}
            for key, document in documents.items()
            if writes[key].board_id in assumed
        ]
        found = await self._connection.run(
            groups.insert_players(
                documents=pairs,
                others=sorted(set(other_keys.values())),
                boards=boards,
                rules=assumed,
            ),
            write=True,
        )
        if "rules" in found:  # nothing was done
            self._learn(boards, found["rules"])
            for key, write in writes.items():
                self._retry(key, write)
            return
        after = found["after"]
        changes = {}
        for row in found["result"].get("changes", ()):
            changes[(row.get("new_val") or row.get("old_val") or {}).get("id")] = row
        taken = _pairs(found["taken"])
        taken_after = _pairs(after["taken"])
        self._learn(boards, after["rules"])
        for key, write in writes.items():
            row = changes.get(key)
            place = (other_keys[key], write.partition)
            if write.board_id not in assumed:
                write.succeed(outcomes[key])  # there is no such board
            elif place in taken:
                self._taken(write, other_keys[key])
            elif row is None:
                write.fail(OutcomeUnknown("RethinkDB does not say whether the player was made"))
            elif "error" in row:
                self._not_inserted(key, write, row)
            elif after["rules"].get(write.board_id) != assumed[write.board_id]:
                await self._take_back(key, write, documents[key])
            elif place in taken_after:
                # Whoever sees the other's document yields.
                await self._take_back(key, write, documents[key], other_keys[key])
            else:
                write.succeed(outcomes[key])

    def _learn(self, boards: Sequence[str], texts: dict[str, str]) -> None:
        for board_id in boards:
            self._rules.learn(board_id, texts.get(board_id))

    def _retry(self, key: str, write: Write) -> None:
        """Make it again, with other rules."""
        if not write.answer.done():
            self.add(write, key)

    def _not_inserted(self, key: str, write: Write, row: Document) -> None:
        there = row.get("old_val")
        if there is None or not str(row["error"]).startswith("Duplicate primary key"):
            write.fail(StoreUnavailable(f"RethinkDB did not write: {row['error']}"))
        elif there.get("board") == write.partition:
            self._taken(write, key)
        elif key == write.player_id:
            # The plain key is another board's.
            self.add(write, qualified(*write.place))
        else:
            write.fail(Invalid(f"the id {write.player_id!r} is taken by what is no player"))

    def _taken(self, write: Write, key: str) -> None:
        """There is a document of the board under `key`, perhaps a player."""
        if isinstance(write.steps[0], Create) and (write.once is None or write.taken):
            write.fail(
                AlreadyExists(
                    f"there is a player {write.player_id!r} on the board {write.board_id!r} already"
                )
            )
        elif not write.answer.done():
            write.taken = True
            write.keys[:] = [key]
            self._put(write)

    async def _take_back(
        self, key: str, write: Write, document: Document, other: str | None = None
    ) -> None:
        """Delete the document that was just made, unless it is another one by now."""
        query = queries.delete_document(document=document)
        try:
            await self._connection.run(query, write=True, last_step=True)
        except StoreError as error:
            write.fail(OutcomeUnknown(f"{error}; the player may have been made"))
            return
        if other is None:
            self._retry(key, write)
        else:
            self._taken(write, other)


def _other(write: Write, key: str) -> str:
    """The other primary key that the player may have."""
    return qualified(*write.place) if key == write.player_id else write.player_id


def _pairs(found: Sequence[Sequence[Any]]) -> set[tuple[Any, Any]]:
    """Keys, and the boards of the documents with these, as far as they are text."""
    return {(key, board) for key, board in found if isinstance(board, str)}
