"""What every store promises of pages, and of counts and ranks, against a sorted list."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tornado_board.inputs import NewBoard, NewPlayer, Submission
from tornado_board.models import Board, Number, Order, Ordering, Player
from tornado_board.settings import Settings
from tornado_board.store import NotFound, Place, Store

from .conftest import Opened
from .store_contract import opened_store
from .waiting import until

pytestmark = pytest.mark.usefixtures("io_loop")

SCORES = st.one_of(
    st.integers(-2, 2),
    st.sampled_from([0.5, -0.5, 0.1 + 0.2, 0.3, 2**53, -(2**53), 2**53 - 1, 1e-300]),
)
IDS = st.sampled_from(["a", "b", "A", "~", ".a", "-", "10", "9", "aa", "Zz", "_"])


def place_of(player: Player) -> Place:
    return Place(player.score, player.reached_at, player.id)


class Model:
    """The players of a board in a plain list, in order."""

    def __init__(self, board: Board, players: list[Player]) -> None:
        self.ordering: Ordering = board.ordering
        self.players = sorted(players, key=self.ordering.key)

    def after(self, place: Place | None, limit: int, backwards: bool) -> list[Player]:
        key: Any = None
        if place is not None:
            key = self.ordering.parts(place.score, place.reached_at, place.id)
        if backwards:
            found = [p for p in self.players if key is None or self.ordering.key(p) < key]
            return found[::-1][:limit]
        return [p for p in self.players if key is None or self.ordering.key(p) > key][:limit]

    def rank(self, score: Number) -> int:
        return 1 + sum(self.ordering.is_better(p.score, score) for p in self.players)

    def at(self, rank: int) -> Player | None:
        return next((p for p in self.players if self.rank(p.score) >= rank), None)


async def scores_of(store: Store, board_id: str) -> dict[str, Number]:
    found: dict[str, Number] = {}
    async for piece in store.scores(board_id):
        assert len(piece.ids) == len(piece.scores)
        for id, score in zip(piece.ids, piece.scores, strict=True):
            assert id not in found
            found[id] = score
    return found


async def agree(store: Store, board: Board, places: list[Place | None], limits: list[int]) -> None:
    """Compare all reads of the store with a plain list."""
    players = [await store.get_player(board.id, id) for id in await scores_of(store, board.id)]
    model = Model(board, players)
    assert await store.count(board.id) == len(players)
    assert await scores_of(store, board.id) == {p.id: p.score for p in players}
    assert (await store.ranking(board.id, 100)).players == model.players
    scores = itertools.cycle([0.25, 1e9, -1e9, *(player.score for player in players)])
    for place in [*places, *map(place_of, model.players)]:
        for limit in limits:
            for backwards in (False, True):
                expected = model.after(place, limit, backwards)
                page = await store.players_after(board.id, place, limit, backwards=backwards)
                assert list(page) == expected, (place, limit)
                # Whatever is said of where the page ends.
                until = next(scores)
                page = await store.players_after(
                    board.id, place, limit, backwards=backwards, until=until
                )
                assert list(page) == expected, (place, limit, until)
    for score in {p.score for p in players} | {-1e9, 1e9, 0.25}:
        assert await store.rank(board.id, score) == model.rank(score)
        first = await store.players_after(board.id, Place(score, -1, ""), 1)
        assert list(first) == model.after(Place(score, -1, ""), 1, False)
    for rank in range(1, len(players) + 3):
        assert await store.player_at(board.id, rank) == model.at(rank), rank
    ids = [p.id for p in model.players[::2]]
    found = await store.players_by_id(board.id, [*ids, "nobody", *ids[:1]])
    assert sorted(found, key=model.ordering.key) == model.players[::2]


@pytest.fixture
def run(io_loop: Any) -> Callable[[Callable[[], Awaitable[None]]], None]:
    """Runs a coroutine on the test's loop, from within Hypothesis."""
    return lambda work: io_loop.run_sync(work, 60)


@pytest.mark.parametrize("ties", ["id", "first"])
@pytest.mark.parametrize("order", ["desc", "asc"])
def test_pages_ranks_and_counts_are_those_of_a_sorted_list(
    opened: Opened,
    database_url: str,
    settings: Settings,
    run: Callable[[Callable[[], Awaitable[None]]], None],
    order: Any,
    ties: Any,
) -> None:
    stores: list[Store] = []
    boards: Iterator[str] = (f"b{n}" for n in range(10_000))

    async def open_it() -> None:
        stores.append(await opened.store(database_url, settings))

    run(open_it)

    @hypothesis_settings(
        max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(
        found=st.lists(st.tuples(IDS, SCORES), max_size=9),
        places=st.lists(st.tuples(SCORES, st.sampled_from([-1, 0, 2**62]), IDS), max_size=2),
        limit=st.integers(1, 11),
    )
    def check(
        found: list[tuple[str, Number]], places: list[tuple[Number, int, str]], limit: int
    ) -> None:
        async def work() -> None:
            (store,) = stores
            board = await store.create_board(NewBoard(id=next(boards), order=order, ties=ties))
            # One after the other, so that times differ; and some have the plain key of another
            # board's player.
            for id, score in found:
                await store.submit(board.id, [Submission(id=id, score=score, operator="set")])
                if ties == "first":
                    await asyncio.sleep(0.001)
            await agree(store, board, [None, *(Place(*place) for place in places)], [limit])

        run(work)

    check()


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.gen_test
async def test_large_groups_of_one_score_and_windows_at_both_ends(
    opened: Opened, database_url: str, settings: Settings, order: Any
) -> None:
    store = await opened.store(database_url, settings)
    board = await store.create_board(NewBoard(id="b", order=order))
    chance = random.Random(2)
    many = [Submission(id=f"p{n:03}", score=chance.choice([0, 0, 0, 1, 1, n])) for n in range(120)]
    await store.submit("b", many)
    players = list((await store.ranking("b", 200)).players)
    assert len(players) == 120
    model = Model(board, list(players))
    assert model.players == players
    for limit in (1, 7, 50, 119, 120, 121, 1000):
        for place in (None, *(place_of(players[n]) for n in (0, 1, 59, 60, 118, 119))):
            for backwards in (False, True):
                page = await store.players_after("b", place, limit, backwards=backwards)
                expected = model.after(place, limit, backwards)
                assert list(page) == expected
                until = expected[-1].score if expected else 0
                page = await store.players_after(
                    "b", place, limit, backwards=backwards, until=until
                )
                assert list(page) == expected
    # From page to page, both ways, each player once.
    for backwards in (False, True):
        seen: list[Player] = []
        place = None
        while page := await store.players_after("b", place, 7, backwards=backwards):
            seen += page
            place = place_of(page[-1])
        assert seen == players[:: -1 if backwards else 1]
    for rank in (1, 2, 3, 30, 31, 60, 100, 119, 120, 121):
        assert await store.player_at("b", rank) == model.at(rank)


@pytest.mark.gen_test
async def test_of_a_board_that_is_not_there_nothing_can_be_read(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for call in (
        store.players_after("c", None, 5),
        store.players_after("c", Place(1, 0, "p"), 5, backwards=True),
        store.players_by_id("c", ["p"]),
        store.player_at("c", 1),
        store.count("c"),
        store.rank("c", 1),
        scores_of(store, "c"),
        store.ranking("c", 5),
    ):
        with pytest.raises(NotFound, match="'c'"):
            await call
    assert list(await store.players_after("b", None, 5)) == []
    assert list(await store.players_after("b", None, 5, backwards=True)) == []
    assert list(await store.players_by_id("b", ["p"])) == []
    assert await store.player_at("b", 1) is None
    assert await store.count("b") == 0
    assert await store.rank("b", 1) == 1
    assert await scores_of(store, "b") == {}


@pytest.mark.gen_test
async def test_places_outlive_who_stood_there(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for n in range(6):
        await store.create_player("b", NewPlayer(id=f"p{n}", name="P", score=10 - n))
    page = await store.players_after("b", None, 3)
    place = place_of(page[-1])
    await store.delete_player("b", page[-1].id)
    assert [p.id for p in await store.players_after("b", place, 5)] == ["p3", "p4", "p5"]
    behind = await store.players_after("b", place, 5, backwards=True)
    assert [p.id for p in behind] == ["p1", "p0"]


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.gen_test
async def test_who_does_not_move_is_on_one_page_while_others_do(
    opened: Opened, database_url: str, settings: Settings, order: Any
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="b", order=order))
    still = [Submission(id=f"still{n:02}", score=n // 3) for n in range(60)]
    moving = [Submission(id=f"moving{n:02}", score=n // 2) for n in range(40)]
    await store.submit("b", [*still, *moving])
    chance = random.Random(4)

    async def move() -> None:
        while True:
            some = chance.sample(moving, 10)
            steps = [
                Submission(id=one.id, score=chance.randint(-5, 25), operator="set") for one in some
            ]
            await store.submit("b", steps)
            with contextlib.suppress(NotFound):
                await store.delete_player("b", chance.choice(moving).id)

    for backwards in (False, True):
        mover = asyncio.ensure_future(move())
        try:
            seen: list[str] = []
            place = None
            while page := await store.players_after("b", place, 4, backwards=backwards):
                seen += [p.id for p in page if p.id.startswith("still")]
                place = place_of(page[-1])
                await asyncio.sleep(0.001)
        finally:
            mover.cancel()
            await asyncio.gather(mover, return_exceptions=True)
        assert sorted(seen) == [one.id for one in still]


@pytest.mark.parametrize("middle", [None, 2_500, 0.25, -1e300])
@pytest.mark.gen_test
async def test_scores_come_in_pieces_and_hold_who_changes_meanwhile(
    opened: Opened, database_url: str, settings: Settings, middle: Number | None
) -> None:
    store = await opened_store(opened, database_url, settings)
    number = 5_000
    for start in range(0, number, 500):
        some = [Submission(id=f"p{n}", score=n // 2) for n in range(start, start + 500)]
        await store.submit("b", some)
    pieces: list[int] = []
    found: dict[str, list[Number]] = {}
    async for piece in store.scores("b", middle=middle):
        pieces.append(len(piece.ids))
        for player_id, score in zip(piece.ids, piece.scores, strict=True):
            found.setdefault(player_id, []).append(score)
        if len(pieces) == 1:
            await store.add_score("b", "p1", 0.5)
    # Who moves past the middle meanwhile may come twice, or not at all.
    assert set(found.pop("p1", [])) <= {0, 0.5}
    assert found == {f"p{n}": [n // 2] for n in range(number) if n != 1}
    assert len(pieces) > 1


@pytest.mark.gen_test
async def test_scores_that_nobody_wants_any_more_leave_nothing_open(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    for start in range(0, 6_000, 500):
        await store.submit("b", [Submission(id=f"p{start + n}", score=n) for n in range(500)])
    before = asyncio.all_tasks()
    async with contextlib.aclosing(store.scores("b", middle=250)) as pieces:
        async for _ in pieces:
            break
    await until(lambda: asyncio.all_tasks() <= before)
    assert await store.count("b") == 6_000


@pytest.mark.gen_test
async def test_rankings_that_are_asked_for_at_once_are_each_boards_own(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    made: dict[str, Order] = {
        f"r{number}": "asc" if number % 3 == 0 else "desc" for number in range(40)
    }
    for number, (board_id, order) in enumerate(made.items()):
        await store.create_board(NewBoard(id=board_id, order=order, name=f"Board {number}"))
        await store.submit(
            board_id, [Submission(id=f"p{i}", score=100 * number + i) for i in range(number % 7)]
        )
    asked = [*made, "nowhere", *made]
    for limit in (3, 100):
        found = await asyncio.gather(
            *(store.ranking(board_id, limit) for board_id in asked), return_exceptions=True
        )
        for board_id, ranking in zip(asked, found, strict=True):
            if board_id == "nowhere":
                assert isinstance(ranking, NotFound)
                continue
            assert not isinstance(ranking, BaseException)
            number = int(board_id[1:])
            scores = [100 * number + i for i in range(number % 7)]
            scores.sort(reverse=made[board_id] == "desc")
            depth = ranking.board.depth(limit)
            assert ranking.board.name == f"Board {number}"
            assert [player.score for player in ranking.players] == scores[:depth]


@pytest.mark.gen_test
async def test_a_ranking_that_nobody_waits_for_any_more_leaves_the_others_theirs(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.submit("b", [Submission(id="p", score=1)])
    asked = [asyncio.ensure_future(store.ranking("b", 5)) for _ in range(3)]
    await asyncio.sleep(0)
    asked[0].cancel()
    for ranking in await asyncio.gather(*asked[1:]):
        assert [player.id for player in ranking.players] == ["p"]
