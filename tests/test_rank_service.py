"""The ranks of boards, on a store that is a dictionary with a feed that a test writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest

from tornado_board.models import BoardChanged, Change, PlayerChanged
from tornado_board.ranking.rank_index import HELD, PATIENCE
from tornado_board.realtime import ranked_board
from tornado_board.realtime.ranks import Standing
from tornado_board.store import NotFound, StoreUnavailable

from .rank_rig import Rig, rigged
from .waiting import until


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize("size", [0, 1, 3, 2500])
def test_a_board_is_read_at_its_first_need_and_then_known(order: str, size: int) -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", [i * 7 % 31 / 2 for i in range(size)], order)
        await rig.known()
        assert await rig.knows()
        await rig.check()
        assert rig.store.read == 1

    rigged(test)


def test_what_nobody_waits_for_is_known_later() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        assert rig.ranks.known("b", 50) is None
        await until(lambda: rig.ranks.known("b", 50) == Standing(100, (49,)))
        assert rig.store.counted == 0

    rigged(test)


def test_many_needs_at_once_read_it_once() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        rig.store.goes_on.clear()
        asking = [asyncio.create_task(rig.ranks.standing("b", 50)) for _ in range(50)]
        await until(lambda: rig.store.read)
        rig.store.goes_on.set()
        assert set(await asyncio.gather(*asking)) == {Standing(100, (49,))}
        assert rig.store.read == 1

    rigged(test)


def test_the_store_counts_while_a_board_is_read() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        rig.store.goes_on.clear()
        await rig.check()
        assert not await rig.knows()
        rig.store.goes_on.set()
        await rig.known()
        await rig.check()
        assert rig.store.read == 1

    rigged(test)


def test_writes_of_this_process_count_at_once_and_those_of_others_when_told() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        before = rig.own_write("b", "p3", 1000)
        rig.own_write("b", "new", 50)
        rig.own_write("b", "p4", None)
        await rig.check()
        await rig.store.tell(
            rig.store.change("b", "p3", before),
            rig.store.change("b", "new", None),
            rig.store.change("b", "p4", 4),
        )
        await rig.check()
        before = rig.store.write("b", "p9", -5)
        await rig.store.tell(rig.store.change("b", "p9", before))
        rig.tick(HELD + 1)
        await rig.check()
        before = rig.store.write("b", "p9", 77)
        await rig.store.tell(rig.store.change("b", "p9", before))
        await rig.check()
        assert await rig.knows()
        assert rig.store.read == 1

    rigged(test)


def test_an_echo_before_the_answer_counts_once() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        since = rig.ranks.position
        before = rig.store.write("b", "p3", 1000)
        await rig.store.tell(rig.store.change("b", "p3", before))
        rig.ranks.wrote("b", "p3", before, 1000, since)
        await rig.check()
        assert await rig.knows()

    rigged(test)


def test_it_reads_again_when_the_feed_was_lost() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        rig.store.feeds[-1].queue.put_nowait(None)
        rig.store.write("b", "p3", 1000)
        await until(lambda: not rig.feed.is_open)
        await rig.check()
        await until(lambda: rig.feed.is_open)
        await rig.known()
        await rig.check()
        assert rig.store.read == 2
        assert [feed.is_closed for feed in rig.store.feeds] == [True, False]

    rigged(test)


def test_an_answer_from_before_the_feed_was_lost_is_older_than_what_was_read_since() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        since = rig.ranks.position
        before = rig.store.write("b", "p3", 1000)
        rig.store.write("b", "p3", 2000)  # another process
        rig.store.feeds[-1].queue.put_nowait(None)
        await until(lambda: len(rig.store.feeds) == 2 and rig.feed.is_open)
        await rig.known()
        rig.ranks.wrote("b", "p3", before, 1000, since)
        await rig.check()
        assert await rig.knows()

    rigged(test)


def test_a_feed_that_is_lost_during_the_reading_begins_it_again() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        rig.store.goes_on.clear()
        await rig.check()
        rig.store.feeds[-1].queue.put_nowait(None)
        rig.store.write("b", "p3", 1000)
        await until(lambda: len(rig.store.feeds) == 2)
        rig.store.goes_on.set()
        await rig.known()
        await rig.check()
        assert rig.store.read == 2

    rigged(test)


def test_what_the_feed_does_not_tell_is_found() -> None:
    """A write that it does not tell, and a number of players that is another."""

    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        rig.own_write("b", "p3", 1000)
        rig.tick(PATIENCE)
        await rig.known()
        assert rig.store.read == 2
        await rig.check()
        rig.store.write("b", "unheard", 5)
        while rig.store.read == 2:
            rig.tick(1)
            await asyncio.sleep(0)
            if not await rig.knows():
                await asyncio.sleep(0.01)
        await rig.known()
        await rig.check()

    rigged(test)


def test_players_that_come_and_go_are_no_mismatch() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        for i in range(400):
            rig.store.write("b", f"n{i}", i)
            changes = [rig.store.change("b", f"n{i}", None)]
            if i % 3 == 0:
                before = rig.store.write("b", f"p{i // 4}", None)
                changes.append(rig.store.change("b", f"p{i // 4}", before))
            await asyncio.sleep(0)
            rig.tick(1)  # the feed is behind the store by a second
            await rig.store.tell(*changes)
        await rig.check()
        assert rig.store.counted > 3
        assert rig.store.read == 1

    rigged(test)


def test_a_board_that_is_deleted_or_turned_is_read_anew() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        rig.store.board("b", range(100), "asc")
        await rig.store.tell(BoardChanged("b", rig.store.boards["b"]))
        await rig.known()
        await rig.check()
        await rig.store.tell(BoardChanged("b", rig.store.boards["b"]))  # its name
        assert await rig.knows()
        del rig.store.boards["b"]
        await rig.store.tell(BoardChanged("b", None))
        with pytest.raises(NotFound):
            await rig.ranks.standing("b", 1)
        with pytest.raises(NotFound):
            await rig.ranks.score_at("b", 1)
        rig.store.board("b", [5])
        await rig.known()
        await rig.check()

    rigged(test)


def test_what_this_process_did_to_a_board_counts_at_once() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        await rig.known()
        rig.store.board("b", [3, 4])
        rig.ranks.forget("b")
        await rig.check()
        await rig.known()
        await rig.store.tell(BoardChanged("b", None), BoardChanged("b", rig.store.boards["b"]))
        await rig.check()

    rigged(test)


def test_the_longest_unused_board_makes_room() -> None:
    async def test(rig: Rig) -> None:
        for name in "abc":
            rig.store.board(name, range(200))
        await rig.known("a")
        rig.tick(HELD + 1)
        await rig.known("b")
        rig.tick(HELD + 1)
        assert await rig.knows("a")
        await rig.known("c")
        assert await rig.knows("a")
        assert rig.store.read == 3
        await rig.check("b")
        assert not await rig.knows("b"), "the others are in use"
        rig.tick(1)
        assert await rig.knows("a")
        assert await rig.knows("c")
        assert rig.ranks._weight <= 1000

    rigged(test, entries=1000)


def test_a_board_that_is_too_large_stays_with_the_store(caplog: Any) -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(3000))
        await rig.check()
        await until(lambda: "no room" in caplog.text)
        assert not await rig.knows()
        await rig.check()
        assert rig.store.read == 1

    caplog.set_level(logging.WARNING)
    rigged(test, entries=2000)


def test_without_entries_the_store_counts() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(30))
        await rig.check()
        assert not await rig.knows()
        assert rig.store.feeds == []

    rigged(test, entries=0)


def test_a_store_that_is_away_is_tried_again() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(30))
        rig.store.is_away = True
        for _ in range(2):
            with pytest.raises(StoreUnavailable, match="away"):
                await rig.ranks.standing("b", 1)
        rig.store.is_away = False
        await rig.check()
        rig.tick(3)
        await rig.known()
        await rig.check()

    rigged(test)


def test_the_feed_is_open_while_a_board_is_needed() -> None:
    async def test(rig: Rig) -> None:
        assert not rig.feed.is_running
        rig.store.board("b", range(30))
        await rig.known()
        rig.tick(1000)
        assert not rig.feed.is_running
        await until(lambda: rig.store.feeds[0].is_closed)
        rig.store.write("b", "p3", 500)
        await rig.known()
        await rig.check()
        assert [feed.is_closed for feed in rig.store.feeds] == [True, False]

    rigged(test)


class Other:
    """Another sink."""

    def __init__(self) -> None:
        self.told: list[Change | str] = []

    def apply(self, changes: Sequence[Change]) -> None:
        self.told.extend(changes)

    def resync(self) -> None:
        self.told.append("resync")


def test_sinks_share_one_feed_and_come_and_go() -> None:
    """As live boards do where the process takes another role."""

    async def test(rig: Rig) -> None:
        rig.store.board("b", range(30))
        other = Other()
        await rig.known()
        rig.feed.attach(other)
        assert other.told == ["resync"], "what is to come follows"
        before = rig.store.write("b", "p1", 500)
        changes = [rig.store.change("b", "p1", before)]
        changes += [PlayerChanged("other", "p", None, before=None)] * 1000
        await rig.store.tell(*changes)
        await until(lambda: len(other.told) == 1002)
        await rig.check()
        rig.feed.detach(other)
        before = rig.store.write("b", "p1", 600)
        await rig.store.tell(rig.store.change("b", "p1", before))
        assert len(other.told) == 1002
        assert await rig.knows()
        await rig.check()
        assert len(rig.store.feeds) == 1

    rigged(test)


@pytest.mark.parametrize(("size", "middle"), [(49, None), (50, 24)])
def test_a_large_board_is_read_again_in_halves(
    size: int, middle: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranked_board, "MANY", 50)

    async def test(rig: Rig) -> None:
        rig.store.board("b", range(size))
        await rig.known()
        rig.ranks.resync()
        await rig.known()
        await rig.check()
        assert rig.store.middles == [None, None if middle is None else size - 1 - middle]

    rigged(test)


def test_closed_it_lets_the_store_count() -> None:
    async def test(rig: Rig) -> None:
        rig.store.board("b", range(100))
        rig.store.goes_on.clear()
        asking = asyncio.create_task(rig.ranks.count("b"))
        await until(lambda: rig.store.read)
        await rig.ranks.close()
        assert await asking == 100
        await rig.check()
        assert not await rig.knows()
        assert not rig.feed.is_running

    rigged(test)
