"""What has to be done before a write, where it fails in a way that nobody has thought of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tornado_board.models import Player
from tornado_board.settings import Settings
from tornado_board.store import Once, StoreUnavailable
from tornado_board.store.rethinkdb import RethinkDBStore

from .conftest import Opened
from .reql import ReQLServer
from .season_contract import opened_cup, present
from .seasons import Clock, clock
from .waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("io_loop")

__all__ = ["clock"]


@pytest.mark.gen_test
async def test_a_write_is_answered_and_the_next_one_tries_again(
    opened: Opened,
    settings: Settings,
    reql: ReQLServer,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = await opened_cup(opened, reql.url(), settings, every="day")
    assert isinstance(store, RethinkDBStore)
    preparing = store._writes._preparing

    async def mistaken(*_: Any) -> Any:
        raise ZeroDivisionError

    def add(**once: Any) -> Any:
        return asyncio.wait_for(store.add_score("cup", "ann", 1, create=True, **once), PATIENCE)

    ends = present(await store.get_board("cup")).ends
    assert ends is not None
    clock.forward(ends)
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "_end_if_due", mistaken)
        with pytest.raises(StoreUnavailable, match="nothing was changed"):
            await add()
    assert (await add()).player == Player("ann", "ann", 1, season=2)
    with monkeypatch.context() as patched:
        patched.setattr(preparing, "_earlier", mistaken)
        with pytest.raises(StoreUnavailable, match="nothing was changed"):
            await add(once=Once("k", "r"))
    assert (await add(once=Once("k", "r"))).player == Player("ann", "ann", 2, season=2)
