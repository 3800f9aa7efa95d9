"""One run of a scenario: start, load, fault, mend, quiet spell, verdict."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..rethinkdb_server import RethinkDBServer
from .checks import judge
from .deployment import Deployment
from .event_checks import explained_gaps
from .record import ClientLog, Entry, Final, Opened, Outcome, Record, Reset, Update
from .recorder import Behaviour, Boards, Client, Writer, amounts, scores_of
from .rules import Violation
from .scenarios import Clock, Scenario
from .wire import WireError

#: How long everybody may take to show the same once all is mended and nobody writes.
PATIENCE = 20.0

#: How long the store itself may take to answer again. RethinkDB nodes first find each other and
#: elect a primary, for which they have a second, time after time, also on a machine that is busy.
_STORE = 120.0

#: How long the load runs before anything breaks, and after it was mended.
_BEFORE = 1.0
_AFTER = 1.0

#: Players of each board. All are shown; the last two get amounts of their own, the others ones.
_PLAYERS = 5
_UNIQUE = ("p3", "p4")


@dataclass(frozen=True)
class Size:
    """How much load there is."""

    boards: int = 16
    clients: int = 100
    additions: float = 100.0
    writers: int = 16


#: What fits into a test.
SMALL = Size(boards=8, clients=36, additions=60, writers=10)

#: The part of the additions that go to the last quarter of the boards.
_QUIET = 0.02

#: What clients do, in turn: stay on one stream, hop between streams, between both, poll; one in
#: eleven reads so slowly that events are left out for it.
_BEHAVIOURS = (
    Behaviour("stream", None),
    Behaviour("stream", (0.3, 4)),
    Behaviour("both", (0.3, 3)),
    Behaviour("stream", (0.05, 1)),
    Behaviour("poll", None),
    Behaviour("stream", None),
    Behaviour("both", (0.3, 3)),
    Behaviour("stream", (0.3, 4)),
    Behaviour("poll", None),
    Behaviour("both", (0.05, 1)),
    Behaviour("stream", None, dawdles=20),
)


@dataclass(slots=True)
class Result:
    """What came of a run."""

    scenario: str
    seed: int
    record: Record
    violations: list[Violation]

    @property
    def green(self) -> bool:
        return not self.violations

    def figures(self) -> dict[str, int]:
        """What there was of each kind."""
        record = self.record
        entries = [e for client in record.clients for e in client.entries]
        outcomes = [post.outcome for post in record.posts]
        streams = sum(map(_is_stream, entries))
        followers = {c.name for c in record.clients if any(map(_is_stream, c.entries))}
        return {
            "posts": len(outcomes),
            "refused": outcomes.count(Outcome.REFUSED),
            "unknown": outcomes.count(Outcome.UNKNOWN),
            "events": sum(isinstance(e, Update) for e in entries),
            "clients": len(record.clients),
            "reconnects": streams - len(followers),
            "resets": sum(isinstance(e, Reset) for e in entries),
            "gaps explained": explained_gaps(record),
        }

    @property
    def settled_after(self) -> float:
        """How long it took until everybody showed the same, in seconds; infinite for never."""
        return math.inf if self.record.final is None else self.record.final.after

    @property
    def verdict(self) -> str:
        if self.green:
            return "holds"
        counts: dict[str, int] = {}
        for violation in self.violations:
            counts[violation.check] = counts.get(violation.check, 0) + 1
        return ", ".join(f"{check}: {count}" for check, count in counts.items())

    def report(self, most: int = 1) -> str:
        """The first `most` violations of each check, with what shows them."""
        lines = [f"{self.scenario}, seed {self.seed}: {self.verdict}"]
        for _, group in itertools.groupby(self.violations, key=lambda v: v.check):
            for violation in list(group)[:most]:
                at = max(0.0, violation.at - self.record.began)
                lines.append(f"  {violation.check} [{at:.3f}] {violation.who}: {violation.text}")
                lines += [f"      {line}" for line in violation.excerpt]
        if self.record.held_up > 1:
            lines.append(f"  (the harness itself was held up for {self.record.held_up:.1f} s)")
        return "\n".join(lines)


def _is_stream(entry: Entry) -> bool:
    return isinstance(entry, Opened) and entry.way == "stream"


async def run(
    scenario: Scenario,
    seconds: float,
    seed: int,
    size: Size,
    folder: Path | None = None,
    rethinkdb: Sequence[RethinkDBServer] = (),
) -> Result:
    """Run `scenario` once, for about `seconds` from the first to the last fault.

    The seed decides what the harness does, not what the machine does: a second run with it is
    alike, not the same. `rethinkdb` is used where the scenario does it no harm.
    """
    record = Record(seed=seed, began=time.monotonic())
    own = folder or Path(tempfile.mkdtemp(prefix="faults-"))

    def mark(text: str) -> None:
        record.marks.append((time.monotonic(), text))

    given = () if scenario.harms_rethinkdb or scenario.shape.sqlite else rethinkdb
    watching = asyncio.create_task(_watch_itself(record))
    try:
        async with _deployed(Deployment(own, scenario.shape, mark, given)) as parts:
            try:
                await _under_load(parts, scenario, seconds, size, record)
            except Exception:
                record.found.append(f"the run broke off:\n{traceback.format_exc()}")
            finally:
                for index, server in enumerate(parts.servers):
                    record.output[f"server {index}"] = server.text
    finally:
        watching.cancel()
        if folder is None:
            shutil.rmtree(own, ignore_errors=True)
    return Result(scenario.name, seed, record, judge(record, scenario.rules))


async def _under_load(
    parts: Deployment, scenario: Scenario, seconds: float, size: Size, record: Record
) -> None:
    chance = random.Random(record.seed)
    boards = [f"b{index:02}" for index in range(size.boards)]
    await _make_boards(parts, boards, record)
    ports = parts.ports
    adding = {
        (board, player): amounts(player in _UNIQUE, chance.randrange(2**32))
        for board, player in record.initial
    }

    quiet = set(boards[-(len(boards) // 4) :])
    players = {
        is_quiet: [whose for whose in adding if (whose[0] in quiet) is is_quiet]
        for is_quiet in (False, True)
    }

    def whose(chance: random.Random) -> tuple[str, str, int]:
        board, player = chance.choice(players[chance.random() < _QUIET])
        return board, player, next(adding[board, player])

    parsed = Boards()
    clients = []
    for index in range(size.clients):
        behaviour = _BEHAVIOURS[index % len(_BEHAVIOURS)]
        slow = behaviour.dawdles > 0
        name = f"client {index} ({'slow ' * slow}{behaviour.way})"
        log = ClientLog(name, boards[index % len(boards)], slow)
        record.clients.append(log)
        clients.append(Client(log, behaviour, ports, chance.randrange(2**32), parsed))
    pause = size.writers / size.additions
    writers = [
        Writer(record, ports, pause, whose, chance.randrange(2**32)) for _ in range(size.writers)
    ]
    stop = asyncio.Event()
    following = [asyncio.create_task(client.run()) for client in clients]
    writing = [asyncio.create_task(writer.run(stop)) for writer in writers]
    try:
        await asyncio.sleep(_BEFORE)
        await scenario.run(parts, Clock(seconds, chance.randrange(2**32)), record)
        await parts.mend()
        await asyncio.sleep(_AFTER)
        stop.set()
        await asyncio.gather(*writing)
        parts.mark("nobody writes any more")
        record.final = await _settle(parts, clients, boards)
    finally:
        for task in (*following, *writing):
            task.cancel()
        done = await asyncio.gather(*following, *writing, return_exceptions=True)
        record.found += [
            f"the harness failed: {error!r}" for error in done if isinstance(error, Exception)
        ]


@contextlib.asynccontextmanager
async def _deployed(deployment: Deployment) -> AsyncIterator[Deployment]:
    """The parts, for as long as the context lasts."""
    try:
        await deployment.open()
        yield deployment
    finally:
        await deployment.close()


async def _make_boards(parts: Deployment, boards: Sequence[str], record: Record) -> None:
    async def make(board: str) -> None:
        await post("/boards/", {"id": board})
        for index in range(_PLAYERS):
            await post(f"/boards/{board}/players/", {"id": f"p{index}", "name": f"P{index}"})
            record.initial[board, f"p{index}"] = 0

    async def post(path: str, body: dict[str, str]) -> None:
        status, answer = await parts.request("POST", path, body=body)
        if status != 201:
            raise RuntimeError(f"{path} can't be made: {status} {answer}")

    await asyncio.gather(*map(make, boards))


async def _settle(parts: Deployment, clients: Sequence[Client], boards: Sequence[str]) -> Final:
    """Wait until every client and every GET shows what the store has; what they show then."""
    for client in clients:
        client.settles.set()
    await _until_readable(parts)
    began = time.monotonic()
    while True:
        rows = {whose: s for whose, s in (await parts.rows()).items() if whose[0] in boards}
        answers = {
            server: dict(
                zip(
                    boards,
                    await asyncio.gather(*(_get(parts, board, server) for board in boards)),
                    strict=True,
                )
            )
            for server in range(len(parts.servers))
        }
        shown = {client.log.name: client.shown for client in clients}
        expected: dict[str, dict[str, int]] = {}
        for (board, player), score in rows.items():
            expected.setdefault(board, {})[player] = score
        same = all(answer == expected for answer in answers.values()) and all(
            client.shown == expected.get(client.log.board) for client in clients
        )
        took = time.monotonic() - began
        if same or took > PATIENCE:
            return Final(took if same else float("inf"), rows, answers, shown)
        await asyncio.sleep(0.2)


async def _until_readable(parts: Deployment) -> None:
    """Wait until the store answers, whatever the servers do. Raises `RuntimeError`."""
    began = time.monotonic()
    while True:
        try:
            await parts.rows()
            break
        except Exception as error:  # of the driver's many kinds
            if time.monotonic() - began > _STORE:
                what = f"the store itself does not answer after {_STORE:g} s: {error}"
                raise RuntimeError(what) from None
            await asyncio.sleep(0.2)
    if time.monotonic() - began > 1:
        parts.mark(f"the store answers again after {time.monotonic() - began:.1f} s")


async def _get(parts: Deployment, board: str, server: int) -> dict[str, int] | str:
    status, answer = await parts.request("GET", f"/boards/{board}/", server)
    if status != 200:
        return f"{status} {answer}"
    try:
        return scores_of(answer)
    except WireError as error:
        return str(error)


async def _watch_itself(record: Record) -> None:
    """Keep how long this process was held up: then clients may have been slow themselves."""
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.05)
            record.held_up = max(record.held_up, time.monotonic() - began - 0.05)
