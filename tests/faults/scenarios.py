"""What breaks, and when. Each scenario is a coroutine that breaks something while clients and
writers go on; whatever it leaves broken is mended after it, and then everything is judged.
"""

from __future__ import annotations

# Each registers its own.
from . import copy_scenarios, redis_scenarios, rethinkdb_scenarios, server_scenarios
from .scenario import SCENARIOS, Clock, Scenario

__all__ = [
    "SCENARIOS",
    "Clock",
    "Scenario",
    "copy_scenarios",
    "redis_scenarios",
    "rethinkdb_scenarios",
    "server_scenarios",
]
