"""Watched places over HTTP: ``python -m benchmarks.watched_places``.

A board of a million players, of whom ten thousand are watched by a stream each, and 200 changes a
second, some of them to players who are watched. Three things are asked: how long after the answer
to a change a watcher's stream shows it; whether every watcher shows the right place a second and a
half after the last change; and what an addition to another board takes meanwhile, beside what it
takes while nobody watches.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.bulk import fill, until_known
from benchmarks.peers.tornado_board import BOARD, WholeServer, call, make_board
from benchmarks.processes import Failed, raise_file_limit
from benchmarks.requests import Answers, post, send_for

#: The board beside it.
_OTHER = "other"

#: A watched player is changed once in so many changes.
_WATCHED_EVERY = 10

#: Seconds after which everything has to be right.
_RIGHT_AFTER = 1.5

#: Players that are asked for at once.
_ASKED_AT_ONCE = 100

#: Connections that are opened at once.
_OPENED_AT_ONCE = 100


class _Watcher(asyncio.Protocol):
    """A stream of one player's place."""

    def __init__(self, player_id: str) -> None:
        self.player_id = player_id
        self.newest: dict[str, Any] = {}
        self.shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: The score that is waited for, and when it was answered.
        self.expected: tuple[float, float] | None = None
        self.delays: list[float] = []
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        path = f"/boards/{BOARD}/players/{self.player_id}/events/"
        transport.write(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                self.newest = json.loads(line[6:])
                if not self.shown.done():
                    self.shown.set_result(None)
        if self.expected is not None and self.newest["score"] == self.expected[0]:
            self.delays.append(time.perf_counter() - self.expected[1])
            self.expected = None

    def connection_lost(self, error: Exception | None) -> None:
        if not self.shown.done():
            self.shown.set_exception(Failed(f"the stream of {self.player_id} ended"))


async def _watch(port: int, ids: list[str]) -> list[_Watcher]:
    """A stream for each player, when all show something."""
    loop = asyncio.get_running_loop()
    watchers: list[_Watcher] = []
    for start in range(0, len(ids), _OPENED_AT_ONCE):
        some = [
            (await loop.create_connection(partial(_Watcher, id), "127.0.0.1", port))[1]
            for id in ids[start : start + _OPENED_AT_ONCE]
        ]
        await asyncio.gather(*(watcher.shown for watcher in some))
        watchers += some
    return watchers


class _Changes:
    """Submissions to the board, one after the other, at a steady rate."""

    def __init__(self, port: int, players: int, watchers: list[_Watcher]) -> None:
        self._port, self._players, self._watchers = port, players, watchers
        self._chance = random.Random(3)
        self.count = 0

    async def run(self, seconds: float, rate: float) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds:
            if (due := self.count / rate) > now:
                await asyncio.sleep(due - now)
            watcher = None
            if self.count % _WATCHED_EVERY == 0:
                watcher = self._chance.choice(self._watchers)
            number = self._chance.randrange(self._players)
            player = watcher.player_id if watcher else f"player-{number}"
            score = self._chance.randrange(1_000_003)
            body = json.dumps({"score": score, "operator": "set"}).encode()
            writer.write(post(f"/boards/{BOARD}/players/{player}/score/", body))
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            answer = json.loads(await reader.readexactly(length))
            if answer["score"] != score:
                raise Failed(f"{answer} is not {score}")
            if watcher is not None and watcher.newest["score"] != score:
                watcher.expected = score, time.perf_counter()
            self.count += 1
        writer.close()


def _wrong(port: int, watchers: list[_Watcher]) -> int:
    """How many watchers show another place than the server answers."""
    wrong = 0
    for start in range(0, len(watchers), _ASKED_AT_ONCE):
        some = watchers[start : start + _ASKED_AT_ONCE]
        ids = ",".join(watcher.player_id for watcher in some)
        page = call(port, "GET", f"/boards/{BOARD}/players/?ids={ids}")
        places = {p["id"]: (p["score"], p["rank"], page["count"]) for p in page["players"]}
        for watcher in some:
            shown = watcher.newest
            if (shown["score"], shown["rank"], shown["of"]) != places[watcher.player_id]:
                wrong += 1
    return wrong


async def _beside(port: int, seconds: float) -> Answers:
    request = post(f"/boards/{_OTHER}/players/player-1/score-add/")
    return await send_for(seconds, port, lambda: request, gap=0.02)


async def _measure(
    server: WholeServer, players: int, watched: int, rate: float, seconds: float
) -> str:
    port = server.port
    await fill(port, BOARD, players)
    await asyncio.to_thread(make_board, port, _OTHER, 5)
    await until_known(port, BOARD, "player-1")
    alone = await _beside(port, seconds)
    ids = [f"player-{i}" for i in random.Random(2).sample(range(players), watched)]
    watchers = await _watch(port, ids)
    changes = _Changes(port, players, watchers)
    before = server.cpu_seconds()
    beside, _ = await asyncio.gather(_beside(port, seconds), changes.run(seconds, rate))
    cpu = (server.cpu_seconds() - before) / seconds
    await asyncio.sleep(_RIGHT_AFTER)
    wrong = await asyncio.to_thread(_wrong, port, watchers)
    delays = sorted(delay for watcher in watchers for delay in watcher.delays)
    for watcher in watchers:
        watcher.transport.abort()
    if not delays:
        raise Failed("no watcher was told of a change")
    late = sum(watcher.expected is not None for watcher in watchers)
    return (
        f"{players:,} players, {watched:,} watched, "
        f"{changes.count / seconds:.0f} changes a second:\n\n"
        f"- a change to a watched player shows after {median(delays):.2f} s (median), "
        f"{delays[-1]:.2f} s at the most, of {len(delays)}; never shown: {late}\n"
        f"- {_RIGHT_AFTER:g} s after the last change {wrong} places of {watched:,} were wrong\n"
        f"- the server used {100 * cpu:.0f} % of a core\n"
        f"- an addition to another board: p99 {beside.p99:.1f} ms (p50 {beside.p50:.1f} ms); while "
        f"nobody watched {alone.p99:.1f} ms ({alone.p50:.1f} ms)\n"
    )


def measure(players: int, watched: int, rate: float, seconds: float, *options: str) -> str:
    """What it takes, as Markdown."""
    server = WholeServer(f"--max-streams-per-board={watched}", *options)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            server.serve(Path(folder))
            return asyncio.run(_measure(server, players, watched, rate, seconds))
        finally:
            server.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--players", type=int, default=1_000_000)
    parser.add_argument("--watched", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=200, help="changes a second")
    parser.add_argument("--seconds", type=float, default=15)
    chosen = parser.parse_args()
    raise_file_limit()
    print(measure(chosen.players, chosen.watched, chosen.rate, chosen.seconds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
