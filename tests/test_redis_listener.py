"""What Redis publishes, heard over a connection whose channels come and go."""

from __future__ import annotations

import asyncio

import pytest

from tornado_board.cluster.listener import Listener
from tornado_board.replay.redis_link import RedisLink

from .conftest import KEYS
from .redis_server import RedisServer
from .waiting import until

A, B = KEYS.channel("a"), KEYS.channel("b")


@pytest.mark.gen_test
async def test_a_channel_left_and_joined_at_the_same_time_is_heard(
    redis_url: str, shared_redis: RedisServer
) -> None:
    link = RedisLink(redis_url, 4)
    heard: list[str] = []
    subscribed: list[str] = []
    listener = Listener(link, lambda _, payload: heard.append(payload), subscribed.append)
    await listener.subscribe([A, B])
    await until(lambda: subscribed == [A, B])
    leaving = asyncio.ensure_future(listener.unsubscribe([A]))
    await listener.subscribe([A])
    await leaving
    await until(lambda: subscribed == [A, B, A])
    await asyncio.sleep(0.05)
    shared_redis.client.publish(A, "news")
    await until(lambda: heard == ["news"])
    await listener.close()
    await link.close()


@pytest.mark.gen_test
async def test_a_channel_is_left_though_who_leaves_it_is_stopped(
    redis_url: str, shared_redis: RedisServer
) -> None:
    link = RedisLink(redis_url, 4)
    subscribed: list[str] = []
    listener = Listener(link, lambda *_: None, subscribed.append)
    await listener.subscribe([A, B])
    await until(lambda: subscribed == [A, B])
    asyncio.ensure_future(listener.unsubscribe([A])).cancel()
    await listener.subscribe([A])  # as a follower does when it follows the board anew
    await until(lambda: subscribed == [A, B, A])
    await listener.close()
    await link.close()
