"""What clients that come back are sent, over streams and long-polls: everything, or a reset."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tornado_board.replay import Event, EventId
from tornado_board.server import Running
from tornado_board.settings import Settings

from .server_process import ServerProcess
from .stream_client import (
    PATIENCE,
    STREAM,
    Follower,
    RawStream,
    Writer,
    add,
    event_ids,
    event_source,
    http_client,
    make_board,
    next_event,
)

pytestmark = pytest.mark.gen_test

Serving = Callable[[Settings], Awaitable[Running]]

WAYS = ["Last-Event-ID", "lastEventId", "last_event_id"]


def last_event_id(way: str, text: str) -> dict[str, Any]:
    """What a request has to hold to say it in that way."""
    return {"headers" if way == "Last-Event-ID" else "params": {way: text}}


async def board_with_events(client: httpx.AsyncClient, count: int) -> list[EventId]:
    """A board ``b``, and the ids of `count` events of it."""
    await make_board(client, "b")
    async with event_source(client, "/boards/b/") as events:
        ids = [(await next_event(events)).id]
        for _ in range(count - 1):
            await add(client, "b")
            ids.append((await next_event(events)).id)
    return [EventId.parse(text) for text in ids]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("path", ["/boards/b/", "/boards/b/events/"])
async def test_a_stream_resumes_behind_the_last_event(
    serving: Serving, settings: Settings, way: str, path: str
) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        ids = await board_with_events(client, 6)
        for seen in (0, 2, 4, 5):
            asked = last_event_id(way, str(ids[seen]))
            async with event_source(client, path, **asked) as events:
                for score, expected in enumerate(ids[seen + 1 :], start=seen + 1):
                    event = await next_event(events)
                    assert (event.event, event.id) == ("update", str(expected))
                    assert json.loads(event.data)["players"][0]["score"] == score
                # Then the live ones, and nothing in between.
                score = (await add(client, "b"))["score"]
                event = await next_event(events)
                assert json.loads(event.data)["players"][0]["score"] == score
                ids.append(EventId.parse(event.id))
                assert ids[-1].n == ids[-2].n + 1


async def test_the_header_wins_over_the_query(serving: Serving, settings: Settings) -> None:
    """An EventSource that reconnects sends the header anew, and the query as it was."""
    url = (await serving(settings)).url
    async with http_client(url) as client:
        ids = await board_with_events(client, 4)
        async with event_source(
            client,
            "/boards/b/",
            headers={"Last-Event-ID": str(ids[2])},
            params={"lastEventId": str(ids[0])},
        ) as events:
            assert (await next_event(events)).id == str(ids[3])


@pytest.mark.parametrize("seed", [1, 2])
async def test_soak_of_clients_that_come_and_go(
    server_process: Callable[..., ServerProcess], seed: int
) -> None:
    """Under writes, over streams and long-polls in turn, each event comes once and in order."""
    dice = random.Random(seed)
    followers = [Follower("b", dice.randrange(2**32)) for _ in range(16)]
    server = server_process("--log-level=warning")
    async with http_client(server.url) as client:
        await make_board(client, "b", {f"p{i}": 0 for i in range(7)})
        writing = True

        async def write() -> None:
            writer = Writer(server.url)
            while writing:
                await writer.add("b", f"p{dice.randrange(7)}")
                await asyncio.sleep(dice.expovariate(15))
            writer.close()

        async def follow(follower: Follower, means: str) -> None:
            while writing:
                if means == "stream" or (means == "both" and follower.random.random() < 0.5):
                    await follower.stream(client, min(follower.random.expovariate(4), 0.8))
                else:
                    await follower.poll(client, follower.random.choice([0, 0.05, 0.3]))
                await asyncio.sleep(follower.random.choice([0, 0, 0.02, 0.2]))

        tasks = [asyncio.ensure_future(write()) for _ in range(4)]
        for follower, means in zip(followers, ["stream", "both", "poll", "both"] * 4, strict=True):
            tasks.append(asyncio.ensure_future(follow(follower, means)))
        await asyncio.sleep(2)
        async with asyncio.timeout(3 * PATIENCE):
            while min(len(f.counters) for f in followers) < 20 or sum(
                f.returns for f in followers
            ) < 5 * len(followers):
                await asyncio.sleep(0.1)
        writing = False
        await asyncio.gather(*tasks)
        final = (await client.get("/boards/b/")).json()
        await asyncio.gather(*(follower.follow_until(client, final) for follower in followers))
        logged = [event_id.n for event_id in await event_ids(client, "b")]
    for follower in followers:
        follower.check_whole()
        assert follower.counters == logged[-len(follower.counters) :]
    assert "Traceback" not in server.text


async def unprovable(
    client: httpx.AsyncClient, text: str, *, way: str = WAYS[0]
) -> tuple[str, Any]:
    """Why a stream can't resume behind `text`, and the board that it shows after saying so."""
    async with event_source(client, "/boards/b/", **last_event_id(way, text)) as events:
        reset = await next_event(events)
        assert reset.event == "reset", f"{text!r} got {reset}"
        current = await next_event(events)
        assert current.event == "update"
        board = await client.get("/boards/b/")
        assert json.loads(current.data) == board.json()
        assert current.id == board.headers["last-event-id"]
        # From there on it is a stream like any other.
        await add(client, "b")
        after = await next_event(events)
        assert EventId.parse(after.id).n == EventId.parse(current.id).n + 1
    reason = json.loads(reset.data)
    assert list(reason) == ["reason"]
    # The long-poll says the same.
    answer = (await client.get("/boards/b/events/", params={"since": text, "wait": 5})).json()
    reset, current = answer["events"]
    assert (reset["event"], reset["id"], list(reset["data"])) == ("reset", None, ["reason"])
    assert (current["event"], current["id"]) == ("update", answer["last_event_id"])
    assert current["data"] == (await client.get("/boards/b/")).json()
    return reason["reason"], current["data"]


async def test_an_id_of_another_log_is_reset(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        ids = await board_with_events(client, 4)
        newest = ids[-1]
        for ms, n in [
            (newest.ms, newest.n + 1),  # never given out yet
            (newest.ms + 10**6, newest.n),
            (newest.ms + 10**6, newest.n + 1000),
            (ids[1].ms - 1, ids[1].n),
            (ids[1].ms + 10**6, ids[1].n),
            (0, 0),
            (0, newest.n - 1),
            (9_999_999_999_999_999, 9_999_999_999_999_999),
        ]:
            assert (await unprovable(client, f"{ms}-{n}"))[0]


async def test_who_saw_an_event_without_an_id_is_shown_nothing_older(
    serving: Serving, settings: Settings
) -> None:
    """As while the replay log is away: such an event takes the client's position from it."""
    server = await serving(settings)
    async with http_client(server.url) as client:
        await board_with_events(client, 3)
        newest = '{"id":"b","name":"b","players":[]}'
        async with event_source(client, "/boards/b/") as events:
            assert (await next_event(events)).id
            await server.services.hub.publish("b", Event(None, newest))
            event = await next_event(events)
        assert (event.id, event.data) == ("", newest)
        # So it comes back without one, as an EventSource does then.
        async with event_source(client, "/boards/b/") as events:
            event = await next_event(events)
            assert (event.event, event.id, event.data) == ("update", "", newest)
            await add(client, "b")
            assert (await next_event(events)).id != ""


async def test_an_event_that_does_not_follow_is_announced_by_a_reset(
    serving: Serving, settings: Settings
) -> None:
    server = await serving(settings)
    async with http_client(server.url) as client:
        ids = await board_with_events(client, 2)
        async with event_source(client, "/boards/b/") as events:
            await next_event(events)
            later = EventId(ids[-1].ms, ids[-1].n + 7)
            await server.services.hub.publish("b", Event(later, "{}"), "events were lost")
            reset, update = await next_event(events), await next_event(events)
        assert (reset.event, json.loads(reset.data)) == ("reset", {"reason": "events were lost"})
        # Cut between the two, a client would still have the place from which a reset is due.
        assert reset.id == str(ids[-1])
        assert (update.event, update.id) == ("update", str(later))


MALFORMED = ["x", "-", "1", "1-", "-1", "1-2-3", "1.5-2", "1-2 3", "٣-٤", "01-2", "1" * 40 + "-1"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_malformed_id_is_reset(serving: Serving, settings: Settings, way: str) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        await board_with_events(client, 2)
        for text in [*MALFORMED, "a" * 4000]:
            if way == "Last-Event-ID" and not text.isascii():
                continue
            async with event_source(client, "/boards/b/", **last_event_id(way, text)) as events:
                reset = await next_event(events)
                assert reset.event == "reset"
                assert "reason" in json.loads(reset.data)
                assert (await next_event(events)).event == "update"


async def test_a_malformed_since_is_refused(serving: Serving, settings: Settings) -> None:
    url = (await serving(settings)).url
    async with http_client(url) as client:
        for text in [*MALFORMED, "a" * 4000, " 1-2", "null"]:
            answer = await client.get("/boards/demo/events/", params={"since": text, "wait": 30})
            assert answer.status_code == 400, text
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert "since" in answer.json()["detail"]


async def test_what_the_length_cap_trimmed_is_reset(serving: Serving, settings: Settings) -> None:
    url = (await serving(dataclasses.replace(settings, replay_length=3))).url
    async with http_client(url) as client:
        ids = await board_with_events(client, 7)
        async with event_source(client, "/boards/b/", **last_event_id(WAYS[0], str(ids[3]))) as es:
            assert [(await next_event(es)).id for _ in range(3)] == [str(i) for i in ids[4:]]
        assert len(await event_ids(client, "b")) == 3
        for trimmed in ids[:3]:
            await unprovable(client, str(trimmed))


async def test_what_is_past_the_retention_is_reset(serving: Serving, settings: Settings) -> None:
    short = dataclasses.replace(settings, replay_retention=1.0)
    url = (await serving(short)).url
    async with http_client(url) as client:
        ids = await board_with_events(client, 3)
        await asyncio.sleep(1.2)
        # Old as it is, nothing came after the newest one.
        stream = await RawStream.open(
            url, "/boards/b/", "Accept: text/event-stream", f"Last-Event-ID: {ids[-1]}"
        )
        await add(client, "b")
        kind, _, event_id = await stream.event()
        assert (kind, event_id and event_id.n) == ("update", ids[-1].n + 1)
        stream.close()
        reason, _ = await unprovable(client, str(ids[0]))
        assert "old" in reason


async def test_the_pruner_drops_what_is_past_the_retention(
    serving: Serving, settings: Settings
) -> None:
    short = dataclasses.replace(settings, replay_retention=1.0, replay_prune_interval=1.0)
    url = (await serving(short)).url
    async with http_client(url) as client:
        ids = await board_with_events(client, 5)
        async with asyncio.timeout(PATIENCE):
            while True:
                if len(await event_ids(client, "b")) <= 1:
                    break
                await asyncio.sleep(0.1)
        # The counter goes on, and the newest event is still the place to resume from.
        async with event_source(client, "/boards/b/", **last_event_id(WAYS[0], str(ids[-1]))) as es:
            await add(client, "b")
            assert EventId.parse((await next_event(es)).id).n == ids[-1].n + 1


async def test_a_lost_log_is_reset(
    server_process: Callable[..., ServerProcess], tmp_path: Path
) -> None:
    """Ids of a log that was thrown away lead to no wrong claim in the next one."""
    log_files = [tmp_path / f"log.sqlite3{suffix}" for suffix in ("", "-wal", "-shm")]
    server = server_process(f"--redis-url=sqlite:///{log_files[0]}")
    async with http_client(server.url) as client:
        old = await board_with_events(client, 5)
    server.stop()
    for file in log_files:
        file.unlink(missing_ok=True)
    server.restart()
    async with http_client(server.url) as client:
        for event_id in old:
            await unprovable(client, str(event_id))


async def test_a_restart_loses_no_event_and_invents_none(
    server_process: Callable[..., ServerProcess],
) -> None:
    server = server_process()
    async with http_client(server.url) as client:
        ids = await board_with_events(client, 5)
    server.stop()
    server.restart()
    async with http_client(server.url) as client:
        assert await event_ids(client, "b") == ids
        response = await client.get("/boards/b/", headers={})
        assert response.headers["last-event-id"] == str(ids[-1])
        # The newest id waits; an older one gets the rest.
        async with client.stream(
            "GET", "/boards/b/", headers={**STREAM, "Last-Event-ID": str(ids[2])}
        ) as stream:
            text = ""
            async for chunk in stream.aiter_text():
                text += chunk
                if text.endswith("\n\n"):
                    break
        assert [line[4:] for line in text.splitlines() if line.startswith("id:")] == [
            str(i) for i in ids[3:]
        ]
