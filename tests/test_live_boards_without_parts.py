"""Live boards while the log, the feed or the store is away, or refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tornado_board.cluster import Role
from tornado_board.models import Ranking
from tornado_board.replay import Gap, LogRefused
from tornado_board.store import NotFound, StoreUnavailable

from .live_board_rig import Make, board, followed_elsewhere, is_logged, rig
from .waiting import until

__all__ = ["rig"]  # fixtures


@pytest.mark.gen_test
async def test_without_the_log_events_go_on_without_ids_and_leave_a_gap(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    before = topic.current.id
    assert before is not None
    r.log.pulled = True
    for score in range(1, 6):
        await r.store.add_score("b", "p0", 1)
        await until(lambda score=score: r.scores("b")["p0"] == score)
    assert (await r.hub.open("b")).current.id is None
    r.log.pulled = False
    await until(lambda: topic.current.id is not None)  # published anew, though nothing changed
    again = topic.current.id
    assert again is not None
    assert again > before
    with pytest.raises(Gap):
        await r.log.since("b", before)
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 6)
    newest = topic.current.id
    assert newest is not None
    assert newest.n == again.n + 1
    assert [e.id for e in await r.log.since("b", again)] == [newest]


@pytest.mark.gen_test
async def test_a_board_first_seen_without_the_log_is_logged_when_it_is_back(rig: Make) -> None:
    r = await rig()
    await board(r)
    first = (await r.hub.open("b")).current
    r.hub.end_board("b")
    r.boards.unwatch("b")
    r.log.pulled = True
    topic = await r.hub.open("b")
    assert topic.current.id is None
    assert topic.current.data == first.data
    r.log.pulled = False
    await until(lambda: topic.current.id is not None)
    assert topic.current.id is not None
    assert first.id is not None
    assert topic.current.id.n > first.id.n + 1, "nobody knows what was sent in between"


@pytest.mark.gen_test
async def test_a_board_that_made_room_while_the_log_was_away_leaves_a_gap(rig: Make) -> None:
    r = await rig(live_boards=1)
    await board(r)
    await board(r, id="c")
    before = (await r.hub.open("b")).current.id
    assert before is not None
    r.log.pulled = True
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 1)
    await r.store.add_score("b", "p0", -1)
    await until(lambda: r.scores("b")["p0"] == 0)  # as it was, but two events later
    await r.hub.open("c")
    assert r.hub.current("b") is None
    r.log.pulled = False
    topic = await r.hub.open("b")
    await until(lambda: topic.current.id is not None)
    with pytest.raises(Gap):
        await r.log.since("b", before)


@pytest.mark.gen_test
async def test_a_lost_feed_is_opened_again_and_nothing_stays_stale(rig: Make) -> None:
    r = await rig()
    await board(r)
    await board(r, id="c")
    await r.hub.open("b")
    await r.hub.open("c")
    quiet = len(r.of("c"))
    r.store.pulled = True
    r.store.cut.set()
    await until(lambda: not r.connected)
    await r.store.to.add_score("b", "p0", 77)
    await asyncio.sleep(0.3)
    assert r.scores("b")["p0"] == 0
    r.store.cut.clear()
    r.store.pulled = False
    await until(lambda: r.scores("b")["p0"] == 77)
    assert len(r.of("c")) == quiet, "a board that did not move is not published"
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 78)  # the new feed works


@pytest.mark.gen_test
async def test_a_read_that_fails_is_tried_again(rig: Make) -> None:
    r = await rig(top_k=10)
    await board(r, players=20)
    await r.hub.open("b")
    await until(lambda: "p19" in r.scores("b"))
    r.store.pulled = True
    for i in range(19, 9, -1):
        await r.store.to.delete_player("b", f"p{i}")
    await until(lambda: r.store.calls.count("ranking") >= 2)
    r.store.pulled = False
    await until(lambda: set(r.scores("b")) == {"p5", "p6", "p7", "p8", "p9"})


@pytest.mark.gen_test
async def test_who_asks_while_the_store_is_away_is_told(rig: Make) -> None:
    r = await rig()
    await board(r)
    r.store.pulled = True
    with pytest.raises(StoreUnavailable):
        await r.hub.open("b")
    r.store.pulled = False
    await r.hub.open("b")
    with pytest.raises(NotFound):
        await r.hub.open("nope")


@pytest.mark.gen_test
async def test_a_board_ends_once_though_its_log_can_not_be_deleted(rig: Make) -> None:
    r = await rig()
    await r.hub.open("demo")
    ends: list[str] = []
    end_board, delete = r.hub.end_board, r.log.delete

    def ended(board_id: str) -> None:
        ends.append(board_id)
        end_board(board_id)

    async def fails_once(board_id: str) -> None:
        r.log.delete = delete
        raise RuntimeError("nobody foresaw this")

    r.hub.end_board = ended  # type: ignore[method-assign]
    r.log.delete = fails_once
    await r.store.delete_board("demo")
    await until(lambda: "delete" in r.log.calls)
    assert ends == ["demo"]


@pytest.mark.gen_test
async def test_a_log_that_is_slow_holds_up_no_feed(rig: Make) -> None:
    r = await rig()
    await board(r)
    await r.hub.open("b")
    asked = asyncio.Event()

    async def hangs() -> list[str]:
        asked.set()
        await asyncio.sleep(60)
        return []

    r.log.to.board_ids = hangs
    r.store.cut.set()
    await until(lambda: not r.connected)
    r.store.cut.clear()
    await asked.wait()
    assert r.boards.unfit_for() == 0, "or the lease would be given up"
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 1)


@pytest.mark.gen_test
async def test_a_board_that_can_not_be_read_is_given_up_and_said_once(
    rig: Make, caplog: pytest.LogCaptureFixture
) -> None:
    r = await rig()
    await board(r)
    ranking, broken = r.store.to.ranking, True

    async def fails(board_id: str, limit: int, season: int | None) -> Ranking:
        if broken:
            raise ValueError("that is no row")
        result: Ranking = await ranking(board_id, limit)
        return result

    r.store.to.ranking = fails
    with pytest.raises(StoreUnavailable):
        await r.hub.open("b")
    assert not r.boards._boards, "nobody needs it to be tried again"
    followed_elsewhere(r, "b")
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.store.calls.count("ranking") >= 4)
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 2
    broken = False
    await is_logged(r, "b", '"score":1')


@pytest.mark.gen_test
async def test_a_store_that_answers_but_has_no_feed_is_not_fit_to_publish(rig: Make) -> None:
    r = await rig()
    assert await r.boards.can_publish()
    r.boards.take_role(Role.FOLLOWER)
    assert await r.boards.can_publish()
    changes = r.store.changes

    async def lost() -> Any:
        raise StoreUnavailable("no feed")

    r.store.changes = lost
    assert not await r.boards.can_publish()
    r.boards.take_role(Role.PUBLISHER)
    await asyncio.sleep(0)
    assert not await r.boards.can_publish()
    r.store.changes = changes
    await until(lambda: r.connected)
    assert await r.boards.can_publish()


@pytest.mark.gen_test
async def test_a_log_that_refuses_one_board_wakes_the_others_seldom(
    rig: Make, caplog: pytest.LogCaptureFixture
) -> None:
    r = await rig(coalesce=0.001)
    await board(r)
    await board(r, id="x")
    append, refused = r.log.to.append, 0

    async def refuses(board_id: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal refused
        if board_id == "x":
            refused += 1
            raise LogRefused("no")
        return await append(board_id, *args, **kwargs)

    r.log.to.append = refuses
    await r.hub.open("x")
    await r.hub.open("b")
    for score in range(1, 31):
        await r.store.add_score("b", "p0", 1)
        await until(lambda score=score: r.scores("b")["p0"] == score)
    assert refused < 10
    said = [r for r in caplog.records if r.getMessage() == "the replay log is back"]
    assert len(said) == 1
