"""Writes of a single document, which need not be many at a time: deleting a player, and mending one
whose score is no number."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from tornado_board.models import Board, Number, Player, score_of
from tornado_board.store import StoreUnavailable
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.deletion import Run
from tornado_board.store.rethinkdb.documents import (
    PLAYERS,
    Document,
    is_on_board,
    is_player_of,
    player_of,
    qualified,
    removable,
)
from tornado_board.store.rethinkdb.queries import prepared, raise_first_error
from tornado_board.store.rethinkdb.reordering import read_rules
from tornado_board.store.rethinkdb.rules import KnownRules, rules_term
from tornado_board.store.rethinkdb.steps import no_player
from tornado_board.store.scoring import check_bounds

#: How often a write is tried for a board that is another one each time.
_TRIES = 10


class Single:
    """Writes single players.

    Args:
        run: runs a query.
        rules: of the boards.
        end_if_due: ends the season of a board if its time is over.
    """

    def __init__(
        self, run: Run, rules: KnownRules, end_if_due: Callable[[str], Awaitable[bool]]
    ) -> None:
        self._run = run
        self._rules = rules
        self._end_if_due = end_if_due

    async def delete(self, board_id: str, player_id: str) -> Player:
        """See `Store.delete_player`."""
        board, result = await self._write(
            board_id, player_id, lambda _, keys: _delete_player(**keys)
        )
        for row in result.get("changes", ()):
            if result["deleted"]:
                # What had no score that is a number was no player, but had the id.
                held = player_of(row["old_val"]) or player_of({**row["old_val"], "score": 0})
                gone = Player(player_id, player_id, 0, season=board.number)
                return gone if held is None else held[1]
        raise no_player(board_id, player_id)

    async def mend(self, board_id: str, player_id: str, score: Number) -> bool:
        """Give the document of a player whose score is no number `score`; whether there was one.

        Raises `OutOfRange`."""

        def query(board: Board, keys: dict[str, Any]) -> Any:
            check_bounds(board, score)
            reached_at = board.ordering.reached_at(_now())
            return _mend_score(**keys, score=score_of(score), reached_at=reached_at)

        _, result = await self._write(board_id, player_id, query)
        return bool(result["replaced"])

    async def _write(
        self,
        board_id: str,
        player_id: str,
        query: Callable[[Board, dict[str, Any]], Any],
    ) -> tuple[Board, Document]:
        """The board that the write was carried out for, and its result."""
        for _ in range(_TRIES):
            board = self._rules.get(board_id).board
            if board.season is not None and board.season.is_due(_now()):
                await self._end_if_due(board_id)
                found = {"rules": await self._run(read_rules(boards=[board_id]))}
            else:
                keys = {
                    "board": board.partition,
                    "plain": player_id,
                    "qualified": qualified(board.partition, player_id),
                    "boards": [board_id],
                    "rules": self._rules.texts([board_id]),
                }
                found = await self._run(query(board, keys), write=True, last_step=True)
            if "rules" not in found:
                raise_first_error(found)
                return board, found
            self._rules.learn(board_id, found["rules"].get(board_id))
        raise StoreUnavailable(f"the board {board_id!r} changes all the time; try again")


def _now() -> int:
    return int(time.time() * 1000)


def _if_known(p: Any, write: Any) -> Any:
    """`write`, unless the rules of `boards` are others than `rules`; then ``rules`` has them."""
    return rules_term(p["boards"]).do(
        lambda rules: r.branch(rules.ne(p["rules"]), {"rules": rules}, write)
    )


#: Give the player the score `score` if it is in the partition `board` and has none that is a
#: number; see `_if_known`.
_mend_score = prepared(
    lambda p: _if_known(
        p,
        removable(p["board"], p["plain"], p["qualified"]).do(
            lambda found: (
                r.table(PLAYERS)
                .get(found["id"].default(p["plain"]))
                .update(
                    lambda document: r.branch(
                        r.and_(
                            is_on_board(p["board"], document),
                            r.not_(is_player_of(p["board"], document)),
                        ),
                        {"score": p["score"], "reached_at": p["reached_at"]},
                        {},
                    )
                )
            )
        ),
    )
)

#: Delete the player if it is in the partition `board`; see `_if_known`.
_delete_player = prepared(
    lambda p: _if_known(
        p,
        removable(p["board"], p["plain"], p["qualified"]).do(
            lambda found: (
                r.table(PLAYERS)
                .get(found["id"].default(p["plain"]))
                .replace(
                    lambda document: r.branch(is_on_board(p["board"], document), None, document),
                    return_changes=True,
                )
            )
        ),
    )
)
