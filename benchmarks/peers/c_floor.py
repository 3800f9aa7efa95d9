"""The floor: a bare loop of send() in C (native/c_floor.c)."""

from __future__ import annotations

from pathlib import Path

from benchmarks import payload
from benchmarks.peers import InProcess
from benchmarks.processes import Process
from benchmarks.programs import program


class CFloor(InProcess):
    name = "a bare C loop of `send` (the floor)"

    def start(self, folder: Path) -> None:
        command = [str(program("c_floor")), payload.BEFORE, payload.AFTER]
        self.process = Process(command, log=folder / "server.log")
        self.port = self.process.answer()["port"]
