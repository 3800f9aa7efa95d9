"""A Redis master with a replica, and real sentinels that see to a failover."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import redis

from .ports import free_port
from .redis_server import RedisServer
from .waiting import PATIENCE

#: What the master is called.
SERVICE = "board"

_CONFIG = """\
port {port}
bind 127.0.0.1
dir {folder}
sentinel monitor {service} 127.0.0.1 {master} {quorum}
sentinel down-after-milliseconds {service} 400
sentinel failover-timeout {service} 3000
"""


class Sentinels:
    """`servers`: the master, and its replica. `close` ends everything."""

    def __init__(self, folder: Path, count: int = 3) -> None:
        self.folder = folder
        self.servers: list[RedisServer] = []
        self.ports = [free_port() for _ in range(count)]
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> Sentinels:
        """Returns when every sentinel knows the others and the replica."""
        for name in ("master", "replica"):
            (self.folder / name).mkdir()
            server = RedisServer(self.folder / name, "--repl-diskless-sync-delay", "0")
            self.servers.append(server.start())
        master, replica = self.servers
        replica.client.replicaof("127.0.0.1", master.port)
        while replica.client.info("replication")["master_link_status"] != "up":
            time.sleep(0.05)
        for port in self.ports:
            folder = self.folder / f"sentinel{port}"
            folder.mkdir()
            config = folder / "sentinel.conf"
            quorum = len(self.ports) // 2 + 1
            config.write_text(
                _CONFIG.format(
                    port=port, folder=folder, service=SERVICE, master=master.port, quorum=quorum
                )
            )
            with (folder / "log").open("ab") as log:
                command = ["redis-server", str(config), "--sentinel"]
                self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        for port in self.ports:
            self._await(port)
        return self

    def _await(self, port: int) -> None:
        deadline = time.monotonic() + PATIENCE
        with redis.Redis(port=port, decode_responses=True, protocol=2) as client:
            while True:
                try:
                    found = client.sentinel_master(SERVICE)
                    others = found["num-other-sentinels"] == len(self.ports) - 1
                    if others and found["num-slaves"] == 1:
                        return
                except (redis.ConnectionError, redis.ResponseError):
                    pass
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def url(self, *, before: str = "") -> str:
        """The URL, with the least rights that do; `before` goes before the sentinels."""
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        return f"redis+sentinel://board:secret@{before}{hosts}/{SERVICE}/0"

    def kill_sentinel(self, index: int) -> None:
        self._processes[index].kill()
        self._processes[index].wait()

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for server in self.servers:
            server.close()
