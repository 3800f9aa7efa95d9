"""WebSockets of other people's clients, and through proxies."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from .chromium import Chromium
from .node import node
from .proxies import KINDS, Proxy
from .server_process import ServerProcess
from .stream_client import PATIENCE, add, http_client

Start = Callable[..., ServerProcess]

NODE_CLIENT = Path(__file__).parent / "event_source" / "websocket.js"


def events_url(url: str) -> str:
    return f"ws://{urlsplit(url).netloc}/boards/demo/events/"


@pytest.mark.parametrize("kind", ["nginx, WebSockets too", "haproxy"])
@pytest.mark.gen_test
async def test_through_a_proxy(server_process: Start, tmp_path: Path, kind: str) -> None:
    if shutil.which(KINDS[kind][0]) is None:
        pytest.skip(f"{KINDS[kind][0]} is not installed")
    server = server_process("--keepalive=0.5")
    proxy = Proxy(kind, server.port, tmp_path)
    try:
        url = f"http://127.0.0.1:{proxy.port}"
        # A page of the proxy's own origin, though the host may not be passed on.
        headers = {"Origin": url, "Sec-Fetch-Site": "same-origin"}
        async with (
            http_client(url) as http,
            connect(events_url(url), additional_headers=headers) as client,
        ):
            last = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
            for _ in range(5):
                await add(http, "demo", "mars")
                event = json.loads(await asyncio.wait_for(client.recv(), PATIENCE))
                assert event["id"] > last["id"]
                last = event
            await asyncio.sleep(1.2)  # pings go by
            await http.delete("/boards/demo/")
            await asyncio.wait_for(client.wait_closed(), PATIENCE)
            assert (client.close_code, client.close_reason) == (4404, "the board was deleted")
        with pytest.raises(InvalidStatus) as info:
            await connect(events_url(url))
        assert info.value.response.status_code == 404
    finally:
        proxy.stop()


@pytest.mark.gen_test
async def test_nodes_own_client(server_process: Start) -> None:
    server = server_process("--keepalive=0.2")
    process = await asyncio.create_subprocess_exec(
        *(node(), "--experimental-websocket", "--no-warnings", str(NODE_CLIENT)),
        *(events_url(server.url), "4"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with http_client(server.url) as http:
        for score in range(19, 23):
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
            players = json.loads(line)["data"]["players"]
            assert next(p["score"] for p in players if p["id"] == "mars") == score
            await asyncio.sleep(0.3)
            await add(http, "demo", "mars")
    last = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    assert json.loads(last) == {"code": 4001, "wasClean": True}
    await asyncio.wait_for(process.wait(), PATIENCE)


@pytest.mark.gen_test
async def test_a_browser(server_process: Start, browser: Chromium, tmp_path: Path) -> None:
    server = server_process("--keepalive=0.3")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other = server_process(folder=elsewhere)
    tab = await browser.open(f"{server.url}/healthz")
    await tab.run(
        """
        globalThis.seen = [];
        globalThis.follow = (address) => {
          const socket = new WebSocket(address);
          socket.onmessage = ({ data }) => seen.push(JSON.parse(data));
          socket.onclose = ({ code, reason, wasClean }) => seen.push([code, reason, wasClean]);
        };
        """
    )
    await tab.run(f"follow('{events_url(server.url)}')")
    scores = "seen.map((one) => one.data?.players.find(({ id }) => id === 'mars').score)"
    async with http_client(server.url) as http:
        for score in range(19, 22):
            await tab.until(f"{scores}.at(-1) === {score}", saw="seen")
            await asyncio.sleep(0.4)  # pings go by
            await add(http, "demo", "mars")
        await tab.until(f"{scores}.at(-1) === 22", saw="seen")
        assert await tab.run(scores) == [19, 20, 21, 22]
        await http.delete("/boards/demo/")
        await tab.until("Array.isArray(seen.at(-1))", saw="seen")
    assert await tab.run("seen.slice(4)") == [[4404, "the board was deleted", True]]
    # Not from a page of another origin.
    await tab.run(f"seen.length = 0; follow('{events_url(other.url)}')")
    await tab.until("seen.length", saw="seen")
    assert await tab.run("seen[0][0]") == 1006
    await tab.close()
