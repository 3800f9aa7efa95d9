"""Live boards that other processes follow, and a change of who publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tornado_board.cluster import Role
from tornado_board.replay import Event, LogRefused
from tornado_board.store import NotFound, StoreUnavailable

from .live_board_rig import Make, board, followed_elsewhere, heard, is_logged, rig
from .waiting import until

__all__ = ["rig"]  # fixtures


@pytest.mark.gen_test
async def test_who_takes_over_knows_what_was_sent_and_logs_what_the_log_lacks(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    sent = topic.current
    assert sent.id is not None
    for deleted in (False, True):
        r.boards.take_role(Role.FOLLOWER)
        if deleted:
            await r.log.delete("b")
        began = len(r.of("b"))
        r.boards.take_role(Role.PUBLISHER)
        await until(lambda: r.connected)
        if deleted:
            await until(lambda: topic.current != sent)  # an emptied log gets the board again
        else:
            await heard(r)
            assert len(r.of("b")) == began, "nothing is sent again"
    assert topic.current.data == sent.data
    assert topic.current.id is not None
    assert topic.current.id.n > sent.id.n


@pytest.mark.gen_test
async def test_what_others_follow_is_published_though_there_is_no_room_here(rig: Make) -> None:
    r = await rig(live_boards=2)
    for name in "abc":
        await board(r, id=name)
    followed_elsewhere(r, "c")
    for name in "ab":
        await r.hub.open(name)
    await r.store.add_score("c", "p0", 5)
    await is_logged(r, "c", '"score":5')
    for name in "ab":  # and so it is while every board that is live here has listeners
        topic = await r.hub.open(name)
        waiting = asyncio.ensure_future(topic.wait(30))
        await asyncio.sleep(0)
        assert topic.listeners == 1
        assert not waiting.done()
    for score in (6, 7):
        await r.store.add_score("c", "p0", 1)
        await is_logged(r, "c", f'"score":{score}')
    assert r.hub.current("c") is None
    assert len(r.boards._boards) <= 2


@pytest.mark.gen_test
async def test_a_lost_feed_leaves_no_board_stale_that_others_follow(rig: Make) -> None:
    r = await rig(live_boards=1)
    for name in "ac":
        await board(r, id=name)
    await r.hub.open("c")
    await r.hub.open("a")
    followed_elsewhere(r, "c")
    r.store.pulled = True  # so that the change is told by no feed
    r.store.cut.set()
    await until(lambda: not r.connected)
    await r.store.to.add_score("c", "p0", 5)
    r.store.cut.clear()
    r.store.pulled = False
    await is_logged(r, "c", '"score":5')


@pytest.mark.gen_test
async def test_what_others_follow_is_read_until_it_can_be(rig: Make) -> None:
    r = await rig()
    await board(r, id="c")
    followed_elsewhere(r, "c")
    r.store.pulled = True
    await r.store.to.add_score("c", "p0", 5)
    await until(lambda: r.store.calls.count("ranking") >= 2)
    with pytest.raises(StoreUnavailable):
        await r.hub.open("c")
    r.store.pulled = False
    await is_logged(r, "c", '"score":5')
    assert '"score":5' in (await r.hub.open("c")).current.data


@pytest.mark.gen_test
async def test_an_event_that_was_begun_goes_to_everyone_though_publishing_stops(rig: Make) -> None:
    """In another role the process goes on serving the streams that it has."""
    r = await rig()
    await board(r)
    await r.hub.open("b")
    publish, begun, go_on = r.hub.publish, asyncio.Event(), asyncio.Event()

    async def slowly(board_id: str, event: Event, reset: str | None = None) -> None:
        begun.set()
        await go_on.wait()
        await publish(board_id, event, reset)

    r.hub.publish = slowly  # type: ignore[method-assign]
    await r.store.add_score("b", "p0", 5)
    await asyncio.wait_for(begun.wait(), 30)
    r.boards.take_role(Role.FOLLOWER)
    go_on.set()
    await until(lambda: r.scores("b")["p0"] == 5)


@pytest.mark.gen_test
async def test_what_others_follow_is_looked_for_until_the_log_allows_it(rig: Make) -> None:
    r = await rig()
    await board(r, id="c")
    refusals = 2

    async def all_followed() -> Sequence[str]:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise LogRefused("it is loading")
        return ["c"]

    r.bus.all_followed = all_followed  # type: ignore[method-assign]
    r.store.cut.set()
    await until(lambda: not r.connected)
    r.store.cut.clear()
    await is_logged(r, "c", '"score":20')


@pytest.mark.gen_test
async def test_who_asks_is_answered_though_the_board_is_over_before_it_is_followed(
    rig: Make,
) -> None:
    r = await rig()
    r.boards.take_role(Role.FOLLOWER)

    async def follow(board_ids: Any) -> None:
        if list(board_ids) == ["nope"]:
            r.boards.on_following("nope")
            await until(lambda: "nope" not in r.boards._boards)

    r.bus.follow = follow  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        await asyncio.wait_for(r.hub.open("nope"), 30)
