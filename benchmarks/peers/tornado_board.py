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

from benchmarks import payload
from benchmarks.peers import InProcess, OverHTTP, obey
from benchmarks.processes import Process, free_port, python, wait_for_port

#: The board's id.
BOARD = "bench"


class HubDirect(InProcess):
    """The application with its real store and log; events go straight to its hub."""

    name = "tornado_board, its hub"
    module = __name__
    path = f"/boards/{BOARD}-%d/events"

    def __init__(self, boards: int = 1) -> None:
        self.boards = boards

    def start(self, folder: Path) -> None:
        command = python(self.module, str(self.boards))
        self.process = Process(command, log=folder / "server.log", cwd=folder)
        self.port = self.process.answer()["port"]


class WholeServer(OverHTTP):
    """``run.py`` as it is, with `options` on its command line; an event is a PATCH that renames
    the first player, through store, changefeed, standings and replay log."""

    name = "tornado_board, from PATCH to the stream"
    path = f"/boards/{BOARD}/events"
    publish_path = f"/boards/{BOARD}/players/player-1/"
    publish_method = "PATCH"

    def __init__(self, *options: str) -> None:
        # At 20 events/s and 50 ms to squash in, two changes would become one event now and then.
        self.options = options or ("--squash=0",)

    def start(self, folder: Path) -> None:
        self.port = self.publish_port = free_port()
        command = python("tornado_board", f"--port={self.port}", "--address=127.0.0.1")
        command += ["--log-level=warning", *self.options]
        self.process = Process(command, log=folder / "server.log", cwd=folder)
        wait_for_port(self.port, self.process)
        self.call("POST", "/boards/", {"id": BOARD, "name": "bench"})
        for i in range(1, 6):
            self.add_player(BOARD, f"player-{i}", 1_000_000 - i)

    def add_player(self, board: str, player: str, score: int) -> None:
        body = {"id": player, "name": player, "score": score}
        self.call("POST", f"/boards/{board}/players/", body)

    def call(self, method: str, path: str, body: object) -> None:
        """One request, whose answer has to be good."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body), headers)
        response = connection.getresponse()
        words = response.read()
        connection.close()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {words.decode()}")

    def body(self, seq: int) -> bytes:
        return json.dumps({"name": payload.marker(seq)}).encode()


async def main(boards: int) -> None:
    """Serve, and publish each event to `boards` boards, ``bench-0`` and so on."""
    import dataclasses

    from tornado_board.models import NewBoard
    from tornado_board.replay import Event, EventId
    from tornado_board.server import running
    from tornado_board.settings import Settings

    # As `python run.py` has it, but for the port and the log's detail.
    settings = dataclasses.replace(Settings(), address="127.0.0.1", port=0)
    logging.basicConfig(level=logging.WARNING)
    async with running(settings) as server:
        ids = [f"{BOARD}-{number}" for number in range(boards)]
        for board_id in ids:
            await server.services.store.create_board(NewBoard(id=board_id))
        first = time.time_ns() // 1_000_000 + 1_000_000  # after any that the log gives out

        async def publish_one(seq: int) -> None:
            event = Event(EventId(first, seq), payload.data(seq))
            for board_id in ids:
                await server.services.hub.publish(board_id, event)
            await asyncio.sleep(0)

        port = urllib.parse.urlsplit(server.url).port
        assert port is not None
        await obey(port, publish_one)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
