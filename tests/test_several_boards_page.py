"""`BoardStream` in a browser: many boards of a page on one connection."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from .chromium import Chromium
from .node import STATIC
from .server_process import ServerProcess
from .stream_client import add, http_client, make_board

BOARDS = [f"b{i}" for i in range(20)]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nobody reads it."""


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[str]:
    """Where a browser finds the sources of the client."""

    def serve(*arguments: object) -> _Quiet:
        return _Quiet(*arguments, directory=str(STATIC / "src"))  # type: ignore[arg-type]

    (tmp_path / "page").mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), serve)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.alone
@pytest.mark.gen_test
async def test_twenty_boards_take_one_connection(
    server_process: Callable[..., ServerProcess], scripts: str, browser: Chromium
) -> None:
    server = server_process(f"--allowed-origins={scripts}")
    async with http_client(server.url) as http:
        for board in BOARDS:
            await make_board(http, board)
        tab = await browser.open(f"{scripts}/slots.js")
        await tab.run(
            f"""
            globalThis.shown = {{}};
            globalThis.resets = 0;
            import("{scripts}/board-stream.js").then(({{ BoardStream }}) => {{
              globalThis.streams = {BOARDS}.map((board) => {{
                const stream = new BoardStream("{server.url}/boards/" + board + "/events/");
                stream.addEventListener("update", ({{ detail }}) => {{
                  (shown[board] ??= []).push(detail.board.players[0].score);
                }});
                stream.addEventListener("reset", () => (resets += 1));
                return stream;
              }});
            }});
            """
        )
        await tab.until("streams?.every(({ state }) => state === 'live')")
        await tab.until(f"Object.keys(shown).length === {len(BOARDS)}")
        for board in BOARDS:
            await add(http, board)
        await tab.until("Object.values(shown).every((scores) => scores.at(-1) === 1)")
        # One that goes, and one that is gone.
        await tab.run("streams[0].close()")
        await http.delete(f"/boards/{BOARDS[1]}/")
        await tab.until("streams[1].state === 'missing'")
        for board in BOARDS[2:]:
            await add(http, board)
        await tab.until("Object.values(shown).slice(2).every((scores) => scores.at(-1) === 2)")
        # Those that a slow machine lets come later have the stream opened again, for all of them.
        log = server.text
        assert log.count("GET /events/ stream") < len(BOARDS) / 2
        assert sum(f"GET /boards/{board}/events/ stream" in log for board in BOARDS) <= 2
        told = (await http.get("/metrics")).text
        streams = re.findall(r"^tornado_board_streams\{.*\} (\d+)\.0$", told, re.MULTILINE)
        assert sum(map(int, streams)) == 1
        # And through a restart, though a server that has just started may refuse some at first.
        server.stop()
        server.restart()
        for board in BOARDS[2:]:
            await add(http, board)
        await tab.until("Object.values(shown).slice(2).every((scores) => scores.at(-1) === 3)")
        assert await tab.run("Object.values(shown)[5].join()") == "0,1,2,3"
        assert await tab.run("resets") == 0
        await tab.close()
