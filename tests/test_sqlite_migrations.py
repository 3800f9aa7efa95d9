"""Files of earlier versions and earlier users are migrated; other programs' are left alone."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, PlayerPatch, SeasonPlan
from tornado_board.models import Board, Player
from tornado_board.replay import LogUnavailable
from tornado_board.settings import Settings
from tornado_board.sqlite.files import APPLICATION_ID
from tornado_board.store import StoreUnavailable, open_store
from tornado_board.store.sqlite import migrations
from tornado_board.store.sqlite.triggers import triggers

from .conftest import Opened
from .sqlite_files import EARLIER_PROGRAM, file_of_version, make_file, old_file

pytestmark = pytest.mark.gen_test


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of `settings.database_url`."""
    return tmp_path / "board.sqlite3"


def rows(path: Path, query: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def content(path: Path) -> bytes:
    return path.read_bytes()


def triggers_in(path: Path) -> dict[str, str]:
    return dict(rows(path, "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))


OLD = (
    "INSERT INTO boards VALUES ('cup', 'The cup'), ('nameless', NULL)",
    "INSERT INTO players VALUES ('cup', 'ann', 'Ann', 2.5), ('cup', '..', 'Dots', 9)",
    "INSERT INTO replay VALUES ('cup', 1, 1000, '{}')",
    "INSERT INTO replay_heads VALUES ('cup', 1000, 1)",
)


async def test_a_file_of_version_1_is_copied_and_gets_todays_triggers(
    opened: Opened, settings: Settings, path: Path
) -> None:
    old_file(path, *OLD)
    os.chmod(path, 0o600)
    before = rows(path, "SELECT * FROM players")
    known = "SELECT board, id, name, score FROM players"
    store = await opened.store(settings.database_url, settings)
    assert await store.list_boards(9) == [Board("cup", "The cup"), Board("nameless", "nameless")]
    # Ids that URLs can't name were given out then; they are kept, and not shown.
    assert (await store.ranking("cup", 9)).players == [Player("ann", "Ann", 2.5)]
    assert await store.rank("cup", 2.5) == 1
    assert rows(path, known) == before
    assert triggers_in(path) == triggers()
    assert rows(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert rows(path, "PRAGMA user_version") == [(5,)]
    log = await opened.log(settings.replay_url, settings)
    assert [event.data for event in await log.recent("cup", 9)] == ["{}"]

    copy = path.with_name(path.name + ".backup-v1")
    assert rows(copy, "SELECT * FROM players") == before
    assert rows(copy, "PRAGMA user_version") == [(1,)]
    assert rows(copy, "PRAGMA integrity_check") == [("ok",)]
    assert copy.stat().st_mode & 0o777 == 0o600


V2 = (
    "INSERT INTO boards VALUES ('cup', 'The cup'), ('big', NULL)",
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 1100)"
    " INSERT INTO players SELECT 'big', 'p' || i, 'N', i FROM n",
    "DELETE FROM boards WHERE id = 'big'",
    "INSERT INTO boards VALUES ('big', 'Again')",
    "INSERT INTO players VALUES ('big', 'p7', 'Mine', 7.5)",
    "INSERT INTO players VALUES ('cup', 'ann', 'Ann', 2.5), ('cup', 'bob', 'Bob', 3)",
    "INSERT INTO players VALUES ('cup', 'cid', 'Cid', 2.5), ('cup', '..', 'Dots', 9)",
    "PRAGMA ignore_check_constraints = ON",
    "INSERT INTO players VALUES ('cup', 'odd', 'Odd', 'text')",
)


async def test_a_file_of_version_2_is_copied_and_has_what_it_had(
    opened: Opened, settings: Settings, path: Path
) -> None:
    file_of_version(2, path, *V2)
    known = "SELECT board, id, name, score FROM players"
    before = rows(path, known)
    (number,) = rows(path, "SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
    assert rows(path, "SELECT count(*) FROM tombstones") == [(1,)]
    store = await opened.store(settings.database_url, settings)
    assert store.identity == "aabbccdd"
    assert await store.list_boards(9) == [Board("big", "Again"), Board("cup", "The cup")]
    in_order = [Player("bob", "Bob", 3), Player("ann", "Ann", 2.5), Player("cid", "Cid", 2.5)]
    ranking = await store.ranking("cup", 9)
    assert ranking.players == in_order
    assert ranking.version >= number[0]
    assert await store.players_after("big", None, 9) == [Player("p7", "Mine", 7.5)]
    assert await store.rank("cup", 2.5) == 2
    assert (await store.count("cup"), await store.count("big")) == (3, 1)
    assert (await store.add_score("cup", "cid", 1)).player == Player("cid", "Cid", 3.5)
    assert triggers_in(path) == triggers()
    copy = path.with_name(path.name + ".backup-v2")
    assert sorted(rows(copy, known), key=str) == sorted(before, key=str)
    assert rows(copy, "PRAGMA user_version") == [(2,)]


V3 = (
    "INSERT INTO boards (id) VALUES ('cup')",
    "INSERT INTO boards (id, \"order\", ties) VALUES ('race', 'asc', 'first')",
    "INSERT INTO players (board, id, name, score) VALUES ('cup', 'ann', 'Ann', 2.5)",
    "INSERT INTO players (board, id, name, score) VALUES ('cup', 'bob', 'Bob', 3)",
    "INSERT INTO players (board, id, name, score) VALUES ('race', 'ann', 'Ann', 61)",
    "INSERT INTO players (board, id, name, score) VALUES ('race', 'bob', 'Bob', 59)",
    "PRAGMA ignore_check_constraints = ON",
    "INSERT INTO players (board, id, name, score) VALUES ('cup', 'odd', 'Odd', 'text')",
)


async def test_a_file_of_version_3_is_copied_and_its_players_can_be_hidden(
    opened: Opened, settings: Settings, path: Path
) -> None:
    file_of_version(3, path, *V3)
    known = "SELECT board, id, name, score, reached_at, meta, rules, merit FROM players"
    before = rows(path, known)
    ((number,),) = rows(path, "SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
    store = await opened.store(settings.database_url, settings)
    assert store.identity == "aabbccdd"
    assert rows(path, known) == before
    assert triggers_in(path) == triggers()
    assert (await store.ranking("cup", 9)).version == number
    await store.update_player("cup", "bob", PlayerPatch(hidden=True))
    assert await store.players_after("cup", None, 9) == [Player("ann", "Ann", 2.5)]
    race = await store.players_after("race", None, 9)
    assert [player.id for player in race] == ["bob", "ann"]
    copy = path.with_name(path.name + ".backup-v3")
    assert rows(copy, known) == before
    assert rows(copy, "PRAGMA user_version") == [(3,)]


async def test_a_file_of_version_4_is_copied_and_its_boards_can_have_seasons(
    opened: Opened, settings: Settings, path: Path
) -> None:
    file_of_version(4, path, *V3, "UPDATE players SET hidden = 1 WHERE id = 'odd'")
    known = "SELECT * FROM players"
    before = rows(path, known)
    ((number,),) = rows(path, "SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
    store = await opened.store(settings.database_url, settings)
    assert rows(path, known) == before
    assert triggers_in(path) == triggers()
    assert (await store.ranking("cup", 9)).version == number
    assert (await store.get_board("cup")).season is None
    await store.update_board("cup", BoardPatch(season=SeasonPlan(every="week")))
    await store.end_season("cup")
    assert (await store.ranking("cup", 9)).players == []
    past = await store.players_after("cup", None, 9, 1)
    assert past == [Player("bob", "Bob", 3), Player("ann", "Ann", 2.5)]
    assert rows(path, known) == before
    copy = path.with_name(path.name + ".backup-v4")
    assert rows(copy, known) == before
    assert rows(copy, "PRAGMA user_version") == [(4,)]


async def test_columns_that_somebody_added_are_kept_under_other_names(
    opened: Opened, settings: Settings, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file_of_version(
        *(2, path),
        "ALTER TABLE players ADD COLUMN meta INTEGER",
        "ALTER TABLE players ADD COLUMN Earlier_Meta TEXT",
        "ALTER TABLE boards ADD COLUMN Top TEXT DEFAULT 'hat'",
        "ALTER TABLE players ADD COLUMN shirt TEXT DEFAULT 'red'",
        "INSERT INTO boards (id) VALUES ('cup')",
        "INSERT INTO players (board, id, name, meta) VALUES ('cup', 'ann', 'Ann', 5)",
    )
    caplog.set_level(logging.WARNING)
    store = await opened.store(settings.database_url, settings)
    assert await store.get_board("cup") == Board("cup", "cup")
    done = await store.update_player("cup", "ann", PlayerPatch(meta={"a": 1}))
    assert done.player == Player("ann", "Ann", 0, meta={"a": 1})
    assert rows(path, "SELECT earlier_meta1, shirt FROM players") == [(5, "red")]
    assert rows(path, "SELECT earlier_top FROM boards") == [("hat",)]
    assert "the column meta that was added to the table players is now earlier_meta1" in caplog.text


async def test_a_second_start_changes_nothing(settings: Settings, path: Path) -> None:
    old_file(path, *OLD)
    await (await open_store(settings.database_url, settings)).close()
    before = rows(path, "PRAGMA schema_version"), sorted(path.parent.iterdir())
    await (await open_store(settings.database_url, settings)).close()
    assert (rows(path, "PRAGMA schema_version"), sorted(path.parent.iterdir())) == before


async def test_triggers_that_somebody_dropped_or_changed_are_made_anew(
    opened: Opened, settings: Settings, path: Path
) -> None:
    await (await open_store(settings.database_url, settings)).close()
    make_file(
        path,
        "DROP TRIGGER player_inserted; DROP TRIGGER board_deleted;"
        "CREATE TRIGGER board_deleted AFTER DELETE ON boards BEGIN SELECT 1; END;"
        "CREATE TRIGGER theirs AFTER DELETE ON boards BEGIN SELECT 1; END",
    )
    await opened.store(settings.database_url, settings)
    found = triggers_in(path)
    assert found.pop("theirs")
    assert found == triggers()


async def test_a_step_that_fails_leaves_the_file_as_it_was(
    settings: Settings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_file(path, *OLD)
    before = rows(path, "SELECT * FROM sqlite_master")

    def half(c: sqlite3.Connection) -> None:
        c.execute("DROP TABLE players")
        c.execute("no SQL")

    monkeypatch.setattr(migrations, "_STEPS", (migrations._STEPS[0], half))
    with pytest.raises(StoreUnavailable, match="migration step 2 failed"):
        await open_store(settings.database_url, settings)
    assert rows(path, "SELECT * FROM sqlite_master") == before
    assert rows(path, "PRAGMA user_version") == [(1,)]
    monkeypatch.undo()
    await (await open_store(settings.database_url, settings)).close()
    # The first copy is not written over.
    assert {p.name for p in path.parent.glob("*backup*")} == {
        f"{path.name}.backup-v1",
        f"{path.name}.backup-v1.2",
    }


async def test_nothing_is_migrated_that_can_not_be_copied(settings: Settings, path: Path) -> None:
    old_file(path, *OLD)
    path.with_name(path.name + ".backup-v1.part").mkdir()
    with pytest.raises(StoreUnavailable, match="could not be copied"):
        await open_store(settings.database_url, settings)
    assert rows(path, "PRAGMA user_version") == [(1,)]


async def test_an_earlier_programs_tables_are_taken_over(
    opened: Opened, settings: Settings, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_file(
        path,
        EARLIER_PROGRAM + "INSERT INTO boards (name) VALUES ('First'), (NULL);"
        "INSERT INTO players VALUES (1, 1, 'Ann', 3.0), (2, 1, NULL, NULL), (3, 2, 'Bob', x'00'),"
        "  (4, 2, 'Cid', 1e300);",
    )
    caplog.set_level(logging.WARNING)
    store = await opened.store(settings.database_url, settings)
    assert await store.list_boards(9) == [Board("1", "First"), Board("2", "2")]
    players = (await store.ranking("1", 9)).players
    assert players == [Player("1", "Ann", 3), Player("2", "2", 0)]
    assert (await store.ranking("2", 9)).players == []
    assert (await store.add_score("1", "2", 4)).player.score == 4
    assert "2 rows of the table players" in caplog.text
    copy = path.with_name(path.name + ".backup-v0")
    assert len(rows(copy, "SELECT * FROM players")) == 4


async def test_a_newer_versions_file_is_refused(settings: Settings, path: Path) -> None:
    await (await open_store(settings.database_url, settings)).close()
    make_file(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match=r"newer tornado_board \(schema 99, this one knows"):
        await open_store(settings.database_url, settings)


BOARDS = "CREATE TABLE boards (id, name);"
PLAYERS = "CREATE TABLE players (id, board, name, score);"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("CREATE TABLE boards (id, name)", "has no table players"),
        ("CREATE TABLE boards (id, title); CREATE TABLE players (id, board, name, score)", "title"),
        ("CREATE TABLE boards (id, name); CREATE TABLE players (id, board, name, score, x)", "x"),
        ("CREATE TABLE players (id, board, name, score)", "has no table boards"),
        ("CREATE TABLE boards (name); CREATE TABLE players (id, board, name, score)", "name"),
        ("CREATE TABLE moz_places (id); CREATE TABLE replay (id)", "moz_places, replay"),
        ("CREATE VIEW v AS SELECT 1", "its tables are v"),
        ("CREATE VIEW boards AS SELECT 1 AS id; " + PLAYERS, "it has the view boards"),
        (BOARDS + PLAYERS + "CREATE VIEW best AS SELECT max(score) FROM Players", "the view best"),
        (
            BOARDS + PLAYERS + "CREATE TRIGGER low AFTER UPDATE ON players WHEN new.score < 0"
            " BEGIN SELECT raise(ABORT, 'low'); END",
            "the trigger low",
        ),
        (
            BOARDS + PLAYERS + "CREATE TABLE notes (board REFERENCES Boards (id))",
            "its table notes refers to boards",
        ),
        ("PRAGMA application_id = 252006674; CREATE TABLE t (x)", "application_id is 0xf055112"),
    ],
)
async def test_another_programs_file_is_refused_untouched(
    settings: Settings, path: Path, script: str, said: str
) -> None:
    make_file(path, script)
    before = content(path)
    with pytest.raises(StoreUnavailable) as refused:
        await open_store(settings.database_url, settings)
    assert str(refused.value).startswith(f"{path}: this is another program's SQLite file (")
    assert said in str(refused.value)
    assert content(path) == before
    assert list(path.parent.iterdir()) == [path]


async def test_the_replay_log_refuses_it_as_well(
    opened: Opened, settings: Settings, path: Path
) -> None:
    make_file(path, "CREATE TABLE invoices (id)")
    before = content(path)
    with pytest.raises(LogUnavailable, match="another program's SQLite file"):
        await opened.log(f"sqlite:///{path}", settings)
    assert content(path) == before


async def test_an_old_file_may_hold_more(opened: Opened, settings: Settings, path: Path) -> None:
    old_file(path, *OLD, "ALTER TABLE players ADD COLUMN shirt TEXT", "CREATE TABLE notes (text)")
    store = await opened.store(settings.database_url, settings)
    assert (await store.add_score("cup", "ann", 1)).player.score == 3.5


async def test_a_file_with_the_mark_may_hold_more(
    opened: Opened, settings: Settings, path: Path
) -> None:
    await (await open_store(settings.database_url, settings)).close()
    make_file(path, "CREATE TABLE notes (text)")
    await opened.store(settings.database_url, settings)
