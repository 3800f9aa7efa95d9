"""Headless Firefox, driven over WebDriver BiDi with Tornado's WebSocket client."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import ujson
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .waiting import PATIENCE

#: What Debian, and others, call it.
NAMES = ("firefox-esr", "firefox")

#: Seconds.
START_TIMEOUT = 120
COMMAND_TIMEOUT = PATIENCE


def executable() -> str | None:
    """The path of a Firefox, if one is installed."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class ScriptError(Exception):
    """A script in the page failed, or a command did."""


class Firefox:
    """A Firefox with a profile of its own, and one tab."""

    def __init__(self) -> None:
        path = executable()
        assert path is not None
        self._profile = tempfile.mkdtemp(prefix="tornado_board-firefox-")
        self._log = Path(self._profile, "output.txt")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(path, "--headless", "--no-remote", "--remote-debugging-port=0"),
                    *("--profile", self._profile, "about:blank"),
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": self._profile, "MOZ_CRASHREPORTER_DISABLE": "1"},
                start_new_session=True,
            )
        self._ids = itertools.count(1)
        self._socket: WebSocketClientConnection | None = None
        self._context = ""
        self._address = self._wait_for_address()

    def _wait_for_address(self) -> str:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            found = re.search(r"WebDriver BiDi listening on (ws://\S+)", self._log.read_text())
            if found:
                return found[1]
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = self._log.read_text()[-500:]
                self.close()
                raise RuntimeError(f"Firefox did not start: {text}")
            time.sleep(0.05)

    async def _send(self, method: str, **params: Any) -> dict[str, Any]:
        assert self._socket is not None
        number = next(self._ids)
        await self._socket.write_message(
            ujson.dumps({"id": number, "method": method, "params": params})
        )
        while True:
            text = await asyncio.wait_for(self._read(), COMMAND_TIMEOUT)
            message: dict[str, Any] = ujson.loads(text)
            if message.get("id") == number:
                if message["type"] == "error":
                    raise ScriptError(message["message"])
                result: dict[str, Any] = message["result"]
                return result

    async def _read(self) -> str | bytes:
        assert self._socket is not None
        text = await self._socket.read_message()
        if text is None:
            raise ScriptError("Firefox has ended")
        return text

    async def go(self, url: str) -> None:
        """Load `url` in the tab, and wait for its load event."""
        if self._socket is None:
            self._socket = await websocket_connect(f"{self._address}/session")
            await self._send("session.new", capabilities={})
            tree = await self._send("browsingContext.getTree")
            self._context = tree["contexts"][0]["context"]
        await self._send(
            "browsingContext.navigate", context=self._context, url=url, wait="complete"
        )

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression that has one in JSON, awaited if it is a promise."""
        answer = await self._send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({script})))()",
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] != "success":
            raise ScriptError(answer["exceptionDetails"]["text"])
        value = answer["result"].get("value")
        return None if value is None else ujson.loads(value)

    async def until(self, script: str, seconds: float = PATIENCE) -> None:
        """Wait until a JavaScript expression is true. Raises `ScriptError`."""
        deadline = time.monotonic() + seconds
        while not await self.run(f"Boolean({script})"):
            if time.monotonic() > deadline:
                raise ScriptError(f"after {seconds} s it is not so: {script}")
            await asyncio.sleep(0.05)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # a session of its own: its children, too
        self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)
