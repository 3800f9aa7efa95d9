"""Live boards between a real store, a real log and a real hub, with plugs to pull."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
import ujson

from tornado_board.cluster import Role
from tornado_board.inputs import NewPlayer, PlayerPatch
from tornado_board.models import Ranking
from tornado_board.realtime import live_boards
from tornado_board.replay import Gap
from tornado_board.settings import Settings
from tornado_board.store import NotFound

from .conftest import Opened
from .live_board_rig import Make, board, heard, rig
from .waiting import until

__all__ = ["rig"]  # fixtures


@pytest.mark.gen_test
async def test_the_first_change_goes_out_at_once_and_a_burst_as_one(rig: Make) -> None:
    coalesce = 0.3
    r = await rig(coalesce=coalesce)
    await board(r)
    await r.hub.open("b")
    await asyncio.sleep(coalesce + 0.1)
    began, began_at = len(r.of("b")), time.monotonic()
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 1)
    for _ in range(50):
        await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 51)
    events = r.of("b")[began:]
    assert ujson.loads(events[0].data)["players"][-1]["score"] == 1
    most = 2 + (time.monotonic() - began_at) / coalesce
    assert len(events) <= min(most, 50), "51 changes were coalesced"
    counters = [e.id.n for e in events if e.id]
    assert counters == list(range(counters[0], counters[0] + len(events)))


@pytest.mark.gen_test
async def test_a_change_that_does_not_show_publishes_nothing(rig: Make) -> None:
    r = await rig()
    await board(r, players=12)
    await r.hub.open("b")
    await until(lambda: len(r.scores("b")) == 5)
    await heard(r)
    began = len(r.of("b"))
    await r.store.add_score("b", "p0", 1)
    await r.store.update_player("b", "p1", PlayerPatch(name="Renamed"))
    await r.store.delete_player("b", "p2")
    await r.store.create_player("b", NewPlayer(id="new", name="New", score=3))
    await heard(r)
    assert len(r.of("b")) == began
    await r.store.update_player("b", "p11", PlayerPatch(name="Renamed"))
    await until(lambda: len(r.of("b")) == began + 1)


@pytest.mark.gen_test
async def test_a_change_costs_no_query_until_too_few_players_are_left(rig: Make) -> None:
    r = await rig(top_k=10)
    await board(r, players=30)
    await r.hub.open("b")
    await until(lambda: "p29" in r.scores("b"))
    await heard(r)
    r.store.calls.clear()
    for i in range(30):
        await r.store.add_score("b", f"p{i}", 1000)
    await until(lambda: r.scores("b").get("p29") == 1290)
    assert r.store.calls.count("ranking") == 0
    for i in range(29, 5, -1):
        await r.store.delete_player("b", f"p{i}")
    await until(lambda: set(r.scores("b")) == {"p1", "p2", "p3", "p4", "p5"})
    assert 1 <= r.store.calls.count("ranking") <= 12


@pytest.mark.gen_test
async def test_who_comes_back_after_a_start_finds_the_boards_of_the_log_live(rig: Make) -> None:
    first = await rig()
    for board_id in ("b", "c"):
        await board(first, id=board_id)
        await first.hub.open(board_id)
    await board(first, id="never-watched")
    await first.close()
    second = await rig()
    await second.boards.shown(10)
    assert set(second.hub.board_ids()) == {"b", "c"}


@pytest.mark.gen_test
async def test_a_board_that_did_not_move_keeps_its_last_event(
    rig: Make, opened: Opened, settings: Settings
) -> None:
    first = await rig()
    await board(first)
    topic = await first.hub.open("b")
    await until(lambda: len(first.scores("b")) == 3)
    last = topic.current
    await first.close()
    second = await rig()
    assert (await second.hub.open("b")).current == last
    await second.close()
    store = await opened.store(settings.database_url, settings)
    await store.add_score("b", "p0", 100)
    third = await rig()
    await until(lambda: third.hub.current("b") is not None)  # as logged boards are from the start
    event = (await third.hub.open("b")).current
    assert event.id is not None
    assert last.id is not None
    assert event.id.n == last.id.n + 1
    assert third.scores("b")["p0"] == 100


@pytest.mark.gen_test
async def test_changes_during_the_first_read_are_not_lost(rig: Make) -> None:
    r = await rig()
    await board(r)
    await heard(r)
    r.store.calls.clear()
    ranking = r.store.to.ranking
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(board_id: str, limit: int, season: int | None) -> Ranking:
        result: Ranking = await ranking(board_id, limit)
        reading.set()
        await go_on.wait()
        return result

    r.store.to.ranking = slow
    opening = asyncio.ensure_future(r.hub.open("b"))
    await reading.wait()
    await r.store.add_score("b", "p0", 99)
    score = (await r.store.add_score("marker", "p0", 1)).player.score
    await until(lambda: r.scores("marker")["p0"] == score)
    go_on.set()
    await opening
    await until(lambda: r.scores("b")["p0"] == 99)
    assert r.store.calls.count("ranking") == 1


@pytest.mark.gen_test
async def test_a_deleted_board_ends_and_a_new_one_of_that_name_starts_anew(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    for score in (1, 2, 3):
        await r.store.add_score("b", "p0", 1)
        await until(lambda score=score: r.scores("b")["p0"] == score)
    old = topic.current.id
    assert old is not None
    await r.store.delete_board("b")
    await until(lambda: topic.ended)
    with pytest.raises(NotFound):
        await r.hub.open("b")
    await until(lambda: "delete" in r.log.calls and not r.boards._ending)
    await board(r, players=1)
    new = (await r.hub.open("b")).current
    assert new.id is not None
    with pytest.raises(Gap):
        await r.log.since("b", old)


@pytest.mark.gen_test
async def test_who_comes_while_the_store_is_read_waits_for_the_next_read(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    r.boards.take_role(Role.FOLLOWER)
    r.boards.on_following("b")
    await r.hub.confirm(topic, strictly=True)
    ranking = r.store.to.ranking
    reading: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def held(board_id: str, limit: int, season: int | None) -> Ranking:
        result: Ranking = await ranking(board_id, limit)
        go_on = asyncio.Event()
        reading.put_nowait(go_on)
        await go_on.wait()
        return result

    r.store.to.ranking = held
    first = asyncio.ensure_future(r.hub.confirm(topic, strictly=True))
    go_on = await reading.get()
    await r.store.add_score("b", "p0", 99)
    second = asyncio.ensure_future(r.hub.confirm(topic, strictly=True))
    given_up = asyncio.ensure_future(r.hub.confirm(topic, strictly=True))
    await asyncio.sleep(0)
    given_up.cancel()
    go_on.set()
    await first
    assert r.scores("b")["p0"] == 0
    (await reading.get()).set()
    await second
    assert r.scores("b")["p0"] == 99


@pytest.mark.gen_test
async def test_a_renamed_board_is_published(rig: Make, settings: Settings) -> None:
    import sqlite3

    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    with sqlite3.connect(settings.database_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE boards SET name = 'Renamed' WHERE id = 'b'")
    await until(lambda: '"name":"Renamed"' in topic.current.data)


@pytest.mark.gen_test
async def test_boards_beyond_the_limit_take_turns(rig: Make) -> None:
    r = await rig(live_boards=3)
    for name in "abcdef":
        await board(r, id=name)
    for _ in range(2):
        for name in "abcdef":
            topic = await r.hub.open(name)
            assert f'"id":"{name}"' in topic.current.data
            assert len(r.boards._boards) <= 3
    await r.store.add_score("a", "p0", 5)
    assert '"score":5' in (await r.hub.open("a")).current.data


@pytest.mark.gen_test
async def test_a_board_that_is_deleted_while_it_moves_leaves_no_ghost(rig: Make) -> None:
    r = await rig(coalesce=0.001)
    for turn in range(200):
        await board(r, players=1)
        topic = await r.hub.open("b")
        assert topic.current.data.count('"score"') == 1, "the board of this life"
        watching = asyncio.ensure_future(topic.wait(30))
        await r.store.add_score("b", "p0", 1)
        for _ in range(turn % 20):
            await asyncio.sleep(0.0002)
        await r.store.delete_board("b")
        await until(lambda topic=topic: topic.ended)
        with pytest.raises(NotFound):
            await r.hub.open("b")
        await watching
        assert r.hub.board_ids() == []
    await until(lambda: not r.boards._boards)
    assert await r.log.head("b") is None


@pytest.mark.gen_test
async def test_a_board_that_makes_room_when_it_was_just_deleted_is_forgotten(rig: Make) -> None:
    r = await rig(live_boards=1)
    await board(r)
    await board(r, id="c")
    await r.hub.open("b")
    assert await r.log.head("b") is not None
    appending, append = asyncio.Event(), r.log.to.append

    async def hangs(*args: Any, **kwargs: Any) -> Any:
        if args[0] != "b":
            return await append(*args, **kwargs)
        appending.set()
        await asyncio.sleep(60)

    r.log.to.append = hangs
    await r.store.add_score("b", "p0", 1)
    await appending.wait()
    await r.store.delete_board("b")
    await until(lambda: r.boards._boards["b"].state.forgets)  # the feed tells of it
    await r.hub.open("c")
    while await r.log.head("b") is not None:
        await asyncio.sleep(0.01)


@pytest.mark.gen_test
async def test_what_a_client_asks_for_does_not_wait_for_the_boards_of_the_log(
    rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"b{number}" for number in range(2 * live_boards._READS)]
    first = await rig()
    for name in names:
        await board(first, players=1, id=name)
        await first.hub.open(name)
    await first.close()
    store, free = type(first.store.to), asyncio.Event()
    ranking = store.ranking

    async def slow(store: Any, board_id: str, limit: int, season: int | None = None) -> Ranking:
        if board_id != "b7":
            await free.wait()
        result: Ranking = await ranking(store, board_id, limit)
        return result

    monkeypatch.setattr(store, "ranking", slow)
    r = await rig()
    await until(lambda: len(r.boards._boards) == len(names))
    await until(lambda: r.store.calls.count("ranking") >= live_boards._READS)
    assert r.store.calls.count("ranking") < len(names)
    assert (await r.hub.open("b7")).current.id is not None
    free.set()
    await until(lambda: len(r.hub.board_ids()) == len(names))
