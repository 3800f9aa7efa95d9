"""What the SQL says of ids and ranks is what the models say."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.inputs import NewBoard, PlayerPatch, Submission
from tornado_board.models import Board, Order, Player, Ties, is_id
from tornado_board.store import NotFound, Place, Submitted
from tornado_board.store.sqlite import migrations, pages, rows, schema, submissions, writes
from tornado_board.store.sqlite.audit import Trail
from tornado_board.store.sqlite.written import Written

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


@pytest.fixture
def c(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A file with this version's tables and triggers."""
    path = tmp_path / "board.sqlite3"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.migrate(connection, path)
        yield connection


ORDERS = [(order, ties) for order in ("desc", "asc") for ties in ("id", "first")]


@pytest.mark.parametrize(("order", "ties"), ORDERS)
@pytest.mark.parametrize("swept", [False, True])
def test_everything_of_a_board_is_read_from_an_index(
    c: sqlite3.Connection, order: Order, ties: Ties, swept: bool
) -> None:
    board = Board("b", "B", order=order, ties=ties)
    writes.insert_board(c, board, NewBoard(id="b", order=order, ties=ties))
    writes.insert_player(c, board, Player("p", "P", 1))
    if swept:
        c.execute("INSERT INTO tombstones VALUES ('b')")
    statements: list[str] = []
    c.set_trace_callback(statements.append)
    for backwards in (False, True):
        pages.players_after(c, board, None, 5, backwards)
        pages.players_after(c, board, Place(1, 0, "a"), 5, backwards)
    pages.rank(c, board, 20)
    pages.count(c, board)
    pages.player_at(c, board, 1)
    pages.scores(c, "b", "a", 5)
    pages.has_players(c, board)
    list(rows.players(c, "b", ["p", "q"]))
    many = [Submission(id="p", score=5), Submission(id="new", score=5)]
    submissions.submit_slices(c, [submissions.Slice("b", many, None)], Written(), Trail(0))
    writes.set_scores(c, board, [Player(f"p{i}", "N", i) for i in range(300)])
    writes.patch_player(c, "b", "p", PlayerPatch(name="N"))
    writes.delete_player(c, "b", "p")
    c.set_trace_callback(None)
    plans: set[str] = set()
    for statement in statements:
        if not statement.startswith("--"):
            plans |= {step[3] for step in c.execute(f"EXPLAIN QUERY PLAN {statement}")}
    # What a statement is given, and not what a table has.
    given = {"SCAN CONSTANT ROW", "SCAN v", *(f"SCAN {n} CONSTANT ROWS" for n in (8, 32, 256))}
    scans = {plan for plan in plans if plan.startswith("SCAN")} - given
    sorts = {plan for plan in plans if "TEMP B-TREE" in plan}
    if swept:
        # The few players that were made since are sorted.
        assert not scans
    else:
        assert not scans | sorts
        of_all = "SEARCH p USING INDEX standing (board=? AND "
        counted = "SEARCH p USING COVERING INDEX standing (board=? AND "
        assert f"{of_all}merit>? AND merit<?)" in plans
        assert f"{of_all}(merit,reached_at,id)>(?,?,?))" in plans
        assert any(
            plan.startswith(f"{of_all}(merit,reached_at,id)<(?,?,?)") for plan in plans
        ) or any(plan.startswith(f"{of_all}merit>? AND ") for plan in plans)
        assert f"{counted}merit>? AND merit<?)" in plans


STRANGE: list[tuple[object, ...]] = [
    # id, name, score, meta
    ("ok", "fine", 5, '{"a": [1]}'),
    ("text", "score", "many", None),
    ("blob", b"\xff", b"\x00", b"\x00"),
    ("inf", "N", float("inf"), "{"),
    ("huge", 7, 2**62 + 1, "[1]"),
    ("..", "dots", 99, None),
    ("no id!", "N", 98, None),
    ("a" * 65, "long", 97, None),
    ("deep", b"\xff", 1, "[" * 100_000),
    ("twice", "N", 1, '{"a": 1e999}'),
]


@pytest.mark.parametrize(("order", "ties"), ORDERS)
def test_rows_that_no_check_refused_are_shown_as_what_they_are(
    c: sqlite3.Connection, order: Order, ties: Ties
) -> None:
    c.execute("PRAGMA ignore_check_constraints = ON")
    c.execute('INSERT INTO boards (id, "order", ties) VALUES (?, ?, ?)', ("b", order, ties))
    for id, name, score, meta in STRANGE:
        c.execute(
            "INSERT INTO players (board, id, name, score, reached_at, meta)"
            " VALUES ('b', ?, ?, ?, 'soon', ?)",
            (id, name, score, meta),
        )
    board = rows.board(c, "b")
    everyone = pages.players_after(c, board, None, 50)
    assert {p.id for p in everyone} == {"ok", "huge", "deep", "twice"}
    assert sorted(everyone, key=board.ordering.key) == everyone
    by_id = {p.id: p for p in everyone}
    assert by_id["ok"].meta == {"a": [1]}
    assert by_id["huge"].score == 2.0**62
    assert by_id["huge"].name == "7"
    assert by_id["deep"] == Player("deep", "\ufffd", 1, by_id["deep"].reached_at)
    assert pages.count(c, board) == 4
    place: Place | None = None
    walked: list[Player] = []
    while page := pages.players_after(c, board, place, 1):
        walked += page
        place = Place(page[0].score, page[0].reached_at, page[0].id)
    assert walked == everyone
    assert dict(pages.scores(c, "b", "", 50)) == {p.id: p.score for p in everyone}
    for id in ("text", "..", "inf"):
        with pytest.raises(NotFound):
            rows.player(c, "b", id)
    # A score that is handed in makes a player of what is none.
    part = submissions.Slice("b", [Submission(id="text", score=3)], None)
    (done,) = submissions.submit_slices(c, [part], Written(), Trail(0))
    assert isinstance(done, list)
    (made,) = done
    assert isinstance(made, Submitted)
    assert made.previous is None
    assert rows.player(c, "b", "text") == made.player


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("order", "up"),
        ("order", b"asc"),
        ("ties", 5),
        ("operator", "mul"),
        ("top", "many"),
        ("top", 1000),
        ("min", "low"),
        ("max", 1e300),
        ("meta", "[]"),
        ("meta", b"{}"),
        ("show", '["score"]'),
        ("show", "{"),
    ],
)
def test_settings_that_there_can_not_be_are_the_default(
    c: sqlite3.Connection, column: str, value: object
) -> None:
    statement = f"INSERT INTO boards (id, \"{column}\") VALUES ('b', ?)"
    if column not in ("meta", "show") or isinstance(value, bytes):
        with pytest.raises(sqlite3.IntegrityError):
            c.execute(statement, (value,))
    c.execute("PRAGMA ignore_check_constraints = ON")
    c.execute(statement, (value,))
    assert rows.board(c, "b") == Board("b", "b")


@pytest.mark.parametrize(("order", "ties"), ORDERS)
def test_whatever_other_programs_do_players_are_in_their_boards_order(
    c: sqlite3.Connection, order: Order, ties: Ties
) -> None:
    other: Order = "asc" if order == "desc" else "desc"
    # Players may be there before their board, and boards may be changed with all they have.
    c.execute("INSERT INTO players (board, id, name, score) VALUES ('b', 'p1', 'N', 1)")
    c.execute('INSERT INTO boards (id, "order", ties) VALUES (?, ?, ?)', ("b", order, ties))
    c.execute('INSERT INTO boards (id, "order") VALUES (?, ?)', ("c", other))
    c.execute("INSERT INTO players (board, id, name, score) VALUES ('b', 'p3', 'N', 3)")
    c.execute("INSERT OR REPLACE INTO players (board, id, name, score) VALUES ('b', 'p3', 'N', 2)")
    c.execute("INSERT INTO players (board, id, name, score) VALUES ('c', 'p4', 'N', 0)")
    c.execute("UPDATE players SET board = 'b' WHERE id = 'p4'")
    c.execute("UPDATE players SET score = 5 WHERE id = 'p1'")

    def shown(id: str) -> list[str]:
        board = rows.board(c, id)
        players = pages.players_after(c, board, None, 9)
        assert sorted(players, key=board.ordering.key) == players
        for player in players:
            is_timed = board.ties == "first" and player.id != "p2"
            assert (time.time() * 1000 - 60_000 < player.reached_at) is is_timed
        return [player.id for player in players]

    best_first = ["p1", "p3", "p4"]
    assert shown("b") == (best_first if order == "desc" else best_first[::-1])
    c.execute("UPDATE boards SET \"order\" = ? WHERE id = 'b'", (other,))
    assert shown("b") == (best_first if other == "desc" else best_first[::-1])
    c.execute("UPDATE boards SET ties = 'id' WHERE id = 'b'")
    assert shown("b") == (best_first if other == "desc" else best_first[::-1])
    c.execute("INSERT OR REPLACE INTO boards (id) VALUES ('b')")
    assert shown("b") == best_first
    c.execute("UPDATE boards SET id = 'd' WHERE id = 'b'")
    c.execute('INSERT INTO boards (id, "order") VALUES (?, ?)', ("b", "asc"))
    assert shown("b") == best_first[::-1]
