"""A board that is answered from memory is never older than what a writer was told before; nor is a
player."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.realtime.hub import Hub
from tornado_board.replay import Event, EventId
from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.store import NotFound
from tornado_board.web import board_reads
from tornado_board.web.board_reads import FRESH, BoardReads

from .conftest import Opened
from .held_store import HeldStore

Serve = Callable[[Settings], Awaitable[Running]]


class Client:
    """A connection that is kept."""

    @classmethod
    async def to(cls, running: Running) -> Client:
        client = cls()
        port = re.search(r":(\d+)/", running.url)
        assert port is not None
        client.reader, client.writer = await asyncio.open_connection("127.0.0.1", int(port[1]))
        return client

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str, path: str, value: object = None, *fields: str) -> Any:
        body = b"" if value is None else json.dumps(value).encode()
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", *fields]
        if method != "GET":
            head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.writer.write("\r\n".join([*head, "", ""]).encode() + body)
        answer = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        assert int(answer.split()[1]) < 300, answer
        length = re.search(rb"Content-Length: (\d+)", answer)
        content = await self.reader.readexactly(int(length[1])) if length else b""
        return json.loads(content) if content else None


@pytest.mark.gen_test
async def test_whoever_was_told_of_a_write_sees_it(
    serving: Serve, settings: Settings, database_url: str
) -> None:
    """Whichever way it was written, and whoever asks over whichever connection."""
    running = await serving(dataclasses.replace(settings, database_url=database_url))
    setup = await Client.to(running)
    await setup.ask("POST", "/boards/", {"id": "b"})
    for number in range(3):
        await setup.ask("POST", "/boards/b/players/", {"id": f"p{number}", "name": "P"})
    told = dict.fromkeys(("p0", "p1", "p2"), 0)
    stop = False
    seen = 0

    async def write(player: str, chance: random.Random) -> None:
        client = await Client.to(running)
        score = 0
        while not stop:
            if chance.random() < 0.7:
                path = f"/boards/b/players/{player}/score-add"
                score = (await client.ask("POST", path, {"amount": 1}))["score"]
            else:  # by Tornado's way
                path = f"/boards/b/players/{player}/"
                score = (await client.ask("PATCH", path, {"score": score + 1}))["score"]
            told[player] = score
            await asyncio.sleep(chance.choice((0, 0, 0.002, 0.02)))

    async def read() -> None:
        nonlocal seen
        client = await Client.to(running)
        for _ in range(150):
            before = dict(told)
            board = await client.ask("GET", "/boards/b/")
            scores = {player["id"]: player["score"] for player in board["players"]}
            for player, score in before.items():
                assert scores[player] >= score
            one = list(before)[seen % len(before)]
            player_read = await client.ask("GET", f"/boards/b/players/{one}/")
            assert player_read["score"] >= before[one]
            seen += 1

    writers = [asyncio.ensure_future(write(p, random.Random(p))) for p in told]
    try:
        await asyncio.gather(*(read() for _ in range(4)))
    finally:
        stop = True
    await asyncio.gather(*writers)
    assert seen == 600
    assert min(told.values()) > 0
    await setup.ask("DELETE", "/boards/b/players/p0")
    board = await setup.ask("GET", "/boards/b/")
    assert [player["id"] for player in board["players"] if player["id"] == "p0"] == []


class Source:
    """Publishes nothing by itself."""

    async def watch(self, board_id: str) -> None:
        raise NotFound("there is none")

    def unwatch(self, board_id: str) -> None: ...


class Rig:
    def __init__(self, store: Any) -> None:
        self.now = 0.0
        self.hub = Hub(live_boards=10, streams_per_board=10, keepalive=100)
        self.hub.source = Source()  # type: ignore[assignment]
        self.asked = HeldStore(store)
        self.reads = BoardReads(self.asked, self.hub, lambda: self.now)

    async def publish(self, n: int, board_id: str = "b") -> None:
        await self.hub.publish(board_id, Event(EventId(1, n), "{}"))


async def rig(opened: Opened, settings: Settings) -> Rig:
    store = await opened.store(settings.database_url, settings)
    await store.create_board(NewBoard(id="b"))
    await store.create_player("b", NewPlayer(id="p", name="P"))
    made = Rig(store)
    await made.publish(1)
    return made


@pytest.mark.gen_test
async def test_what_was_read_serves_those_who_ask_next(opened: Opened, settings: Settings) -> None:
    r = await rig(opened, settings)
    assert r.reads.known("b") is None
    first, *others = await asyncio.gather(*(r.reads.read("b") for _ in range(5)))
    assert all(other is first for other in others)
    assert first.position == EventId(1, 1)
    assert r.reads.known("b") is first
    assert await r.reads.read("b") is first
    assert r.asked.reads == 1
    # Who asks for more gets it, and it is no news for the others.
    assert await r.reads.read("b", anew=True) is not first
    assert r.reads.known("b") is first
    assert r.asked.reads == 2
    await r.hub.close()


@pytest.mark.gen_test
async def test_what_ends_that(opened: Opened, settings: Settings) -> None:
    r = await rig(opened, settings)

    async def is_kept_over(happens: Callable[[], Any]) -> bool:
        await r.reads.read("b")
        assert r.reads.known("b") is not None
        happening = happens()
        if happening is not None:
            await happening
        return r.reads.known("b") is not None

    def wait(seconds: float) -> None:
        r.now += seconds

    assert await is_kept_over(lambda: wait(FRESH * 0.9))
    assert not await is_kept_over(lambda: wait(FRESH * 1.1))
    assert not await is_kept_over(lambda: r.reads.wrote("b"))
    assert await is_kept_over(lambda: r.reads.wrote("other"))
    assert not await is_kept_over(lambda: r.publish(2))
    assert not await is_kept_over(lambda: r.hub.end_board("b"))
    await r.hub.close()


@pytest.mark.parametrize("what", ["a write", "an event"])
@pytest.mark.gen_test
async def test_a_read_that_began_before_is_not_used_after(
    opened: Opened, settings: Settings, what: str
) -> None:
    r = await rig(opened, settings)
    r.asked.go.clear()
    early = asyncio.ensure_future(r.reads.read("b"))
    while not r.asked.reads:
        await asyncio.sleep(0.005)
    if what == "a write":
        r.reads.wrote("b")
    else:
        await r.publish(2)
    late = asyncio.ensure_future(r.reads.read("b"))
    while r.asked.reads < 2:
        await asyncio.sleep(0.005)
    r.asked.go.set()
    await early
    assert r.reads.known("b") in (None, await late)
    assert r.reads.known("b") is await late
    await r.hub.close()


@pytest.mark.gen_test
async def test_a_board_that_is_not_live_is_read_each_time(
    opened: Opened, settings: Settings
) -> None:
    r = await rig(opened, settings)
    r.hub.end_board("b")
    with pytest.raises(NotFound):
        await r.reads.read("b")
    r.hub._live_boards = 0  # as if all had streams
    assert (await r.reads.read("b")).position is None
    await r.reads.read("b")
    assert r.asked.reads == 2
    await r.hub.close()


@pytest.mark.gen_test
async def test_what_is_remembered_has_bounds(
    opened: Opened, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_reads, "_WRITTEN", 3)
    monkeypatch.setattr(board_reads, "_KEPT", 2)
    r = await rig(opened, settings)
    await r.reads.read("b")
    for number in range(3):
        r.reads.wrote(f"other{number}")
    assert r.reads.known("b") is not None
    r.reads.wrote("other3")  # from now on nobody knows when "b" was written last
    assert r.reads.known("b") is None
    assert len(r.reads._written) <= 3
    for board_id in ("b", "c", "d"):
        if board_id != "b":
            await r.asked._store.create_board(NewBoard(id=board_id))
            await r.publish(1, board_id)
        await r.reads.read(board_id)
    assert set(r.reads._kept) == {"c", "d"}
    await r.hub.close()
