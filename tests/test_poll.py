"""The long-poll over real sockets."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tornado_board.realtime.wires import poll as wire
from tornado_board.replay import Event, EventId
from tornado_board.server import Running
from tornado_board.settings import Settings

from .stream_client import (
    PATIENCE,
    RawStream,
    add,
    contiguous,
    http_client,
    is_event_id,
    make_board,
)
from .waiting import until

pytestmark = pytest.mark.gen_test

Serving = Callable[[Settings], Awaitable[Running]]


async def poll(client: httpx.AsyncClient, board: str = "b", **params: Any) -> Any:
    response = await client.get(f"/boards/{board}/events/", params=params)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert sorted(answer) == ["events", "last_event_id"]
    for event in answer["events"]:
        assert sorted(event) == ["data", "event", "id"]
    return answer


async def test_without_since_the_current_board_comes_at_once(
    serving: Serving, settings: Settings
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b", {"p": 3})
        board = await client.get("/boards/b/")
        for path in ("/boards/b/events/", "/boards/b/events", "/boards/b/events/?since="):
            answer = (await client.get(path)).json()
            (event,) = answer["events"]
            assert event == {
                "id": board.headers["last-event-id"],
                "event": "update",
                "data": board.json(),
            }
            assert is_event_id(event["id"])
            assert answer["last_event_id"] == event["id"]


async def test_nothing_newer_is_an_empty_list_after_the_wait(
    serving: Serving, settings: Settings
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        last = (await poll(client))["last_event_id"]
        for wait in ("0", "0.3", "0.000001"):
            began = time.monotonic()
            answer = await poll(client, since=last, wait=wait)
            assert answer == {"events": [], "last_event_id": last}
            assert time.monotonic() - began >= float(wait)


async def test_a_change_answers_those_who_wait(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        last = (await poll(client))["last_event_id"]
        ways: list[dict[str, Any]] = [
            {"params": {"since": last, "wait": 60}},
            {"params": {"since": last}},
            {"params": {"lastEventId": last}},
            {"params": {"last_event_id": last}},
            {"headers": {"Last-Event-ID": last}},
        ]
        waiting = [asyncio.ensure_future(client.get("/boards/b/events/", **way)) for way in ways]
        done, _ = await asyncio.wait(waiting, timeout=0.3)
        assert not done, "there was nothing to answer yet"
        await add(client, "b", amount=7)
        answers = [response.json() for response in await asyncio.gather(*waiting)]
        for answer in answers:
            (event,) = answer["events"]
            assert event["data"]["players"][0]["score"] == 7
            assert EventId.parse(event["id"]).n == EventId.parse(last).n + 1
            assert answer == answers[0]


async def test_a_loop_of_polls_sees_what_a_stream_sees(
    serving: Serving, settings: Settings
) -> None:
    url = (await serving(dataclasses.replace(settings, coalesce=0.01))).url
    async with http_client(url) as client:
        await make_board(client, "b")
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        streamed, polled = [await stream.event()], []

        async def read() -> None:
            while streamed[-1][1]["players"][0]["score"] < 60:
                streamed.append(await stream.event())

        async def loop() -> None:
            answer = await poll(client)
            polled.extend(answer["events"])
            while polled[-1]["data"]["players"][0]["score"] < 60:
                answer = await poll(client, since=answer["last_event_id"], wait=10)
                polled.extend(answer["events"])

        async def write() -> None:
            for _ in range(60):
                await add(client, "b")

        await asyncio.wait_for(asyncio.gather(read(), loop(), write()), PATIENCE)
        stream.close()
    assert [(e["event"], e["data"], EventId.parse(e["id"])) for e in polled] == streamed
    assert contiguous(EventId.parse(e["id"]) for e in polled)


async def test_history_gives_the_newest_events(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await make_board(client, "b")
        events = (await poll(client))["events"]
        for _ in range(4):
            await add(client, "b")
            events += (await poll(client, since=events[-1]["id"], wait=10))["events"]
        for count in (1, 3, 5, 1000):
            answer = await poll(client, history=count)
            assert answer == {"events": events[-count:], "last_event_id": events[-1]["id"]}


async def test_after_an_event_without_an_id_it_goes_on_with_a_reset(
    serving: Serving, settings: Settings
) -> None:
    """As while the replay log is away; the next one has an id again."""
    server = await serving(settings)
    hub = server.services.hub
    async with http_client(server.url) as client:
        await make_board(client, "b", {"p": 3})
        last = (await poll(client))["last_event_id"]
        current = hub.current("b")
        assert current is not None
        await hub.publish("b", Event(None, current.data.replace("3", "4")))
        answer = await poll(client, since=last)
        assert [e["event"] for e in answer["events"]] == ["reset", "update"]
        assert answer["last_event_id"] == "0-0"
        assert answer["events"][-1]["id"] is None
        assert (await poll(client))["last_event_id"] == "0-0"
        # It waits for a while: else clients would ask in circles.
        topic = hub.live("b")
        assert topic is not None
        waiting = asyncio.ensure_future(poll(client, since="0-0", wait=60))
        async with asyncio.timeout(PATIENCE):
            while not topic.listeners:
                await asyncio.sleep(0.005)
        await add(client, "b", amount=4)
        answer = await waiting
        assert [e["event"] for e in answer["events"]] == ["reset", "update"]
        assert answer["events"][-1]["data"]["players"][0]["score"] == 7
        assert is_event_id(answer["last_event_id"])
        assert (await poll(client, since=answer["last_event_id"], wait=0))["events"] == []


async def test_a_long_answer_comes_in_pieces(
    serving: Serving, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MOST_BYTES", 400)
    url = (await serving(dataclasses.replace(settings, coalesce=0))).url
    async with http_client(url) as client:
        await make_board(client, "b")
        answer = await poll(client)
        since = answer["last_event_id"]
        scores: list[int] = []
        stream = await RawStream.open(url, "/boards/b/", "Accept: text/event-stream")
        await stream.event()
        for _ in range(12):
            await add(client, "b")
            await stream.event()
        stream.close()
        while scores[-1:] != [12]:
            answer = await poll(client, since=since, wait=60)
            assert 1 <= len(answer["events"]) < 6
            assert since != answer["last_event_id"] == answer["events"][-1]["id"]
            since = answer["last_event_id"]
            scores += [e["data"]["players"][0]["score"] for e in answer["events"]]
        assert scores == list(range(1, 13))


@pytest.mark.parametrize(
    "query",
    [
        *(
            "wait=-1",
            "wait=60.1",
            "wait=61",
            "wait=x",
            "wait=nan",
            "wait=inf",
            "wait=1e2",
            "wait=1e",
        ),
        *("wait=%201", "history=-1", "history=1001", "history=x", "since=%ff"),
    ],
)
async def test_parameters_that_make_no_sense_are_refused(
    serving: Serving, settings: Settings, query: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        response = await client.get(f"/boards/demo/events/?{query}")
        assert response.status_code == 400
        assert response.headers["content-type"].startswith("application/problem+json")
        assert query.partition("=")[0] in response.json()["detail"]


async def test_a_deleted_board_answers_those_who_wait(serving: Serving, settings: Settings) -> None:
    server = await serving(settings)
    async with http_client(server.url) as client:
        await make_board(client, "b")
        last = (await poll(client))["last_event_id"]
        waiting = asyncio.ensure_future(poll(client, since=last, wait=60))
        await until(lambda: server.services.hub.listeners("b") == 1)
        await client.delete("/boards/b/")
        assert await asyncio.wait_for(waiting, PATIENCE) == {"events": [], "last_event_id": last}
        assert (await client.get(f"/boards/b/events/?since={last}")).status_code == 404


async def test_who_hangs_up_makes_room_at_once(serving: Serving, settings: Settings) -> None:
    """Abandoned polls must not keep others out for as long as they wanted to wait."""
    server = await serving(dataclasses.replace(settings, max_streams_per_board=2))
    async with http_client(server.url) as client:
        await make_board(client, "b")
        last = (await poll(client))["last_event_id"]
        for _ in range(5):
            abandoned = [asyncio.ensure_future(poll(client, since=last, wait=60)) for _ in range(2)]
            await until(lambda: server.services.hub.listeners("b") == 2)
            full = await client.get(f"/boards/b/events/?since={last}&wait=60")
            assert full.status_code == 503
            assert "retry-after" in full.headers
            for waiting in abandoned:
                waiting.cancel()
            await asyncio.wait(abandoned)
            async with asyncio.timeout(PATIENCE):
                while True:
                    answer = await client.get(f"/boards/b/events/?since={last}&wait=0.01")
                    if answer.status_code == 200:
                        break
                    await asyncio.sleep(0.02)
