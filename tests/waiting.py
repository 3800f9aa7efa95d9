"""Waiting for what becomes true by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[..., object], seconds: float = 30) -> float:
    """Wait until `condition` holds; how many seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.005)
    return time.monotonic() - began
