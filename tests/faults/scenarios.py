"""What breaks, and when. Each scenario is a coroutine that breaks something while clients and
writers go on; whatever it leaves broken is mended after it, and then everything is judged.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass

from .checks import Rules
from .deployment import Deployment, Shape, copy_sqlite, replace_sqlite
from .ghosts import ghosts
from .record import Record, Restored
from .relay import Relay, Way

#: How long a server may take to see that its SQLite file was restored or replaced; what clients
#: are shown until then, and what is answered, may be from before.
_RESTORED = 5.0


class Clock:
    """The time that a scenario has."""

    def __init__(self, seconds: float, seed: int) -> None:
        self.random = random.Random(seed)
        self._end = time.monotonic() + seconds

    async def every(self, seconds: float) -> AsyncIterator[None]:
        """Once each `seconds`, a bit more or less, for as long as there is time for one more;
        at least once."""
        await self.pause(0.5)
        while True:
            following = time.monotonic() + self.random.uniform(0.7, 1.3) * seconds
            yield
            if following + seconds > self._end:
                await self.rest()
                break
            await asyncio.sleep(following - time.monotonic())

    async def pause(self, seconds: float) -> None:
        """About `seconds`."""
        await asyncio.sleep(self.random.uniform(0.7, 1.3) * seconds)

    async def rest(self) -> None:
        await asyncio.sleep(self._end - time.monotonic())


Run = Callable[[Deployment, Clock, Record], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """A scenario with what it runs on."""

    name: str
    run: Run
    shape: Shape
    rules: Rules
    #: Whether it needs RethinkDB nodes of its own, which it harms.
    harms_rethinkdb: bool

    @property
    def description(self) -> str:
        return (self.run.__doc__ or "").strip().split("\n")[0]


SCENARIOS: dict[str, Scenario] = {}

_USUAL = Shape()
_SQLITE = Shape(servers=1, nodes=0)
_ALL_RULES = Rules()
_FORGETFUL = Rules(counters_reused=True)
_EARLY = Rules(unanswered_lost=True)


def scenario(
    shape: Shape = _USUAL, rules: Rules = _ALL_RULES, harms_rethinkdb: bool = False
) -> Callable[[Run], Run]:
    """Registers a scenario under its function's name."""

    def register(run: Run) -> Run:
        name = run.__name__
        SCENARIOS[name] = Scenario(name, run, shape, rules, harms_rethinkdb or shape.nodes > 1)
        return run

    return register


async def _broken(
    parts: Deployment,
    clock: Clock,
    what: str,
    links: Sequence[Relay],
    fault: Callable[[Relay], None],
    seconds: float = 4,
) -> None:
    """Have a fault on some links for some seconds."""
    parts.mark(what)
    for link in links:
        fault(link)
    await clock.pause(seconds)
    parts.mark(f"over: {what}")
    for link in links:
        await link.mend()


def _slow(link: Relay) -> None:
    link.delay(0.15)


# Nothing broken, and servers


@scenario()
async def calm(parts: Deployment, clock: Clock, record: Record) -> None:
    """Nothing breaks."""
    await clock.rest()


@scenario(_SQLITE)
async def calm_sqlite(parts: Deployment, clock: Clock, record: Record) -> None:
    """Nothing breaks, on SQLite."""
    await clock.rest()


@scenario()
async def server_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of any server, and a start."""
    async for _ in clock.every(4):
        server = clock.random.randrange(len(parts.servers))
        await parts.kill(server)
        await clock.pause(0.5)
        await parts.start(server)


@scenario(_SQLITE)
async def server_killed_sqlite(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of the only server, on SQLite, and a start."""
    async for _ in clock.every(4):
        await parts.kill(0)
        await clock.pause(0.5)
        await parts.start(0)


@scenario()
async def publisher_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of the publisher, and a start."""
    async for _ in clock.every(6):
        server = await parts.publisher()
        await parts.kill(server)
        await clock.pause(1)
        await parts.start(server)


@scenario()
async def publisher_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of the publisher, for longer and shorter than its lease."""
    async for _ in clock.every(6):
        server = await parts.publisher()
        parts.freeze(server)
        await asyncio.sleep(clock.random.choice((0.3, 1.2, 3)))
        parts.thaw(server)


@scenario()
async def server_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of any server."""
    async for _ in clock.every(4):
        server = clock.random.randrange(len(parts.servers))
        parts.freeze(server)
        await asyncio.sleep(clock.random.choice((0.3, 1, 2.5)))
        parts.thaw(server)


@scenario()
async def rolling_restart(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGTERM to one server after the other, each started again."""
    server = 0
    async for _ in clock.every(3):
        await parts.stop(server)
        await parts.start(server)
        server = (server + 1) % len(parts.servers)


# Redis


@scenario()
async def redis_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of Redis; it comes back empty."""
    async for _ in clock.every(8):
        await parts.kill_redis()
        await clock.pause(2)
        await parts.start_redis()


@scenario()
async def redis_stopped(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis stopped and started, with its data."""
    async for _ in clock.every(8):
        await parts.stop_redis()
        await clock.pause(2)
        await parts.start_redis()


@scenario()
async def redis_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of Redis."""
    async for _ in clock.every(8):
        assert parts.redis is not None
        parts.mark("SIGSTOP to Redis")
        parts.redis.freeze()
        await asyncio.sleep(clock.random.choice((0.5, 1.5, 4)))
        parts.mark("SIGCONT to Redis")
        parts.redis.thaw()


@scenario()
async def redis_slow(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis slow by 300 ms for everybody, on and off."""
    async for _ in clock.every(8):
        await _broken(parts, clock, "Redis is slow by 300 ms", parts.redis_links, _slow)


@scenario()
async def publisher_redis_cut(parts: Deployment, clock: Clock, record: Record) -> None:
    """The publisher's link to Redis is cut and refused; the others' is whole."""
    async for _ in clock.every(8):
        server = await parts.publisher()
        what = f"server {server}, the publisher, is refused by Redis"
        await _broken(parts, clock, what, [parts.redis_links[server]], Relay.refuse)


@scenario()
async def publisher_redis_swallowed(parts: Deployment, clock: Clock, record: Record) -> None:
    """What the publisher and Redis say to each other vanishes, one way or both."""
    async for _ in clock.every(8):
        server = await parts.publisher()
        ways = clock.random.choice(([Way.UP], [Way.DOWN], list(Way)))
        names = " and ".join(way.value for way in ways)
        what = f"server {server}'s link to Redis swallows {names}"
        links = [parts.redis_links[server]]
        await _broken(parts, clock, what, links, functools.partial(Relay.swallow, ways=ways))


@scenario()
async def follower_redis_swallowed(parts: Deployment, clock: Clock, record: Record) -> None:
    """What a follower and Redis say to each other vanishes."""
    async for _ in clock.every(8):
        server = (await parts.publisher() + 1) % len(parts.servers)
        what = f"server {server}'s link to Redis swallows"
        await _broken(parts, clock, what, [parts.redis_links[server]], Relay.swallow)


@scenario()
async def redis_evicts(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis with allkeys-lru evicts streams."""
    async for _ in clock.every(2):
        assert parts.redis is not None
        with contextlib.suppress(Exception):
            parts.fill_redis("allkeys-lru")
            for index in range(40):
                parts.redis.client.set(f"other:{index}", "x" * 20_000, px=1_000)
                await asyncio.sleep(0.01)
        parts.redis_command("CONFIG", "SET", "maxmemory", 0)


@scenario()
async def redis_full(parts: Deployment, clock: Clock, record: Record) -> None:
    """Redis with noeviction has no memory left."""
    async for _ in clock.every(8):
        parts.fill_redis("noeviction")
        await clock.pause(4)
        parts.redis_command("CONFIG", "SET", "maxmemory", 0)


@scenario()
async def script_flush(parts: Deployment, clock: Clock, record: Record) -> None:
    """SCRIPT FLUSH under load."""
    async for _ in clock.every(0.5):
        parts.redis_command("SCRIPT", "FLUSH")


@scenario()
async def flushall(parts: Deployment, clock: Clock, record: Record) -> None:
    """FLUSHALL under load: the log and the lease are gone."""
    async for _ in clock.every(3):
        parts.redis_command("FLUSHALL")


@scenario()
async def flushall_and_kill(parts: Deployment, clock: Clock, record: Record) -> None:
    """FLUSHALL, and kill -9 of the publisher, which alone knows the counters."""
    async for _ in clock.every(7):
        server = await parts.publisher()
        parts.redis_command("FLUSHALL")
        await parts.kill(server)
        await clock.pause(1)
        await parts.start(server)


@scenario()
async def everything_forgotten(parts: Deployment, clock: Clock, record: Record) -> None:
    """FLUSHALL, and kill -9 of all servers: nobody knows the counters any more."""
    async for _ in clock.every(8):
        parts.redis_command("FLUSHALL")
        servers = range(len(parts.servers))
        await asyncio.gather(*map(parts.kill, servers))
        parts.redis_command("FLUSHALL")
        await asyncio.gather(*map(parts.start, servers))


@scenario(Shape(replica=True), _FORGETFUL)
async def replica_promoted(parts: Deployment, clock: Clock, record: Record) -> None:
    """A replica that lacks the last entries takes over."""
    async for _ in clock.every(9):
        assert parts.replica_link is not None
        parts.mark("the replica hears nothing more")
        parts.replica_link.hold()
        await clock.pause(1)
        await parts.promote_replica()
        await clock.pause(3)
        await parts.make_replica()


# RethinkDB


@scenario(rules=_EARLY, harms_rethinkdb=True)
async def rethinkdb_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of RethinkDB, and a start."""
    async for _ in clock.every(9):
        parts.mark("kill -9 of RethinkDB")
        parts.nodes[0].kill()
        await clock.pause(2)
        await asyncio.to_thread(parts.nodes[0].start)
        parts.mark("RethinkDB is back")


@scenario(harms_rethinkdb=True)
async def rethinkdb_frozen(parts: Deployment, clock: Clock, record: Record) -> None:
    """SIGSTOP and SIGCONT of RethinkDB."""
    async for _ in clock.every(9):
        parts.mark("SIGSTOP to RethinkDB")
        parts.nodes[0].signal(signal.SIGSTOP)
        await asyncio.sleep(clock.random.choice((0.5, 1.5, 4)))
        parts.mark("SIGCONT to RethinkDB")
        parts.nodes[0].signal(signal.SIGCONT)


@scenario()
async def balancer_without_rethinkdb(parts: Deployment, clock: Clock, record: Record) -> None:
    """RethinkDB behind a balancer that accepts and closes for a while."""
    async for _ in clock.every(9):
        what = "the balancer has no RethinkDB: it accepts and closes"
        await _broken(parts, clock, what, parts.database_links, Relay.close_at_once)


@scenario()
async def start_without_rethinkdb(parts: Deployment, clock: Clock, record: Record) -> None:
    """A server starts while the balancer in front of RethinkDB accepts and closes."""
    async for _ in clock.every(9):
        server = clock.random.randrange(len(parts.servers))
        await parts.kill(server)
        links = [parts.database_links[server]]
        starting = asyncio.create_task(parts.start(server))
        what = f"server {server}'s balancer accepts and closes"
        await _broken(parts, clock, what, links, Relay.close_at_once)
        await starting


@scenario()
async def rethinkdb_refused(parts: Deployment, clock: Clock, record: Record) -> None:
    """RethinkDB's port refuses connections for a while, now and then."""
    async for _ in clock.every(5):
        await _broken(parts, clock, "RethinkDB refuses", parts.database_links, Relay.refuse, 1.5)


@scenario()
async def publisher_rethinkdb_refused(parts: Deployment, clock: Clock, record: Record) -> None:
    """Only the publisher has lost its RethinkDB."""
    async for _ in clock.every(12):
        server = await parts.publisher()
        parts.mark(f"server {server}, the publisher, is refused by RethinkDB")
        parts.database_links[server].refuse()
        await _stale_for(parts, server, record)
        parts.mark(f"server {server} reaches RethinkDB again")
        await parts.database_links[server].mend()


async def _stale_for(parts: Deployment, lost: int, record: Record, seconds: float = 10) -> None:
    """Wait until another server publishes, which is what `lost` owes to the others' clients."""
    began = time.monotonic()
    while await parts.publisher() == lost:
        if time.monotonic() - began > seconds:
            record.found.append(
                f"server {lost} still publishes {seconds:g} s after it lost its RethinkDB"
            )
            return
        await asyncio.sleep(0.1)
    parts.mark(f"another publishes after {time.monotonic() - began:.1f} s")
    await asyncio.sleep(1)


@scenario()
async def publisher_rethinkdb_swallowed(parts: Deployment, clock: Clock, record: Record) -> None:
    """What the publisher and RethinkDB say to each other vanishes."""
    async for _ in clock.every(8):
        server = await parts.publisher()
        what = f"server {server}'s link to RethinkDB swallows"
        await _broken(parts, clock, what, [parts.database_links[server]], Relay.swallow)


@scenario(Shape(nodes=3), _EARLY)
async def rethinkdb_partitioned(parts: Deployment, clock: Clock, record: Record) -> None:
    """One of three RethinkDB nodes is cut off from the others, and serves its clients on."""
    async for _ in clock.every(12):
        assert parts.network is not None
        lone = clock.random.randrange(3)
        notice = clock.random.random() < 0.7
        parts.mark(f"RethinkDB node {lone} is cut off from the others")
        parts.network.part([lone], notice=notice)
        await clock.pause(4 if notice else 8)
        parts.mark("the RethinkDB nodes are together again")
        parts.network.mend()
        await clock.pause(3)


@scenario(Shape(nodes=3), _EARLY)
async def rethinkdb_node_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of one of three RethinkDB nodes, the publisher's, and a start."""
    async for _ in clock.every(9):
        lost = await parts.publisher() % 3
        parts.mark(f"kill -9 of RethinkDB node {lost}")
        parts.nodes[lost].kill()
        await clock.pause(3)
        await asyncio.to_thread(parts.nodes[lost].start)
        parts.mark(f"RethinkDB node {lost} is back")


# A RethinkDB cluster all of whose nodes the servers know


_TOGETHER = Shape(nodes=3, together=True)


@scenario(_TOGETHER, _EARLY)
async def cluster_primary_killed(parts: Deployment, clock: Clock, record: Record) -> None:
    """kill -9 of the node with the primary replicas, for good; the servers go on with another."""
    lost = (await asyncio.to_thread(parts.primaries))[-1]
    parts.mark(f"kill -9 of RethinkDB node {lost}, the primary")
    parts.nodes[lost].kill()
    await clock.rest()


@scenario(_TOGETHER, _EARLY)
async def cluster_partitioned(parts: Deployment, clock: Clock, record: Record) -> None:
    """The primary is cut off from the other nodes, and serves its clients on."""
    async for _ in clock.every(14):
        assert parts.network is not None
        lone = (await asyncio.to_thread(parts.primaries))[-1]
        notice = clock.random.random() < 0.7
        parts.mark(f"RethinkDB node {lone}, the primary, is cut off from the others")
        parts.network.part([lone], notice=notice)
        await clock.pause(8)
        parts.mark("the RethinkDB nodes are together again")
        parts.network.mend()
        await clock.pause(3)


@scenario(_TOGETHER, _EARLY)
async def cluster_moved(parts: Deployment, clock: Clock, record: Record) -> None:
    """The primary replicas move from node to node."""
    node = 0
    async for _ in clock.every(4):
        node = (node + 1) % 3
        await asyncio.to_thread(parts.move_primaries, node)


# Boards


@scenario()
async def ghost_boards(parts: Deployment, clock: Clock, record: Record) -> None:
    """Boards are changed, deleted within milliseconds and made again while somebody watches."""
    await ghosts(parts, clock.every(0.3), clock.random, record)


@scenario(_SQLITE)
async def ghost_boards_sqlite(parts: Deployment, clock: Clock, record: Record) -> None:
    """The same on SQLite."""
    await ghosts(parts, clock.every(0.3), clock.random, record)


@scenario(_SQLITE, _FORGETFUL)
async def sqlite_restored(parts: Deployment, clock: Clock, record: Record) -> None:
    """A backup is restored into the SQLite file under the running server."""
    async for _ in clock.every(8):
        backup = parts.folder / "backup.sqlite3"
        scores = await asyncio.to_thread(copy_sqlite, parts.file, backup)
        await clock.pause(2)
        parts.mark("a backup is restored into the SQLite file")
        at = time.monotonic()
        await asyncio.to_thread(copy_sqlite, backup, parts.file)
        record.restored.append(Restored(at, time.monotonic() + _RESTORED, scores))
        await asyncio.sleep(_RESTORED)


@scenario(_SQLITE, _FORGETFUL)
async def sqlite_replaced(parts: Deployment, clock: Clock, record: Record) -> None:
    """A backup takes the place of the SQLite file; the server says so, and is started again."""
    async for _ in clock.every(12):
        backup = parts.folder / "backup.sqlite3"
        scores = await asyncio.to_thread(copy_sqlite, parts.file, backup)
        await clock.pause(2)
        parts.mark("the SQLite file is replaced by a backup")
        at = time.monotonic()
        await asyncio.to_thread(replace_sqlite, backup, parts.file)
        while (await parts.request("GET", "/readyz"))[0] == 200:
            if time.monotonic() > at + _RESTORED:
                record.found.append("the server says that it is ready, on a file that is no more")
                break
            await asyncio.sleep(0.1)
        await clock.pause(1)
        await parts.kill(0)
        record.restored.append(Restored(at, time.monotonic(), scores))
        await parts.start(0)
