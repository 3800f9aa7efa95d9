"""Which changes are events of a stream, and when."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tornado_board.replay import EventId
from tornado_board.server import Running
from tornado_board.settings import Settings

from .stream_client import (
    PATIENCE,
    RawStream,
    Writer,
    add,
    contiguous,
    event_ids,
    event_source,
    http_client,
    make_board,
    next_event,
)

pytestmark = pytest.mark.gen_test

Serving = Callable[[Settings], Awaitable[Running]]


async def test_every_kind_of_change_is_an_event(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {})
        async with event_source(client, "/boards/b/") as events:
            assert json.loads((await next_event(events)).data)["players"] == []
            players = "/boards/b/players/"

            async def shows(*expected: tuple[str, str, float]) -> None:
                shown = json.loads((await next_event(events)).data)["players"]
                assert [(p["id"], p["name"], p["score"]) for p in shown] == list(expected)

            async def change(method: str, path: str, **body: Any) -> None:
                (await client.request(method, path, json=body)).raise_for_status()

            await change("POST", players, id="p", name="P")
            await shows(("p", "P", 0))
            await change("POST", players, id="q", name="Q", score=2)
            await shows(("q", "Q", 2), ("p", "P", 0))
            await change("PATCH", players + "p/", name="Ünï ☃")
            await shows(("q", "Q", 2), ("p", "Ünï ☃", 0))
            await change("PATCH", players + "p/", score=2)
            await shows(("p", "Ünï ☃", 2), ("q", "Q", 2))
            await add(client, "b", "q", 0.5)
            await shows(("q", "Q", 2.5), ("p", "Ünï ☃", 2))
            await client.delete(players + "q/")
            await shows(("p", "Ünï ☃", 2))


async def test_changes_that_nobody_sees_are_no_events(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {f"p{i}": 100 - i for i in range(8)})
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        _, before, last = await stream.event()
        await add(client, "b", "p7", 2)
        await client.patch("/boards/b/players/p6/", json={"name": "renamed", "score": 3})
        await client.post("/boards/b/players/", json={"id": "new", "name": "new", "score": 5})
        await client.delete("/boards/b/players/p5/")
        await add(client, "b", "p0", 0)
        await client.patch("/boards/b/players/p0/", json={"name": "p0"})
        # One that everybody sees comes next, with the next counter.
        await add(client, "b", "p0", 1)
        _, after, event_id = await stream.event()
        assert event_id is not None
        assert last is not None
        assert event_id.n == last.n + 1
        before["players"][0]["score"] += 1
        assert after == before
        # The last one shown leaves: the best of those not shown so far takes the place.
        await client.delete("/boards/b/players/p4/")
        _, after, event_id = await stream.event()
        assert event_id is not None
        assert event_id.n == last.n + 2
        assert [p["id"] for p in after["players"]] == ["p0", "p1", "p2", "p3", "p7"]
        assert after["players"][-1]["score"] == 95
        stream.close()


@pytest.mark.alone
async def test_the_first_change_of_a_quiet_board_goes_out_at_once(
    serving: Serving, settings: Settings
) -> None:
    """It waits neither for further changes nor for the coalescing time."""
    coalesce = 2.0
    url = (await serving(dataclasses.replace(settings, coalesce=coalesce))).url
    async with http_client(url) as client:
        stream = await RawStream.open(url, "/boards/demo/", "Accept: text/event-stream")
        await stream.event()
        await asyncio.sleep(coalesce + 0.1)
        began = time.monotonic()
        await add(client, "demo", "venus")
        await stream.event()
        assert time.monotonic() - began < coalesce * 0.8
        stream.close()


async def test_coalesced_changes_are_one_event(serving: Serving, settings: Settings) -> None:
    """After an event, those within the coalescing time become one, with the newest state."""
    url = (await serving(dataclasses.replace(settings, coalesce=0.5))).url
    async with http_client(url) as client:
        await make_board(client, "b")
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        await stream.event()
        began = time.monotonic()
        for _ in range(20):
            await add(client, "b")
        counts, score = 0, 0
        while score < 20:
            score = (await stream.event())[1]["players"][0]["score"]
            counts += 1
        assert counts <= (time.monotonic() - began) / 0.5 + 1
        stream.close()


async def test_200_concurrent_writers(serving: Serving, settings: Settings) -> None:
    """Every addition that was answered is in the score, and the last event is the final board."""
    writers, additions = 200, 10
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 0, "q": 5})
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        events: list[tuple[Any, EventId]] = []

        async def read() -> None:
            while not events or events[-1][0]["players"][0]["score"] < writers * additions:
                kind, data, event_id = await stream.event()
                assert kind == "update"
                assert event_id is not None
                events.append((data, event_id))

        async def write() -> list[int]:
            writer = Writer(url)
            scores = [await writer.add("b") for _ in range(additions)]
            writer.close()
            return scores

        began = time.monotonic()
        reading = asyncio.ensure_future(read())
        answers = await asyncio.gather(*(write() for _ in range(writers)))
        await asyncio.wait_for(reading, PATIENCE)
        elapsed = time.monotonic() - began

        assert all(own == sorted(own) for own in answers)
        scores = sorted(score for own in answers for score in own)
        assert scores == list(range(1, writers * additions + 1))
        final = (await client.get("/boards/b/")).json()
        assert final["players"][0] == {"id": "p", "name": "p", "score": writers * additions}
        assert events[-1][0] == final
        assert contiguous(event_id for _, event_id in events)
        assert len(events) <= elapsed / settings.coalesce + 2, "an event for each 50 ms at the most"
        shown = [data["players"] for data, _ in events]
        assert all(a != b for a, b in itertools.pairwise(shown))
        # What was streamed is what was logged.
        logged = await event_ids(client, "b")
        assert logged[-len(events) :] == [event_id for _, event_id in events]
        stream.close()


async def test_many_boards_do_not_hear_of_each_other(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    boards = [f"b{i}" for i in range(20)]
    async with http_client(url) as client:
        await asyncio.gather(*(make_board(client, board) for board in boards))
        streams = [
            await RawStream.open(url, f"/boards/{board}/", "Accept: text/event-stream")
            for board in boards
        ]
        for stream in streams:
            await stream.event()
        await asyncio.gather(*(add(client, board, amount=i + 1) for i, board in enumerate(boards)))
        for i, (board, stream) in enumerate(zip(boards, streams, strict=True)):
            _, data, _ = await stream.event()
            assert (data["id"], data["players"][0]["score"]) == (board, i + 1)
            stream.close()
