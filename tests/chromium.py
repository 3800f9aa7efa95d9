"""Headless Chromium, driven over its DevTools protocol with Tornado's WebSocket client."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import ujson
from tornado.httpclient import AsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .waiting import PATIENCE

#: What Debian, and others, call it.
NAMES = ("chromium", "chromium-browser", "google-chrome")

_FLAGS = (
    "--headless",
    "--no-sandbox",  # it runs as root in containers
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-default-browser-check",
    "--remote-debugging-port=0",
    "--enable-precise-memory-info",
)

#: Seconds a start, or one command, may take on a busy machine.
START_TIMEOUT = 120
COMMAND_TIMEOUT = PATIENCE


def executable() -> str | None:
    """The path of Chromium; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class PageError(Exception):
    """The browser refused a command, or a script threw."""


class Chromium:
    """A browser with a fresh profile. It has to be closed."""

    def __init__(self, *flags: str) -> None:
        path = executable()
        assert path is not None, "Chromium is not installed"
        self._profile = tempfile.mkdtemp(prefix="tornado_board-chromium-")
        self._process = subprocess.Popen(
            [path, *_FLAGS, *flags, f"--user-data-dir={self._profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._port = self._wait_for_port()

    def _wait_for_port(self) -> int:
        """The port that it is driven over, which it writes to a file."""
        file = Path(self._profile, "DevToolsActivePort")
        deadline = time.monotonic() + START_TIMEOUT
        while not (file.exists() and file.read_text().count("\n")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise RuntimeError("Chromium did not start")
            time.sleep(0.05)
        return int(file.read_text().split()[0])

    async def open(self, url: str = "about:blank") -> Tab:
        """A new tab that shows `url`; tabs of one browser share storage, locks and channels."""
        answer = await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{self._port}/json/new?about:blank", method="PUT", body=b""
        )
        address = ujson.loads(answer.body)["webSocketDebuggerUrl"]
        socket = await websocket_connect(address, max_message_size=2**28)
        tab = Tab(socket)
        for domain in ("Page", "Runtime", "Log", "Network"):
            await tab.send(f"{domain}.enable")
        if url != "about:blank":
            await tab.go(url)
        return tab

    def close(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)  # a session of its own: its children, too
        self._process.wait()
        shutil.rmtree(self._profile, ignore_errors=True)


class Tab:
    """A tab, and what its console said since it was opened."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.ensure_future(self._read())
        #: Errors and warnings: uncaught exceptions, console.error, violated policies, failed loads.
        self.complaints: list[str] = []
        #: The addresses of all requests.
        self.requests: list[str] = []

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a DevTools command. Raises `PageError`."""
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.write_message(
            ujson.dumps({"id": number, "method": method, "params": params})
        )
        return await asyncio.wait_for(answer, COMMAND_TIMEOUT)

    async def event(self, method: str) -> dict[str, Any]:
        """The parameters of the next DevTools event of this name."""
        event = self._events.setdefault(method, asyncio.get_running_loop().create_future())
        return await asyncio.wait_for(asyncio.shield(event), COMMAND_TIMEOUT)

    async def go(self, url: str) -> None:
        """Load `url` and wait for its load event."""
        loaded = asyncio.ensure_future(self.event("Page.loadEventFired"))
        await asyncio.sleep(0)
        await self.send("Page.navigate", url=url)
        await loaded

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise. Raises `PageError`."""
        answer = await self.send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            raise PageError(ujson.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def until(self, script: str, seconds: float = PATIENCE, *, saw: str = "") -> float:
        """Wait until a JavaScript expression is true; the seconds that took.

        Raises `PageError` after `seconds`, with the value of the expression `saw`, what the page
        shows, and what its console said.
        """
        start = time.monotonic()
        while not await self.run(f"Boolean({script})"):
            if time.monotonic() - start > seconds:
                seen = f"\n{saw}: {ujson.dumps(await self.run(saw))}" if saw else ""
                text = await self.run("document.body.innerText")
                raise PageError(
                    f"after {seconds} s it is not so: {script}{seen}\n{text}\n{self.complaints}"
                )
            await asyncio.sleep(0.02)
        return time.monotonic() - start

    async def close(self) -> None:
        """Close the tab, as a user would."""
        if not self._reader.done():
            await self._socket.write_message('{"id": 0, "method": "Page.close"}')
            await asyncio.wait([self._reader], timeout=5)
        self._socket.close()
        self._reader.cancel()

    async def _read(self) -> None:
        while (text := await self._socket.read_message()) is not None:
            message = ujson.loads(text)
            if "id" in message:
                answer = self._answers.pop(message["id"], None)
                if answer is None or answer.done():
                    continue
                if "error" in message:
                    answer.set_exception(PageError(message["error"]["message"]))
                else:
                    answer.set_result(message["result"])
                continue
            method, params = message["method"], message["params"]
            if event := self._events.pop(method, None):
                event.set_result(params)
            if method == "Runtime.exceptionThrown":
                self.complaints.append(ujson.dumps(params["exceptionDetails"]))
            elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
                self.complaints.append(ujson.dumps(params["args"]))
            elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
                entry = params["entry"]
                self.complaints.append(f"{entry['text']} {entry.get('url', '')}")
            elif method == "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
