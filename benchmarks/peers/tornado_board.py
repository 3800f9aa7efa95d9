"""This server: its hub fed directly, and all of it from the request that changes a player."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import sys
import time
import urllib.parse
from pathlib import Path
from typing import Any

from benchmarks import payload
from benchmarks.peers import InProcess, OverHTTP, obey
from benchmarks.processes import Failed, Process, free_port, python, wait_for_port

#: The board's id.
BOARD = "bench"

#: What the server lets one address have: all of the load comes from this machine.
FOR_ONE_ADDRESS = {"max_connections_per_address": 20_000, "live_boards_per_address": 10_000}


class HubDirect(InProcess):
    """The application with its real store and log; events go straight to its hub."""

    name = "tornado_board, its hub"
    module = __name__
    path = f"/boards/{BOARD}-%d/events"

    def __init__(
        self,
        boards: int = 1,
        *,
        loop: str = "asyncio",
        heap: bool = False,
        players: int = 5,
        metrics: bool = True,
    ) -> None:
        """`loop` is ``asyncio`` or ``uvloop``. With `heap` what is allocated can be asked for.
        Events show `players`. Without `metrics` nothing is counted."""
        self.boards = boards
        self.arguments = (str(boards), loop, str(players), "counting" if metrics else "")
        self.environ = {"PYTHONTRACEMALLOC": "1"} if heap else {}


class WholeServer(OverHTTP):
    """``run.py`` as it is, with `options` on its command line; an event is a PATCH that renames
    the first player, through store, changefeed, top-K cache and replay log."""

    name = "tornado_board, from PATCH to the stream"
    path = f"/boards/{BOARD}/events"
    publish_path = f"/boards/{BOARD}/players/player-1/"
    publish_method = "PATCH"
    #: The module that is run.
    program = "tornado_board"

    def __init__(self, *options: str, loop: str = "asyncio") -> None:
        # At 20 events/s and 50 ms to coalesce in, two changes would become one event now and then.
        self.options = options or ("--coalesce=0",)
        self._loop = loop

    def start(self, folder: Path) -> None:
        self.serve(folder)
        make_board(self.port, BOARD, 5)

    def serve(self, folder: Path) -> None:
        """Start it, on the database that `folder` holds or a new one."""
        self.port = self.publish_port = free_port()
        command = python(self.program, f"--port={self.port}", "--address=127.0.0.1")
        command += [f"--uvloop={self._loop == 'uvloop'}", "--log-level=warning", *self.options]
        command += [f"--{name.replace('_', '-')}={most}" for name, most in FOR_ONE_ADDRESS.items()]
        self.process = Process(command, log=folder / "server.log", cwd=folder)
        wait_for_port(self.port, self.process)

    def body(self, seq: int) -> bytes:
        return json.dumps({"name": payload.marker(seq)}).encode()


def call(port: int, method: str, path: str, body: object = None, *fields: str) -> Any:
    """One request with these `fields` in its header, whose answer has to be good; what it
    answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        text = None if body is None else json.dumps(body)
        headers = dict(field.split(": ", 1) for field in fields)
        connection.request(method, path, text, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        words = response.read()
    finally:
        connection.close()
    if response.status >= 300:
        raise Failed(f"{method} {path}: {response.status} {words.decode()}")
    return json.loads(words)


def make_board(port: int, board: str, players: int) -> None:
    """A board on the server at `port`, with ``player-1`` and so on, the best first."""
    call(port, "POST", "/boards/", {"id": board, "name": board})
    for i in range(1, players + 1):
        player = {"id": f"player-{i}", "name": f"Player {i}", "score": 1_000_000 - i}
        call(port, "POST", f"/boards/{board}/players/", player)


async def main(boards: int, players: int, *, metrics: bool) -> None:
    """Serve, and publish each event to `boards` boards, ``bench-0`` and so on."""
    import dataclasses

    from tornado_board.inputs import NewBoard
    from tornado_board.replay import Event, EventId
    from tornado_board.server import running
    from tornado_board.settings import Settings

    # As `python run.py` has it, but for the port, the log's detail and what one address may have.
    here: dict[str, Any] = {
        "address": "127.0.0.1",
        "port": 0,
        "metrics": metrics,
        **FOR_ONE_ADDRESS,
    }
    settings = dataclasses.replace(Settings(), **here)
    logging.basicConfig(level=logging.WARNING)
    async with running(settings) as server:
        ids = [f"{BOARD}-{number}" for number in range(boards)]
        for board_id in ids:
            await server.services.store.create_board(NewBoard(id=board_id))
        first = time.time_ns() // 1_000_000 + 1_000_000  # after any that the log gives out

        async def publish_one(seq: int) -> None:
            event = Event(EventId(first, seq), payload.data(seq, players))
            for board_id in ids:
                await server.services.hub.publish(board_id, event)
            await asyncio.sleep(0)

        port = urllib.parse.urlsplit(server.url).port
        assert port is not None
        await obey(port, publish_one)


if __name__ == "__main__":
    if sys.argv[2] == "uvloop":
        import uvloop

        uvloop.install()
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[3]), metrics=bool(sys.argv[4])))
