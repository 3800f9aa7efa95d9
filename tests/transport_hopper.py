"""Clients that hop between processes, transports, and plain streams and gzip, at random.

As a command, against two processes on one RethinkDB and one Redis of its own:
``python -m tests.transport_hopper --clients 300 --seconds 60``
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tornado_board.realtime.positions import Gone
from tornado_board.replay import EventId

from .redis_server import RedisServer
from .rethinkdb_server import RethinkDBServer
from .server_process import ServerProcess
from .several_boards import Follower, Seen
from .stream_client import PATIENCE, RawStream, Writer, http_client, make_board

#: Seconds for which a client stays where it is, at the most.
_LONGEST = 2.0

WAYS = ("stream", "gzip stream", "websocket", "long-poll")


class Hopper:
    """Follows several boards, together or one of them at a time, and checks what it is told.

    Each event of a board comes once and in order, or a reset says that some are missing: that is
    checked as they come (`Follower`), and at the end `missed` tells how many were left out.
    """

    def __init__(self, boards: Sequence[str], seed: int) -> None:
        self.boards = boards
        self.random = random.Random(seed)
        self.follower = Follower()
        #: How often it was listening in each way.
        self.ways: Counter[str] = Counter()
        self.events = 0

    @property
    def missed(self) -> int:
        return self.follower.skipped

    async def hop(self, urls: Sequence[str]) -> None:
        """Listen in some way to some process, for a while."""
        url = self.random.choice(urls).rstrip("/")
        way = self.random.choice(WAYS)
        alone = self.random.random() < 0.5
        boards = [self.random.choice(self.boards)] if alone else list(self.boards)
        path = f"/boards/{boards[0]}/events/" if alone else f"/events/?{_query(boards)}"
        since = self._position(boards[0]) if alone else self.follower.last_id
        self.ways[f"{way}, {'one board' if alone else 'several'}"] += 1
        listen: Callable[..., Awaitable[None]] = {
            "stream": self._stream,
            "gzip stream": self._stream_in_gzip,
            "websocket": self._websocket,
            "long-poll": self._poll,
        }[way]
        seconds = self.random.uniform(0.0, _LONGEST)
        with contextlib.suppress(
            TimeoutError, OSError, EOFError, WebSocketException, asyncio.IncompleteReadError
        ):
            async with asyncio.timeout(seconds):
                await listen(url, path, since, boards[0] if alone else "")

    async def catch_up(self, url: str) -> None:
        """Poll until there is nothing newer."""
        quiet = 0
        while quiet < 2:
            before = self.events
            path = f"/events/?{_query(self.boards)}"
            await self._poll(url.rstrip("/"), path, self.follower.last_id, "", wait=0)
            quiet = quiet + 1 if self.events == before else 0

    def _position(self, board: str) -> str:
        position = self.follower.at.get(board)
        return str(position) if isinstance(position, EventId) else ""

    def _take(self, seen: Seen, board: str) -> None:
        """`board` is the one whose stream this is; empty on a stream of several."""
        self.events += 1
        if board:
            seen = self._as_of_several(seen, board)
        self.follower.take(seen)

    def _as_of_several(self, seen: Seen, board: str) -> Seen:
        """An event of one board as it would be on a stream of all."""
        if seen.event == "reset":
            return seen._replace(data={**seen.data, "id": board})
        at = dict(self.follower.at)
        at.pop(board, None)
        if seen.id:
            at[board] = EventId.parse(seen.id)
        items = (f"{b}:{'gone' if isinstance(p, Gone) else p}" for b, p in at.items())
        return seen._replace(id=",".join(items))

    async def _stream(self, url: str, path: str, since: str, board: str, *headers: str) -> None:
        if since:
            headers = (*headers, f"Last-Event-ID: {since}")
        raw = await RawStream.open(url, path, "Accept: text/event-stream", *headers)
        try:
            while raw.status == 200:
                fields = (await raw.block()).fields
                if "data" in fields:
                    data = json.loads(fields["data"])
                    self._take(Seen(fields["event"], data, fields.get("id")), board)
        finally:
            raw.close()

    async def _stream_in_gzip(self, url: str, path: str, since: str, board: str) -> None:
        await self._stream(url, path, since, board, "Accept-Encoding: gzip")

    async def _websocket(self, url: str, path: str, since: str, board: str) -> None:
        if since:
            path += ("&" if "?" in path else "?") + urlencode({"since": since})
        address = f"ws://{urlsplit(url).netloc}{path}"
        async with connect(address, close_timeout=0.1, max_size=None) as client:
            async for text in client:
                self._take_json(json.loads(text), board)

    async def _poll(
        self, url: str, path: str, since: str, board: str, wait: float = _LONGEST
    ) -> None:
        while True:
            query = {"wait": f"{wait:.1f}", **({"since": since} if since else {})}
            target = path + ("&" if "?" in path else "?") + urlencode(query)
            answer = await _get(url, target)
            for event in answer["events"]:
                self._take_json(event, board)
            since = answer["last_event_id"]
            if not wait:
                return

    def _take_json(self, event: dict[str, Any], board: str) -> None:
        event_id = event["id"]
        if event_id is None and event["event"] != "reset":
            event_id = ""
        self._take(Seen(event["event"], event["data"], event_id), board)


def _query(boards: Sequence[str]) -> str:
    return urlencode([("board", board) for board in boards])


async def _get(url: str, target: str) -> Any:
    """The JSON at `target`, on a connection of its own. Raises `OSError` for any other answer."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(
            f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise OSError(head[:100])
        return json.loads(body)
    finally:
        writer.close()


async def follow(
    urls: Sequence[str], boards: Sequence[str], clients: int, seconds: float
) -> list[Hopper]:
    """Have so many hop while the boards change. Raises `AssertionError` where one was told
    something out of order, twice, or not at all."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    hoppers = [Hopper(boards, seed) for seed in range(clients)]

    async def write(board: str, url: str) -> None:
        writer = Writer(url)
        while loop.time() < end:
            with contextlib.suppress(OSError, EOFError):
                await writer.add(board)
            await asyncio.sleep(random.uniform(0.0, max(0.3, clients / 100)))
        writer.close()

    async def hop(hopper: Hopper) -> None:
        while loop.time() < end:
            await hopper.hop(urls)

    await asyncio.gather(
        *(write(board, url) for board in boards for url in urls), *map(hop, hoppers)
    )
    await asyncio.sleep(1.0)
    async with asyncio.timeout(PATIENCE + seconds):
        for hopper in hoppers:
            await hopper.catch_up(urls[0])
    newest = [hopper.follower.boards for hopper in hoppers]
    assert all(boards == newest[0] for boards in newest), "not all have come to see the same"
    for hopper in hoppers:
        # A stream of a board that was just sent to, read to its end, skips nothing either.
        assert hopper.missed == 0, f"events were left out: {hopper.ways}"
    return hoppers


async def _main(clients: int, seconds: float) -> None:
    boards = ("a", "b", "c")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        database = RethinkDBServer(folder)
        database.start()
        stack.callback(database.kill)
        log = RedisServer(folder).start()
        stack.callback(log.close)
        flags = (f"--database-url={database.url('board')}", f"--redis-url={log.url}")
        servers = []
        for number in range(2):
            home = folder / f"server{number}"
            home.mkdir()
            servers.append(ServerProcess(home, *flags).wait_until_serving())
            stack.callback(servers[-1].kill)
        urls = [server.url for server in servers]
        async with http_client(urls[0]) as http:
            for board in boards:
                await make_board(http, board)
        hoppers = await follow(urls, boards, clients, seconds)
    ways = sum((hopper.ways for hopper in hoppers), Counter[str]())
    resets = sum(len(hopper.follower.resets) for hopper in hoppers)
    print(f"{sum(hopper.events for hopper in hoppers)} events, {resets} resets")
    for way, count in sorted(ways.items()):
        print(f"{count:6d} {way}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60.0)
    arguments = parser.parse_args()
    asyncio.run(_main(arguments.clients, arguments.seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
