"""Changing the order of a board, which it can only while it has no players.

A query sees two documents one after the other, so "there are no players" may be over when the
board is changed. So whoever changes it says so in its document first (``being_reordered_by``),
looks for players then, and takes the mark away with the change, or without it. Whoever makes a
player looks at the rules of the board, of which the mark is a part, after that: if they are others
than before, the player is taken back. So either the one sees the player, or the other the mark.

Who dies in between leaves the mark behind. Whoever has seen it for longer than that takes, takes it
away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from tornado_board.store import StoreError
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.connection import Connection
from tornado_board.store.rethinkdb.documents import BOARDS, REORDERED_BY
from tornado_board.store.rethinkdb.queries import prepared
from tornado_board.store.rethinkdb.rules import KnownRules, rules_term

#: Seconds between two looks at a board that is about to change its order, which takes two queries.
_PAUSE = 0.02

#: Time limits of a query after which a mark was left behind: three queries, each of which may wait
#: for its place first.
_PATIENCE = 6

#: Boards with a mark that are remembered.
_MOST_SEEN = 1_000


class Reordered:
    """Waits for boards that are about to change their order.

    Args:
        connection: what the queries run on.
        rules: of the boards, where it puts what it sees.
        timeout: how long a query may take, in seconds.
    """

    def __init__(self, connection: Connection, rules: KnownRules, timeout: float) -> None:
        self._connection = connection
        self._rules = rules
        self._patience = _PATIENCE * timeout
        #: The mark of each board, and since when it has been seen.
        self._seen: dict[str, tuple[Any, float]] = {}

    async def wait(self, board_ids: Iterable[str]) -> None:
        """Wait a moment, and look again at the rules of these boards. Raises `StoreError`."""
        boards = sorted(board_ids)
        await asyncio.sleep(_PAUSE)
        texts = await self._connection.run(read_rules(boards=boards))
        now = asyncio.get_running_loop().time()
        for board_id in boards:
            self._rules.learn(board_id, texts.get(board_id))
            mark = self._rules.get(board_id).reordered_by
            known, since = self._seen.pop(board_id, (mark, now))
            if mark is None:
                continue
            if known != mark:
                since = now
            if now - since > self._patience:
                await self._unmark(board_id, mark)
            elif len(self._seen) < _MOST_SEEN:
                self._seen[board_id] = mark, since

    async def _unmark(self, board_id: str, mark: Any) -> None:
        try:
            await self._connection.run(
                _unmark(board=board_id, mark=mark), write=True, last_step=True
            )
        except StoreError:
            return  # the next one tries it again


#: The texts of the rules of `boards`.
read_rules = prepared(lambda p: rules_term(p["boards"]))

#: Take the mark away from `board` if it is still `mark`.
_unmark = prepared(
    lambda p: (
        r.table(BOARDS)
        .get(p["board"])
        .replace(
            lambda board: r.branch(
                board[REORDERED_BY].default(None).eq(p["mark"]), board.without(REORDERED_BY), board
            )
        )
    )
)
