"""A write with a key counts once on RethinkDB, whatever becomes of the server and its answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tornado_board.inputs import BoardPatch, NewBoard, NewPlayer, PlayerPatch, Submission
from tornado_board.models import Player
from tornado_board.settings import Settings
from tornado_board.store import (
    AlreadyExists,
    Once,
    OutcomeUnknown,
    Store,
    StoreUnavailable,
    Submitted,
)
from tornado_board.store.rethinkdb.address import r
from tornado_board.store.rethinkdb.documents import ONCE
from tornado_board.store.rethinkdb.once import MOST_ENTRIES

from .conftest import Opened
from .reql import ReQLServer
from .rethinkdb_admin import Admin, eventually, impatient, opened_store
from .rethinkdb_server import PROGRAM, RethinkDBServer

pytestmark = pytest.mark.usefixtures("io_loop")

boards, players = r.table("boards"), r.table("players")

MANY = [Submission(id=f"p{n % 7}", score=1, operator="add") for n in range(20)]

Write = Callable[[Store, Once], Awaitable[Any]]

WRITES: dict[str, Write] = {
    "add": lambda s, once: s.add_score("demo", "venus", 1, once=once),
    "add and make": lambda s, once: s.add_score("demo", "new", 1, create=True, once=once),
    "submit": lambda s, once: s.submit("demo", MANY, once),
    "change a player": lambda s, once: s.update_player("demo", "venus", PlayerPatch(score=1), once),
    "make some player": lambda s, once: s.create_player("demo", NewPlayer(name="N"), once),
    "make some board": lambda s, once: s.create_board(NewBoard(name="N"), once),
    "change a board": lambda s, once: s.update_board("demo", BoardPatch(name="N"), once),
}


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.gen_test
async def test_a_write_whose_answer_was_lost_counts_once_when_it_is_sent_again(
    opened: Opened,
    settings: Settings,
    reql: ReQLServer,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    settings = impatient(settings, monkeypatch, timeout=60.0, wait=0.0)
    store = await opened.store(reql.url(), settings)
    tables = reql.databases["test"]

    def rows() -> Any:
        return {name: dict(tables[name].rows) for name in ("boards", "players")}

    before = rows()
    # What takes several queries is cut off after each of them; the last one is answered.
    for _ in range(5):
        reql.answering.clear()
        once = Once("key", "request")
        writing = asyncio.ensure_future(WRITES[what](store, once))
        number = len(reql.queries)
        while len(reql.queries) == number:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.02)
        reql.drop_connections()
        reql.answering.set()
        outcome: Any = (await asyncio.gather(writing, return_exceptions=True))[0]
        if isinstance(outcome, list):
            outcome = outcome[0]
        assert isinstance(outcome, OutcomeUnknown | StoreUnavailable), outcome
        await eventually(store.ping)
    first = await WRITES[what](store, Once("key", "request"))
    written = rows()
    assert written != before
    again = Once("key", "request")
    assert await WRITES[what](store, again) == first
    assert again.replayed
    assert rows() == written
    if what == "add":
        assert first == Submitted(Player("venus", "Venus", 32), 31, True)
    if what == "submit":
        scores = [result.player.score for result in first]
        assert scores == [1 + n // 7 for n in range(20)]


@pytest.mark.gen_test
async def test_the_newest_keys_of_a_player_are_kept(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    store, admin = await opened_store(opened, either_url, settings), Admin(either_url)
    number = MOST_ENTRIES + 3
    for n in range(number):
        await store.add_score("demo", "venus", 1, once=Once(f"key{n}", "request"))
    document = await admin.run(players.get("venus"))
    newest = [f"key{n}" for n in reversed(range(3, number))]
    assert [entry["key"] for entry in document[ONCE]] == newest
    for n in range(3, number):
        once = Once(f"key{n}", "request")
        done = await store.add_score("demo", "venus", 1, once=once)
        assert once.replayed
        assert done == Submitted(Player("venus", "Venus", 32 + n), 31 + n, True)
    # The oldest may go after a day.
    old = [{**entry, "at": entry["at"] - 1000 * 24 * 3600} for entry in document[ONCE][5:]]
    await admin.run(players.get("venus").update({ONCE: document[ONCE][:5] + old}))
    await store.add_score("demo", "venus", 1, once=Once("last", "request"))
    document = await admin.run(players.get("venus"))
    assert [entry["key"] for entry in document[ONCE]] == ["last", *newest[:5]]


@pytest.mark.parametrize("stored", [7, "x", {}, [], [7, None, ["x"]], [{}, {"key": 3, "at": "x"}]])
@pytest.mark.gen_test
async def test_whatever_others_store_where_the_keys_are_breaks_nothing(
    opened: Opened, either_url: str, settings: Settings, stored: Any
) -> None:
    store, admin = await opened_store(opened, either_url, settings), Admin(either_url)
    await admin.run(
        players.get("venus").update({ONCE: stored}), boards.get("demo").update({ONCE: stored})
    )
    for replayed in (False, True):
        once, other = Once("key", "request"), Once("key", "request")
        assert (await store.add_score("demo", "venus", 1, once=once)).player.score == 32
        assert (await store.update_board("demo", BoardPatch(name="N"), other)).name == "N"
        assert once.replayed is other.replayed is replayed


@pytest.mark.gen_test
async def test_a_key_under_either_primary_key_is_found(
    opened: Opened, either_url: str, settings: Settings
) -> None:
    store = await opened_store(opened, either_url, settings)
    other = await opened_store(opened, either_url, settings)
    await store.create_board(NewBoard(id="b"))
    for replayed in (False, True):
        for one in (store, other) if replayed else (store,):
            once = Once("make", "request")
            done = await one.add_score("b", "venus", 2, create=True, once=once)
            assert done == Submitted(Player("venus", "venus", 2), None, True)
            assert once.replayed is replayed
    once = Once("another", "request")
    with pytest.raises(AlreadyExists):
        await store.create_player("b", NewPlayer(id="venus", name="V"), once)
    assert not once.replayed


@pytest.mark.skipif(PROGRAM is None, reason="no rethinkdb on PATH that could be killed")
@pytest.mark.gen_test
async def test_what_is_sent_until_it_is_answered_counts_once_though_the_server_is_killed(
    opened: Opened, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = RethinkDBServer(tmp_path)
    server.start()
    try:
        settings = impatient(settings, monkeypatch, timeout=5.0, wait=60.0)
        store = await opened.store(server.url("board"), settings)
        chance = random.Random(8)
        added = dict.fromkeys(["venus", "mars", "new1", "new2"], 0)
        unsure = replayed = 0
        stopping = False

        async def client(number: int) -> None:
            nonlocal unsure, replayed
            step = 0
            while not stopping:
                step += 1
                player_id, bulk = chance.choice(list(added)), chance.random() < 0.3
                key = f"{number}-{step}"
                while True:
                    once = Once(key, "request")
                    try:
                        if bulk:
                            many = [Submission(id=p, score=1, operator="add") for p in added]
                            for result in await store.submit("demo", many, once):
                                if not isinstance(result, Submitted):
                                    raise result
                        else:
                            await store.add_score("demo", player_id, 1, create=True, once=once)
                        break
                    except OutcomeUnknown:
                        unsure += 1
                    except StoreUnavailable:
                        pass
                    await asyncio.sleep(0.02)
                replayed += once.replayed
                for one in added if bulk else [player_id]:
                    added[one] += 1

        # Fewer at a time than a player's document has keys: what is sent again is still in it.
        clients = [asyncio.ensure_future(client(number)) for number in range(8)]
        for _ in range(3):
            await asyncio.sleep(0.5 + chance.random())
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await eventually(store.ping)
        await asyncio.sleep(0.5)
        stopping = True
        await asyncio.gather(*clients)
        assert unsure
        for player_id, number in added.items():
            score = (await store.get_player("demo", player_id)).score
            assert score == number + {"venus": 31, "mars": 19}.get(player_id, 0)
        print(f"{sum(added.values())} additions, {unsure} unsure, {replayed} found again")
    finally:
        server.kill()
