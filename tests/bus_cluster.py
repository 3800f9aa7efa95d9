"""Several processes' worth of server in one event loop, on one store and one Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from tornado_board.cluster import Role
from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.settings import Settings

from .conftest import Opened
from .nodes import Node, SharedFeed
from .waiting import until

LEASE = 1.0


class Cluster:
    """Nodes on one store, closed after the test."""

    def __init__(self, store: SharedFeed, url: str, settings: Settings) -> None:
        self.store, self.url, self.settings = store, url, settings
        self.nodes: list[Node] = []

    async def node(self, url: str = "", **changes: Any) -> Node:
        changes = {"lease": LEASE, **changes}
        node = await Node.start(self.store, url or self.url, self.settings, **changes)
        self.nodes.append(node)
        return node

    async def pair(self, **changes: Any) -> tuple[Node, Node]:
        """One that publishes and one that follows, both with board ``b``."""
        first, second = await self.node(**changes), await self.node(**changes)
        assert (first.role, second.role) == (Role.PUBLISHER, Role.FOLLOWER)
        await self.store.create_board(NewBoard(id="b"))
        await self.store.create_player("b", NewPlayer(id="p", name="P"))
        await asyncio.gather(first.hub.open("b"), second.hub.open("b"))
        return first, second

    async def add(self, amount: int = 1, board: str = "b") -> str:
        """Add to the score of player ``p``; what the board shows then."""
        player = (await self.store.add_score(board, "p", amount)).player
        return f'"score":{player.score}'

    async def all_show(self, text: str, board: str = "b", *nodes: Node) -> None:
        for node in nodes or self.nodes:
            await until(lambda node=node: text in node.data(board))

    async def drop(self, node: Node) -> None:
        """Close it, cleanly."""
        self.nodes.remove(node)
        await node.close()


@pytest.fixture
def clusters(
    opened: Opened, io_loop: Any, settings: Settings
) -> Iterator[Callable[[str], Coroutine[Any, Any, Cluster]]]:
    made: list[Cluster] = []

    async def make(url: str) -> Cluster:
        store = await opened.store(settings.database_url, settings)
        made.append(Cluster(SharedFeed(store), url, settings))
        return made[-1]

    yield make

    async def close() -> None:
        for cluster in made:
            for node in cluster.nodes:
                await asyncio.wait_for(node.close(), 30)
            await cluster.store.close()

    io_loop.run_sync(close)


async def freeze(node: Node) -> None:
    """As if the process had been stopped, and without its giving the lease back."""
    assert node.bus._task is not None
    node.bus._task.cancel()
    await asyncio.gather(node.bus._task, return_exceptions=True)
    node.feed.detach(node.boards)


async def thaw(node: Node) -> None:
    node.bus._task = asyncio.create_task(node.bus._run())
