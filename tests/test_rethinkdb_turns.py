"""Who wants a rank waits for others who do, and for nobody else."""

from __future__ import annotations

import asyncio

import pytest

from tornado_board.settings import Settings
from tornado_board.store import NotFound, StoreUnavailable
from tornado_board.store.rethinkdb.turns import _MOST, _MOST_OF_ONE, Turns

from .conftest import Opened
from .reql import ReQLServer
from .stream_client import PATIENCE

pytestmark = pytest.mark.gen_test


class Users:
    """Tasks that hold turns until they are let go."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._end = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self.inside: list[str] = []

    async def enter(self, *board_ids: str) -> None:
        """Start one for each, as far as they get."""
        self._tasks += [asyncio.create_task(self._hold(board_id)) for board_id in board_ids]
        for _ in range(5):
            await asyncio.sleep(0)

    async def _hold(self, board_id: str) -> None:
        async with self._turns.turn(board_id):
            self.inside.append(board_id)
            await self._end.wait()

    async def leave(self) -> None:
        self._end.set()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*self._tasks)


async def test_one_board_leaves_turns_to_the_others() -> None:
    turns = Turns(PATIENCE, 1000)
    users = Users(turns)
    await users.enter(*["big"] * 100)
    assert users.inside == ["big"] * _MOST_OF_ONE
    await users.enter("small")
    assert users.inside[-1] == "small"
    await users.enter(*map(str, range(100)))
    assert len(users.inside) == _MOST
    await users.leave()
    assert len(users.inside) == 201
    assert not turns._boards


async def test_a_turn_is_waited_for_so_long_and_by_so_many() -> None:
    users = Users(Turns(PATIENCE, 2))
    await users.enter(*["big"] * _MOST_OF_ONE)
    await users.enter("big", "big")
    with pytest.raises(StoreUnavailable, match="too many"):
        async with users._turns.turn("small"):
            pass
    await users.leave()

    users = Users(Turns(0.01, 2))
    await users.enter(*["big"] * _MOST_OF_ONE)
    with pytest.raises(StoreUnavailable, match="no turn"):
        async with users._turns.turn("big"):
            pass
    await users.leave()
    assert not users._turns._boards


async def test_a_crowd_that_wants_ranks_is_not_sent_on_at_once(
    opened: Opened, settings: Settings
) -> None:
    async with ReQLServer() as reql:
        store = await opened.store(reql.url(), settings)
        reql.answering.clear()
        ranks = [asyncio.ensure_future(store.rank("away", i)) for i in range(50)]
        board = asyncio.ensure_future(store.get_board("last"))
        async with asyncio.timeout(PATIENCE):
            while not any('"last"' in str(term) for term in reql.queries):
                await asyncio.sleep(0.01)
        assert sum('"score":' in str(term) for term in reql.queries) == _MOST_OF_ONE
        reql.answering.set()
        outcomes = await asyncio.gather(*ranks, board, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {NotFound}
