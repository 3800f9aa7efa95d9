"""A write with a key happens once, and its outcome is there again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Player
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    HasPlayers,
    Invalid,
    KeyReused,
    NotFound,
    Once,
    OutOfRange,
    Store,
    StoreError,
    Submitted,
)

from .conftest import Opened
from .store_contract import changes_until, opened_store

pytestmark = pytest.mark.usefixtures("io_loop")

MANY = [
    *(Submission(id=f"p{i % 3}", score=i, operator="add", meta={"n": i}) for i in range(7)),
    Submission(id="p1", score=99, operator="set", name="Ünï"),
    Submission(id="p1", score=1000, operator="set"),
    Submission(id="new", score=1.5, meta={"long": "x" * 3000}),
]

Write = Callable[[Store, Once], Awaitable[Any]]

#: Each write that takes a key, so that it would do something the second time, too.
WRITES: dict[str, Write] = {
    "create a board": lambda s, once: s.create_board(NewBoard(id="c", meta={"a": [1]}), once),
    "create some board": lambda s, once: s.create_board(NewBoard(), once),
    "change a board": lambda s, once: s.update_board("b", BoardPatch(name="New", min=-5), once),
    "create a player": lambda s, once: s.create_player("b", NewPlayer(id="q", name="Q"), once),
    "create some player": lambda s, once: s.create_player("b", NewPlayer(name="Q"), once),
    "change a player": lambda s, once: s.update_player("b", "p1", PlayerPatch(score=7), once),
    "add": lambda s, once: s.add_score("b", "p1", 2, once=once),
    "add and make": lambda s, once: s.add_score("b", "q", 2.5, create=True, once=once),
    "submit": lambda s, once: s.submit("b", MANY, once),
}


async def opened_with_a_player(opened: Opened, url: str, settings: Settings) -> Store:
    store = await opened_store(opened, url, settings)
    await store.update_board("b", BoardPatch(max=500))
    await store.create_player("b", NewPlayer(id="p1", name="P", score=1))
    return store


def shown(outcome: Any) -> Any:
    """An outcome in a form that can be compared: errors are told by what they say."""
    if isinstance(outcome, list):
        return [shown(one) for one in outcome]
    return (type(outcome), str(outcome)) if isinstance(outcome, StoreError) else outcome


async def undo(store: Store) -> None:
    """Change whatever was written to something else."""
    await store.update_board("b", BoardPatch(name="Other", min=None))
    await store.update_player("b", "p1", PlayerPatch(score=0, name="Other"))


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.gen_test
async def test_the_same_key_again_changes_nothing_and_gives_the_same(
    opened: Opened, database_url: str, settings: Settings, what: str
) -> None:
    write = WRITES[what]
    store = await opened_with_a_player(opened, database_url, settings)
    feed = await store.changes()
    once = Once("key-1", "request_1")
    outcome = shown(await write(store, once))
    assert not once.replayed
    await undo(store)
    boards = await store.list_boards(10)
    board = await store.ranking("b", 10)
    player = Player("p1", "Other", 0, meta=meta_of(board.players))
    await changes_until(feed, [("b", "p1", player), ("b", board.board)])

    for reopened in (False, True):
        if reopened:
            await store.close()
            store = await opened.store(database_url, settings)
            feed = await store.changes()
        again = Once("key-1", "request_1")
        assert shown(await write(store, again)) == outcome
        assert again.replayed
        other = Once("key-1", "request_2")
        with pytest.raises(KeyReused):
            await write(store, other)
        assert not other.replayed
        assert await store.list_boards(10) == boards
        assert (await store.ranking("b", 10)).players == board.players
        last = await store.create_player("demo", NewPlayer(id=f"last{reopened}", name="Last"))
        told = await changes_until(feed, [("demo", last.id, last)])
        assert {change.board_id for change in told} == {"demo"}


def meta_of(players: Any) -> Any:
    (found,) = [player.meta for player in players if player.id == "p1"]
    return found


@pytest.mark.gen_test
async def test_another_key_and_none_are_other_writes(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_with_a_player(opened, database_url, settings)
    for number in range(3):
        once = Once(f"key{number}", "request")
        assert (await store.add_score("b", "p1", 1, once=once)).player.score == 2 * number + 2
        assert (await store.add_score("b", "p1", 1)).player.score == 2 * number + 3
        assert not once.replayed
    once = Once("key1", "request")
    done = await store.add_score("b", "p1", 1, once=once)
    assert done == Submitted(Player("p1", "P", 4), 3, True)


@pytest.mark.gen_test
async def test_a_write_that_is_refused_keeps_no_key(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_with_a_player(opened, database_url, settings)
    once = Once("key", "request")
    refused: list[tuple[type[StoreError], Awaitable[Any]]] = [
        (AlreadyExists, store.create_board(NewBoard(id="b"), once)),
        (HasPlayers, store.update_board("b", BoardPatch(order="asc"), once)),
        (Invalid, store.update_board("b", BoardPatch(min=501), once)),
        (NotFound, store.update_board("c", BoardPatch(name="C"), once)),
        (AlreadyExists, store.create_player("b", NewPlayer(id="p1", name="P"), once)),
        (OutOfRange, store.update_player("b", "p1", PlayerPatch(score=501), once)),
        (NotFound, store.update_player("b", "q", PlayerPatch(score=1), once)),
        (OutOfRange, store.add_score("b", "p1", 500, once=once)),
        (NotFound, store.add_score("b", "q", 1, once=once)),
        (NotFound, store.submit("c", MANY, once)),
    ]
    for kind, write in refused:
        with pytest.raises(kind):
            await write
    # It is free for what works.
    assert (await store.add_score("b", "p1", 1, once=once)).player.score == 2
    assert not once.replayed


@pytest.mark.gen_test
async def test_of_many_at_a_time_with_one_key_one_counts(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_with_a_player(opened, database_url, settings)
    onces = [Once(f"key{i % 4}", "request") for i in range(40)]
    await asyncio.gather(*[store.add_score("b", "p1", 1, once=once) for once in onces])
    assert (await store.get_player("b", "p1")).score == 5
    assert sum(not once.replayed for once in onces) == 4
    onces = [Once("bulk", "request") for _ in range(5)]
    many = [Submission(id="p1", score=1, operator="add")] * 30
    results = await asyncio.gather(*[store.submit("b", many, once) for once in onces])
    assert (await store.get_player("b", "p1")).score == 35
    assert [result == results[0] for result in results] == [True] * 5
    assert sum(not once.replayed for once in onces) == 1


@pytest.mark.gen_test
async def test_ten_thousand_with_one_key(
    opened: Opened, database_url: str, settings: Settings
) -> None:
    store = await opened_with_a_player(opened, database_url, settings)
    many = [Submission(id=f"p{i % 2000}", score=1, operator="add") for i in range(10_000)]
    first = await store.submit("b", many, Once("key", "request"))
    once = Once("key", "request")
    assert await store.submit("b", many, once) == first
    assert once.replayed
    with pytest.raises(KeyReused):
        await store.submit("b", many[:5000], Once("key", "another"))
    assert (await store.get_player("b", "p1")).score == 6


@pytest.mark.gen_test
async def test_keys_are_not_shown(opened: Opened, database_url: str, settings: Settings) -> None:
    store = await opened_with_a_player(opened, database_url, settings)
    await store.add_score("b", "p1", 1, once=Once("key", "request"))
    await store.update_board("b", BoardPatch(name="N"), Once("key2", "request"))
    feed = await store.changes()
    player = Player("p1", "P", 2)
    assert await store.get_player("b", "p1") == player
    assert (await store.ranking("b", 5)).players == [player]
    assert await store.players_by_id("b", ["p1"]) == [player]
    assert [board.id for board in await store.list_boards(5)] == ["b", "demo"]
    await store.add_score("b", "p1", 1, once=Once("key3", "request"))
    await changes_until(feed, [("b", "p1", Player("p1", "P", 3))])
