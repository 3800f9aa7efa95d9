"""What parts a deployment has."""

from __future__ import annotations

from dataclasses import dataclass

#: Settings of a run's servers: quick to notice, so that much happens in little time.
FLAGS = ("--keepalive=1", "--lease=1.5", "--database-timeout=2", "--log-level=info")


@dataclass(frozen=True)
class Shape:
    """What a deployment is made of. Without RethinkDB nodes it is one server on SQLite."""

    servers: int = 3
    nodes: int = 1
    replica: bool = False
    #: Whether each server knows all nodes, and not only one of its own.
    together: bool = False

    @property
    def sqlite(self) -> bool:
        return self.nodes == 0
