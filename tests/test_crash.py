"""``kill -9`` in the middle of a load: nothing answered is lost, and no event is skipped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tornado_board.replay import EventId

from .server_process import ServerProcess
from .stream_client import Follower, Writer, contiguous, event_ids, http_client, make_board

pytestmark = pytest.mark.gen_test

PLAYERS = 6
WRITERS = 12
KILLS = 3


async def test_kill_minus_nine_under_load(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """Writers and subscribers go on through three crashes; then everything is counted."""
    server = server_process("--log-level=warning")
    answered = [0] * PLAYERS
    unanswered = [0] * PLAYERS
    highest = [0] * PLAYERS
    under_load = True

    async def write(player: int) -> None:
        writer = Writer(server.url)
        while under_load:
            try:
                score = await writer.add("b", f"p{player}")
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            except (OSError, EOFError):
                # It may have been carried out, or not.
                unanswered[player] += 1
                writer.close()
            else:
                answered[player] += 1
                highest[player] = max(highest[player], score)
            await asyncio.sleep(0.01)
        writer.close()

    async def follow(follower: Follower, client: httpx.AsyncClient) -> None:
        while under_load:
            with contextlib.suppress(httpx.TransportError):
                if follower.random.random() < 0.7:
                    await follower.stream(client, 60)
                else:
                    await follower.poll(client, 1)
            await asyncio.sleep(follower.random.random() * 0.1)

    async with http_client(server.url) as client:
        await make_board(client, "b", {f"p{i}": 0 for i in range(PLAYERS)})
        followers = [Follower("b", seed) for seed in range(10)]
        writing = [asyncio.ensure_future(write(i % PLAYERS)) for i in range(WRITERS)]
        following = [asyncio.ensure_future(follow(follower, client)) for follower in followers]
        for _ in range(KILLS):
            before = sum(answered)
            while sum(answered) < before + 100 or any(not f.counters for f in followers):
                await asyncio.sleep(0.05)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.restart)
        before = sum(answered)
        while sum(answered) < before + 100:
            await asyncio.sleep(0.05)
        under_load = False
        await asyncio.gather(*writing)
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

        final = (await client.get("/boards/b/")).json()
        await asyncio.gather(*(follower.follow_until(client, final) for follower in followers))
        players = [(await client.get(f"/boards/b/players/p{i}/")).json() for i in range(PLAYERS)]
        logged = await event_ids(client, "b")

    for player, (score, sure, unsure) in enumerate(
        zip((p["score"] for p in players), answered, unanswered, strict=True)
    ):
        assert sure <= score <= sure + unsure, f"p{player}"
        assert score >= highest[player]
    assert contiguous(logged)
    for follower in followers:
        follower.check_whole()
        assert follower.returns >= KILLS
        assert follower.counters == [event_id.n for event_id in logged][-len(follower.counters) :]
    assert "Traceback" not in server.text
    server.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "tornado_board.sqlite3")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_change_that_was_not_published_before_the_crash_is_published_after_it(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """Also one that was made while no server ran, for a board that nobody has asked for since."""
    server = server_process()
    async with http_client(server.url) as client:
        await make_board(client, "b", {"p": 1})
        follower = Follower("b", 1)
        await follower.follow_until(client, (await client.get("/boards/b/")).json())
        server.kill()
        with contextlib.closing(sqlite3.connect(tmp_path / "tornado_board.sqlite3")) as connection:
            connection.execute("UPDATE players SET score = 77 WHERE board = 'b'")
            connection.commit()
        server.restart()
        async with asyncio.timeout(30):
            while follower.shown["players"][0]["score"] != 77:
                await follower.poll(client, 5)
        follower.check_whole()
        assert len(follower.counters) == 2
        assert json.loads((await client.get("/boards/b/")).text) == follower.shown
        assert EventId.parse(follower.last_event_id).n == follower.counters[-1]


async def test_the_sweep_of_a_large_board_goes_on_after_a_crash(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """And what was made under its id since is not swept."""
    path = tmp_path / "tornado_board.sqlite3"
    server = server_process()
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as connection:
        connection.execute("INSERT INTO boards (id) VALUES ('big')")
        connection.executemany(
            "INSERT INTO players (board, id, name, score) VALUES ('big', ?, 'N', 1)",
            [(f"p{i}",) for i in range(30_000)],
        )
        connection.commit()
        async with http_client(server.url) as client:
            assert (await client.delete("/boards/big/")).status_code == 204
            assert (await client.get("/boards/big/")).status_code == 404
            await make_board(client, "big", {"p7": 1, "other": 2})
            server.kill()
            (left,) = connection.execute("SELECT count(*) FROM players").fetchone()
            assert left > 10
            server.restart()
            board = (await client.get("/boards/big/")).json()
            assert [p["id"] for p in board["players"]] == ["other", "p7"]
            async with asyncio.timeout(60):
                while connection.execute("SELECT 1 FROM tombstones").fetchone():
                    await asyncio.sleep(0.05)
            assert (await client.get("/boards/big/")).json() == board
            assert (await client.get("/boards/big/players/p7/")).json()["rank"] == 2
        (left,) = connection.execute("SELECT count(*) FROM players WHERE board = 'big'").fetchone()
        assert left == 2


async def test_what_has_a_key_counts_once_however_often_it_is_sent_again(
    server_process: Callable[..., ServerProcess],
) -> None:
    """Each request is sent until it is answered, through crashes in the middle of writes."""
    server = server_process("--log-level=warning")
    sent = [0] * WRITERS
    again = [0] * WRITERS
    under_load = True
    bulk = [{"id": f"p{i}", "score": 1, "operator": "add"} for i in range(PLAYERS)] * 400

    async def write(number: int, client: httpx.AsyncClient) -> None:
        path = "/boards/b/scores/" if number == 0 else f"/boards/b/players/p{number}/score-add/"
        body = bulk if number == 0 else {"amount": 1}
        while under_load:
            sent[number] += 1
            headers = {"Idempotency-Key": f"{number}-{sent[number]}"}
            for attempt in range(10_000):
                try:
                    response = await client.post(path, json=body, headers=headers)
                except httpx.TransportError:
                    await asyncio.sleep(0.02)
                    continue
                assert response.status_code == 200, response.text
                again[number] += attempt > 0 and "Idempotency-Replayed" in response.headers
                break
            await asyncio.sleep(0.002)

    async with http_client(server.url) as client:
        await make_board(client, "b", {f"p{i}": 0 for i in range(WRITERS)})
        writing = [asyncio.ensure_future(write(number, client)) for number in range(WRITERS)]
        kills = 0
        # Until an answer was lost, and the write not.
        while kills < KILLS or (not any(again) and kills < 10 * KILLS):
            before = sum(sent)
            while sum(sent) < before + 50:
                await asyncio.sleep(0.005)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.restart)
            kills += 1
        under_load = False
        await asyncio.gather(*writing)
        for number in range(WRITERS):
            player = (await client.get(f"/boards/b/players/p{number}/")).json()
            of_bulk = 400 * sent[0] if number < PLAYERS else 0
            assert player["score"] == of_bulk + (sent[number] if number else 0), number
    assert any(again)
    assert "Traceback" not in server.text
