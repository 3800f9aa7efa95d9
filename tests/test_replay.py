"""What every replay log promises, whatever its backend."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sqlite3
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.replay import (
    Event,
    EventId,
    Gap,
    LogRefused,
    check_whole,
    is_shared,
    open_replay_log,
)
from tornado_board.settings import Settings
from tornado_board.sqlite import path_of

from .conftest import IDENTITY, Opened


@pytest.mark.parametrize("text", ["1-1", "0-0", "1795279177639-42"])
def test_event_ids_read_as_they_are_written(text: str) -> None:
    assert str(EventId.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "-", "1", "1-", "-1", "1-1-1", "01-1", "+1-1", "1 -1", "1-٣", "1-1\n", "9" * 17 + "-1"],
)
def test_anything_else_is_no_event_id(text: str) -> None:
    with pytest.raises(ValueError, match="event id"):
        EventId.parse(text)


@pytest.mark.gen_test
async def test_events_come_back_in_order_with_counters_that_go_up_by_one(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    assert await log.head("b") is None
    before = int(time.time() * 1000)
    ids = [await log.append("b", f'{{"n":{n}}}') for n in range(1, 6)]
    assert [i.n - ids[0].n for i in ids] == [0, 1, 2, 3, 4]
    assert before <= ids[0].n <= time.time() * 1000
    assert ids == sorted(ids)
    events = [Event(id, f'{{"n":{n}}}') for n, id in enumerate(ids, 1)]
    assert await log.head("b") == events[-1]
    for k in range(5):
        assert list(await log.since("b", ids[k])) == events[k + 1 :]
    assert list(await log.recent("b", 3)) == events[2:]
    assert list(await log.recent("b", 99)) == events
    assert list(await log.board_ids()) == ["b"]
    await log.append("c", "{}")
    assert set(await log.board_ids()) == {"b", "c"}


@pytest.mark.gen_test
async def test_what_the_log_cannot_prove_is_a_gap(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, dataclasses.replace(settings, replay_length=3))
    with pytest.raises(Gap, match="no events"):
        await log.since("b", EventId(1, 1))
    ids = [await log.append("b", str(n)) for n in range(6)]
    for never_ours in (
        EventId(ids[-1].ms + 1, ids[-1].n + 1),
        EventId(ids[-1].ms, ids[-1].n + 1),
        EventId(ids[-1].ms + 1, ids[-1].n),
        EventId(0, 0),
        EventId(ids[3].ms - 1, ids[3].n),
        EventId(ids[-1].ms + 10**9, 2),
    ):
        with pytest.raises(Gap):
            await log.since("b", never_ours)
    with pytest.raises(Gap, match="no longer"):
        await log.since("b", ids[1])
    assert [e.data for e in await log.since("b", ids[2])] == ["3", "4", "5"]


@pytest.mark.gen_test
async def test_lost_events_leave_a_hole(opened: Opened, log_url: str, settings: Settings) -> None:
    log = await opened.log(log_url, settings)
    first = await log.append("b", "1")
    second = await log.append("b", "2", lost=3)
    assert second.n == first.n + 4
    with pytest.raises(Gap):
        await log.since("b", first)
    third = await log.append("b", "3")
    assert [e.id for e in await log.since("b", second)] == [third]


@pytest.mark.gen_test
async def test_counters_go_on_from_what_the_publisher_remembers(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    for _ in range(3):
        old = await log.append("b", "old")
    await log.delete("b")
    assert await log.head("b") is None
    new = await log.append("b", "new", after=old)
    assert new.n > old.n
    assert new.ms >= old.ms
    ahead = EventId(new.ms + 60_000, new.n)
    later = await log.append("b", "later", after=ahead)
    assert later > ahead, "the clock may have stepped back; ids may not"
    assert (await log.append("b", "last", after=EventId(1, 1))).n == later.n + 1


@pytest.mark.gen_test
async def test_a_deleted_board_starts_anew(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    for _ in range(4):
        old = await log.append("b", "old")
    await log.delete("b")
    assert (await log.append("b", "new")).n > old.n
    with pytest.raises(Gap):
        await log.since("b", old)


@pytest.mark.gen_test
async def test_concurrent_appends_share_no_id(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    ids = await asyncio.gather(*[log.append("b", str(i)) for i in range(100)])
    assert sorted(i.n - min(ids).n for i in ids) == list(range(100))
    events = await log.recent("b", 100)
    assert [e.id for e in events] == sorted(ids)


@pytest.mark.gen_test
async def test_events_past_the_retention_are_a_gap_and_are_pruned(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, dataclasses.replace(settings, replay_retention=1.0))
    first = await log.append("b", "1")
    second = await log.append("b", "2")
    await asyncio.sleep(1.2)
    with pytest.raises(Gap):
        await log.since("b", first)
    third = await log.append("b", "3")
    assert third.n == second.n + 1
    with pytest.raises(Gap):
        await log.since("b", second)
    assert await log.prune() == 2
    assert await log.prune() == 0
    assert [e.id for e in await log.recent("b", 10)] == [third]
    assert list(await log.since("b", third)) == []
    await asyncio.sleep(1.2)
    await log.prune()
    fourth = await log.append("b", "4")
    assert fourth.n == third.n + 1, "the counter outlives the events"


@pytest.mark.gen_test
async def test_any_board_id_and_any_text_is_kept_as_it_is(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    for board in ("a.b", "A", "~-_", "x" * 64):
        data = '{"name":"✓ ü \\"quoted\\" 😀"}' + board
        id = await log.append(board, data)
        assert await log.head(board) == Event(id, data)


@given(st.data())
def test_whole_is_only_ever_said_where_nothing_is_missing(data: Any) -> None:
    """Against every log that appends, losses, trims and new beginnings can leave."""
    issued: list[tuple[int, EventId]] = []  # every id that was ever given out, with its era
    kept: list[tuple[int, EventId]] = []
    ms, era, n = 1_000, 0, 0
    for step in data.draw(st.lists(st.sampled_from("aaaaalte"), max_size=25)):
        ms += data.draw(st.integers(0, 3))
        if step == "a":
            n += 1
            issued.append((era, EventId(ms, n)))
            kept.append(issued[-1])
        elif step == "l":  # sent without being logged
            n += 1
            issued.append((era, EventId(ms, n)))
        elif step == "t":
            kept = kept[data.draw(st.integers(0, len(kept))) :]
        else:  # emptied, and a publisher that remembers nothing, some time later
            era, n, ms, kept = era + 1, 0, ms + 1, []
    if not issued:
        return
    asked_era, asked = data.draw(st.sampled_from(issued))
    oldest = ms - data.draw(st.integers(0, 30))
    after = [(e, i) for e, i in kept if i > asked]
    head = kept[-1][1] if kept else None
    try:
        check_whole(asked, oldest, head, [Event(i, "") for _, i in after])
    except Gap:
        return
    missed = issued[issued.index((asked_era, asked)) + 1 :]
    while missed and missed[-1] not in kept:
        missed.pop()  # the publisher tells of a loss with its next append, not before
    if all(era == asked_era for era, _ in missed):
        assert missed == after


@pytest.mark.gen_test
async def test_an_append_tried_again_is_not_there_twice(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    first = await log.append("b", "1")
    second = await log.append("b", "2", after=first)
    assert await log.append("b", "2", after=first) == second
    assert [e.id for e in await log.since("b", first)] == [second]
    other = await log.append("b", "3", after=first)
    assert other.n == second.n + 1, "not one more than that of `after`: the caller can tell"
    third = await log.append("b", "4", after=other, lost=2)
    assert await log.append("b", "4", after=other, lost=2) == third
    assert (await log.append("b", "4", after=other, lost=3)).n == third.n + 4
    assert len(await log.recent("b", 9)) == 5


@pytest.mark.gen_test
async def test_the_same_data_after_the_event_itself_is_another_event(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    last = None
    for _ in range(3):
        id = await log.append("b", "same", after=last)
        assert id != last
        last = id
    assert len(await log.recent("b", 9)) == 3


@pytest.mark.gen_test
async def test_no_counter_of_a_deleted_boards_life_is_given_out_again(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    given: list[EventId] = []
    for _ in range(3):  # within one millisecond at times, and with counters ahead of the clock
        for lost in (0, 0, 5):
            given.append(await log.append("b", "x", lost=lost))
        await log.delete("b")
        assert await log.head("b") is None
        with pytest.raises(Gap):
            await log.since("b", given[-1])
    assert sorted({id.n for id in given}) == [id.n for id in given]


@pytest.mark.gen_test
async def test_an_id_of_an_earlier_life_on_a_trimmed_log_is_a_gap(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    """It has the counter that came before the oldest event that is left."""
    log = await opened.log(log_url, dataclasses.replace(settings, replay_length=3))
    ids = [await log.append("b", str(n)) for n in range(6)]
    assert len(await log.since("b", ids[2])) == 3
    for ms in (ids[2].ms - 1, ids[2].ms + 1):
        if ms <= ids[3].ms:
            with pytest.raises(Gap):
                await log.since("b", EventId(ms, ids[2].n))


@pytest.mark.gen_test
async def test_a_recorded_gap_is_one_at_once_and_once(
    opened: Opened, log_url: str, settings: Settings
) -> None:
    log = await opened.log(log_url, settings)
    first = await log.append("b", "1")
    for _ in range(2):
        await log.record_gap("b", first, 2)
    with pytest.raises(Gap):
        await log.since("b", first)
    second = await log.append("b", "2", after=first)
    assert second.n == first.n + 3
    assert list(await log.since("b", second)) == []
    third = await log.append("b", "3", after=second)
    for _ in range(2):  # the log went on before it was told
        await log.record_gap("b", second, 1)
    for id in (second, third):
        with pytest.raises(Gap):
            await log.since("b", id)
    assert (await log.append("b", "4", after=third)).n == third.n + 2
    await log.record_gap("b", EventId(1, 1), 9)  # never an id of this log
    await log.record_gap("none", first, 1)
    assert await log.head("none") is None


@pytest.mark.gen_test
async def test_an_sqlite_log_of_an_earlier_version_goes_on(
    opened: Opened, settings: Settings
) -> None:
    path = path_of(settings.replay_url)
    now = int(time.time() * 1000)
    with contextlib.closing(sqlite3.connect(path)) as c:
        c.executescript(
            "CREATE TABLE replay (board TEXT NOT NULL, n INTEGER NOT NULL, ms INTEGER NOT NULL,"
            " data TEXT NOT NULL, PRIMARY KEY (board, n)) WITHOUT ROWID;"
            "CREATE TABLE replay_heads (board TEXT NOT NULL PRIMARY KEY, ms INTEGER NOT NULL,"
            " n INTEGER NOT NULL) WITHOUT ROWID;"
            f"INSERT INTO replay VALUES ('b', 7, {now}, 'old'), ('b', 8, {now + 1}, 'new');"
            f"INSERT INTO replay_heads VALUES ('b', {now + 1}, 8);"
        )
    for _ in range(2):
        log = await open_replay_log(settings.replay_url, settings, IDENTITY)
        [new, *_] = await log.since("b", EventId(now, 7))
        assert new.data == "new"
        with pytest.raises(Gap):
            await log.since("b", EventId(now - 1, 6))
        with pytest.raises(Gap):
            await log.since("b", EventId(now - 1, 7))
        last = await log.append("b", "newer")
        await log.close()
    assert last.n == 10


@pytest.mark.gen_test
async def test_a_log_that_cannot_be_written_refuses(opened: Opened, settings: Settings) -> None:
    log = await opened.log(settings.replay_url, settings)
    with contextlib.closing(sqlite3.connect(path_of(settings.replay_url))) as c:
        c.executescript(
            "CREATE TRIGGER full BEFORE INSERT ON replay BEGIN SELECT raise(FAIL, 'full'); END;"
        )
    with pytest.raises(LogRefused, match="full"):
        await log.append("b", "1")
    assert await log.head("b") is None


@pytest.mark.parametrize("scheme", ["", "s3cret", "redis", "http", "sqlite:s3cret"])
@pytest.mark.gen_test
async def test_a_url_that_names_no_log_is_refused_and_not_shown(
    scheme: str, settings: Settings
) -> None:
    for url in (f"{scheme}:s3cret@host/0", f"sqlite://:s3cret@host/{scheme}"):
        with pytest.raises(ValueError, match="redis_url") as wrong:
            await open_replay_log(url, settings, IDENTITY)
        assert "s3cret" not in str(wrong.value)
        assert not is_shared(url)
