"""What watched places cost: ``python -m benchmarks.places``.

A board of a million players, of whom ten thousand are watched, and 200 changes between two looks.
Everything but the sockets is real: the rank index, the look-up in slices, the events. A look that
finds every place changed is measured as well as one that finds none, since which it is depends on
where the changes are.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import time
from statistics import median
from typing import Any

from tornado_board.models import Ordering, Player, PlayerChanged
from tornado_board.ranking.rank_index import SCANNED_AT_ONCE, RankIndex
from tornado_board.realtime.places import Places, _Board
from tornado_board.realtime.watched import Watched
from tornado_board.realtime.wires.sse import CHUNKED
from tornado_board.server import collect_rarely


class _Sink:
    """A client whose socket takes everything and costs nothing."""

    audience: Any = None
    place = -1
    joined = None
    closed = False

    def __init__(self) -> None:
        self.count = 0

    def send(self, data: bytes) -> int:
        self.count += 1
        return len(data)


class _Ranks:
    """A board whose index is ready."""

    def __init__(self, index: RankIndex) -> None:
        self._index = index

    def index(self, board_id: str) -> RankIndex:
        return self._index


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _measure(players: int, watched: int, changes: int, rounds: int) -> None:
    chance = random.Random(1)
    scores = [chance.randrange(10 * players) for _ in range(players)]
    index = RankIndex(Ordering())
    for start in range(0, players, SCANNED_AT_ONCE):
        stop = min(start + SCANNED_AT_ONCE, players)
        index.scanned([f"p{i}" for i in range(start, stop)], scores[start:stop])
    for _ in index.finish(0):
        pass
    ranks: Any = _Ranks(index)
    nothing: Any = None
    places = Places(nothing, ranks, nothing, per_board=watched, keepalive=3600)
    board = places._boards["b"] = _Board()
    sinks = []
    for i in chance.sample(range(players), watched):
        one = board.players[f"p{i}"] = Watched(f"p{i}")
        one.player = Player(id=f"p{i}", name=f"Player {i}", score=scores[i])
        one.show(index.places((scores[i],))[0])
        sinks.append(_Sink())
        member: Any = sinks[-1]
        one.add(member, CHUNKED)
    collect_rarely()  # as the server does
    position = 1
    for what in ("nothing", "changes anywhere", "a player more"):
        costs, slices = list[float](), list[float]()
        told = sum(sink.count for sink in sinks)
        for _ in range(rounds):
            for _ in range(0 if what == "nothing" else changes):
                i = chance.randrange(players)
                before, scores[i] = scores[i], chance.randrange(10 * players)
                player = Player(id=f"p{i}", name=f"Player {i}", score=scores[i])
                change = PlayerChanged("b", f"p{i}", player, before)
                index.apply(change, position)
                places.apply([change])
                position += 1
            if what == "a player more":
                new = f"n{position}"
                change = PlayerChanged("b", new, Player(id=new, name=new, score=1))
                index.apply(change, position)
            longest = await _with_slices(places._look_up("b", board), costs)
            slices.append(longest)
        told = sum(sink.count for sink in sinks) - told
        print(
            f"{what}: {1000 * median(costs):.1f} ms of CPU a look,"
            f" {told / rounds:.0f} places told; the longest slice {1000 * median(slices):.1f} ms"
        )


async def _with_slices(look_up: Any, costs: list[float]) -> float:
    """Run a look, and note its CPU time; the longest that it kept the event loop busy (median of
    the rounds is told, since a machine with other work stops anything now and then)."""
    longest = 0.0
    cpu = _cpu()
    # Driven by hand: each step is one slice.
    coroutine = look_up.__await__()
    while True:
        began = time.thread_time()
        try:
            coroutine.send(None)
        except StopIteration:
            longest = max(longest, time.thread_time() - began)
            break
        longest = max(longest, time.thread_time() - began)
    costs.append(_cpu() - cpu)
    return longest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, default=1_000_000)
    parser.add_argument("--watched", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    asyncio.run(_measure(arguments.players, arguments.watched, arguments.changes, arguments.rounds))


if __name__ == "__main__":
    main()
