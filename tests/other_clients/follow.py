"""Follows a board with a client library of others: python follow.py LIBRARY ADDRESS [LAST-EVENT-ID]

Each event is printed as a line of JSON, [type, id]. A library that does not come back by itself
ends the program when its stream ends. It is run where the libraries are, which this project is not.
"""

import asyncio
import http.client
import importlib
import json
import sys
import urllib.request
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlsplit

TYPES = ("update", "reset")
SSE = {"Accept": "text/event-stream"}
FOR_EVER = 3600


def tell(kind: str, event_id: str | None) -> None:
    if kind in TYPES:
        print(json.dumps([kind, event_id]), flush=True)


class Blocks:
    """Tells of the events in the lines of a stream, as much of the format as the server uses."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def line(self, line: str | bytes) -> None:
        text = (line if isinstance(line, str) else line.decode()).rstrip("\n")
        if text:
            name, _, value = text.partition(":")
            self.fields[name] = value.removeprefix(" ")
        else:
            tell(self.fields.get("event", ""), self.fields.get("id"))
            self.fields = {}

    def lines(self, lines: Iterable[str | bytes]) -> None:
        for line in lines:
            self.line(line)


def library(name: str) -> Any:
    return importlib.import_module(name)


def header(last: str) -> dict[str, str]:
    return {**SSE, "Last-Event-ID": last} if last else SSE


def socket_address(address: str, last: str) -> str:
    """The address for a WebSocket that goes on after `last`."""
    query = f"?since={quote(last)}" if last else ""
    return "ws" + address.removeprefix("http") + query


def frame(text: str | bytes) -> str | None:
    told = json.loads(text)
    tell(told["event"], told["id"])
    return str(told["id"]) if told["event"] == "update" else None


def requests(address: str, last: str) -> None:
    with library("requests").get(address, headers=header(last), stream=True) as response:
        Blocks().lines(response.iter_lines())


def niquests(address: str, last: str) -> None:
    with library("niquests").get(address, headers=header(last), stream=True) as response:
        Blocks().lines(response.iter_lines())


def urllib3(address: str, last: str) -> None:
    response = library("urllib3").request(
        "GET", address, headers=header(last), preload_content=False, timeout=FOR_EVER
    )
    blocks, rest = Blocks(), b""
    for piece in response.stream():
        *lines, rest = (rest + piece).split(b"\n")
        blocks.lines(lines)


def urllib_request(address: str, last: str) -> None:
    request = urllib.request.Request(address, headers=header(last))
    with urllib.request.urlopen(request) as response:
        Blocks().lines(response)


def http_client(address: str, last: str) -> None:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", parts.path, headers=header(last))
    response = connection.getresponse()
    blocks = Blocks()
    while line := response.readline():
        blocks.line(line)


def httpx(address: str, last: str) -> None:
    with library("httpx").stream("GET", address, headers=header(last), timeout=None) as response:
        Blocks().lines(response.iter_lines())


def httpx_sse(address: str, last: str) -> None:
    with (
        library("httpx").Client(timeout=None) as client,
        library("httpx_sse").connect_sse(client, "GET", address, headers=header(last)) as source,
    ):
        for event in source.iter_sse():
            tell(event.event, event.id)


def sseclient_py(address: str, last: str) -> None:
    with library("requests").get(address, headers=header(last), stream=True) as response:
        for event in library("sseclient").SSEClient(response).events():
            tell(event.event, event.id)


def requests_sse(address: str, last: str) -> None:
    with library("requests_sse").EventSource(address, headers=header(last), timeout=60) as source:
        for event in source:
            tell(event.type, event.last_event_id)


def launchdarkly_eventsource(address: str, last: str) -> None:
    ld = library("ld_eventsource")
    strategy = library("ld_eventsource.config").ErrorStrategy.always_continue()
    client = ld.SSEClient(address, last_event_id=last or None, error_strategy=strategy)
    for event in client.events:
        tell(event.event, event.last_event_id)


async def aiohttp(address: str, last: str) -> None:
    timeout = library("aiohttp").ClientTimeout(total=None)
    async with (
        library("aiohttp").ClientSession(timeout=timeout) as session,
        session.get(address, headers=header(last)) as response,
    ):
        blocks = Blocks()
        async for line in response.content:
            blocks.line(line)


async def aiohttp_websocket(address: str, last: str) -> None:
    async with (
        library("aiohttp").ClientSession() as session,
        session.ws_connect(socket_address(address, last)) as socket,
    ):
        async for message in socket:
            frame(message.data)


async def aiohttp_sse_client2(address: str, last: str) -> None:
    client = library("aiohttp_sse_client2.client")
    timeout = library("aiohttp").ClientTimeout(total=None)
    async with client.EventSource(address, headers=header(last), timeout=timeout) as source:
        async for event in source:
            tell(event.type, event.last_event_id)


async def tornado(address: str, last: str) -> None:
    blocks, rest = Blocks(), b""

    def take(piece: bytes) -> None:
        nonlocal rest
        *lines, rest = (rest + piece).split(b"\n")
        blocks.lines(lines)

    client = library("tornado.httpclient").AsyncHTTPClient()
    await client.fetch(
        address, headers=header(last), streaming_callback=take, request_timeout=FOR_EVER
    )


async def tornado_websocket(address: str, last: str) -> None:
    connect = library("tornado.websocket").websocket_connect
    socket = await connect(socket_address(address, last))
    while (text := await socket.read_message()) is not None:
        frame(text)


async def websockets(address: str, last: str) -> None:
    client = library("websockets.asyncio.client")
    async with client.connect(socket_address(address, last)) as socket:
        async for text in socket:
            frame(text)


def websocket_client(address: str, last: str) -> None:
    def take(app: Any, text: str) -> None:
        app.url = socket_address(address, frame(text) or "")  # where it comes back to

    app = library("websocket").WebSocketApp(socket_address(address, last), on_message=take)
    app.run_forever(reconnect=2)


def tornado_board_client(address: str, last: str) -> None:
    """Not of others: for comparison."""
    module = library("tornado_board.client")
    server, _, board = address.rstrip("/").removesuffix("/events").rpartition("/boards/")
    for event in module.Client(server).watch(board, since=last):
        tell("update" if isinstance(event, module.Update) else "reset", getattr(event, "id", None))


def main() -> None:
    name, address, *rest = sys.argv[1:]
    follow = globals()[name.replace("-", "_").replace(".", "_").replace(" ", "_")]
    found = follow(address, rest[0] if rest else "")
    if found is not None:
        asyncio.run(found)


if __name__ == "__main__":
    main()
