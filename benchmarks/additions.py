"""Additions to scores: ``python -m benchmarks.additions``.

How many a second are answered (each is on the disk by then), and how long it takes from a POST to
its event on a stream.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers.tornado_board import BOARD, WholeServer, call, make_board
from benchmarks.processes import Failed
from benchmarks.requests import Answers, post, send_for

PLAYERS = 100
WRITERS = (1, 10, 50, 200)

#: Seconds between two additions whose events are timed: more than `settings.coalesce`, or the
#: second would wait for its turn.
GAP = 0.06


def measure(
    seconds: float, writers: Sequence[int] = WRITERS, *options: str, loop: str = "asyncio"
) -> dict[str, Any]:
    """Additions per second for each number of writers, and the time from POST to event."""
    server = WholeServer("--coalesce=0.05", *options, loop=loop)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        try:
            server.serve(Path(folder))
            make_board(server.port, BOARD, PLAYERS)
            results = []
            for number in writers:
                before = server.cpu_seconds()
                answers = asyncio.run(_add(server.port, seconds, number))
                cpu = server.cpu_seconds() - before
                results.append(
                    {
                        "writers": number,
                        "per_second": len(answers.times) / answers.seconds,
                        "p50_ms": answers.p50,
                        "p99_ms": answers.p99,
                        "cpu_us": 1e6 * cpu / len(answers.times),
                    }
                )
            times = asyncio.run(time_events(server.port, seconds * 3))
            return {"writers": results, "event_p50_ms": times.p50, "event_p99_ms": times.p99}
        finally:
            server.stop()


async def _add(port: int, seconds: float, writers: int) -> Answers:
    """Add 1 to one player after another, and check that every addition that was answered counts."""
    before = _total(port)
    players = itertools.cycle(range(1, PLAYERS + 1))

    def request() -> bytes:
        return post(f"/boards/{BOARD}/players/player-{next(players)}/score-add/")

    answers = await send_for(seconds, port, request, connections=writers)
    if (added := _total(port) - before) != len(answers.times):
        raise Failed(f"{len(answers.times)} additions were answered, {added} are in the scores")
    return answers


def _total(port: int) -> int:
    board = call(port, "GET", f"/boards/{BOARD}/?limit=100")
    return sum(player["score"] for player in board["players"])


async def time_events(port: int, seconds: float, post_to: int | None = None) -> Answers:
    """Add to the best player, and time from the POST to the event that shows the new score.

    The stream is of the server at `port`, as is the POST unless another port is given.
    """
    answers = Answers()
    stream, out = await asyncio.open_connection("127.0.0.1", port)
    out.write(
        f"GET /boards/{BOARD}/events HTTP/1.1\r\nHost: localhost\r\n"
        "Accept: text/event-stream\r\n\r\n".encode()
    )
    best, score = await _next_event(stream)
    _, writer = await asyncio.open_connection("127.0.0.1", post_to or port)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        writer.write(post(f"/boards/{BOARD}/players/{best}/score-add/"))
        while True:
            player, seen = await _next_event(stream)
            if player == best and seen > score:
                break
        answers.times.append(1000 * (time.perf_counter() - start))
        score = seen
        await asyncio.sleep(GAP)
    out.close()
    writer.close()
    return answers


async def _next_event(stream: asyncio.StreamReader) -> tuple[str, int]:
    """The best player of the next event, and its score."""
    while True:
        line = await asyncio.wait_for(stream.readline(), 10)
        if not line:
            raise Failed("the stream ended")
        if match := re.match(rb"data: (.*)", line):
            best = json.loads(match[1])["players"][0]
            return best["id"], best["score"]


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    lines = [
        "| writers | additions/s | p50 | p99 | server CPU an addition |",
        "| ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in result["writers"]:
        lines.append(
            f"| {row['writers']} | {row['per_second']:,.0f} | {row['p50_ms']:.1f} ms "
            f"| {row['p99_ms']:.1f} ms | {row['cpu_us']:.0f} µs |"
        )
    lines += [
        "",
        f"From a POST to its event on a stream: {result['event_p50_ms']:.1f} ms at the median, "
        f"{result['event_p99_ms']:.1f} ms at the 99th percentile.",
        "",
    ]
    return "\n".join(lines)


def report(seconds: float = 4, *, loop: str = "asyncio") -> str:
    """The figures as Markdown."""
    return table(measure(seconds, loop=loop))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4, help="for each number of writers")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    chosen = parser.parse_args()
    print(report(chosen.seconds, loop=chosen.loop))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
