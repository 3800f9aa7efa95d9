"""Live boards on a store and a log that can be cut off."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
import ujson

from tornado_board.cluster.local import LocalBus
from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.ranking.actions import State
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.replay import Event, LogUnavailable, ReplayLog
from tornado_board.settings import Settings
from tornado_board.store import Feed, FeedLost, Store, StoreUnavailable

from .conftest import Opened
from .waiting import PATIENCE, until


class Plug:
    """Passes everything on to a store or a log until it is pulled; then raises `error`."""

    def __init__(self, to: Any, error: type[Exception]) -> None:
        self.to = to
        self.error = error
        self.pulled = False
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.to, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if self.pulled:
                raise self.error("the plug is pulled")
            return await method(*args, **kwargs)

        return call


class CutFeed:
    """A feed that can be cut."""

    def __init__(self, to: Feed, cut: asyncio.Event) -> None:
        self.to, self.cut = to, cut

    async def next(self) -> Any:
        reading = asyncio.ensure_future(self.to.next())
        cutting = asyncio.ensure_future(self.cut.wait())
        try:
            await asyncio.wait({reading, cutting}, return_when=asyncio.FIRST_COMPLETED)
            if self.cut.is_set():
                raise FeedLost("cut")
            return await reading
        finally:
            for task in (reading, cutting):
                task.cancel()
            await asyncio.gather(reading, cutting, return_exceptions=True)

    async def close(self) -> None:
        await self.to.close()


class CutStore(Plug):
    """A store whose feed can be cut."""

    def __init__(self, to: Any, error: type[Exception]) -> None:
        super().__init__(to, error)
        self.cut = asyncio.Event()

    async def changes(self) -> Any:
        if self.pulled:
            raise StoreUnavailable("the plug is pulled")
        return CutFeed(await self.to.changes(), self.cut)


class Rig:
    """Everything from the store to the hub, and the events that came out of it."""

    def __init__(self, store: Any, log: Any, settings: Settings) -> None:
        self.store: Any = CutStore(store, StoreUnavailable)
        self.log: Any = Plug(log, LogUnavailable)
        self.hub = Hub(
            live_boards=settings.live_boards, streams_per_board=10, keepalive=settings.keepalive
        )
        self.events: list[tuple[str, Event]] = []
        publish = self.hub.publish

        async def recorded(board_id: str, event: Event, reset: str | None = None) -> None:
            await publish(board_id, event, reset)
            self.events.append((board_id, event))

        self.hub.publish = recorded  # type: ignore[method-assign]
        self.bus = LocalBus()
        self.feed = Changefeed(self.store)
        self.boards = LiveBoards(self.store, self.log, self.hub, self.bus, self.feed, settings)
        self.hub.source = self.boards

    @property
    def connected(self) -> bool:
        return not self.boards.missing()

    def of(self, board_id: str) -> list[Event]:
        return [event for id, event in self.events if id == board_id]

    def scores(self, board_id: str) -> dict[str, Any]:
        """What the subscribers of the board see now."""
        current = self.hub.current(board_id)
        assert current is not None
        return {p["id"]: p["score"] for p in ujson.loads(current.data)["players"]}

    async def close(self) -> None:
        await self.boards.close()
        await self.feed.close()
        await self.hub.close()


@pytest.fixture
def rig(io_loop: Any, opened: Opened, settings: Settings) -> Iterator[Any]:
    rigs: list[Rig] = []

    async def make(**changed: Any) -> Rig:
        own = dataclasses.replace(settings, **changed)
        store: Store = await opened.store(own.database_url, own)
        log: ReplayLog = await opened.log(own.replay_url, own)
        rigs.append(Rig(store, log, own))
        await rigs[-1].bus.start(rigs[-1].boards)
        await until(lambda: rigs[-1].connected)
        return rigs[-1]

    yield make

    async def close() -> None:
        for made in rigs:
            await made.close()

    io_loop.run_sync(close)


Make = Callable[..., Awaitable[Rig]]


async def heard(rig: Rig) -> None:
    """Return when what was changed up to now was heard of, and nothing is left to do about it."""
    # A feed tells of changes in their order.
    if "marker" not in rig.hub.board_ids():
        await board(rig, players=1, id="marker")
        await rig.hub.open("marker")
    score = (await rig.store.add_score("marker", "p0", 1)).player.score
    await until(lambda: rig.scores("marker")["p0"] == score)
    await until(
        lambda: all(live.state.state is State.QUIET for live in rig.boards._boards.values())
    )


async def board(rig: Rig, players: int = 3, id: str = "b") -> None:
    await rig.store.create_board(NewBoard(id=id, name="Board"))
    for i in range(players):
        await rig.store.create_player(id, NewPlayer(id=f"p{i}", name=f"P{i}", score=10 * i))


def followed_elsewhere(rig: Rig, board_id: str) -> None:
    """Have the log say that other processes follow the board."""

    async def watched(board_ids: Sequence[str]) -> set[str]:
        return {board_id} & set(board_ids)

    async def all_watched() -> Sequence[str]:
        return [board_id]

    rig.bus.followed = watched  # type: ignore[method-assign]
    rig.bus.all_followed = all_watched  # type: ignore[method-assign]


async def is_logged(rig: Rig, board_id: str, text: str) -> None:
    """Wait until the newest event of the board has `text` in it."""
    head = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while (head := await rig.log.head(board_id)) is None or text not in head.data:
                await asyncio.sleep(0.01)
            return
    raise AssertionError(f"{text} is not in the log: {head}")
