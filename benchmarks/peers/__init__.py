"""The servers that the fan-out is compared with, one file each, all sending the same event."""

from __future__ import annotations

import asyncio
import gc
import http.client
import importlib.util
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.processes import Process, cpu_seconds, family, memory_bytes, python


class Peer:
    """A server under measurement.

    A subclass sets `name`, starts `process` in `start`, and publishes in `publish`.
    """

    name: str
    #: The path of the event stream; "%d" is the number of a board where there are several.
    path = "/events"
    process: Process
    port: int
    #: Connections to open at the same time.
    at_once = 256

    def missing(self) -> str | None:
        """What has to be installed before this can be measured, if anything."""
        return None

    def start(self, folder: Path) -> None:
        """Start the server with `folder` for its files. Raises `Failed`."""
        raise NotImplementedError

    def publish(self, rate: float, seconds: float) -> dict[str, Any]:
        """Publish `rate` events a second (0: flat out) for `seconds`.

        Returns how many were ``published``, and the number of the ``newest``.
        """
        raise NotImplementedError

    def stop(self) -> None:
        if hasattr(self, "process"):
            self.process.stop()

    def pids(self) -> list[int]:
        return family(self.process.pid)

    def cpu_seconds(self) -> float:
        return cpu_seconds(self.pids())

    def memory_bytes(self) -> int:
        return memory_bytes(self.pids())


class InProcess(Peer):
    """A server that publishes by itself when told so on its stdin; it prints its port first."""

    module: str
    arguments: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    environ: Mapping[str, str] = MappingProxyType({})

    def missing(self) -> str | None:
        absent = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"pip install {' '.join(absent)}" if absent else None

    def start(self, folder: Path) -> None:
        command = python(self.module, *self.arguments)
        log = folder / "server.log"
        self.process = Process(command, log=log, cwd=folder, environ=self.environ)
        self.port = self.process.answer()["port"]

    def publish(self, rate: float, seconds: float) -> dict[str, Any]:
        return self.process.ask(f"publish {rate} {seconds}", seconds + 60)


class OverHTTP(Peer):
    """A server that is published to with one request an event, over one keep-alive connection."""

    publish_path: str
    publish_port: int
    publish_method = "POST"
    _seq = 0

    def body(self, seq: int) -> bytes:
        raise NotImplementedError

    def publish(self, rate: float, seconds: float) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.publish_port, timeout=30)
        start = time.monotonic()
        published = 0
        while True:
            if rate:
                due = start + published / rate
                if due >= start + seconds:
                    break
                time.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - start >= seconds:
                break
            self._seq += 1
            published += 1
            headers = {"Content-Type": "application/json"}
            connection.request(
                self.publish_method, self.publish_path, self.body(self._seq), headers
            )
            response = connection.getresponse()
            response.read()
            if response.status >= 300:
                raise RuntimeError(f"{self.name}: {response.status} {response.reason}")
        connection.close()
        return {"published": published, "newest": self._seq}


async def obey(port: int, publish_one: Callable[[int], Awaitable[None]]) -> None:
    """The server's side of `InProcess`: print the port, then do what stdin says until it closes.

    `publish_one` publishes the event with this number and returns when every stream was served.
    """
    print(json.dumps({"port": port}), flush=True)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    seq = 0
    while line := await commands.readline():
        if line == b"heap\n":
            print(json.dumps(_heap()), flush=True)
            continue
        _, rate, seconds = line.split()
        start, published = time.monotonic(), 0
        while True:
            if float(rate):
                due = start + published / float(rate)
                if due >= start + float(seconds):
                    break
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            if time.monotonic() - start >= float(seconds):
                break
            seq += 1
            published += 1
            await publish_one(seq)
        print(json.dumps({"published": published, "newest": seq}), flush=True)
    os._exit(0)


def _heap() -> dict[str, Any]:
    """What is allocated now, by the line that did it; needs PYTHONTRACEMALLOC=1."""
    gc.collect()
    lines = tracemalloc.take_snapshot().statistics("lineno")
    return {str(line.traceback): {"bytes": line.size, "blocks": line.count} for line in lines}
