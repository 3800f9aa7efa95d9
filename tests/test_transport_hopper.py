"""A short run of `transport_hopper`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .server_process import ServerProcess
from .stream_client import http_client, make_board
from .transport_hopper import follow


@pytest.mark.gen_test
async def test_clients_hop_between_processes_and_transports(
    server_process: Callable[..., ServerProcess],
    shared_database_url: str,
    redis_url: str,
    tmp_path: Path,
) -> None:
    flags = (f"--database-url={shared_database_url}", f"--redis-url={redis_url}")
    servers = []
    for number in range(2):
        folder = tmp_path / f"server{number}"
        folder.mkdir()
        servers.append(server_process(*flags, folder=folder))
    async with http_client(servers[0].url) as http:
        for board in "ab":
            await make_board(http, board)
    hoppers = await follow([server.url for server in servers], "ab", clients=12, seconds=6)
    assert sum(hopper.events for hopper in hoppers) > 100
    assert len({way for hopper in hoppers for way in hopper.ways}) == 8
