"""Starts the parts of a run, each a process of its own, with relays in between.

A server reaches RethinkDB and Redis through relays of its own, so that any way can be broken for
it alone. `Deployment` has one method for each thing that can be done to a part; `mend` undoes all.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import redis
import rethinkdb

from ..redis_server import RedisServer
from ..rethinkdb_server import RethinkDBServer
from ..server_process import ServerProcess
from .network import Network
from .record import Whose
from .relay import Relay
from .shape import FLAGS, Shape
from .sqlite_copies import sqlite_rows

r: Any = rethinkdb.RethinkDB()

_DATABASE = "faults"


class Deployment:
    """The parts, started by `open` and ended by `close`.

    Args:
        rethinkdb: the nodes of a RethinkDB that runs already, for runs that do it no harm.
        mark: is told whatever is broken and mended.
    """

    def __init__(
        self,
        folder: Path,
        shape: Shape,
        mark: Callable[[str], None],
        rethinkdb: Sequence[RethinkDBServer] = (),
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.mark = mark
        self.servers: list[ServerProcess] = []
        self.nodes = list(rethinkdb)
        self.database = f"{_DATABASE}_{secrets.token_hex(4)}"
        self.redis: RedisServer | None = None
        self.replica: RedisServer | None = None
        self.network: Network | None = None
        #: From each server to its Redis and its RethinkDB; from the replica to its master.
        self.redis_links: list[Relay] = []
        self.database_links: list[Relay] = []
        self.replica_link: Relay | None = None
        #: Where each server finds RethinkDB: hosts and ports.
        self._databases: list[str] = []
        self._given = bool(rethinkdb)
        self._dead: set[int] = set()
        self._frozen: set[int] = set()
        self._http = httpx.AsyncClient(timeout=5, trust_env=False)

    # Start and end

    async def open(self) -> None:
        """Start everything; returns when every server is ready."""
        if self.shape.sqlite:
            self.servers = [await self._server([], "s0")]
        else:
            await self._open_redis()
            if not self._given:
                await self._open_rethinkdb()
            for index in range(self.shape.servers):
                self.redis_links.append(await Relay(("127.0.0.1", self._redis.port)).start())
                # The nodes that this server knows, beginning with another one than the others do.
                known = (
                    self.nodes[index % len(self.nodes) :] + self.nodes[: index % len(self.nodes)]
                )
                links = [
                    await Relay((node.host, node.port)).start()
                    for node in (known if self.shape.together else known[:1])
                ]
                self.database_links += links
                self._databases.append(",".join(f"127.0.0.1:{link.port}" for link in links))
            # The first one makes the tables.
            self.servers.append(await self._server(self._flags(0), "s0"))
            if len(self.nodes) > 1:
                await asyncio.to_thread(self._replicate)
            self.servers += await asyncio.gather(
                *(self._server(self._flags(i), f"s{i}") for i in range(1, self.shape.servers))
            )
        await self._until_ready()

    def _flags(self, index: int) -> list[str]:
        return [
            f"--database-url=rethinkdb://{self._databases[index]}/{self.database}",
            f"--redis-url=redis://127.0.0.1:{self.redis_links[index].port}/0",
        ]

    async def _server(self, flags: list[str], name: str) -> ServerProcess:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        server = await asyncio.to_thread(ServerProcess, folder, *FLAGS, *flags)
        await asyncio.to_thread(server.wait_until_serving)
        return server

    async def _open_redis(self) -> None:
        self.redis = await self._redis_server("redis")
        if self.shape.replica:
            self.replica_link = await Relay(("127.0.0.1", self.redis.port)).start()
            self.replica = await self._redis_server("replica")
            # Diskless, since the default waits five seconds for more replicas.
            self.redis.client.config_set("repl-diskless-sync-delay", 0)
            self.replica.client.replicaof("127.0.0.1", self.replica_link.port)
            while self.replica.client.info("replication")["master_link_status"] != "up":
                await asyncio.sleep(0.05)

    async def _redis_server(self, name: str) -> RedisServer:
        folder = self.folder / name
        folder.mkdir()
        return await asyncio.to_thread(RedisServer(folder, "--appendonly", "no").start)

    async def _open_rethinkdb(self) -> None:
        if self.shape.nodes > 1:
            self.network = Network(self.shape.nodes)
            self.network.open()
        for index in range(self.shape.nodes):
            folder = self.folder / f"rethinkdb{index}"
            folder.mkdir()
            if self.network is None:
                node = RethinkDBServer(folder, 128)
            else:
                network = self.network
                options = ["--bind-cluster", network.cluster[index]]
                options += ["--bind-driver", network.driver[index]]
                for other, address in zip(self.nodes, network.cluster, strict=False):
                    options += ["--join", f"{address}:{other.cluster_port}"]
                node = RethinkDBServer(
                    folder,
                    128,
                    f"node{index}",
                    options=options,
                    host=network.driver[index],
                    namespace=network.names[index],
                )
            self.nodes.append(node)
            await asyncio.to_thread(node.start)

    def _replicate(self) -> None:
        """Keep each table on each node."""
        with self._connection() as connection:
            for table in ("boards", "players"):
                r.table(table).reconfigure(shards=1, replicas=len(self.nodes)).run(connection)
                r.table(table).wait(wait_for="all_replicas_ready", timeout=30).run(connection)

    async def _until_ready(self, seconds: float = 30) -> None:
        """Wait until every server says that it is ready."""
        async with asyncio.timeout(seconds):
            for server in self.servers:
                while True:
                    with contextlib.suppress(httpx.HTTPError):
                        if (await self._http.get(f"{server.url}/readyz")).status_code == 200:
                            break
                    await asyncio.sleep(0.05)

    async def close(self) -> None:
        """End everything."""
        for index, server in enumerate(self.servers):
            if server.process.poll() is None:
                self.thaw(index)
                await asyncio.to_thread(server.kill)
        if not self._given:
            for node in self.nodes:
                await asyncio.to_thread(node.kill)
        else:
            with contextlib.suppress(Exception), self._connection() as connection:
                r.db_drop(self.database).run(connection)
        for part in (self.redis, self.replica):
            if part is not None:
                await asyncio.to_thread(part.close)
        for link in self.links:
            await link.close()
        if self.network is not None:
            self.network.close()
        await self._http.aclose()

    # What scenarios ask

    @property
    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    @property
    def links(self) -> list[Relay]:
        replica = [] if self.replica_link is None else [self.replica_link]
        return [*self.redis_links, *self.database_links, *replica]

    @property
    def _redis(self) -> RedisServer:
        assert self.redis is not None
        return self.redis

    async def publisher(self) -> int:
        """The server that holds the publishing lease; any where nobody holds it for long."""
        for _ in range(60):
            with contextlib.suppress(redis.RedisError):
                for key in self._redis.client.scan_iter("*lease*", count=1000):
                    token = str(self._redis.client.get(key))
                    pid = token.rpartition(":")[0].rpartition(":")[2]
                    for index, server in enumerate(self.servers):
                        if str(server.process.pid) == pid:
                            return index
            await asyncio.sleep(0.05)
        self.mark("nobody holds the lease")
        return random.randrange(len(self.servers))

    async def request(self, method: str, path: str, server: int = 0, body: Any = None) -> Any:
        """Status and JSON of an answer; status 0 where there is none."""
        try:
            response = await self._http.request(
                method, f"{self.servers[server].url}{path}", json=body
            )
            return response.status_code, response.json() if response.content else None
        except (httpx.HTTPError, ValueError) as error:
            return 0, type(error).__name__

    async def rows(self) -> dict[Whose, int]:
        """Every player's score as the store itself has it."""
        return await asyncio.to_thread(
            self._sqlite_rows if self.shape.sqlite else self._rethinkdb_rows
        )

    @property
    def file(self) -> Path:
        """The SQLite file."""
        return self.folder / "s0" / "tornado_board.sqlite3"

    def _sqlite_rows(self) -> dict[Whose, int]:
        return sqlite_rows(self.file)

    def _rethinkdb_rows(self) -> dict[Whose, int]:
        with self._connection() as connection:
            rows = r.table("players", read_mode="majority").run(connection)
            # A primary key is the player's id, or that with its board's before it.
            return {
                (row["board"], row["id"].removeprefix(f"{row['board']}/")): row["score"]
                for row in rows
            }

    def _connection(self) -> Any:
        for node in self.nodes:
            with contextlib.suppress(Exception):
                return r.connect(node.host, node.port, self.database, timeout=5)
        raise ConnectionError("no RethinkDB node answers")

    # What scenarios do to servers

    async def kill(self, index: int) -> None:
        """``kill -9``"""
        self.mark(f"kill -9 of server {index}")
        self._dead.add(index)
        await asyncio.to_thread(self.servers[index].kill)

    async def stop(self, index: int) -> None:
        """SIGTERM, and wait for the end."""
        self.mark(f"SIGTERM to server {index}")
        self._dead.add(index)
        await asyncio.to_thread(self.servers[index].stop)

    async def start(self, index: int) -> None:
        """Start a server that has ended, on the same port."""
        await asyncio.to_thread(self.servers[index].restart)
        self._dead.discard(index)
        self.mark(f"server {index} serves again")

    def freeze(self, index: int) -> None:
        self.mark(f"SIGSTOP to server {index}")
        self._frozen.add(index)
        self.servers[index].process.send_signal(signal.SIGSTOP)

    def thaw(self, index: int) -> None:
        if index in self._frozen:
            self.mark(f"SIGCONT to server {index}")
            self._frozen.discard(index)
            self.servers[index].process.send_signal(signal.SIGCONT)

    # What scenarios do to RethinkDB

    def primaries(self) -> list[int]:
        """The nodes that have the primary replicas, of each table one."""
        with self._connection() as connection:
            names = [
                r.table(table).status()["shards"][0]["primary_replicas"].run(connection)
                for table in ("boards", "players")
            ]
        return [int(name[0].removeprefix("node")) for name in names if name]

    def move_primaries(self, node: int) -> None:
        """Have this node take over the primary replicas of both tables."""
        self.mark(f"RethinkDB node {node} becomes the primary")
        tags = {f"node{index}": 1 for index in range(len(self.nodes))}
        with self._connection() as connection:
            for table in ("boards", "players"):
                r.table(table).reconfigure(
                    shards=1, replicas=tags, primary_replica_tag=f"node{node}"
                ).run(connection)

    # What scenarios do to Redis

    async def kill_redis(self) -> None:
        self.mark("kill -9 of Redis")
        await asyncio.to_thread(self._redis.kill)

    async def start_redis(self) -> None:
        await asyncio.to_thread(self._redis.start)
        self.mark("Redis is back")

    async def stop_redis(self) -> None:
        """Stop it as an operator does, with its data on disk."""
        self.mark("Redis stops")

        def stop() -> None:
            with contextlib.suppress(redis.RedisError):
                self._redis.client.save()
            self._redis.kill()

        await asyncio.to_thread(stop)

    async def promote_replica(self) -> None:
        """Kill the master and have its replica take over, for all servers."""
        assert self.replica is not None
        self.mark("kill -9 of the master, the replica takes over")
        await asyncio.to_thread(self._redis.kill)
        self.replica.client.replicaof("NO", "ONE")
        for link in self.redis_links:
            link.target = ("127.0.0.1", self.replica.port)
            link.cut()
        self.redis, self.replica = self.replica, self.redis

    async def make_replica(self) -> None:
        """Start the former master as the new one's replica."""
        assert self.replica is not None
        assert self.replica_link is not None
        self.replica_link.target = ("127.0.0.1", self._redis.port)
        await asyncio.to_thread(self.replica.start)
        await self.replica_link.mend()
        self.replica.client.replicaof("127.0.0.1", self.replica_link.port)
        async with asyncio.timeout(20):
            while self.replica.client.info("replication")["master_link_status"] != "up":
                await asyncio.sleep(0.05)
        self.mark("there is a replica again")

    def redis_command(self, *command: str | int) -> None:
        self.mark("Redis: " + " ".join(map(str, command)))
        self._redis.client.execute_command(*command)

    def fill_redis(self, policy: str) -> None:
        """Leave Redis no memory; `policy` says what it does then."""
        client = self._redis.client
        used = client.info("memory")["used_memory"]
        self.mark(f"Redis is full ({policy})")
        client.config_set("maxmemory-policy", policy)
        client.config_set("maxmemory", used)

    # Everything again as it was

    async def mend(self) -> None:
        """Whatever was broken is whole again; returns when every server is ready."""
        self.mark("everything is mended")
        for link in self.links:
            await link.mend()
        if self.network is not None:
            self.network.mend()
        for index in list(self._frozen):
            self.thaw(index)
        for node in self.nodes:
            if node.running:
                node.signal(signal.SIGCONT)
            else:
                await asyncio.to_thread(node.start)
        if self.redis is not None:
            if self.redis.process is None:
                await asyncio.to_thread(self.redis.start)
            self.redis.thaw()
            self.redis.client.config_set("maxmemory", 0)
        for index in list(self._dead):
            await self.start(index)
