"""What is kept of the replay log for the next who asks for the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tornado_board.realtime import catchup, replays
from tornado_board.realtime.catchup import CatchUp, CatchUps
from tornado_board.realtime.replays import Replay
from tornado_board.realtime.topic import Topic
from tornado_board.realtime.wires import Message, reset, update
from tornado_board.realtime.wires.sse import CHUNKED, RAW
from tornado_board.replay import Event, EventId, Gap

pytestmark = pytest.mark.gen_test


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
    answers = [await catch_ups.after(topic, first, CHUNKED.message) for _ in range(3)]
    assert answers[0].encoded == CHUNKED.message([update(e) for e in log.events[1:]])
    assert all(answer.encoded is answers[0].encoded for answer in answers)
    assert log.reads == 1
    # Those who ask at the same time, too, each over its own wire.
    log, catch_ups, topic = caught_up(10)
    asked = [catch_ups.after(topic, first, wire.message) for wire in (RAW, CHUNKED) * 10]
    answers = await asyncio.gather(*asked)
    assert len({id(answer.encoded) for answer in answers}) == 2
    assert log.reads == 1


async def test_what_is_kept_has_a_bound_in_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, catch_ups, topic = caught_up(1000)
    ids = [event.id for event in log.events if event.id]
    monkeypatch.setattr(catchup, "_KEPT_BYTES", 50_000)
    for event_id in ids[:-1] * 2:
        answer = await catch_ups.after(topic, event_id, RAW.message)
        assert answer.encoded == RAW.message([update(e) for e in log.events[event_id.n :]])
        assert sum(len(kept) for kept in catch_ups._kept.values()) <= 50_000
    # The shortest, which were the last, are still there.
    reads = log.reads
    await catch_ups.after(topic, ids[-2], RAW.message)
    assert log.reads == reads


async def test_what_is_kept_has_a_bound_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    log, catch_ups, topic = caught_up(10)
    monkeypatch.setattr(catchup, "_KEPT", 3)
    ids = [event.id for event in log.events if event.id]
    for event_id in ids[:-1]:
        await catch_ups.after(topic, event_id, RAW.message)
        assert len(catch_ups._kept) <= 3
    known = [catch_ups.known(topic, i, RAW.message) is not None for i in ids[-5:-1]]
    assert known == [False, True, True, True]


async def test_a_catch_up_that_is_too_large_is_a_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    log, catch_ups, topic = caught_up(1000)
    monkeypatch.setattr(catchup, "MOST_BYTES", 10_000)
    ids = [event.id for event in log.events if event.id]
    answer = await catch_ups.after(topic, ids[-11], RAW.message)
    assert answer.reset is not None
    assert answer.encoded == RAW.message(
        [
            reset("what came after that event is more than this server sends at once"),
            update(log.events[-1]),
        ]
    )
    answer = await catch_ups.after(topic, ids[-10], RAW.message)
    assert answer.reset is None
    assert answer.encoded.count(b"\n\n") == 9


async def test_all_that_clients_have_not_taken_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    log, catch_ups, topic = caught_up(1000)
    ids = [event.id for event in log.events if event.id]
    monkeypatch.setattr(replays, "MOST_BYTES_IN_ALL", 100_000)
    # What a subscriber that does not read holds: a part of the bytes that all share.
    held = [
        memoryview((await catch_ups.after(topic, ids[0], RAW.message)).encoded)[1000:]
        for _ in range(50)
    ]
    for event_id in ids[1:]:
        answer = await catch_ups.after(topic, event_id, RAW.message)
        if answer.reset is None:
            held.append(memoryview(answer.encoded)[1000:])
        assert catch_ups._replays.bytes <= 100_000
    del answer
    assert len({id(view.obj) for view in held}) >= 2
    refused = await catch_ups.after(topic, ids[3], RAW.message)
    assert refused.reset is not None
    assert b"at present" in bytes(refused.encoded)
    # Once they have taken it, or are gone, there is room again.
    held.clear()
    assert (await catch_ups.after(topic, ids[3], RAW.message)).reset is None
    catch_ups._kept.clear()
    assert catch_ups._replays.bytes == 0


async def test_those_who_have_been_at_it_longest_make_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that whoever reads is served, whatever others hold."""
    log, catch_ups, topic = caught_up(1000)
    ids = [event.id for event in log.events if event.id]
    monkeypatch.setattr(replays, "MOST_BYTES_IN_ALL", 100_000)

    class Client:
        """One that takes nothing."""

        def __init__(self, first: Message) -> None:
            assert isinstance(first, Replay)
            self.replay: Replay | None = first
            first.held_by(self)

        def close(self) -> None:
            self.replay = None

    clients = []
    for event_id in ids[:20]:
        for _ in range(2):
            answer = await catch_ups.after(topic, event_id, RAW.message)
            assert answer.reset is None
            clients.append(Client(answer.encoded))
            assert catch_ups._replays.bytes <= 100_000
    there = [client.replay is not None for client in clients]
    assert there == sorted(there), "the first had to go"
    assert 6 <= sum(there) < 40
    # What one of them holds is there for the next who asks for it, though it is kept no longer.
    catch_ups._kept.clear()
    assert (await catch_ups.after(topic, ids[19], RAW.message)).encoded is clients[-1].replay
    # Those who have taken theirs, or have gone, are forgotten.
    for client in clients:
        client.close()
    del answer
    for _ in range(200):
        Client((await catch_ups.after(topic, ids[0], RAW.message)).encoded).close()
    assert len(catch_ups._replays._holders) <= replays._LOOK_AT
    assert len(catch_ups._replays._latest) <= replays._LOOK_AT


class LostLog:
    """A log that was emptied after everybody had read it."""

    async def since(self, board_id: str, event_id: EventId) -> Sequence[Event]:
        raise Gap("the log holds no events of this board")


async def test_who_is_ahead_of_this_process_is_not_set_back_where_the_log_was_lost() -> None:
    log: Any = LostLog()
    seen = EventId(2000, 2)
    topic, catch_ups = Topic("b", Event(EventId(1000, 1), "old")), CatchUps(log)
    asked = asyncio.ensure_future(catch_ups.after(topic, seen, RAW.message))
    await asyncio.sleep(0)
    await topic.publish(Event(seen, "new"))
    assert await asked == CatchUp(Message())
    # Who is behind is told at once, and shown what there is now.
    answer = await catch_ups.after(topic, EventId(1500, 1), RAW.message)
    assert answer.reset == "the log holds no events of this board"
    assert answer.encoded.endswith(RAW.message([update(topic.current)]))


async def test_who_is_ahead_of_a_process_that_hears_nothing_is_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catchup, "_BEHIND", 0.01)
    log: Any = LostLog()
    topic = Topic("b", Event(EventId(1000, 1), "old"))
    answer = await CatchUps(log).after(topic, EventId(2000, 2), RAW.message)
    assert answer.reset == "the log holds no events of this board"
