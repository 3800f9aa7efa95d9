"""A network of the harness's own, for RethinkDB nodes that are to be parted from each other.

A relay won't do there: nodes on the loopback interface tell each other no address at which they
can be reached again. So each node gets a network namespace with two interfaces: one to the other
nodes, which `part` cuts, and one to this machine, over which its clients go on reaching it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterable


def available() -> bool:
    """Whether this machine lets us have namespaces: it takes root, and iproute2."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("ss") is None:
        return False
    name = f"faults-{secrets.token_hex(3)}"
    if subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode:
        return False
    _ip("netns", "delete", name)
    return True


class Network:
    """`count` namespaces; a node's `cluster` address is for the others, `driver` for clients."""

    def __init__(self, count: int) -> None:
        token = secrets.token_hex(2)
        # Of the range that is set aside for benchmarks of networks (RFC 2544).
        subnet = secrets.randbelow(128)
        self._bridge = f"flt{token}"
        self.names = [f"flt{token}-{index}" for index in range(count)]
        self._ports = [f"flt{token}c{index}" for index in range(count)]
        self._drivers = [f"flt{token}d{index}" for index in range(count)]
        self.cluster = [f"198.18.{subnet}.{index + 1}" for index in range(count)]
        self.driver = [f"198.19.{subnet}.{4 * index + 2}" for index in range(count)]
        self._here = [f"198.19.{subnet}.{4 * index + 1}" for index in range(count)]

    def open(self) -> None:
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("link", "set", self._bridge, "up")
        for index, name in enumerate(self.names):
            port, driver = self._ports[index], self._drivers[index]
            _ip("netns", "add", name)
            _ip("link", "add", port, "type", "veth", "peer", "name", "cluster", "netns", name)
            _ip("link", "add", driver, "type", "veth", "peer", "name", "driver", "netns", name)
            _ip("link", "set", port, "master", self._bridge, "up")
            _ip("link", "set", driver, "up")
            _ip("addr", "add", f"{self._here[index]}/30", "dev", driver)
            for interface, address in (
                ("cluster", f"{self.cluster[index]}/24"),
                ("driver", f"{self.driver[index]}/30"),
            ):
                _ip("-n", name, "addr", "add", address, "dev", interface)
                _ip("-n", name, "link", "set", interface, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def part(self, nodes: Iterable[int], *, notice: bool) -> None:
        """Cut these nodes off from all others, each alone.

        Packets vanish, which nodes notice after many seconds; with `notice` their connections
        are reset too.
        """
        for index in nodes:
            _ip("link", "set", self._ports[index], "down")
            if notice:
                for name, address in zip(self.names, self.cluster, strict=True):
                    if name != self.names[index]:
                        _reset(name, self.cluster[index])
                        _reset(self.names[index], address)

    def mend(self) -> None:
        for port in self._ports:
            _ip("link", "set", port, "up")

    def close(self) -> None:
        for port in (*self._ports, *self._drivers, self._bridge):
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("link", "delete", port)
        for name in self.names:
            with contextlib.suppress(subprocess.CalledProcessError):
                _ip("netns", "delete", name)


def _reset(name: str, peer: str) -> None:
    """Reset the connections of a namespace with `peer`."""
    command = ["ip", "netns", "exec", name, "ss", "-K", "dst", peer]
    subprocess.run(command, capture_output=True, check=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], capture_output=True, check=True)
