"""What a client does, connected to a real server that is restarted and killed."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tornado_board.replay import EventId

from ..server_process import ServerProcess
from .libraries import Library

BOARD = "demo"
#: Changes that are seen one after the other, and those that are made while a client is away.
SEEN, MISSED = 10, 3
#: Seconds within which a browser has to have started, an event of a connection that is there to
#: come, and a client that comes back by itself to be back.
START, PATIENCE, LONGEST_PAUSE = 120.0, 20.0, 60.0
#: For how long nobody listens after a kill, in seconds: who comes back finds nobody at first.
AWAY = 6.0


class Failed(Exception):
    """What a client did not do."""


@dataclass
class Row:
    """What was measured of one client."""

    library: Library
    transport: str = ""
    #: Seconds from each change to its event.
    times: list[float] = field(default_factory=list)
    #: Whether it came back by itself, by what had happened.
    back: dict[str, bool] = field(default_factory=dict)
    #: How often an event was missing, came twice, or a reset came instead of it.
    missing: int = 0
    twice: int = 0
    resets: int = 0
    trouble: str = ""


class Follower:
    """A process that follows the board with a library."""

    def __init__(self, library: Library, address: str, last: str) -> None:
        self.process = subprocess.Popen(
            [*library.command, address, *([last] if last else [])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **library.environ},
            text=True,
            start_new_session=True,
        )
        self.told: queue.Queue[tuple[str, str]] = queue.Queue()
        self.errors: list[str] = []
        self._fields: dict[str, str] = {}
        for read in (self._read, self._read_errors):
            threading.Thread(target=read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("["):
                kind, event_id = json.loads(line)
                self.told.put((kind, event_id or ""))
            elif line.startswith("line "):  # the stream as it is
                self._take(line.removeprefix("line ").rstrip("\n"))

    def _take(self, line: str) -> None:
        if line:
            name, _, value = line.partition(": ")
            self._fields[name] = value
            return
        if self._fields.get("event") in ("update", "reset"):
            self.told.put((self._fields["event"], self._fields.get("id", "")))
        self._fields = {}

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.errors.append(line.strip())

    def has_ended(self) -> bool:
        return self.process.poll() is not None and self.told.empty()

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # a session of its own: its children, too
        self.process.wait()


class Trial:
    """One client and a server of its own."""

    def __init__(self, library: Library, folder: Path) -> None:
        self._row = Row(library)
        self._server = ServerProcess(
            folder, "--log-level=warning", "--allowed-origins=*"
        ).wait_until_serving()
        self._address = f"{self._server.url}/boards/{BOARD}/events/"
        if not library.is_socket:
            self._address = f"{self._server.url}/boards/{BOARD}/"
        self._ids: list[str] = []
        self._follower = Follower(library, self._address, "")

    def run(self) -> Row:
        """Everything, in order."""
        try:
            self._wait_for(lambda: bool(self._ids), START)
            for _ in range(SEEN):
                self._row.times.append(self._change_and_see())
            self._row.transport = self._transport()
            self._away("restart", self._server.stop, 0)
            self._away("kill", self._server.kill, AWAY)
        except Failed as failed:
            self._row.trouble = f"{failed} {' '.join(self._follower.errors[-3:])}".strip()
        finally:
            self._follower.end()
            if self._server.process.poll() is None:
                self._server.kill()
        self._check()
        return self._row

    def _change(self) -> str:
        """Change the board; the id of the event that tells of it, or of a later one."""
        path = f"{self._server.url}/boards/{BOARD}/"
        httpx.post(f"{path}players/mars/score-add/", timeout=PATIENCE).raise_for_status()
        return str(httpx.get(path, timeout=PATIENCE).headers["Last-Event-ID"])

    def _change_and_see(self) -> float:
        """Change the board, and wait until the client tells of it; seconds."""
        path = f"{self._server.url}/boards/{BOARD}/"
        before = len(self._ids)
        time.sleep(0.1)  # events of a board are 50 ms apart at the least
        began = time.perf_counter()
        httpx.post(f"{path}players/mars/score-add/", timeout=PATIENCE).raise_for_status()
        self._wait_for(lambda: len(self._ids) > before, PATIENCE)
        return time.perf_counter() - began

    def _transport(self) -> str:
        """How the server says that it is connected."""
        text = httpx.get(f"{self._server.url}/metrics", timeout=PATIENCE).text
        pattern = r'^tornado_board_streams\{of="board",transport="([a-z-]+)"\} 1\.0$'
        (transport,) = re.findall(pattern, text, re.M) or ["?"]
        return str(transport)

    def _away(self, what: str, end: Callable[[], object], seconds: float) -> None:
        """End the server, start it again, change the board, and see all of it."""
        end()
        time.sleep(seconds)
        self._server.restart()
        for _ in range(MISSED):
            time.sleep(0.1)
            self._change()
        last = self._last_id()
        back = self._wait_for(lambda: self._has(last), LONGEST_PAUSE, may_end=True)
        self._row.back[what] = back
        if not back:
            # The program has to come back, with the last id that it has seen.
            self._follower.end()
            since = self._ids[-1]
            self._follower = Follower(self._row.library, self._address, since)
            self._wait_for(lambda: self._has(last), START)

    def _last_id(self) -> EventId:
        """The id of the newest event, once all that was done is in it."""
        path = f"{self._server.url}/boards/{BOARD}/events/"
        newest = ""
        while True:
            answer = httpx.get(path, params={"history": 1}, timeout=PATIENCE).json()
            if answer["last_event_id"] == newest:
                return EventId.parse(newest)
            newest = answer["last_event_id"]
            time.sleep(0.3)

    def _has(self, event_id: EventId) -> bool:
        return bool(self._ids) and EventId.parse(self._ids[-1]) >= event_id

    def _wait_for(
        self, holds: Callable[[], bool], seconds: float, *, may_end: bool = False
    ) -> bool:
        """Take what the client tells until something holds; whether it does. Raises `Failed`."""
        deadline = time.monotonic() + seconds
        while not holds():
            try:
                kind, event_id = self._follower.told.get(timeout=0.05)
            except queue.Empty:
                if self._follower.has_ended() or time.monotonic() > deadline:
                    if may_end:
                        return False
                    state = "it ended" if self._follower.has_ended() else "nothing came"
                    raise Failed(f"{state} after {len(self._ids)} events:") from None
                continue
            if kind == "reset":
                self._row.resets += 1
            else:
                self._ids.append(event_id)
        return True

    def _check(self) -> None:
        """The counters of ids go up by one."""
        counters = [EventId.parse(event_id).n for event_id in self._ids]
        self._row.twice = len(counters) - len(set(counters))
        if counters:
            self._row.missing = max(counters) - min(counters) + 1 - len(set(counters))
