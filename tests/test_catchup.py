"""What is kept of the replay log for the next who asks for the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tornado_board.realtime import catchup
from tornado_board.realtime.catchup import CatchUps
from tornado_board.realtime.hub import Topic
from tornado_board.replay import Event, EventId

pytestmark = pytest.mark.gen_test(timeout=30)


class CountedLog:
    """A log of whole histories, that counts how often it is read."""

    def __init__(self, size: int) -> None:
        self.reads = 0
        self.events = [Event(EventId(1000 + n, n), "x" * size) for n in range(1, 41)]

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        self.reads += 1
        return [event for event in self.events if event.id and event.id > event_id]


def caught_up(size: int) -> tuple[CountedLog, CatchUps, Topic]:
    log: Any = CountedLog(size)
    return log, CatchUps(log), Topic("b", log.events[-1])


async def test_what_was_read_for_one_serves_the_next() -> None:
    log, catch_ups, topic = caught_up(10)
    first = log.events[0].id
    assert first is not None
    for _ in range(3):
        answer = await catch_ups.after(topic, first)
        assert answer.events == log.events[1:]
        assert answer.reset is None
    assert log.reads == 1


async def test_what_is_kept_has_a_bound_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, catch_ups, topic = caught_up(1000)
    ids = [event.id for event in log.events if event.id]
    monkeypatch.setattr(catchup, "_KEPT_BYTES", 50_000)
    for event_id in ids[:-1] * 2:
        answer = await catch_ups.after(topic, event_id)
        assert [e.id for e in answer.events] == ids[event_id.n :]
        assert sum(len(kept.encoded) for kept in catch_ups._kept.values()) <= 50_000
    # The shortest, which were the last, are still there.
    reads = log.reads
    await catch_ups.after(topic, ids[-2])
    assert log.reads == reads


async def test_what_is_kept_has_a_bound_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    log, catch_ups, topic = caught_up(10)
    monkeypatch.setattr(catchup, "_KEPT", 3)
    ids = [event.id for event in log.events if event.id]
    for event_id in ids[:-1]:
        await catch_ups.after(topic, event_id)
        assert len(catch_ups._kept) <= 3
    assert [catch_ups.known(topic, i) is not None for i in ids[-5:-1]] == [False, True, True, True]
