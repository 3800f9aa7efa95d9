"""What the SQL says of ids and ranks is what the models say."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.models import is_id
from tornado_board.settings import Settings
from tornado_board.store.sqlite import rows, schema

from .conftest import Opened

TEXTS = st.one_of(
    st.text(max_size=70),
    st.text(alphabet="abcXYZ019._~-", max_size=70),
    st.sampled_from(["a" * 64, "a" * 65, "a\0b", "\0", "é", "a\n", "\n"]),
)


@given(TEXTS.filter(lambda text: text not in (".", "..") and not _surrogates(text)))
def test_ids_are_the_same_in_sql(text: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        query = f"SELECT {schema.is_id('t')} FROM (SELECT ? AS t)"
        assert bool(connection.execute(query, (text,)).fetchone()[0]) == is_id(text)


def _surrogates(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize("value", [".", "..", b"abc", 1, None])
def test_what_is_no_id_in_sql(value: object) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        query = f"SELECT {schema.is_id('t')} FROM (SELECT ? AS t)"
        assert not connection.execute(query, (value,)).fetchone()[0]


@pytest.mark.gen_test
async def test_ranks_and_the_best_are_read_from_indexes(opened: Opened, settings: Settings) -> None:
    await opened.store(settings.database_url, settings)
    plans: list[str] = []
    path = settings.database_url.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        rows.rank(connection, "demo", 20)
        rows.best_players(connection, "demo", 5)
        rows.player(connection, "demo", "mars")
        connection.set_trace_callback(None)
        for statement in statements:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            plans += [step[3] for step in plan]
    assert any("INDEX standing (board=? AND score>? AND score<?)" in plan for plan in plans)
    assert any("INDEX strays (board=? AND score>? AND score<?)" in plan for plan in plans)
    assert not [plan for plan in plans if plan.startswith("SCAN p") or "TEMP B-TREE" in plan]
