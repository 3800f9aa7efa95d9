"""An origin and the edges that follow it, in a test's own event loop or as processes."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.web.edge.services import EdgeServices

Serve = Callable[[Settings], Awaitable[Running]]


def edge_settings(
    tmp_path: Path, *upstreams: str, name: str = "edge", **changes: object
) -> Settings:
    """The settings of an edge with a log of its own."""
    settings = Settings(
        upstream=upstreams,
        redis_url=f"sqlite:///{tmp_path}/{name}.sqlite3",
        port=0,
        address="127.0.0.1",
    )
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]


def url_of(server: Running) -> str:
    return server.url.rstrip("/").replace("localhost", "127.0.0.1")


def edge_of(server: Running) -> EdgeServices:
    """What an edge works with."""
    return cast(EdgeServices, server.services)
