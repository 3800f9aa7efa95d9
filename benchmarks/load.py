"""The load client: many event streams held open by one small C program (native/load_client.c)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.processes import Failed, Process
from benchmarks.programs import program


class LoadClient:
    """Streams that are open, and the figures of the events they get.

    `opened` is the first report, made when every connection had its response header or had failed.
    Raises `Failed` if more than a hundredth of them failed.
    """

    def __init__(
        self,
        port: int,
        path: str,
        connections: int,
        *,
        log: Path,
        wait: bool = True,
        **options: int | str,
    ) -> None:
        arguments = [str(program("load_client")), f"--port={port}", f"--path={path}"]
        arguments.append(f"--connections={connections}")
        arguments.extend(f"--{name.replace('_', '-')}={value}" for name, value in options.items())
        self.process = Process(arguments, log=log)
        if wait:
            self.wait_until_open()

    def wait_until_open(self, timeout: float = 90) -> dict[str, Any]:
        try:
            self.opened = self.process.answer(timeout)
        except Failed:
            self.stop()
            raise
        if self.opened["failed"] > self.opened["connections"] / 100:
            self.stop()
            raise Failed(
                f"{self.opened['failed']} connections failed: {self.opened['first_error']}"
            )
        return self.opened

    def reset(self) -> None:
        self.process.ask("reset")

    def report(self) -> dict[str, Any]:
        return self.process.ask("report")

    def settled(
        self, newest: int, patience: float = 5.0, *, quiet_for: float = 0.5
    ) -> dict[str, Any]:
        """The report once every stream has event `newest`, or nothing came for `quiet_for` seconds,
        or `patience` seconds have passed."""
        deadline = time.monotonic() + patience
        events, heard_at = -1, time.monotonic()
        while True:
            report = self.report()
            now = time.monotonic()
            if report["events"] != events:
                events, heard_at = report["events"], now
            if report["newest"] >= newest and report["behind"] == 0:
                return report
            if now > min(heard_at + quiet_for, deadline):
                return report
            time.sleep(0.1)

    def pause(self, count: int) -> None:
        """Stop reading from the first `count` streams; they leave the figures for good."""
        self.process.ask(f"pause {count}")

    def resume(self, newest: int) -> dict[str, Any]:
        """Read from them again. ``arrival_us`` is then the time until each had event `newest`."""
        return self.process.ask(f"resume {newest}", 20)

    def stop(self) -> None:
        self.process.stop()
