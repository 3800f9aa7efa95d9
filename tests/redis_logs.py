"""The replay log on a Redis of the tests."""

from __future__ import annotations

import dataclasses
from typing import Any

from tornado_board.replay.redis import RedisReplayLog
from tornado_board.settings import Settings

from .conftest import Opened


async def redis_log(opened: Opened, url: str, settings: Settings, **changes: Any) -> RedisReplayLog:
    log = await opened.log(url, dataclasses.replace(settings, **changes))
    assert isinstance(log, RedisReplayLog)
    return log
