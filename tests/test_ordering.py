"""One order of players, whoever sorts: Python, SQLite and RethinkDB against a plain sort."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from tornado_board.models import ORDERING, SCORE_LIMIT, Board, Number, Ordering, Player
from tornado_board.settings import Settings
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.sqlite import migrations, pages

from .conftest import Opened
from .rethinkdb_admin import Admin, opened_store

ORDERINGS = [Ordering(order, ties) for order in ("desc", "asc") for ties in ("id", "first")]

SCORES = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, -0.5, 2.5, 0.1 + 0.2, 0.3, SCORE_LIMIT, -SCORE_LIMIT, SCORE_LIMIT - 1]),
)
IDS = st.sampled_from(["a", "b", "A", "~", ".a", "-", "10", "9", "aa", "Zz"])
PLAYERS = st.dictionaries(IDS, SCORES)


def plainly(players: list[Player], order: Literal["desc", "asc"]) -> list[Player]:
    """In order, by a sort that takes two steps and no key of ours."""
    by_id = sorted(players, key=lambda player: player.id.encode())
    return sorted(by_id, key=lambda player: player.score, reverse=order == "desc")


def better(players: list[Player], score: Number, order: Literal["desc", "asc"]) -> int:
    """How many have a better score."""
    if order == "desc":
        return sum(player.score > score for player in players)
    return sum(player.score < score for player in players)


def test_boards_have_the_highest_score_first() -> None:
    assert Ordering() == ORDERING
    players = [Player("b", "B", 1), Player("a", "A", 1), Player("c", "C", 2)]
    assert [p.id for p in sorted(players, key=ORDERING.key)] == ["c", "a", "b"]


@pytest.mark.parametrize("ordering", ORDERINGS)
@given(found=PLAYERS)
def test_the_key_orders_as_a_plain_sort_does(ordering: Ordering, found: dict[str, Number]) -> None:
    players = [Player(id, id, score) for id, score in found.items()]
    assert sorted(players, key=ordering.key) == plainly(players, ordering.order)
    for one in players:
        assert ordering.key(one) == ordering.parts(one.score, one.reached_at, one.id)
        merits = [ordering.merit(other.score) for other in players]
        above = sum(merit < ordering.merit(one.score) for merit in merits)
        assert above == better(players, one.score, ordering.order)


@pytest.mark.parametrize("ordering", ORDERINGS)
@examples(deadline=None, max_examples=50)
@given(found=PLAYERS, strange=st.lists(st.sampled_from(["text", b"blob"]), max_size=2))
@example(found={"a": 0, "b": 1, "c": -1}, strange=["text"])
def test_sql_orders_and_counts_as_a_plain_sort_does(
    ordering: Ordering, found: dict[str, Number], strange: list[Any]
) -> None:
    board = Board("b", "b", order=ordering.order, ties=ordering.ties)
    players = [Player(id, id, score) for id, score in found.items()]
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as c:
        migrations.migrate(c, Path())
        c.execute(
            'INSERT INTO boards (id, "order", ties) VALUES (?, ?, ?)',
            (board.id, board.order, board.ties),
        )
        # As another program writes them.
        rows = [(p.id, p.score, 1) for p in players] + [("x", value, 1) for value in strange[:1]]
        c.execute("PRAGMA ignore_check_constraints = ON")
        c.executemany(
            "INSERT INTO players (board, name, id, score, reached_at) VALUES ('b', 'N', ?, ?, ?)",
            rows,
        )
        in_order = pages.players_after(c, board, None, 99)
        assert [p.id for p in in_order] == [p.id for p in plainly(players, ordering.order)]
        for one in players:
            assert pages.rank(c, board, one.score) == better(players, one.score, ordering.order) + 1


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.gen_test
async def test_an_index_of_rethinkdb_orders_and_counts_as_a_plain_sort_does(
    ordering: Ordering, opened: Opened, either_url: str, settings: Settings
) -> None:
    await opened_store(opened, either_url, settings)
    admin = Admin(either_url)
    scores = [0, 1, 1, -1, -1, 0.5, -0.5, 0, SCORE_LIMIT, -SCORE_LIMIT]
    players = [Player(f"p{9 - i}", "P", score) for i, score in enumerate(scores)]
    table = r.table("players")
    await admin.run(table.delete())
    await admin.run(table.insert([{"id": p.id, "score": p.score} for p in players]))
    await admin.run(table.index_create("ours", lambda d: [*ordering.parts(d["score"], d["id"])]))
    while not (await admin.run(table.index_status("ours")))[0]["ready"]:
        await asyncio.sleep(0.01)
    found = await admin.run(table.order_by(index="ours").coerce_to("array"))
    assert [document["id"] for document in found] == [
        p.id for p in plainly(players, ordering.order)
    ]
    for score in scores:
        above = table.between([r.minval], [ordering.merit(r.expr(score))], index="ours").count()
        assert await admin.run(above) == better(players, score, ordering.order)
