"""Reading all scores of a large board on a real RethinkDB that goes away meanwhile."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest

from tornado_board.models import Number
from tornado_board.settings import Settings
from tornado_board.store import StoreUnavailable, open_store
from tornado_board.store.rethinkdb import pages as reading
from tornado_board.store.rethinkdb.address import Address, r
from tornado_board.store.rethinkdb.driver import close_driver, run

from .rethinkdb_server import PROGRAM, RethinkDBServer

pytestmark = [
    pytest.mark.usefixtures("io_loop"),
    pytest.mark.skipif(PROGRAM is None, reason="no rethinkdb on PATH that could be killed"),
]

#: So many that either half comes in more answers than are under way at a time.
PLAYERS = 10_000
_OF_AN_ANSWER = 50


async def fill(url: str) -> None:
    driver = await Address.parse(url).connect(30)
    players = r.range(PLAYERS).map(
        lambda n: {"id": n.coerce_to("string"), "board": "b", "score": n}
    )
    try:
        await run(driver, r.table("boards").insert({"id": "b"}), 60)
        await run(driver, r.table("players").insert(players), 600, durability="soft")
    finally:
        await close_driver(driver)


@pytest.mark.parametrize("middle", [None, PLAYERS // 2])
@pytest.mark.gen_test
async def test_scores_end_with_an_error_where_the_database_is_lost_in_the_middle(
    tmp_path: Path,
    settings: Settings,
    middle: Number | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("max_batch_rows", "min_batch_rows"):
        monkeypatch.setitem(reading._PIECES, limit, _OF_AN_ANSWER)
    server = RethinkDBServer(tmp_path)
    server.start()
    try:
        url = server.url("board")
        store = await open_store(url, dataclasses.replace(settings, database_timeout=30))
        await fill(url)
        whole = [piece async for piece in store.scores("b", middle=middle)]
        assert sorted(score for piece in whole for score in piece.scores) == [*range(PLAYERS)]
        found = 0
        async with contextlib.aclosing(store.scores("b", middle=middle)) as pieces:
            found += len((await anext(pieces)).ids)
            server.kill()
            with pytest.raises(StoreUnavailable):
                found += len([piece async for piece in pieces])
        assert 0 < found < PLAYERS
        await store.close()
    finally:
        server.kill()
