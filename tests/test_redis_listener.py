"""What Redis publishes, heard over a connection whose channels come and go."""

from __future__ import annotations

import asyncio

import pytest

from tornado_board.replay.redis_link import RedisLink
from tornado_board.replay.redis_listener import Listener

from .nodes import until
from .redis_server import RedisServer


@pytest.mark.gen_test(timeout=30)
async def test_a_channel_left_and_joined_at_the_same_time_is_heard(
    redis_url: str, shared_redis: RedisServer
) -> None:
    link = RedisLink(redis_url, 4)
    heard: list[str] = []
    subscribed: list[str] = []
    listener = Listener(link, lambda _, payload: heard.append(payload), subscribed.append)
    await listener.subscribe(["a", "b"])
    await until(lambda: subscribed == ["a", "b"])
    leaving = asyncio.ensure_future(listener.unsubscribe(["a"]))
    await listener.subscribe(["a"])
    await leaving
    await until(lambda: subscribed == ["a", "b", "a"])
    await asyncio.sleep(0.05)
    shared_redis.client.publish("a", "news")
    await until(lambda: heard == ["news"])
    await listener.close()
    await link.close()


@pytest.mark.gen_test(timeout=30)
async def test_a_channel_is_left_though_who_leaves_it_is_stopped(
    redis_url: str, shared_redis: RedisServer
) -> None:
    link = RedisLink(redis_url, 4)
    subscribed: list[str] = []
    listener = Listener(link, lambda *_: None, subscribed.append)
    await listener.subscribe(["a", "b"])
    await until(lambda: subscribed == ["a", "b"])
    asyncio.ensure_future(listener.unsubscribe(["a"])).cancel()
    await listener.subscribe(["a"])  # as a follower does when it follows the board anew
    await until(lambda: subscribed == ["a", "b", "a"])
    await listener.close()
    await link.close()
