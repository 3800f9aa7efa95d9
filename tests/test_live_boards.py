"""Live boards between a real store, a real log and a real hub, with plugs to pull."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import pytest
import ujson

from tornado_board.cluster import Role
from tornado_board.cluster.local import LocalBus
from tornado_board.inputs import NewBoard, NewPlayer, PlayerPatch
from tornado_board.models import Ranking
from tornado_board.ranking.actions import State
from tornado_board.realtime import live_boards
from tornado_board.realtime.feed import Changefeed
from tornado_board.realtime.hub import Hub
from tornado_board.realtime.live_boards import LiveBoards
from tornado_board.replay import Event, Gap, LogRefused, LogUnavailable, ReplayLog
from tornado_board.settings import Settings
from tornado_board.store import Feed, FeedLost, NotFound, Store, StoreUnavailable

from .conftest import Opened


class Plug:
    """Passes everything on to a store or a log until it is pulled; then raises `error`."""

    def __init__(self, to: Any, error: type[Exception]) -> None:
        self.to = to
        self.error = error
        self.pulled = False
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.to, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            if self.pulled:
                raise self.error("the plug is pulled")
            return await method(*args, **kwargs)

        return call


class CutFeed:
    """A feed that can be cut."""

    def __init__(self, to: Feed, cut: asyncio.Event) -> None:
        self.to, self.cut = to, cut

    async def next(self) -> Any:
        reading = asyncio.ensure_future(self.to.next())
        cutting = asyncio.ensure_future(self.cut.wait())
        try:
            await asyncio.wait({reading, cutting}, return_when=asyncio.FIRST_COMPLETED)
            if self.cut.is_set():
                raise FeedLost("cut")
            return await reading
        finally:
            for task in (reading, cutting):
                task.cancel()
            await asyncio.gather(reading, cutting, return_exceptions=True)

    async def close(self) -> None:
        await self.to.close()


class CutStore(Plug):
    """A store whose feed can be cut."""

    def __init__(self, to: Any, error: type[Exception]) -> None:
        super().__init__(to, error)
        self.cut = asyncio.Event()

    async def changes(self) -> Any:
        if self.pulled:
            raise StoreUnavailable("the plug is pulled")
        return CutFeed(await self.to.changes(), self.cut)


class Rig:
    """Everything from the store to the hub, and the events that came out of it."""

    def __init__(self, store: Any, log: Any, settings: Settings) -> None:
        self.store: Any = CutStore(store, StoreUnavailable)
        self.log: Any = Plug(log, LogUnavailable)
        self.hub = Hub(
            live_boards=settings.live_boards, streams_per_board=10, keepalive=settings.keepalive
        )
        self.events: list[tuple[str, Event]] = []
        publish = self.hub.publish

        async def recorded(board_id: str, event: Event, reset: str | None = None) -> None:
            await publish(board_id, event, reset)
            self.events.append((board_id, event))

        self.hub.publish = recorded  # type: ignore[method-assign]
        self.bus = LocalBus()
        self.feed = Changefeed(self.store)
        self.boards = LiveBoards(self.store, self.log, self.hub, self.bus, self.feed, settings)
        self.hub.source = self.boards

    @property
    def connected(self) -> bool:
        return not self.boards.missing()

    def of(self, board_id: str) -> list[Event]:
        return [event for id, event in self.events if id == board_id]

    def scores(self, board_id: str) -> dict[str, Any]:
        """What the subscribers of the board see now."""
        current = self.hub.current(board_id)
        assert current is not None
        return {p["id"]: p["score"] for p in ujson.loads(current.data)["players"]}

    async def close(self) -> None:
        await self.boards.close()
        await self.feed.close()
        await self.hub.close()


async def until(condition: Callable[..., Any], what: str = "") -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came true: {what}")


@pytest.fixture
def rig(io_loop: Any, opened: Opened, settings: Settings) -> Iterator[Any]:
    rigs: list[Rig] = []

    async def make(**changed: Any) -> Rig:
        own = dataclasses.replace(settings, **changed)
        store: Store = await opened.store(own.database_url, own)
        log: ReplayLog = await opened.log(own.replay_url, own)
        rigs.append(Rig(store, log, own))
        await rigs[-1].bus.start(rigs[-1].boards)
        await until(lambda: rigs[-1].connected)
        return rigs[-1]

    yield make

    async def close() -> None:
        for made in rigs:
            await made.close()

    io_loop.run_sync(close)


Make = Callable[..., Awaitable[Rig]]


async def heard(rig: Rig) -> None:
    """Return when what was changed up to now was heard of, and nothing is left to do about it."""
    # A feed tells of changes in their order.
    if "marker" not in rig.hub.board_ids():
        await board(rig, players=1, id="marker")
        await rig.hub.open("marker")
    score = (await rig.store.add_score("marker", "p0", 1)).player.score
    await until(lambda: rig.scores("marker")["p0"] == score, "the marker")
    await until(
        lambda: all(live.state.state is State.QUIET for live in rig.boards._boards.values())
    )


async def board(rig: Rig, players: int = 3, id: str = "b") -> None:
    await rig.store.create_board(NewBoard(id=id, name="Board"))
    for i in range(players):
        await rig.store.create_player(id, NewPlayer(id=f"p{i}", name=f"P{i}", score=10 * i))


@pytest.mark.gen_test
async def test_the_first_change_goes_out_at_once_and_a_burst_as_one(rig: Make) -> None:
    r = await rig(coalesce=0.3)
    await board(r)
    await r.hub.open("b")
    await asyncio.sleep(0.4)
    began = len(r.of("b"))
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 1, "the first")
    for _ in range(50):
        await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 51, "the last")
    events = r.of("b")[began:]
    assert ujson.loads(events[0].data)["players"][-1]["score"] == 1
    assert len(events) < 15, "51 changes were coalesced"
    counters = [e.id.n for e in events if e.id]
    assert counters == list(range(counters[0], counters[0] + len(events)))


@pytest.mark.gen_test
async def test_a_change_that_does_not_show_publishes_nothing(rig: Make) -> None:
    r = await rig()
    await board(r, players=12)
    await r.hub.open("b")
    await until(lambda: len(r.scores("b")) == 5)
    await heard(r)
    began = len(r.of("b"))
    await r.store.add_score("b", "p0", 1)
    await r.store.update_player("b", "p1", PlayerPatch(name="Renamed"))
    await r.store.delete_player("b", "p2")
    await r.store.create_player("b", NewPlayer(id="new", name="New", score=3))
    await heard(r)
    assert len(r.of("b")) == began
    await r.store.update_player("b", "p11", PlayerPatch(name="Renamed"))
    await until(lambda: len(r.of("b")) == began + 1)


@pytest.mark.gen_test
async def test_a_change_costs_no_query_until_too_few_players_are_left(rig: Make) -> None:
    r = await rig(top_k=10)
    await board(r, players=30)
    await r.hub.open("b")
    await until(lambda: "p29" in r.scores("b"))
    await heard(r)
    r.store.calls.clear()
    for i in range(30):
        await r.store.add_score("b", f"p{i}", 1000)
    await until(lambda: r.scores("b").get("p29") == 1290)
    assert r.store.calls.count("ranking") == 0
    for i in range(29, 5, -1):
        await r.store.delete_player("b", f"p{i}")
    await until(lambda: set(r.scores("b")) == {"p1", "p2", "p3", "p4", "p5"})
    assert 1 <= r.store.calls.count("ranking") <= 12


@pytest.mark.gen_test
async def test_who_comes_back_after_a_start_finds_the_boards_of_the_log_live(rig: Make) -> None:
    first = await rig()
    for board_id in ("b", "c"):
        await board(first, id=board_id)
        await first.hub.open(board_id)
    await board(first, id="never-watched")
    await first.close()
    second = await rig()
    await second.boards.shown(10)
    assert set(second.hub.board_ids()) == {"b", "c"}


@pytest.mark.gen_test
async def test_a_board_that_did_not_move_keeps_its_last_event(
    rig: Make, opened: Opened, settings: Settings
) -> None:
    first = await rig()
    await board(first)
    topic = await first.hub.open("b")
    await until(lambda: len(first.scores("b")) == 3)
    last = topic.current
    await first.close()
    second = await rig()
    assert (await second.hub.open("b")).current == last
    await second.close()
    store = await opened.store(settings.database_url, settings)
    await store.add_score("b", "p0", 100)
    third = await rig()
    await until(lambda: third.hub.current("b") is not None, "logged boards are live from the start")
    event = (await third.hub.open("b")).current
    assert event.id is not None
    assert last.id is not None
    assert event.id.n == last.id.n + 1
    assert third.scores("b")["p0"] == 100


@pytest.mark.gen_test(timeout=30)
async def test_without_the_log_events_go_on_without_ids_and_leave_a_gap(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    before = topic.current.id
    assert before is not None
    r.log.pulled = True
    for score in range(1, 6):
        await r.store.add_score("b", "p0", 1)
        await until(lambda score=score: r.scores("b")["p0"] == score)
    assert (await r.hub.open("b")).current.id is None
    r.log.pulled = False
    await until(lambda: topic.current.id is not None, "published anew, though nothing changed")
    again = topic.current.id
    assert again is not None
    assert again > before
    with pytest.raises(Gap):
        await r.log.since("b", before)
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 6)
    newest = topic.current.id
    assert newest is not None
    assert newest.n == again.n + 1
    assert [e.id for e in await r.log.since("b", again)] == [newest]


@pytest.mark.gen_test(timeout=30)
async def test_a_board_first_seen_without_the_log_is_logged_when_it_is_back(rig: Make) -> None:
    r = await rig()
    await board(r)
    first = (await r.hub.open("b")).current
    r.hub.end_board("b")
    r.boards.unwatch("b")
    r.log.pulled = True
    topic = await r.hub.open("b")
    assert topic.current.id is None
    assert topic.current.data == first.data
    r.log.pulled = False
    await until(lambda: topic.current.id is not None)
    assert topic.current.id is not None
    assert first.id is not None
    assert topic.current.id.n > first.id.n + 1, "nobody knows what was sent in between"


@pytest.mark.gen_test(timeout=30)
async def test_a_board_that_made_room_while_the_log_was_away_leaves_a_gap(rig: Make) -> None:
    r = await rig(live_boards=1)
    await board(r)
    await board(r, id="c")
    before = (await r.hub.open("b")).current.id
    assert before is not None
    r.log.pulled = True
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 1)
    await r.store.add_score("b", "p0", -1)
    await until(lambda: r.scores("b")["p0"] == 0, "as it was, but two events later")
    await r.hub.open("c")
    assert r.hub.current("b") is None
    r.log.pulled = False
    topic = await r.hub.open("b")
    await until(lambda: topic.current.id is not None)
    with pytest.raises(Gap):
        await r.log.since("b", before)


@pytest.mark.gen_test(timeout=30)
async def test_a_lost_feed_is_opened_again_and_nothing_stays_stale(rig: Make) -> None:
    r = await rig()
    await board(r)
    await board(r, id="c")
    await r.hub.open("b")
    await r.hub.open("c")
    quiet = len(r.of("c"))
    r.store.pulled = True
    r.store.cut.set()
    await until(lambda: not r.connected)
    await r.store.to.add_score("b", "p0", 77)
    await asyncio.sleep(0.3)
    assert r.scores("b")["p0"] == 0
    r.store.cut.clear()
    r.store.pulled = False
    await until(lambda: r.scores("b")["p0"] == 77, "read again")
    assert len(r.of("c")) == quiet, "a board that did not move is not published"
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 78, "the new feed works")


@pytest.mark.gen_test(timeout=30)
async def test_a_read_that_fails_is_tried_again(rig: Make) -> None:
    r = await rig(top_k=10)
    await board(r, players=20)
    await r.hub.open("b")
    await until(lambda: "p19" in r.scores("b"))
    r.store.pulled = True
    for i in range(19, 9, -1):
        await r.store.to.delete_player("b", f"p{i}")
    await until(lambda: r.store.calls.count("ranking") >= 2, "it tried")
    r.store.pulled = False
    await until(lambda: set(r.scores("b")) == {"p5", "p6", "p7", "p8", "p9"})


@pytest.mark.gen_test
async def test_who_asks_while_the_store_is_away_is_told(rig: Make) -> None:
    r = await rig()
    await board(r)
    r.store.pulled = True
    with pytest.raises(StoreUnavailable):
        await r.hub.open("b")
    r.store.pulled = False
    await r.hub.open("b")
    with pytest.raises(NotFound):
        await r.hub.open("nope")


@pytest.mark.gen_test
async def test_changes_during_the_first_read_are_not_lost(rig: Make) -> None:
    r = await rig()
    await board(r)
    await heard(r)
    r.store.calls.clear()
    ranking = r.store.to.ranking
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def slow(board_id: str, limit: int, season: int | None) -> Ranking:
        result: Ranking = await ranking(board_id, limit)
        reading.set()
        await go_on.wait()
        return result

    r.store.to.ranking = slow
    opening = asyncio.ensure_future(r.hub.open("b"))
    await reading.wait()
    await r.store.add_score("b", "p0", 99)
    score = (await r.store.add_score("marker", "p0", 1)).player.score
    await until(lambda: r.scores("marker")["p0"] == score, "the change before it was heard")
    go_on.set()
    await opening
    await until(lambda: r.scores("b")["p0"] == 99)
    assert r.store.calls.count("ranking") == 1


@pytest.mark.gen_test
async def test_a_deleted_board_ends_and_a_new_one_of_that_name_starts_anew(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    for score in (1, 2, 3):
        await r.store.add_score("b", "p0", 1)
        await until(lambda score=score: r.scores("b")["p0"] == score)
    old = topic.current.id
    assert old is not None
    await r.store.delete_board("b")
    await until(lambda: topic.ended)
    with pytest.raises(NotFound):
        await r.hub.open("b")
    await until(lambda: "delete" in r.log.calls and not r.boards._ending)
    await board(r, players=1)
    new = (await r.hub.open("b")).current
    assert new.id is not None
    with pytest.raises(Gap):
        await r.log.since("b", old)


@pytest.mark.gen_test
async def test_who_comes_while_the_store_is_read_waits_for_the_next_read(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    r.boards.take_role(Role.FOLLOWER)
    r.boards.on_following("b")
    await r.hub.confirm(topic, strictly=True)
    ranking = r.store.to.ranking
    reading: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def held(board_id: str, limit: int, season: int | None) -> Ranking:
        result: Ranking = await ranking(board_id, limit)
        go_on = asyncio.Event()
        reading.put_nowait(go_on)
        await go_on.wait()
        return result

    r.store.to.ranking = held
    first = asyncio.ensure_future(r.hub.confirm(topic, strictly=True))
    go_on = await reading.get()
    await r.store.add_score("b", "p0", 99)
    second = asyncio.ensure_future(r.hub.confirm(topic, strictly=True))
    given_up = asyncio.ensure_future(r.hub.confirm(topic, strictly=True))
    await asyncio.sleep(0)
    given_up.cancel()
    go_on.set()
    await first
    assert r.scores("b")["p0"] == 0
    (await reading.get()).set()
    await second
    assert r.scores("b")["p0"] == 99


@pytest.mark.gen_test
async def test_a_board_ends_once_though_its_log_can_not_be_deleted(rig: Make) -> None:
    r = await rig()
    await r.hub.open("demo")
    ends: list[str] = []
    end_board, delete = r.hub.end_board, r.log.delete

    def ended(board_id: str) -> None:
        ends.append(board_id)
        end_board(board_id)

    async def fails_once(board_id: str) -> None:
        r.log.delete = delete
        raise RuntimeError("nobody foresaw this")

    r.hub.end_board = ended  # type: ignore[method-assign]
    r.log.delete = fails_once
    await r.store.delete_board("demo")
    await until(lambda: "delete" in r.log.calls)
    assert ends == ["demo"]


@pytest.mark.gen_test
async def test_a_renamed_board_is_published(rig: Make, settings: Settings) -> None:
    import sqlite3

    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    with sqlite3.connect(settings.database_url.removeprefix("sqlite:///")) as connection:
        connection.execute("UPDATE boards SET name = 'Renamed' WHERE id = 'b'")
    await until(lambda: '"name":"Renamed"' in topic.current.data)


@pytest.mark.gen_test(timeout=30)
async def test_boards_beyond_the_limit_take_turns(rig: Make) -> None:
    r = await rig(live_boards=3)
    for name in "abcdef":
        await board(r, id=name)
    for _ in range(2):
        for name in "abcdef":
            topic = await r.hub.open(name)
            assert f'"id":"{name}"' in topic.current.data
            assert len(r.boards._boards) <= 3
    await r.store.add_score("a", "p0", 5)
    assert '"score":5' in (await r.hub.open("a")).current.data


@pytest.mark.gen_test
async def test_who_takes_over_knows_what_was_sent_and_logs_what_the_log_lacks(rig: Make) -> None:
    r = await rig()
    await board(r)
    topic = await r.hub.open("b")
    sent = topic.current
    assert sent.id is not None
    for deleted in (False, True):
        r.boards.take_role(Role.FOLLOWER)
        if deleted:
            await r.log.delete("b")
        began = len(r.of("b"))
        r.boards.take_role(Role.PUBLISHER)
        await until(lambda: r.connected)
        if deleted:
            await until(lambda: topic.current != sent, "an emptied log gets the board again")
        else:
            await heard(r)
            assert len(r.of("b")) == began, "nothing is sent again"
    assert topic.current.data == sent.data
    assert topic.current.id is not None
    assert topic.current.id.n > sent.id.n


def followed_elsewhere(rig: Rig, board_id: str) -> None:
    """Have the log say that other processes follow the board."""

    async def watched(board_ids: Sequence[str]) -> set[str]:
        return {board_id} & set(board_ids)

    async def all_watched() -> Sequence[str]:
        return [board_id]

    rig.bus.followed = watched  # type: ignore[method-assign]
    rig.bus.all_followed = all_watched  # type: ignore[method-assign]


async def is_logged(rig: Rig, board_id: str, text: str) -> None:
    """Wait until the newest event of the board has `text` in it."""
    for _ in range(1000):
        head = await rig.log.head(board_id)
        if head is not None and text in head.data:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{text} is not in the log")


@pytest.mark.gen_test(timeout=30)
async def test_what_others_follow_is_published_though_there_is_no_room_here(rig: Make) -> None:
    r = await rig(live_boards=2)
    for name in "abc":
        await board(r, id=name)
    followed_elsewhere(r, "c")
    for name in "ab":
        await r.hub.open(name)
    await r.store.add_score("c", "p0", 5)
    await is_logged(r, "c", '"score":5')
    for name in "ab":  # and so it is while every board that is live here has listeners
        topic = await r.hub.open(name)
        waiting = asyncio.ensure_future(topic.wait(30))
        await asyncio.sleep(0)
        assert topic.listeners == 1
        assert not waiting.done()
    for score in (6, 7):
        await r.store.add_score("c", "p0", 1)
        await is_logged(r, "c", f'"score":{score}')
    assert r.hub.current("c") is None
    assert len(r.boards._boards) <= 2


@pytest.mark.gen_test(timeout=30)
async def test_a_lost_feed_leaves_no_board_stale_that_others_follow(rig: Make) -> None:
    r = await rig(live_boards=1)
    for name in "ac":
        await board(r, id=name)
    await r.hub.open("c")
    await r.hub.open("a")
    followed_elsewhere(r, "c")
    r.store.pulled = True  # so that the change is told by no feed
    r.store.cut.set()
    await until(lambda: not r.connected)
    await r.store.to.add_score("c", "p0", 5)
    r.store.cut.clear()
    r.store.pulled = False
    await is_logged(r, "c", '"score":5')


@pytest.mark.gen_test(timeout=30)
async def test_what_others_follow_is_read_until_it_can_be(rig: Make) -> None:
    r = await rig()
    await board(r, id="c")
    followed_elsewhere(r, "c")
    r.store.pulled = True
    await r.store.to.add_score("c", "p0", 5)
    await until(lambda: r.store.calls.count("ranking") >= 2)
    with pytest.raises(StoreUnavailable):
        await r.hub.open("c")
    r.store.pulled = False
    await is_logged(r, "c", '"score":5')
    assert '"score":5' in (await r.hub.open("c")).current.data


@pytest.mark.gen_test
async def test_an_event_that_was_begun_goes_to_everyone_though_publishing_stops(rig: Make) -> None:
    """In another role the process goes on serving the streams that it has."""
    r = await rig()
    await board(r)
    await r.hub.open("b")
    publish, begun, go_on = r.hub.publish, asyncio.Event(), asyncio.Event()

    async def slowly(board_id: str, event: Event, reset: str | None = None) -> None:
        begun.set()
        await go_on.wait()
        await publish(board_id, event, reset)

    r.hub.publish = slowly  # type: ignore[method-assign]
    await r.store.add_score("b", "p0", 5)
    await asyncio.wait_for(begun.wait(), 10)
    r.boards.take_role(Role.FOLLOWER)
    go_on.set()
    await until(lambda: r.scores("b")["p0"] == 5)


@pytest.mark.gen_test(timeout=60)
async def test_a_board_that_is_deleted_while_it_moves_leaves_no_ghost(rig: Make) -> None:
    r = await rig(coalesce=0.001)
    for turn in range(200):
        await board(r, players=1)
        topic = await r.hub.open("b")
        assert topic.current.data.count('"score"') == 1, "the board of this life"
        watching = asyncio.ensure_future(topic.wait(30))
        await r.store.add_score("b", "p0", 1)
        for _ in range(turn % 20):
            await asyncio.sleep(0.0002)
        await r.store.delete_board("b")
        await until(lambda topic=topic: topic.ended)
        with pytest.raises(NotFound):
            await r.hub.open("b")
        await watching
        assert r.hub.board_ids() == []
    await until(lambda: not r.boards._boards)
    assert await r.log.head("b") is None


@pytest.mark.gen_test(timeout=30)
async def test_a_board_that_makes_room_when_it_was_just_deleted_is_forgotten(rig: Make) -> None:
    r = await rig(live_boards=1)
    await board(r)
    await board(r, id="c")
    await r.hub.open("b")
    assert await r.log.head("b") is not None
    appending, append = asyncio.Event(), r.log.to.append

    async def hangs(*args: Any, **kwargs: Any) -> Any:
        if args[0] != "b":
            return await append(*args, **kwargs)
        appending.set()
        await asyncio.sleep(60)

    r.log.to.append = hangs
    await r.store.add_score("b", "p0", 1)
    await appending.wait()
    await r.store.delete_board("b")
    await until(lambda: r.boards._boards["b"].state.forgets, "the feed tells of it")
    await r.hub.open("c")
    while await r.log.head("b") is not None:
        await asyncio.sleep(0.01)


@pytest.mark.gen_test(timeout=30)
async def test_a_log_that_is_slow_holds_up_no_feed(rig: Make) -> None:
    r = await rig()
    await board(r)
    await r.hub.open("b")
    asked = asyncio.Event()

    async def hangs() -> list[str]:
        asked.set()
        await asyncio.sleep(60)
        return []

    r.log.to.board_ids = hangs
    r.store.cut.set()
    await until(lambda: not r.connected)
    r.store.cut.clear()
    await asked.wait()
    assert r.boards.unfit_for() == 0, "or the lease would be given up"
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.scores("b")["p0"] == 1)


@pytest.mark.gen_test(timeout=30)
async def test_what_others_follow_is_looked_for_until_the_log_allows_it(rig: Make) -> None:
    r = await rig()
    await board(r, id="c")
    refusals = 2

    async def all_followed() -> Sequence[str]:
        nonlocal refusals
        refusals -= 1
        if refusals >= 0:
            raise LogRefused("it is loading")
        return ["c"]

    r.bus.all_followed = all_followed  # type: ignore[method-assign]
    r.store.cut.set()
    await until(lambda: not r.connected)
    r.store.cut.clear()
    await is_logged(r, "c", '"score":20')


@pytest.mark.gen_test(timeout=30)
async def test_what_a_client_asks_for_does_not_wait_for_the_boards_of_the_log(
    rig: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_boards, "_READS", 16)
    names = [f"b{number}" for number in range(60)]
    first = await rig()
    for name in names:
        await board(first, players=1, id=name)
        await first.hub.open(name)
    await first.close()
    r = await rig()
    ranking, free = r.store.to.ranking, asyncio.Event()

    async def slow(board_id: str, limit: int, season: int | None) -> Ranking:
        if board_id != "b7":
            await free.wait()
        result: Ranking = await ranking(board_id, limit)
        return result

    r.store.to.ranking = slow
    await until(lambda: len(r.boards._boards) == len(names))
    await until(lambda: r.store.calls.count("ranking") >= 16)
    assert r.store.calls.count("ranking") < len(names)
    assert (await r.hub.open("b7")).current.id is not None
    free.set()
    await until(lambda: len(r.hub.board_ids()) == len(names))


@pytest.mark.gen_test(timeout=30)
async def test_a_board_that_can_not_be_read_is_given_up_and_said_once(
    rig: Make, caplog: pytest.LogCaptureFixture
) -> None:
    r = await rig()
    await board(r)
    ranking, broken = r.store.to.ranking, True

    async def fails(board_id: str, limit: int, season: int | None) -> Ranking:
        if broken:
            raise ValueError("that is no row")
        result: Ranking = await ranking(board_id, limit)
        return result

    r.store.to.ranking = fails
    with pytest.raises(StoreUnavailable):
        await r.hub.open("b")
    assert not r.boards._boards, "nobody needs it to be tried again"
    followed_elsewhere(r, "b")
    await r.store.add_score("b", "p0", 1)
    await until(lambda: r.store.calls.count("ranking") >= 4, "others do")
    said = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(said) == 2
    broken = False
    await is_logged(r, "b", '"score":1')


@pytest.mark.gen_test(timeout=30)
async def test_who_asks_is_answered_though_the_board_is_over_before_it_is_followed(
    rig: Make,
) -> None:
    r = await rig()
    r.boards.take_role(Role.FOLLOWER)

    async def follow(board_ids: Any) -> None:
        if list(board_ids) == ["nope"]:
            r.boards.on_following("nope")
            await until(lambda: "nope" not in r.boards._boards)

    r.bus.follow = follow  # type: ignore[method-assign]
    with pytest.raises(NotFound):
        await asyncio.wait_for(r.hub.open("nope"), 20)


@pytest.mark.gen_test(timeout=30)
async def test_a_store_that_answers_but_has_no_feed_is_not_fit_to_publish(rig: Make) -> None:
    r = await rig()
    assert await r.boards.can_publish()
    r.boards.take_role(Role.FOLLOWER)
    assert await r.boards.can_publish()
    changes = r.store.changes

    async def lost() -> Any:
        raise StoreUnavailable("no feed")

    r.store.changes = lost
    assert not await r.boards.can_publish()
    r.boards.take_role(Role.PUBLISHER)
    await asyncio.sleep(0)
    assert not await r.boards.can_publish()
    r.store.changes = changes
    await until(lambda: r.connected)
    assert await r.boards.can_publish()


@pytest.mark.gen_test(timeout=30)
async def test_a_log_that_refuses_one_board_wakes_the_others_seldom(
    rig: Make, caplog: pytest.LogCaptureFixture
) -> None:
    r = await rig(coalesce=0.001)
    await board(r)
    await board(r, id="x")
    append, refused = r.log.to.append, 0

    async def refuses(board_id: str, *args: Any, **kwargs: Any) -> Any:
        nonlocal refused
        if board_id == "x":
            refused += 1
            raise LogRefused("no")
        return await append(board_id, *args, **kwargs)

    r.log.to.append = refuses
    await r.hub.open("x")
    await r.hub.open("b")
    for score in range(1, 31):
        await r.store.add_score("b", "p0", 1)
        await until(lambda score=score: r.scores("b")["p0"] == score)
    assert refused < 10
    said = [r for r in caplog.records if r.getMessage() == "the replay log is back"]
    assert len(said) == 1
