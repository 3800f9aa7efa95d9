"""What another process writes into the SQLite file reaches the subscribers, too."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tornado_board.server import Running
from tornado_board.settings import Settings

from .stream_client import PATIENCE, STREAM, RawStream, Writer, http_client, make_board

pytestmark = pytest.mark.gen_test

Serving = Callable[[Settings], Awaitable[Running]]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Runs a statement on the server's file as the ``sqlite3`` tool would; how many rows."""
    with contextlib.ExitStack() as stack:
        connections: list[sqlite3.Connection] = []

        def execute(statement: str, *values: Any) -> int:
            if not connections:
                connection = sqlite3.connect(tmp_path / "board.sqlite3", isolation_level=None)
                connections.append(stack.enter_context(contextlib.closing(connection)))
            return connections[0].execute(statement, values).rowcount

        yield execute


class Watched:
    """A board's stream, and what it has shown last."""

    def __init__(self, stream: RawStream) -> None:
        self.stream = stream
        self.board: Any = None

    @classmethod
    async def open(cls, url: str, board: str) -> Watched:
        watched = cls(await RawStream.open(url, f"/boards/{board}/", f"Accept: {STREAM['Accept']}"))
        _, watched.board, _ = await watched.stream.event()
        return watched

    async def shows(self, *players: tuple[str, float], name: str | None = None) -> None:
        """Wait until these players are shown, under that name of the board."""
        async with asyncio.timeout(PATIENCE):
            while not self.is_shown(players, name):
                _, self.board, _ = await self.stream.event()

    def is_shown(self, players: tuple[tuple[str, float], ...], name: str | None) -> bool:
        shown = tuple((player["id"], player["score"]) for player in self.board["players"])
        return shown == players and name in (None, self.board["name"])


async def test_every_kind_of_outside_change_is_seen(
    serving: Serving, settings: Settings, outside: Callable[..., int]
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1, "q": 2})
        await make_board(client, "c", {"r": 3})
        b, c = await Watched.open(url, "b"), await Watched.open(url, "c")

        outside("UPDATE players SET score = 99 WHERE board = 'b' AND id = 'p'")
        await b.shows(("p", 99), ("q", 2))
        outside("INSERT INTO players (board, id, name, score) VALUES ('b', 's', 'S', 50.5)")
        await b.shows(("p", 99), ("s", 50.5), ("q", 2))
        outside("DELETE FROM players WHERE board = 'b' AND id = 'p'")
        await b.shows(("s", 50.5), ("q", 2))
        outside("UPDATE players SET board = 'c' WHERE board = 'b' AND id = 's'")
        await b.shows(("q", 2))
        await c.shows(("s", 50.5), ("r", 3))
        outside("UPDATE players SET id = 'renamed' WHERE id = 'q'")
        await b.shows(("renamed", 2))
        outside("UPDATE boards SET name = 'Another name' WHERE id = 'b'")
        await b.shows(("renamed", 2), name="Another name")
        outside("UPDATE boards SET name = NULL WHERE id = 'b'")
        await b.shows(("renamed", 2), name="b")
        outside("UPDATE players SET score = score + 1")
        await b.shows(("renamed", 3))
        await c.shows(("s", 51.5), ("r", 4))

        outside("DELETE FROM boards WHERE id = 'c'")
        await c.stream.ended()
        assert (await client.get("/boards/c/")).status_code == 404
        assert outside("SELECT * FROM players WHERE board = 'c'") <= 0
        outside("INSERT INTO boards (id, name) VALUES ('new', 'Made outside')")
        new = await Watched.open(url, "new")
        assert new.board == {"id": "new", "name": "Made outside", "players": []}


async def test_outside_statements_with_conflict_clauses(
    serving: Serving, settings: Settings, outside: Callable[..., int]
) -> None:
    """The clause of a statement holds for the triggers it fires as well (SQLite's rule)."""
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1})
        b = await Watched.open(url, "b")
        row = "INTO players (board, id, name, score) VALUES ('b', 'p', 'P', ?)"
        upsert = "ON CONFLICT (board, id) DO UPDATE SET score = excluded.score"
        for score, statement in enumerate(
            [
                f"INSERT {row} {upsert}",
                f"INSERT OR REPLACE {row}",
                f"REPLACE {row}",
                *(f"UPDATE OR {clause} players SET score = ?" for clause in ("FAIL", "IGNORE")),
                *(f"UPDATE OR {clause} players SET score = ?" for clause in ("ROLLBACK", "ABORT")),
            ],
            start=10,
        ):
            assert outside(statement, score), statement
            await b.shows(("p", score))
        for clause in ("IGNORE", "FAIL", "ROLLBACK", "ABORT", "REPLACE"):
            outside("DELETE FROM players WHERE board = 'b'")
            await b.shows()
            outside(f"INSERT OR {clause} {row}", 5)
            await b.shows(("p", 5))


async def test_an_outside_transaction_is_seen_whole_and_only_once_committed(
    serving: Serving, settings: Settings, outside: Callable[..., int]
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1, "q": 2})
        b = await Watched.open(url, "b")
        outside("BEGIN")
        outside("UPDATE players SET score = 70 WHERE id = 'p'")
        outside("ROLLBACK")
        outside("BEGIN")
        outside("UPDATE players SET score = 80 WHERE id = 'p'")
        outside("UPDATE players SET score = 90 WHERE id = 'q'")
        # Meanwhile others read, and what they write waits.
        assert (await client.get("/boards/b/")).json()["players"][0]["score"] == 2
        writer = Writer(url)
        waiting = asyncio.ensure_future(writer.add("b", "p"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        outside("COMMIT")
        _, board, _ = await b.stream.event()
        assert [p["score"] for p in board["players"]] in ([90, 80], [90, 81])
        assert await asyncio.wait_for(waiting, PATIENCE) == 81
        writer.close()
        b.board = board
        await b.shows(("q", 90), ("p", 81))


async def test_outside_changes_are_seen_under_load(
    serving: Serving, settings: Settings, outside: Callable[..., int]
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1})
        await make_board(client, "busy", {"p": 0})
        b, busy = await Watched.open(url, "b"), await Watched.open(url, "busy")
        loading = True

        async def load() -> int:
            writer, count = Writer(url), 0
            while loading:
                await writer.add("busy")
                count += 1
            writer.close()
            return count

        async def drain() -> None:
            async with asyncio.timeout(PATIENCE):
                while loading or busy.board["players"][0]["score"] < 1_000_000:
                    _, busy.board, _ = await busy.stream.event()

        tasks = [asyncio.ensure_future(load()) for _ in range(8)]
        draining = asyncio.ensure_future(drain())
        connection = Path(settings.database_url.removeprefix("sqlite:///"))
        for score in range(100, 110):
            # In a thread, since SQLite waits for its turn.
            await asyncio.to_thread(
                update_once, connection, "UPDATE players SET score = ? WHERE board = 'b'", score
            )
            await b.shows(("p", score))
        loading = False
        answered = sum(await asyncio.gather(*tasks))
        await asyncio.to_thread(
            update_once,
            connection,
            "UPDATE players SET score = score + ? WHERE board = 'busy'",
            1_000_000,
        )
        await draining
        assert busy.board["players"][0]["score"] == 1_000_000 + answered


def update_once(path: Path, statement: str, value: int) -> None:
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as connection, connection:
        assert connection.execute(statement, (value,)).rowcount == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("'two' || char(10) || 'lines' || char(13)", "two\nlines\r"),
        ("char(8232)", "\u2028"),
        ("''", ""),
        ("char(0) || 'x'", "\0x"),
        ("'</script>'", "</script>"),
        ("CAST(x'41ff42' AS TEXT)", "A\ufffdB"),
        ("CAST(x'eda080' AS TEXT)", "\ufffd\ufffd\ufffd"),
    ],
)
async def test_whatever_text_is_written_the_event_is_whole(
    serving: Serving, settings: Settings, outside: Callable[..., int], text: str, shown: str
) -> None:
    """Text that isn't UTF-8 is shown as well as can be; it must not stop the feed."""
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1})
        b = await Watched.open(url, "b")
        outside(f"UPDATE players SET name = {text}, score = 2 WHERE board = 'b'")
        await b.shows(("p", 2))
        assert b.board["players"][0]["name"] == shown
        assert (await client.get("/boards/b/")).json() == b.board
        player = (await client.get("/boards/b/players/p/")).json()
        assert (player["name"], player["rank"]) == (shown, 1)


async def test_what_would_break_the_rules_is_refused_by_the_file(
    serving: Serving, settings: Settings, outside: Callable[..., int]
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        before = (await client.get("/boards/demo/")).text
        for assignment in (
            "score = 'many'",
            "score = NULL",
            "score = 9e999",
            "score = 9007199254740993",
            "score = x'00'",
            "id = 'sl/ash'",
            "id = ''",
            "id = 'Ünï'",
            "name = NULL",
            "name = x'00'",
        ):
            with pytest.raises(sqlite3.IntegrityError):
                outside(f"UPDATE players SET {assignment} WHERE id = 'venus'")
        assert (await client.get("/boards/demo/")).text == before
        # A number in quotes is a number.
        outside("UPDATE players SET score = '99.0' WHERE id = 'venus'")
        # The server hears of it in a moment; who can't wait asks for what the file has.
        fresh = await client.get("/boards/demo/", headers={"Cache-Control": "no-cache"})
        assert fresh.json()["players"][0]["score"] == 99


async def test_rows_of_any_kind_do_no_harm(
    serving: Serving, settings: Settings, outside: Callable[..., int]
) -> None:
    """A program may switch the file's checks off. What can be shown is, at every path alike."""
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 1, "q": 2, "r": 3})
        b = await Watched.open(url, "b")
        outside("PRAGMA ignore_check_constraints = ON")

        async def shown(*players: tuple[str, float]) -> None:
            await b.shows(*players)
            assert (await client.get("/boards/b/")).json() == b.board
            assert (await client.get("/boards/b/?limit=100")).json() == b.board
            fresh = await Watched.open(url, "b")
            assert fresh.board == b.board
            for rank, (player, score) in enumerate(players, 1):
                found = (await client.get(f"/boards/b/players/{player}/")).json()
                assert (found["rank"], found["score"]) == (rank, score)

        for nothing in ("x'00'", "'many'", "9e999", "-9e999", "x''"):
            outside(f"UPDATE players SET score = {nothing} WHERE board = 'b' AND id = 'q'")
            await shown(("r", 3), ("p", 1))
            path = "/boards/b/players/q/"
            assert (await client.get(path)).status_code == 404
            assert (await client.post(f"{path}score-add/")).status_code == 404
            assert (await client.patch(path, json={"score": 1})).status_code == 404
            assert (await client.delete(path)).status_code == 404
            outside("UPDATE players SET score = 2 WHERE board = 'b' AND id = 'q'")
            await shown(("r", 3), ("q", 2), ("p", 1))
        outside("UPDATE players SET score = 1e300 WHERE board = 'b' AND id = 'q'")
        await shown(("q", 1e300), ("r", 3), ("p", 1))
        assert (await client.post("/boards/b/players/q/score-add/")).status_code == 422

        outside("UPDATE players SET score = 2, name = x'41ff' WHERE board = 'b' AND id = 'q'")
        await shown(("r", 3), ("q", 2), ("p", 1))
        assert b.board["players"][1]["name"] == "A\ufffd"
        outside("UPDATE boards SET name = x'42' WHERE id = 'b'")
        await b.shows(("r", 3), ("q", 2), ("p", 1), name="B")
        assert (await client.get("/boards/b/")).json() == b.board

        for id in ("'sl/ash'", "'..'", "'.'", "''", "x'70'", "'Ünï'", "'a' || char(0)"):
            row = f"INSERT INTO players (board, id, name, score) VALUES ('b', {id}, 'N', 2.5)"
            assert outside(row) == 1, id
        outside("UPDATE players SET score = 5 WHERE board = 'b' AND id = 'p'")
        await shown(("p", 5), ("r", 3), ("q", 2))

        for id in ("'sl/ash'", "'..'", "'.'", "''", "x'70'", "'Ünï'", "'a' || char(0)"):
            assert outside(f"INSERT INTO boards (id) VALUES ({id})") == 1, id
        boards = (await client.get("/boards/")).json()["boards"]
        assert [board["id"] for board in boards] == ["b", "demo"]
        listed, target = [], "/boards/?limit=1"
        while target:
            answer = await client.get(target)
            listed += [board["id"] for board in answer.json()["boards"]]
            target = answer.links.get("next", {}).get("url", "")
        assert listed == ["b", "demo"]
        outside("DELETE FROM boards WHERE id <> 'demo'")
        await b.stream.ended()


async def test_a_file_that_stays_locked_is_an_answer_and_not_a_hang(
    serving: Serving,
    settings: Settings,
    outside: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tornado_board.sqlite.limits.BUSY", 0.5)
    url = (await serving(settings)).url
    async with http_client(url) as client:
        b = await Watched.open(url, "demo")
        outside("BEGIN IMMEDIATE")
        response = await client.post("/boards/demo/players/venus/score-add/")
        assert response.status_code == 503
        assert "retry-after" in response.headers
        assert response.headers["content-type"].startswith("application/problem+json")
        outside("ROLLBACK")
        response = await client.post("/boards/demo/players/venus/score-add/")
        assert response.json()["score"] == 32
        await b.shows(("venus", 32), *((p["id"], p["score"]) for p in b.board["players"][1:]))
