"""What every store makes of scores that are handed in, and of additions that make players."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from msgspec.structs import replace

from tornado_board.inputs import NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import (
    PLAYER_META,
    SCORE_LIMIT,
    Board,
    Meta,
    Number,
    Order,
    Player,
    PlayerChanged,
    merged,
)
from tornado_board.settings import Settings
from tornado_board.store import (
    Invalid,
    NotFound,
    OutOfRange,
    Store,
    StoreUnavailable,
    Submitted,
)

from .conftest import Opened
from .store_contract import changes_until, opened_store

pytestmark = pytest.mark.usefixtures("io_loop")


async def submit(store: Store, board_id: str, player_id: str, score: Number, **more: Any) -> Any:
    """The result of one submission."""
    (result,) = await store.submit(board_id, [Submission(id=player_id, score=score, **more)])
    return result


@pytest.mark.parametrize(
    ("order", "operator", "steps"),
    [
        # what is handed in, and the score after
        ("desc", "best", [(3, 3), (2, 3), (3, 3), (3.5, 3.5), (-1, 3.5), (4, 4)]),
        ("asc", "best", [(3, 3), (4, 3), (3, 3), (2.5, 2.5), (100, 2.5), (-1, -1)]),
        ("desc", "set", [(3, 3), (2, 2), (2.0, 2), (0.5, 0.5)]),
        ("asc", "set", [(3, 3), (4, 4), (4, 4), (0, 0)]),
        ("desc", "add", [(3, 3), (2, 5), (-5, 0), (0, 0), (0.5, 0.5), (0.5, 1)]),
        ("asc", "add", [(-3, -3), (0.1, -2.9), (2, -2.9 + 2)]),
    ],
)
@pytest.mark.gen_test
async def test_operators(
    opened: Opened,
    database_url: str,
    settings: Settings,
    order: Order,
    operator: Any,
    steps: list[tuple[Number, Number]],
) -> None:
    """The board's, and one that the submission names on a board with another."""
    store = await opened.store(database_url, settings)
    others: dict[Any, Any] = {"best": "add", "set": "best", "add": "set"}
    await store.create_board(NewBoard(id="own", order=order, operator=operator))
    await store.create_board(NewBoard(id="named", order=order, operator=others[operator]))
    for board, named in (("own", {}), ("named", {"operator": operator})):
        previous: Number | None = None
        for score, after in steps:
            done = await submit(store, board, "p", score, **named)
            assert done == Submitted(Player("p", "p", after), previous, previous != after)
            assert type(done.player.score) is type(after)
            assert await store.get_player(board, "p") == done.player
            previous = after


@pytest.mark.gen_test
async def test_a_submission_may_name_a_player_and_say_more_of_it(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    first: Meta = {"flag": "de", "kit": {"hat": 1}}
    made = await submit(store, "b", "p", 5, name="Ann", meta={**first, "none": None})
    player = Player("p", "Ann", 5, meta=first)
    assert made == Submitted(player, None, True)
    shod: Meta = {"flag": "de", "kit": {"shoe": [1]}}
    for more, name, meta, changed in (
        ({"name": "Ann"}, "Ann", first, False),
        ({"name": "Bea"}, "Bea", first, True),
        ({"meta": {}}, "Bea", first, False),
        ({"meta": {"kit": {"hat": None, "shoe": [1]}}}, "Bea", shod, True),
        ({"meta": {"flag": None, "kit": True}}, "Bea", {"kit": True}, True),
        ({"meta": {"kit": 1}, "name": "Cid"}, "Cid", {"kit": 1}, True),
        ({"meta": {"kit": 1}, "name": "Cid"}, "Cid", {"kit": 1}, False),
    ):
        player = Player("p", str(name), 5, meta=meta)
        assert await submit(store, "b", "p", 1, **dict(more)) == Submitted(player, 5, changed)
        there = await store.get_player("b", "p")
        assert there == player
        assert [type(v) for v in there.meta.values()] == [type(v) for v in meta.values()]


@pytest.mark.gen_test
async def test_what_is_refused_changes_nothing_and_spares_the_rest(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="b", operator="add", min=-10, max=10.5))
    await store.create_player("b", NewPlayer(id="p", name="P", score=8))
    feed = await store.changes()
    long = {"text": "x" * PLAYER_META}
    results = await store.submit(
        "b",
        [
            Submission(id="p", score=3),
            Submission(id="p", score=1),
            Submission(id="p", score=1.5),
            Submission(id="p", score=-11, operator="set"),
            Submission(id="new", score=11),
            Submission(id="new", score=10.5, meta=long),
            Submission(id="p", score=0, meta=long),
            Submission(id="p", score=0.5, name="Q"),
            Submission(id="other", score=-10),
            Submission(id="other", score=-0.5),
        ],
    )
    assert [type(result) for result in results] == [
        *(OutOfRange, Submitted, Submitted, OutOfRange, OutOfRange),
        *(Invalid, Invalid, OutOfRange, Submitted, OutOfRange),
    ]
    assert results[1:3] == [
        Submitted(Player("p", "P", 9), 8, True),
        Submitted(Player("p", "P", 10.5), 9, True),
    ]
    assert await store.get_player("b", "p") == Player("p", "P", 10.5)
    assert await store.get_player("b", "other") == Player("other", "other", -10)
    with pytest.raises(NotFound):
        await store.get_player("b", "new")
    with pytest.raises(NotFound, match="'nowhere'"):
        await store.submit("nowhere", [Submission(id="p", score=1)])
    for refused in (
        store.create_player("b", NewPlayer(id="new", name="N", score=11)),
        store.update_player("b", "p", PlayerPatch(score=11, name="R")),
        store.add_score("b", "p", 0.5),
        store.add_score("b", "new", 11, create=True),
    ):
        with pytest.raises(OutOfRange):
            await refused
    for invalid in (
        store.create_player("b", NewPlayer(id="new", name="N", meta=long)),
        store.update_player("b", "p", PlayerPatch(name="R", meta=long)),
    ):
        with pytest.raises(Invalid, match="2048"):
            await invalid
    assert await store.count("b") == 2
    written = [Player("other", "other", -10), Player("p", "P", 10.5)]
    told = await changes_until(feed, [("b", player.id, player) for player in written])
    assert {change.player_id for change in told if isinstance(change, PlayerChanged)} == {
        "p",
        "other",
    }


@pytest.mark.gen_test
async def test_sums_stay_where_every_whole_number_is_a_score(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    steps = [SCORE_LIMIT, 1, -SCORE_LIMIT, -SCORE_LIMIT, -1, 0.5, SCORE_LIMIT]
    # Half of one is lost there, as doubles are rounded.
    after = [SCORE_LIMIT, None, 0, -SCORE_LIMIT, None, -SCORE_LIMIT, 0]
    results = await store.submit(
        "b", [Submission(id="p", score=step, operator="add") for step in steps]
    )
    for result, score in zip(results, after, strict=True):
        if score is None:
            assert isinstance(result, OutOfRange)
        else:
            assert isinstance(result, Submitted)
            assert result.player.score == score


@pytest.mark.gen_test
async def test_nothing_is_told_of_a_submission_that_changes_nothing(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await submit(store, "b", "p", 5, meta={"a": 1})
    feed = await store.changes()
    for more in ({}, {"operator": "set"}, {"name": "p"}, {"meta": {"a": 1, "b": None}}):
        assert not (await submit(store, "b", "p", 5, **more)).changed
    assert not (await submit(store, "b", "p", 0, operator="add")).changed
    assert not (await store.add_score("b", "p", 0)).changed
    await submit(store, "b", "last", 1)
    told = await changes_until(feed, [("b", "last", Player("last", "last", 1))])
    assert {c.player_id for c in told if isinstance(c, PlayerChanged)} == {"last"}


@pytest.mark.gen_test
async def test_additions_make_players_if_they_are_to(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    with pytest.raises(NotFound):
        await store.add_score("b", "p", 2)
    done = await store.add_score("b", "p", 2.5, create=True)
    assert done == Submitted(Player("p", "p", 2.5), None, True)
    done = await store.add_score("b", "p", 2, create=True)
    assert done == Submitted(Player("p", "p", 4.5), 2.5, True)
    with pytest.raises(NotFound, match="'nowhere'"):
        await store.add_score("nowhere", "p", 2, create=True)
    results = await asyncio.gather(
        *[store.add_score("b", f"q{i % 3}", 1, create=i % 2 == 0) for i in range(60)],
        return_exceptions=True,
    )
    added = [r for r in results if isinstance(r, Submitted)]
    assert sum(r.previous is None for r in added) == 3
    for i in range(3):
        scores = sorted(r.player.score for r in added if r.player.id == f"q{i}")
        assert scores == list(range(1, len(scores) + 1))
        assert (await store.get_player("b", f"q{i}")).score == len(scores)


@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.gen_test
async def test_many_submissions_do_what_they_would_one_after_the_other(
    opened: Opened, database_url: str, settings: Settings, order: Order
) -> None:
    store = await opened.store(database_url, settings)
    new = NewBoard(id="b", order=order, min=-50, max=50)
    await store.create_board(new)
    board, chance = new.board(), random.Random(5)
    players: dict[str, Player] = {}
    for size in (1, 40, 300, 1500):
        many = [random_submission(chance) for _ in range(size)]
        expected = [plainly(board, players, one) for one in many]
        results = await store.submit("b", many)
        assert [r if isinstance(r, Submitted) else type(r) for r in results] == expected
        found = {p.id: p for p in await store.players_by_id("b", list(players))}
        assert found == players


def random_submission(chance: random.Random) -> Submission:
    more: dict[str, Any] = {}
    if chance.random() < 0.7:
        more["operator"] = chance.choice(["best", "set", "add"])
    if chance.random() < 0.2:
        more["name"] = chance.choice(["One", "Two"])
    if chance.random() < 0.2:
        more["meta"] = {chance.choice("ab"): chance.choice([1, 2, None])}
    score = chance.choice([chance.randint(-30, 30), chance.randint(-300, 300) / 8])
    return Submission(id=f"p{chance.randint(0, 60)}", score=score, **more)


def plainly(board: Board, players: dict[str, Player], one: Submission) -> Any:
    """What `one` does to `players`: its result, or the type of the error."""
    before = players.get(one.id)
    operator = one.operator or "best"
    score = one.score + (before.score if before and operator == "add" else 0)
    if not -50 <= score <= 50:
        return OutOfRange
    if before and operator == "best":
        score = (max if board.order == "desc" else min)(score, before.score)
    player = replace(
        before or Player(one.id, one.id, 0), score=int(score) if score % 1 == 0 else score
    )
    player = replace(player, name=one.name or player.name)
    player = replace(player, meta=merged(player.meta, one.meta) if one.meta else player.meta)
    players[one.id] = player
    return Submitted(player, before.score if before else None, player != before)


@pytest.mark.gen_test
async def test_submissions_of_several_callers_and_additions_each_count_once(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    ids = [f"p{i}" for i in range(10)]
    bulk = [Submission(id=id, score=1, operator="add") for id in ids * 20]
    results = await asyncio.gather(
        *[store.submit("b", bulk) for _ in range(5)],
        *[store.add_score("b", id, 1, create=True) for id in ids * 10],
    )
    done = [one for result in results for one in (result if isinstance(result, list) else [result])]
    for id in ids:
        scores = sorted(
            r.player.score for r in done if isinstance(r, Submitted) and r.player.id == id
        )
        assert scores == list(range(1, 5 * 20 + 10 + 1))
        assert (await store.get_player("b", id)).score == scores[-1]


@pytest.mark.gen_test
async def test_whoever_reached_a_score_first_keeps_the_time(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened.store(database_url, settings)
    await store.create_board(NewBoard(id="b", ties="first"))
    begin = time.time() * 1000 - 1
    times = [(await submit(store, "b", "p", 5)).player.reached_at]
    await asyncio.sleep(0.005)
    for score, more in ((4, {}), (5, {}), (5, {"name": "P"}), (5, {"meta": {"a": 1}})):
        assert (await submit(store, "b", "p", score, **dict(more))).player.reached_at == times[0]
    for step in (
        submit(store, "b", "p", 6),
        submit(store, "b", "p", 2, operator="set"),
        submit(store, "b", "p", 2, operator="add"),
        store.add_score("b", "p", 1),
        store.update_player("b", "p", PlayerPatch(score=9)),
    ):
        await asyncio.sleep(0.005)
        times.append((await step).player.reached_at)
    made = await store.create_player("b", NewPlayer(id="q", name="Q"))
    await asyncio.sleep(0.005)
    times.append((await store.add_score("b", "r", 1, create=True)).player.reached_at)
    assert sorted(set(times)) == times
    assert all(type(one) is int for one in times)
    assert begin < times[0]
    assert times[-1] <= time.time() * 1000 + 1
    assert made.reached_at >= times[-2]
    assert (await store.get_player("b", "p")).reached_at == times[-2]


@pytest.mark.gen_test
async def test_ten_thousand_in_one_request(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    many = [Submission(id=f"p{i % 7000}", score=i) for i in range(10_000)]
    passed = 0

    async def write_meanwhile() -> None:
        nonlocal passed
        while not submitting.done():
            await store.add_score("demo", "mars", 1)
            passed += 1

    submitting = asyncio.ensure_future(store.submit("b", many))
    await write_meanwhile()
    results = await submitting
    assert passed > 3
    assert all(isinstance(r, Submitted) and r.changed for r in results)
    assert [r.previous for r in results if isinstance(r, Submitted)] == [
        *(None,) * 7000,
        *range(3000),
    ]
    assert await store.count("b") == 7000
    assert [p.score for p in (await store.ranking("b", 3)).players[:3]] == [9999, 9998, 9997]


@pytest.mark.gen_test
async def test_a_store_that_is_closed_refuses_submissions(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, database_url, settings)
    await store.close()
    with pytest.raises(StoreUnavailable):
        await submit(store, "b", "p", 1)
