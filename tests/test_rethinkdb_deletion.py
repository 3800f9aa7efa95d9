"""A board that is deleted while it is large, and one of its id that somebody makes meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.models import BoardChanged, Change, Player
from tornado_board.settings import Settings
from tornado_board.store import AlreadyExists, NotFound, OutcomeUnknown, StoreUnavailable
from tornado_board.store.rethinkdb import RethinkDBStore
from tornado_board.store.rethinkdb.address import r

from .conftest import Opened
from .reql import ReQLServer
from .reql.values import ErrorType, ReQLError
from .rethinkdb_admin import Admin, opened_store

pytestmark = pytest.mark.usefixtures("io_loop")

boards, players = r.table("boards"), r.table("players")


@pytest.fixture
def admin(either_url: str) -> Admin:
    return Admin(either_url)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tornado_board.store.rethinkdb.deletion.SWEEP", 20)
    monkeypatch.setattr("tornado_board.store.rethinkdb.deletion._BACKOFF", (0.01, 0.05))


async def made(store: Any, board_id: str) -> None:
    """Make a board as soon as it can be made."""
    while True:
        try:
            await store.create_board(NewBoard(id=board_id))
            return
        except StoreUnavailable:
            await asyncio.sleep(0.005)


async def many_players(admin: Admin, number: int) -> None:
    await admin.run(
        boards.insert({"id": "b"}, conflict="replace"),
        players.insert([{"id": f"p{n}", "board": "b", "score": 1} for n in range(number)]),
    )


class Steps:
    """The queries of one store's deletions, to wait for and to hold."""

    def __init__(self, store: RethinkDBStore, *, most: int | None = None) -> None:
        """`most` are run until `go_on` is set; all at once if that is ``None``."""
        self._deletions, self._run = store._deletions, store._deletions._run
        self._most = most
        self._count = 0
        #: Set once the first was run, and once a caller's deletion has begun.
        self.begun, self.claimed = asyncio.Event(), asyncio.Event()
        self.go_on = asyncio.Event()

    def __enter__(self) -> Steps:
        self._deletions._run = self
        return self

    def __exit__(self, *error: object) -> None:
        self._deletions._run = self._run

    async def __call__(self, term: Any, *, write: bool = False, last_step: bool = False) -> Any:
        self._count += 1
        if self._most is not None and self._count > self._most:
            await self.go_on.wait()
        result = await self._run(term, write=write, last_step=last_step)
        self.begun.set()
        if last_step:
            self.claimed.set()
        return result


@pytest.mark.parametrize("deleters", [1, 2])
@pytest.mark.gen_test
async def test_what_was_answered_on_a_board_made_during_a_deletion_stays(
    opened: Opened, either_url: str, settings: Settings, admin: Admin, deleters: int
) -> None:
    stores = [await opened_store(opened, either_url, settings) for _ in range(1 + deleters)]
    for _ in range(3):
        await many_players(admin, 300)
        with contextlib.ExitStack() as stack:
            steps = [stack.enter_context(Steps(store)) for store in stores[1:]]
            deleting = [asyncio.ensure_future(store.delete_board("b")) for store in stores[1:]]
            # Each has begun: one that came later would delete the board that is made meanwhile.
            for step in steps:
                await step.claimed.wait()
        await made(stores[0], "b")
        answered = [
            await stores[0].create_player("b", NewPlayer(id=f"p{n}", name="New")) for n in range(20)
        ]
        assert (await stores[0].add_score("b", "p0", 5)).player.score == 5
        done = await asyncio.gather(*deleting, return_exceptions=True)
        assert done == [None] * deleters
        ranking = (await stores[0].ranking("b", 500)).players
        assert ranking[0] == Player("p0", "New", 5)
        assert sorted(p.id for p in ranking) == sorted(p.id for p in answered)
        await stores[0].delete_board("b")
        assert await admin.run(boards.get("b")) is None


@pytest.mark.gen_test
async def test_who_completes_a_deletion_leaves_a_board_made_since_alone(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store, other = [await opened_store(opened, either_url, settings) for _ in range(2)]
    await many_players(admin, 300)
    with Steps(store, most=1) as steps, Steps(other, most=3) as theirs:
        deleting = asyncio.ensure_future(other.delete_board("b"))
        await theirs.claimed.wait()
        with pytest.raises(StoreUnavailable, match="still being deleted"):
            await store.create_board(NewBoard(id="b"))
        await steps.begun.wait()  # it has found that too, and is about to help
        theirs.go_on.set()
        await deleting
        # Either the id is taken until it has helped, or it must not help any more.
        is_made = False
        with contextlib.suppress(StoreUnavailable):
            await store.create_board(NewBoard(id="b"))
            await store.create_player("b", NewPlayer(id="p", name="P"))
            is_made = True
        steps.go_on.set()
    while store._deletions._completing:
        await asyncio.sleep(0.01)
    if not is_made:
        await store.create_board(NewBoard(id="b"))
        await store.create_player("b", NewPlayer(id="p", name="P"))
    assert [p.id for p in (await store.ranking("b", 500)).players] == ["p"]


@pytest.mark.gen_test
async def test_a_board_that_is_being_deleted_is_none_to_anybody(
    opened: Opened, either_url: str, settings: Settings, admin: Admin
) -> None:
    store = await opened_store(opened, either_url, settings)
    feed = await store.changes()
    now = await admin.run(r.now().to_epoch_time())
    claims = [{"by": "another process", "at": now}]
    await admin.run(
        boards.insert({"id": "b", "name": "B"}),
        boards.get("b").replace({"id": "b", "being_deleted_by": claims}),
    )
    for call in (
        lambda: store.get_board("b"),
        lambda: store.ranking("b", 5),
        lambda: store.create_player("b", NewPlayer(name="P")),
    ):
        with pytest.raises(NotFound):
            await call()
    assert [board.id for board in await store.list_boards(10)] == ["demo"]
    with pytest.raises(StoreUnavailable, match="still being deleted"):
        await store.create_board(NewBoard(id="b"))
    changes: list[Change] = []
    while BoardChanged("b", None) not in changes:
        changes += await feed.next()
    assert changes[-1] == BoardChanged("b", None)
    # Only once the other's claim has run out its id is free.
    await asyncio.sleep(0.2)
    (claim,) = [
        claim
        for claim in (await admin.run(boards.get("b")))["being_deleted_by"]
        if claim["by"] == "another process"
    ]
    assert claim["at"] == now
    await admin.run(boards.get("b").update({"being_deleted_by": [{"by": "another", "at": 0}]}))
    await made(store, "b")


@pytest.mark.gen_test
async def test_a_deletion_that_died_is_completed_by_whoever_comes_next(
    opened: Opened,
    either_url: str,
    settings: Settings,
    admin: Admin,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tornado_board.store.rethinkdb.deletion.EXPIRY", 0.3)
    monkeypatch.setattr("tornado_board.store.rethinkdb.deletion._EXPIRY_TIMEOUTS", 0)
    other = await opened_store(opened, either_url, settings)
    for comes_next in ("a start", "a creation", "a deletion"):
        await many_players(admin, 300)
        dying = await opened_store(opened, either_url, settings)
        deleting = asyncio.ensure_future(dying.delete_board("b"))
        while await admin.run(players.filter({"board": "b"}).count()) == 300:
            await asyncio.sleep(0)
        deleting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await deleting
        await dying.close()
        assert "being_deleted_by" in await admin.run(boards.get("b"))
        if comes_next == "a start":
            await opened_store(opened, either_url, settings)
        elif comes_next == "a creation":
            with pytest.raises(StoreUnavailable, match="still being deleted"):
                await other.create_board(NewBoard(id="b"))
        else:
            await other.delete_board("b")
            assert await admin.run(players.filter({"board": "b"}).count()) == 0
        while await admin.run(boards.get("b")) is not None:
            await asyncio.sleep(0.02)
        assert await admin.run(players.filter({"board": "b"}).count()) == 0


@pytest.mark.gen_test
async def test_a_deletion_that_broke_off_says_so_and_is_completed(
    opened: Opened, settings: Settings, reql: ReQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tornado_board.store.rethinkdb.deletion.EXPIRY", 0.3)
    monkeypatch.setattr("tornado_board.store.rethinkdb.deletion._EXPIRY_TIMEOUTS", 0)
    store = await opened_store(opened, reql.url(), settings)
    refused = ReQLError("Cannot perform write: no quorum", ErrorType.OP_FAILED)
    reql.next_errors = [refused]
    with pytest.raises(StoreUnavailable, match="no quorum"):
        await store.delete_board("demo")
    assert len((await store.ranking("demo", 10)).players) == 5
    reql.next_errors = [None, refused, refused]  # the claim is made
    with pytest.raises(OutcomeUnknown, match="not yet all of its players"):
        await store.delete_board("demo")
    with pytest.raises(NotFound):
        await store.ranking("demo", 10)
    while reql.databases["test"]["boards"].get("demo") is not None:
        await asyncio.sleep(0.01)
    assert not reql.databases["test"]["players"].rows
    await store.create_board(NewBoard(id="demo"))


@pytest.mark.gen_test
async def test_a_player_that_is_taken_back_takes_no_other_along(
    opened: Opened, settings: Settings, reql: ReQLServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The board went while the player was made; both are made again before it is taken back."""
    store = await opened_store(opened, reql.url(), settings)
    run = store._connection.run
    tables = reql.databases["test"]

    async def slow(term: Any, **options: Any) -> Any:
        result = await run(term, **options)
        if isinstance(result, dict) and "after" in result:
            result["after"]["rules"] = {}  # as if it had been deleted in between
            tables["players"].set("p", {"id": "p", "board": "demo", "name": "New", "score": 0})
        return result

    monkeypatch.setattr(store._connection, "run", slow)
    with pytest.raises(AlreadyExists):
        await store.create_player("demo", NewPlayer(id="p", name="Old"))
    assert (await store.get_player("demo", "p")).name == "New"
