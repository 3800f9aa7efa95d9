"""Long-polls that the fast path answers."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from tornado_board.inputs import NewBoard
from tornado_board.replay import Event
from tornado_board.server import Running
from tornado_board.settings import Settings

from .fast_path_client import LAST, Serve, answers
from .waiting import until

# Long-polls that wait


async def poll(running: Running, since: str, wait: float = 20) -> dict[str, Any]:
    target = f"/boards/demo/events/?since={since}&wait={wait}"
    (answer,) = await answers(running, LAST.replace(b"/boards/demo/", target.encode()))
    value: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return value


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.gen_test
async def test_all_who_wait_are_answered_with_the_next_event(
    serving: Serve, settings: Settings, fast_path: bool
) -> None:
    running = await serving(dataclasses.replace(settings, fast_path=fast_path))
    hub = running.services.hub
    topic = await hub.open("demo")
    first = topic.current
    polls = [asyncio.ensure_future(poll(running, str(first.id))) for _ in range(600)]
    await until(lambda: topic.listeners == 600)
    await running.services.store.add_score("demo", "mars", 1)
    got = await asyncio.gather(*polls)
    assert topic.current.id != first.id
    expected = {
        "events": [
            {"id": str(topic.current.id), "event": "update", "data": json.loads(topic.current.data)}
        ],
        "last_event_id": str(topic.current.id),
    }
    assert all(answer == expected for answer in got)
    assert topic.listeners == 0


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.gen_test
async def test_an_event_without_an_id_is_a_reset_to_who_waits(
    serving: Serve, settings: Settings, fast_path: bool
) -> None:
    running = await serving(dataclasses.replace(settings, fast_path=fast_path))
    hub = running.services.hub
    topic = await hub.open("demo")
    waiting = asyncio.ensure_future(poll(running, str(topic.current.id), 2))
    await until(lambda: topic.listeners)
    await hub.publish("demo", Event(None, '{"players":[]}'))
    got = await waiting
    assert [sent["event"] for sent in got["events"]] == ["reset", "update"]


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.gen_test
async def test_who_waits_is_told_of_the_end(
    serving: Serve, settings: Settings, fast_path: bool
) -> None:
    """Of the time, of the board, and of the server."""
    running = await serving(dataclasses.replace(settings, fast_path=fast_path))
    hub, store = running.services.hub, running.services.store
    topic = await hub.open("demo")
    since = str(topic.current.id)
    nothing = {"events": [], "last_event_id": since}
    assert await poll(running, since, 0.1) == nothing
    waiting = asyncio.ensure_future(poll(running, since))
    await until(lambda: topic.listeners)
    await store.delete_board("demo")
    assert await waiting == nothing
    await store.create_board(NewBoard(id="demo"))
    topic = await hub.open("demo")
    since = str(topic.current.id)
    waiting = asyncio.ensure_future(poll(running, since))
    await until(lambda: topic.listeners)
    hub.stop_waiting()
    assert await waiting == {"events": [], "last_event_id": since}


@pytest.mark.gen_test
async def test_waiting_polls_count_as_listeners_and_as_boards(
    serving: Serve, settings: Settings
) -> None:
    running = await serving(
        dataclasses.replace(settings, max_streams_per_board=1, live_boards_per_address=1)
    )
    await running.services.store.create_board(NewBoard(id="other"))
    topic = await running.services.hub.open("demo")
    other = await running.services.hub.open("other")
    waiting = asyncio.ensure_future(poll(running, str(topic.current.id), 20))
    await until(lambda: topic.listeners)
    target = f"/boards/demo/events/?since={topic.current.id}"
    (answer,) = await answers(running, LAST.replace(b"/boards/demo/", target.encode()))
    assert answer.startswith(b"503")
    target = f"/boards/other/events/?since={other.current.id}&wait=0"
    (answer,) = await answers(running, LAST.replace(b"/boards/demo/", target.encode()))
    assert answer.startswith(b"429")
    running.services.hub.stop_waiting()
    await waiting
    (answer,) = await answers(running, LAST.replace(b"/boards/demo/", target.encode()))
    assert answer.startswith(b"200")
