"""A follower to which Redis says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from tornado_board.realtime.follower import Follower
from tornado_board.realtime.hub import Hub
from tornado_board.settings import Settings
from tornado_board.store import NotFound

from .conftest import KEYS, Opened


class Silent:
    """A listener that never hears anything."""

    def __init__(self) -> None:
        self.channels: set[str] = set()

    async def subscribe(self, channels: Iterable[str]) -> None:
        self.channels.update(channels)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        self.channels.difference_update(channels)


@pytest.mark.gen_test(timeout=30)
async def test_a_board_that_is_not_there_is_not_followed(
    opened: Opened, settings: Settings, redis_url: str
) -> None:
    store = await opened.store(settings.database_url, settings)
    log: Any = await opened.log(redis_url, settings)
    hub = Hub(live_boards=10, streams_per_board=10, keepalive=60)
    listener: Any = Silent()
    follower = hub.source = Follower(store, log, hub, listener)
    with pytest.raises(NotFound):
        await hub.open("nope")
    assert (await hub.open("demo")).current.id is None
    assert listener.channels == {KEYS.channel("demo")}
    await follower.close()
    hub.close()
