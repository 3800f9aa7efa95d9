"""A player that is answered from memory is never older than what a writer was told before, or the
feed has told of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, SeasonPlan
from tornado_board.models import Player
from tornado_board.realtime.feed import Changefeed
from tornado_board.settings import Settings
from tornado_board.store import NotFound, Store
from tornado_board.web import player_reads
from tornado_board.web.board_reads import FRESH
from tornado_board.web.last_changes import LastChanges
from tornado_board.web.player_reads import PlayerReads

from .conftest import Opened
from .held_store import HeldStore


class Rig:
    def __init__(self, store: Store) -> None:
        self.now = 0.0
        self.store = store
        self.asked = HeldStore(store)
        self.feed = Changefeed(self.asked)
        self.reads = PlayerReads(self.asked, self.feed, lambda: self.now)

    async def read(self, player_id: str = "p") -> Player:
        return await self.reads.read("b", player_id)

    async def keep(self, player_id: str = "p") -> Player:
        """Read the player so that it is kept."""
        while (known := self.reads.known("b", player_id)) is None:
            await self.read(player_id)
            await self.feed.opened()
        return known

    async def forgotten(self, player_id: str = "p") -> None:
        """Wait until the player is not known any more."""
        while self.reads.known("b", player_id) is not None:
            await asyncio.sleep(0.005)


@pytest.fixture
def rig(opened: Opened, settings: Settings, database_url: str) -> Callable[[], Awaitable[Rig]]:
    async def make() -> Rig:
        store = await opened.store(database_url, settings)
        await store.create_board(NewBoard(id="b", season=SeasonPlan()))
        for player_id in ("p", "q"):
            await store.create_player("b", NewPlayer(id=player_id, name="P", score=1))
        made = Rig(store)
        opened.closers.append(made.feed.close)
        return made

    return make


Making = Callable[[], Awaitable[Rig]]


@pytest.mark.gen_test
async def test_what_was_read_serves_those_who_ask_next(rig: Making) -> None:
    r = await rig()
    first = await r.keep()
    count = r.asked.reads
    assert await r.read() is first
    assert r.asked.reads == count
    assert r.reads.size == 1


@pytest.mark.gen_test
async def test_what_ends_that(rig: Making) -> None:
    r = await rig()

    async def is_kept_over(happens: Callable[[], Any]) -> bool:
        await r.keep()
        happens()
        return r.reads.known("b", "p") is not None

    def wait(seconds: float) -> None:
        r.now += seconds

    assert await is_kept_over(lambda: wait(FRESH * 0.9))
    assert not await is_kept_over(lambda: wait(FRESH * 1.1))
    assert not await is_kept_over(lambda: r.reads.wrote("b", "p"))
    assert not await is_kept_over(lambda: r.reads.wrote("b"))
    assert await is_kept_over(lambda: r.reads.wrote("b", "q"))
    assert await is_kept_over(lambda: r.reads.wrote("other"))
    assert not await is_kept_over(r.reads.resync)
    assert not await is_kept_over(lambda: r.feed.detach(r.reads))


@pytest.mark.parametrize("what", ["score", "name", "meta", "hidden", "gone", "season", "board"])
@pytest.mark.gen_test
async def test_what_others_write_shows_once_the_feed_tells_of_it(rig: Making, what: str) -> None:
    r = await rig()
    await r.keep()
    store = r.store
    match what:
        case "score":
            await store.add_score("b", "p", 4)
        case "name":
            await store.update_player("b", "p", PlayerPatch(name="Q"))
        case "meta":
            await store.update_player("b", "p", PlayerPatch(meta={"team": "red"}))
        case "hidden":
            await store.update_player("b", "p", PlayerPatch(hidden=True))
        case "gone":
            await store.delete_player("b", "p")
        case "season":
            await store.end_season("b")
        case _:
            await store.delete_board("b")
    await r.forgotten()
    if what in ("gone", "season", "board"):
        with pytest.raises(NotFound):
            await r.read()
        return
    player = await r.read()
    assert player == await store.get_player("b", "p", hidden=True)
    assert (player.score, player.name, player.meta, player.hidden) != (1, "P", {}, False)


@pytest.mark.parametrize("what", ["a write", "a write to the board", "the feed", "a new feed"])
@pytest.mark.gen_test
async def test_a_read_that_began_before_is_not_used_after(rig: Making, what: str) -> None:
    r = await rig()
    await r.keep("q")
    r.asked.go.clear()
    count = r.asked.reads
    early = asyncio.ensure_future(r.read())
    while r.asked.reads == count:
        await asyncio.sleep(0.005)
    match what:
        case "a write":
            r.reads.wrote("b", "p")
        case "a write to the board":
            r.reads.wrote("b")
        case "the feed":
            await r.store.update_board("b", BoardPatch(name="B"))
            await r.forgotten("q")
        case _:
            r.reads.resync()
    r.asked.go.set()
    await early
    assert r.reads.known("b", "p") is None
    assert await r.keep() == await r.store.get_player("b", "p")


@pytest.mark.gen_test
async def test_those_who_ask_at_the_same_time_share_a_read(rig: Making) -> None:
    r = await rig()
    await r.keep("q")
    r.asked.go.clear()
    count = r.asked.reads
    asked = [asyncio.ensure_future(r.read()) for _ in range(5)]
    while r.asked.reads == count:
        await asyncio.sleep(0.005)
    # Who gives up takes it from nobody else; who asks after a write waits for a read of its own.
    asked.pop().cancel()
    r.reads.wrote("b", "p")
    later = asyncio.ensure_future(r.read())
    while r.asked.reads == count + 1:
        await asyncio.sleep(0.005)
    r.asked.go.set()
    first, *others = await asyncio.gather(*asked)
    assert all(player is first for player in others)
    assert r.reads.known("b", "p") is await later is not first
    assert r.asked.reads == count + 2


@pytest.mark.gen_test
async def test_nobody_who_is_hidden_or_not_there_is_kept(rig: Making) -> None:
    r = await rig()
    await r.keep()
    await r.store.update_player("b", "q", PlayerPatch(hidden=True))
    assert (await r.read("q")).hidden
    with pytest.raises(NotFound):
        await r.read("nobody")
    assert r.reads.known("b", "q") is None
    assert r.reads._reading == {}
    assert r.reads.size == 1


@pytest.mark.gen_test
async def test_what_is_remembered_has_bounds(rig: Making, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player_reads, "_KEPT", 1)
    monkeypatch.setattr(player_reads, "_CHANGED", 3)
    r = await rig()
    await r.keep()
    await r.keep("q")
    assert r.reads.size == 1
    assert r.reads.known("b", "p") is None
    r.reads._changed = LastChanges(player_reads._CHANGED)
    for number in range(3):
        r.reads.wrote(f"other{number}")
    assert r.reads.known("b", "q") is not None
    r.reads.wrote("other3")  # from now on nobody knows when "b" changed last
    assert r.reads.known("b", "q") is None
    assert len(r.reads._changed) <= 3


@pytest.mark.gen_test
async def test_the_feed_is_open_as_long_as_players_are_asked_for(rig: Making) -> None:
    r = await rig()
    await r.keep()
    for _ in range(2 * player_reads._IDLE):
        r.reads.tick()
        await r.keep()
    for _ in range(player_reads._IDLE):
        r.reads.tick()
    assert r.feed.is_running
    r.reads.tick()
    assert not r.feed.is_running
    assert r.reads.size == 0
    assert await r.keep() == await r.store.get_player("b", "p")
