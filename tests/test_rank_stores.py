"""Ranks in memory against a plain count, on each store: whatever this process writes counts at
once, and whatever others write soon."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Board, Number, Order
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.ranks import Ranks
from tornado_board.settings import Settings
from tornado_board.store import NotFound, Store, Submitted

from .conftest import Opened
from .ranking_client import post
from .redis_server import RedisServer
from .serving import serving
from .waiting import until

PLAYERS = [f"p{i}" for i in range(20)]
SCORES = [-1, 0, 0.5, 1, 2, 2.5, 3, 7, 7.25, 1000]


class Process:
    """What one process has of the ranks, and how it writes."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.feed = Changefeed(store)
        self.ranks = Ranks(store, self.feed, Settings())
        self.random = random.Random(seed)

    async def write(self) -> None:
        """Something, with any player; in the way of a handler."""
        player, score = self.random.choice(PLAYERS), self.random.choice(SCORES)
        since = self.ranks.position
        before: Number | None
        after: Number | None
        try:
            match self.random.randrange(6):
                case 0:
                    before = (await self.store.delete_player("b", player)).score
                    after = None
                case 1:
                    patch = PlayerPatch(score=score, name=self.random.choice("AB"))
                    result = await self.store.update_player("b", player, patch)
                    before, after = result.previous, result.player.score
                case 2:
                    result = await self.store.add_score("b", player, 0.5, create=True)
                    before, after = result.previous, result.player.score
                case _:
                    handed_in = [self.submission() for _ in range(self.random.randrange(1, 5))]
                    for done in await self.store.submit("b", handed_in):
                        assert isinstance(done, Submitted)
                        self.wrote(done.player.id, done.previous, done.player.score, since)
                    return
        except NotFound:
            return
        self.wrote(player, before, after, since)

    def submission(self) -> Submission:
        player, score = self.random.choice(PLAYERS), self.random.choice(SCORES)
        return Submission(score=score, id=player, operator="set")

    def wrote(self, player: str, before: Any, after: Any, since: int) -> None:
        self.ranks.wrote("b", player, before, after, since)

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.ranks.tick()

    async def known(self) -> None:
        while not self.knows():
            await self.ranks.count("b")
            await asyncio.sleep(0.005)

    def knows(self) -> bool:
        board = self.ranks._boards.get("b")
        return board is not None and board.index is not None and board.index.is_ready

    async def agrees(self) -> bool:
        """Whether every rank and the count are what the store counts."""
        board = await self.store.get_board("b")
        scores = [player.score for player in await self.store.players_after("b", None, 1000)]
        better = [sum(board.ordering.is_better(o, s) for o in scores) for s in scores]
        standing = await self.ranks.standing("b", *scores)
        at = [await self.ranks.score_at("b", rank) for rank in range(1, len(scores) + 2)]
        expected = [
            next((s for s, count in zip(scores, better, strict=True) if count >= rank), None)
            for rank in range(len(scores) + 1)
        ]
        return standing == (len(scores), tuple(better)) and at == expected

    async def counts_like_the_store(self, scores: Sequence[Number]) -> bool:
        """Whether the count of players, and of those better than each score, are the store's."""
        standing = await self.ranks.standing("b", *scores)
        better = [await self.store.rank("b", score) - 1 for score in scores]
        return standing == (await self.store.count("b"), tuple(better))

    async def will_agree(self) -> None:
        async with asyncio.timeout(30):
            while not await self.agrees():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def process_on(store: Store, seed: int = 0) -> AsyncIterator[Process]:
    process = Process(store, seed)
    ticking = asyncio.create_task(process.tick())
    try:
        yield process
    finally:
        ticking.cancel()
        await process.ranks.close()
        await process.feed.close()


@pytest.fixture(params=["desc", "asc"])
def order(request: pytest.FixtureRequest) -> Order:
    value: Order = request.param
    return value


async def make_board(store: Store, order: Order, players: int = 10) -> Board:
    board = await store.create_board(NewBoard(id="b", order=order))
    for i in range(players):
        await store.create_player("b", NewPlayer(id=f"p{i}", name="P", score=SCORES[i % 10]))
    return board


@pytest.mark.gen_test
async def test_what_this_process_wrote_counts_at_once(
    opened: Opened, database_url: str, settings: Settings, order: Order
) -> None:
    store = await opened.store(database_url, settings)
    await make_board(store, order)
    async with process_on(store) as process:
        await process.known()
        index = process.ranks._boards["b"].index
        for step in range(60):
            await process.write()
            assert await process.agrees()
            if step == 30 and index is not None:
                await until(lambda: not index._ahead)  # the feed has told what was written
                index.release()
        assert process.ranks._boards["b"].index is index
        assert process.knows()


class Other:
    """Writes as another program does."""

    def __init__(self, opened: Opened, url: str, settings: Settings) -> None:
        self.opened, self.url, self.settings = opened, url, settings
        self.random = random.Random(5)
        self.process: Process | None = None

    async def write(self, count: int) -> None:
        if self.url.startswith("sqlite:"):
            self.write_with_sql(count)
            return
        if self.process is None:
            self.process = Process(await self.opened.store(self.url, self.settings), 5)
        for _ in range(count):
            await self.process.write()

    def write_with_sql(self, count: int) -> None:
        path = self.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, timeout=10)) as connection, connection:
            for _ in range(count):
                player, score = self.random.choice(PLAYERS), self.random.choice(SCORES)
                connection.execute("DELETE FROM players WHERE board='b' AND id=?", (player,))
                if self.random.random() < 0.8:
                    connection.execute(
                        "INSERT INTO players (board, id, name, score) VALUES ('b', ?, 'P', ?)",
                        (player, score),
                    )


@pytest.fixture
def other(opened: Opened, database_url: str, settings: Settings) -> Other:
    return Other(opened, database_url, settings)


@pytest.mark.gen_test
async def test_what_others_wrote_counts_soon(
    opened: Opened,
    database_url: str,
    settings: Settings,
    order: Order,
    other: Other,
) -> None:
    store = await opened.store(database_url, settings)
    await make_board(store, order)
    async with process_on(store) as process:
        await process.known()
        index = process.ranks._boards["b"].index
        for step in range(8):
            await asyncio.gather(other.write(5), *(process.write() for _ in range(5)))
            await process.will_agree()
            if step == 4 and index is not None:
                index.release()
        assert process.knows()
        assert process.ranks._boards["b"].index is index, "nothing was lost"


@pytest.mark.gen_test
async def test_a_board_is_built_while_everybody_writes(
    opened: Opened,
    database_url: str,
    settings: Settings,
    other: Other,
) -> None:
    store = await opened.store(database_url, settings)
    await make_board(store, "desc", 0)
    for start in range(0, 3000, 1000):
        many = [Submission(score=i % 97, id=f"q{i}") for i in range(start, start + 1000)]
        await store.submit("b", many)
    async with process_on(store) as process:
        for _ in range(3):
            process.ranks.resync()
            await asyncio.gather(
                process.known(), other.write(10), *(process.write() for _ in range(10))
            )
            # What others wrote counts soon, not at once.
            async with asyncio.timeout(30):
                while not await process.counts_like_the_store([*SCORES, 50, 96]):
                    await asyncio.sleep(0.01)


@pytest.mark.gen_test
async def test_a_board_that_is_deleted_made_again_or_turned(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await make_board(store, "desc")
    async with process_on(store) as process:
        await process.known()
        await store.delete_board("b")
        process.ranks.forget("b")
        with pytest.raises(NotFound):
            await process.ranks.standing("b", 1)
        await make_board(store, "asc", 5)
        process.ranks.forget("b")
        assert await process.agrees()
        await process.known()
        await process.will_agree()
        await store.update_board("b", BoardPatch(name="Another"))
        await asyncio.sleep(0.1)
        assert await process.agrees()
        for i in range(5):
            await store.delete_player("b", f"p{i}")
            process.wrote(f"p{i}", SCORES[i], None, -1)
        await store.update_board("b", BoardPatch(order="desc"))
        process.ranks.forget("b")
        for i in range(5):
            await store.create_player("b", NewPlayer(id=f"p{i}", name="P", score=i))
            process.wrote(f"p{i}", None, i, -1)
        assert await process.agrees()
        await process.known()
        await process.will_agree()


@pytest.mark.gen_test
async def test_a_process_that_follows_has_ranks(
    shared_database_url: str, own_redis: RedisServer, settings: Settings
) -> None:
    """Each of two has the board's ranks, with its own writes at once and the other's soon; also
    when they change roles."""
    settings = dataclasses.replace(
        settings, database_url=shared_database_url, redis_url=own_redis.url, lease=1.0
    )
    async with serving(settings) as first, serving(settings) as second:
        assert (await post(first, "/boards/", {"id": "b"})).status == 201
        both = (first, second)

        async def rounds(count: int) -> None:
            for i in range(count):
                for number, served in enumerate(both):
                    path = f"/boards/b/players/p{number}-{i}/score/"
                    answer = await post(served, path, {"score": i % 7, "operator": "set"})
                    assert answer.status in (200, 201)
                    assert answer.json()["rank"] <= answer.json()["of"]
            ranks: list[list[int]] = []
            async with asyncio.timeout(30):
                while True:
                    ranks = [
                        [
                            (await s.request("GET", f"/boards/b/players/p0-{i}/")).json()["rank"]
                            for i in range(7)
                        ]
                        for s in both
                    ]
                    counts = [await s.ranks.count("b") for s in both]
                    if ranks[0] == ranks[1] and counts[0] == counts[1] == await first.store.count(
                        "b"
                    ):
                        break
                    await asyncio.sleep(0.02)
            expected = [await first.store.rank("b", i) for i in range(7)]
            assert ranks[0] == expected

        await rounds(10)
        feeds = [served.ranks._feed.is_open for served in both]
        assert feeds == [True, True]
        own_redis.client.delete(*own_redis.client.keys("*lease*"))  # anybody may publish now
        await rounds(15)
