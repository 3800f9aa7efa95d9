"""Streams as the clients of several libraries and programs read them, each event at once."""

from __future__ import annotations

import asyncio
import http.client
import importlib
import importlib.util
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
import tornado.httpclient

from .chromium import Chromium, executable
from .server_process import ServerProcess
from .stream_client import PATIENCE, STREAM, add, http_client

#: Takes the text of a stream as it comes, in pieces of any size.
Take = Callable[[str], object]


def read_with_requests(url: str, take: Take) -> None:
    requests = importlib.import_module("requests")
    with requests.get(url, headers=STREAM, stream=True, timeout=PATIENCE) as response:
        for line in response.iter_lines():
            take(line.decode() + "\n")


def read_with_urllib3(url: str, take: Take) -> None:
    urllib3 = importlib.import_module("urllib3")
    response = urllib3.PoolManager().request(
        "GET", url, headers=STREAM, preload_content=False, timeout=PATIENCE
    )
    for part in response.stream():
        take(part.decode())


def read_with_http_client(url: str, take: Take) -> None:
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    connection.request("GET", parts.path, headers=STREAM)
    response = connection.getresponse()
    while line := response.readline():
        take(line.decode())


def read_with_httpx(url: str, take: Take) -> None:
    with httpx.stream("GET", url, headers=STREAM, timeout=PATIENCE) as response:
        for part in response.iter_text():
            take(part)


def read_with_tornado(url: str, take: Take) -> None:
    async def read() -> None:
        client = tornado.httpclient.AsyncHTTPClient(force_instance=True)
        await client.fetch(
            url,
            headers=STREAM,
            request_timeout=PATIENCE,
            streaming_callback=lambda part: take(part.decode()),
        )

    asyncio.run(read())


def read_with_curl(url: str, take: Take) -> None:
    command = ["curl", "-sSN", "-H", "Accept: text/event-stream", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while part := process.stdout.read1(65_536):  # type: ignore[attr-defined]
            take(part.decode())
    assert process.returncode == 0, "the stream was cut off"


CLIENTS = {
    name.removeprefix("read_with_"): function
    for name, function in list(globals().items())
    if name.startswith("read_with_")
}


@pytest.fixture
def server(server_process: Callable[..., ServerProcess]) -> ServerProcess:
    # Nothing else comes that could push out what is held back.
    return server_process("--keepalive=300", "--log-level=warning")


@pytest.mark.parametrize("name", CLIENTS)
def test_each_event_comes_at_once_and_the_end_is_one(server: ServerProcess, name: str) -> None:
    if name == "curl":
        missing = shutil.which("curl") is None
    else:
        missing = name in ("requests", "urllib3") and importlib.util.find_spec(name) is None
    if missing:
        pytest.skip(f"{name} is not installed")
    taken: queue.Queue[str | BaseException] = queue.Queue()
    failed: list[BaseException] = []

    def read() -> None:
        try:
            CLIENTS[name](f"{server.url}/boards/demo/", taken.put)
        except BaseException as error:
            failed.append(error)
            taken.put(error)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    text = ""

    def read_until(score: int) -> None:
        nonlocal text
        # The whole event, not its beginning.
        while not re.search(rf'"Mars","score":{score}\b.*\nid: \S+\n\n', text):
            part = taken.get(timeout=PATIENCE)
            assert isinstance(part, str), part
            text += part

    read_until(19)
    for score in range(20, 24):
        # One at a time: a client that held it back would leave us waiting here.
        httpx.post(
            f"{server.url}/boards/demo/players/mars/score-add/", timeout=PATIENCE
        ).raise_for_status()
        read_until(score)
    httpx.delete(f"{server.url}/boards/demo/", timeout=PATIENCE).raise_for_status()
    reading.join(PATIENCE)
    assert not reading.is_alive()
    assert failed == []
    assert text.count("event: update\n") == 5


@pytest.mark.skipif(executable() is None, reason="Chromium is not installed")
@pytest.mark.gen_test
async def test_chromium_shows_each_event_at_once(server: ServerProcess) -> None:
    browser = Chromium()
    try:
        tab = await browser.open(f"{server.url}/healthz")
        await tab.run(
            "window.seen = [];"
            "window.source = new EventSource('/boards/demo/');"
            "source.addEventListener('update', (event) =>"
            " seen.push([event.lastEventId, event.data]));"
            "source.addEventListener('error', () => seen.push('error'))"
        )
        async with http_client(server.url) as client:
            await tab.until("seen.length === 1", saw="seen")
            for count in range(2, 6):
                await add(client, "demo", "mars")
                await tab.until(f"seen.length === {count}", saw="seen")
            board = await client.get("/boards/demo/")
        assert await tab.run("seen.at(-1)") == [board.headers["last-event-id"], board.text.strip()]
        await tab.close()
    finally:
        browser.close()
