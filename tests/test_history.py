"""What boards were, over HTTP: ``?at=`` and ``history/``."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import ujson
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.replay import Event, EventId
from tornado_board.server import Running
from tornado_board.settings import Settings
from tornado_board.web import history
from tornado_board.web.times import parse, written

from .redis_server import RedisServer
from .serving import Answer, Served, served_by
from .tokens import SECRET, token

Serve = Callable[[Settings], Awaitable[Running]]

HOUR, DAY = 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("1795279177639", 1795279177639),
        ("2026-11-25T02:42:00Z", 1795574520000),
        ("2026-11-25t02:42:00.5z", 1795574520500),
        ("2026-11-25 03:42:00.123456789+01:00", 1795574520123),
        ("2026-11-25T03:42:00 01:00", 1795574520000),  # a + that was not escaped
        ("2026-11-24T21:12:00-05:30", 1795574520000),
        ("2026-11-25", 1795564800000),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_times_are_read(text: str, ms: int) -> None:
    assert parse(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "-1", "+1", "1.5", "1e3", "now", "2026-11", "20261125T024200Z"),
        *("2026-11-25T02:42Z", "2026-11-25T02:42:00", "2026-11-25T02:42:00.Z", "2026-02-30"),
        *("2026-11-25T25:00:00Z", "2026-11-25T02:42:00+25:00", "2026-11-25T02:42:00Z ", "٣"),
        *("0000-01-01T00:00:00Z", "1" * 16, "2026-11-25\n"),
        "2026-11-25T02:42:00." + "0" * 60 + "Z",
    ],
)
def test_anything_else_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be a time|ime|onth|ear|day|hour|offset"):
        parse(text)


@given(st.integers(0, 253_402_300_799_999))
def test_times_are_written_as_they_are_read(ms: int) -> None:
    assert parse(written(ms)) == ms


@pytest.fixture(params=[True, False], ids=["fast path", "Tornado"])
def either_way(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return dataclasses.replace(settings, fast_path=request.param)


async def _board(serve: Serve, settings: Settings) -> tuple[Served, Running, list[Event]]:
    """A server, and five events of a board that are a minute and a second apart, of which the log
    has the last two."""
    running = await serve(dataclasses.replace(settings, replay_length=2, coalesce=0.0))
    served, log = served_by(running), running.services.log
    answer = await served.request("POST", "/boards/", '{"id": "b"}')
    assert answer.status == 201
    await served.hub.open("b")
    # As a publisher whose clock is two hours ahead, which decides what the time was.
    last = EventId(int(time.time() * 1000) + 2 * HOUR, int(time.time() * 1000))
    events = []
    for number in range(5):
        data = f'{{"id":"b","name":"b","players":[{{"id":"p","name":"P","score":{number}}}]}}'
        last = await log.append("b", data, after=EventId(last.ms + 61_000, last.n))
        events.append(Event(last, data))
    return served, running, events


def _shift(monkeypatch: pytest.MonkeyPatch, running: Running, ms: int) -> None:
    """Have the clocks of the log and the handlers go so much ahead."""
    at = running.services.log.at

    async def ahead(board_id: str, times: Any) -> Any:
        looked = await at(board_id, times)
        return looked._replace(now=looked.now + ms)

    monkeypatch.setattr(running.services.log, "at", ahead)
    now = history._now_ms
    monkeypatch.setattr(history, "_now_ms", lambda: now() + ms)


def _scores(answer: Answer) -> list[int]:
    return [entry["data"]["players"][0]["score"] for entry in answer.json()["boards"]]


@pytest.mark.gen_test
async def test_a_board_is_shown_as_it_was(
    serving: Serve, either_way: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, running, events = await _board(serving, either_way)
    _shift(monkeypatch, running, 4 * HOUR)
    for number, event in enumerate(events):
        assert event.id is not None
        for at in (str(event.id.ms), written(event.id.ms), str(event.id.ms + 999)):
            answer = await served.request("GET", f"/boards/b/?at={at}")
            assert answer.status == 200
            assert answer.json() == {
                "event": {
                    "id": str(event.id),
                    "time": written(event.id.ms),
                    "resolution": 0 if number >= 3 else 1,
                },
                "id": "b",
                "name": "b",
                "players": [{"id": "p", "name": "P", "score": number}],
            }
            assert answer.headers["Last-Event-ID"] == str(event.id)
            assert answer.headers["Cache-Control"] == "public, max-age=300"
            etag = answer.headers["ETag"]
            again = await served.request(
                "GET", f"/boards/b/?at={at}", headers={"If-None-Match": etag}
            )
            assert (again.status, again.body) == (304, b"")
    head = await served.request("HEAD", f"/boards/b/?at={at}")
    assert (head.status, head.headers["Cache-Control"]) == (200, "public, max-age=300")


@pytest.mark.gen_test
async def test_what_is_not_kept_and_what_is_no_time(
    serving: Serve, either_way: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, running, events = await _board(serving, either_way)
    first = events[0].id
    assert first is not None
    _shift(monkeypatch, running, 4 * HOUR)

    async def refused(target: str) -> tuple[int, str]:
        answer = await served.request("GET", target)
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, answer.json()["detail"]

    status, detail = await refused(f"/boards/b/?at={first.ms - 10 * HOUR}")
    assert (status, "before" in detail) == (404, True)
    status, detail = await refused(f"/boards/b/?at={first.ms - 31 * DAY}")
    assert (status, "is kept since" in detail) == (410, True)
    assert (await refused("/boards/b/?at=1969-07-20T20:17:40Z"))[0] == 410
    for query in ("at=", "at=yesterday", "at=-1", "at=2026-11-25T02:42"):
        status, detail = await refused(f"/boards/b/?{query}")
        assert (status, detail.startswith("at: must be a time")) == (422, True)
    assert (await refused(f"/boards/b/?at={first.ms}&limit=3"))[0] == 400
    assert (await refused(f"/boards/b/?at={first.ms}&fields=rank"))[0] == 400
    assert (await refused(f"/boards/b/?at={first.ms}&stream=1"))[0] == 400
    assert (await refused(f"/boards/none/?at={first.ms}"))[0] == 404
    assert (await refused(f"/boards/demo/?at={first.ms - 10 * HOUR}"))[0] == 404
    assert (await refused("/boards/none/history/"))[0] == 404
    assert (await refused(f"/boards/b/history/?to={first.ms - 31 * DAY}"))[0] == 410
    assert (await refused("/boards/b/history/?from=tomorrow"))[0] == 422
    assert (await refused("/boards/b/history/?from=2000&to=1000"))[0] == 422
    for points in ("0", "501", "-1", "x"):
        assert (await refused(f"/boards/b/history/?points={points}"))[0] == 400
    assert (await served.request("POST", "/boards/b/history/", "{}")).status == 405


@pytest.mark.gen_test
async def test_the_future_is_the_present(serving: Serve, either_way: Settings) -> None:
    running = await serving(either_way)
    served = served_by(running)
    now = await served.request("GET", "/boards/demo/")
    for at in (written(int(time.time() * 1000) + 60_000), "9999-12-31T23:59:59Z", "9" * 15):
        answer = await served.request("GET", f"/boards/demo/?at={at}")
        board = answer.json()
        assert board.pop("event")["id"] == now.headers["Last-Event-ID"]
        assert board == now.json()
        assert answer.headers["Cache-Control"] == "no-cache"
    span = await served.request("GET", "/boards/demo/history/?to=9999-12-31")
    assert span.headers["Cache-Control"] == "no-cache"
    assert parse(span.json()["to"]) <= time.time() * 1000 + 1
    assert [entry["data"] for entry in span.json()["boards"]] == [now.json()]


@pytest.mark.gen_test
async def test_history_is_spread_evenly(
    serving: Serve, either_way: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, running, events = await _board(serving, either_way)
    _shift(monkeypatch, running, 4 * HOUR)
    ids = [event.id for event in events if event.id]
    start, end = ids[0].ms, ids[-1].ms
    whole = f"/boards/b/history/?from={start}&to={end}"
    answer = await served.request("GET", whole)
    assert answer.json() == {
        "from": written(start),
        "to": written(end),
        "boards": [
            {
                "id": str(id),
                "time": written(id.ms),
                "data": {
                    "id": "b",
                    "name": "b",
                    "players": [{"id": "p", "name": "P", "score": number}],
                },
            }
            for number, id in enumerate(ids)
        ],
    }
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert _scores(await served.request("GET", f"{whole}&points=3")) == [0, 2, 4]
    assert _scores(await served.request("GET", f"{whole}&points=2")) == [0, 4]
    assert _scores(await served.request("GET", f"{whole}&points=1")) == [4]
    assert _scores(await served.request("GET", f"{whole}&points=500")) == [0, 1, 2, 3, 4]
    # The first is what it was at the beginning; an hour is shown where nothing is said.
    middle = f"/boards/b/history/?from={start + 1}&to={end - 1}&points=50"
    assert _scores(await served.request("GET", middle)) == [0, 1, 2, 3]
    hour = (await served.request("GET", "/boards/b/history/")).json()
    assert parse(hour["to"]) - parse(hour["from"]) == HOUR
    # Beyond what is kept, and before the board's first event, there is nothing.
    long = await served.request("GET", f"/boards/b/history/?from=0&to={end}&points=500")
    assert parse(long.json()["from"]) > end - 31 * DAY
    assert long.json()["boards"][-1]["id"] == str(ids[-1])
    empty = f"/boards/b/history/?from={start - 9 * HOUR}&to={start - 8 * HOUR}"
    assert (await served.request("GET", empty)).json()["boards"] == []


@pytest.mark.gen_test
async def test_a_long_history_goes_on_elsewhere(
    serving: Serve, either_way: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    served, running, events = await _board(serving, dataclasses.replace(either_way, base_path="/x"))
    _shift(monkeypatch, running, 4 * HOUR)
    monkeypatch.setattr(history, "MOST_BYTES", 1)
    monkeypatch.setattr(history, "_AT_ONCE", 2)
    ids = [event.id for event in events if event.id]
    target: str | None = f"/boards/b/history/?from={ids[0].ms}&to={ids[-1].ms}&points=9"
    scores, answers = [], 0
    while target is not None:
        answer = await served.request("GET", target)
        scores += _scores(answer)
        link = re.fullmatch(
            r'<(/x/boards/b/history/\?.*)>; rel="next"', answer.headers.get("Link", "")
        )
        target = link[1] if link else None
        answers += 1
    assert answers == 5
    assert sorted(set(scores)) == [0, 1, 2, 3, 4]


@pytest.mark.gen_test
async def test_what_was_private_stays_so(
    serving: Serve, either_way: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(dataclasses.replace(either_way, token_secret=SECRET, coalesce=0.0))
    served, log = served_by(running), running.services.log
    bearer = {"Authorization": f"Bearer {token(scope='write')}"}
    reader = {"Authorization": f"Bearer {token(scope='read')}"}
    other = {"Authorization": f"Bearer {token(scope='read', boards=['other'])}"}
    assert (await served.request("POST", "/boards/", '{"id": "b"}', bearer)).status == 201
    await served.hub.open("b")
    last = EventId(int(time.time() * 1000) + 2 * HOUR, int(time.time() * 1000))
    for data in ('{"private":true,"id":"b","players":[]}', '{"id":"b","players":[]}'):
        last = await log.append("b", data, after=EventId(last.ms + 61_000, last.n))
    _shift(monkeypatch, running, 4 * HOUR)
    secret, plain = f"/boards/b/?at={last.ms - 1}", f"/boards/b/?at={last.ms}"
    span = f"/boards/b/history/?from={last.ms - 1}&to={last.ms}"

    async def with_ticket(target: str) -> Answer:
        given = (await served.request("POST", "/tickets/", "", reader)).json()["ticket"]
        first = await served.request("GET", f"{target}&ticket={given}")
        assert (await served.request("GET", f"{secret}&ticket={given}")).status == 401
        return first

    assert (await with_ticket(secret)).status == 200
    assert len((await with_ticket(span)).json()["boards"]) == 2
    for headers, status, boards in (({}, 401, 1), (other, 403, 1), (reader, 200, 2)):
        answer = await served.request("GET", secret, headers=headers)
        assert answer.status == status
        assert ("WWW-Authenticate" in answer.headers) is (status != 200)
        answer = await served.request("GET", plain, headers=headers)
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "private, max-age=300")
        answer = await served.request("GET", span, headers=headers)
        assert len(answer.json()["boards"]) == boards
    # And a board that is private now has no past for others either.
    answer = await served.request("PATCH", "/boards/b/", '{"private": true}', bearer)
    assert answer.status == 200
    for target in (secret, plain, span):
        assert (await served.request("GET", target)).status == 401
        assert (await served.request("GET", target, headers=reader)).status == 200
        assert (await with_ticket(target)).status == 200
    assert len((await with_ticket(span)).json()["boards"]) == 2


@pytest.mark.gen_test
async def test_who_is_hidden_now_is_not_in_the_past(
    serving: Serve, either_way: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await serving(dataclasses.replace(either_way, coalesce=0.0))
    served, log = served_by(running), running.services.log
    assert (await served.request("POST", "/boards/", '{"id": "b"}')).status == 201
    for player in ("ann", "bob", "cheat"):
        made = await served.request("POST", f"/boards/b/players/{player}/score/", '{"score": 1}')
        assert made.status == 201
    await served.hub.open("b")
    monkeypatch.setattr(history, "_HIDDEN_AT_ONCE", 1)
    last = EventId(int(time.time() * 1000) + 2 * HOUR, int(time.time() * 1000))
    rows = [{"id": id, "name": "Zoë/", "score": 1} for id in ("ann", "bob", "cheat")]
    data = ujson.dumps({"id": "b", "players": rows}, ensure_ascii=False)
    last = await log.append("b", data, after=last)
    # What the server appends from now on is later.
    await log.append("b", "{}", after=EventId(last.ms + 61_000, last.n))
    _shift(monkeypatch, running, 4 * HOUR)

    async def seen() -> list[str]:
        at = (await served.request("GET", f"/boards/b/?at={last.ms}")).json()
        target = f"/boards/b/history/?from={last.ms}&to={last.ms + 1}"
        [then] = (await served.request("GET", target)).json()["boards"]
        assert then["data"]["players"] == at["players"]
        assert {player["name"] for player in at["players"]} == {"Zoë/"}
        return [player["id"] for player in at["players"]]

    assert await seen() == ["ann", "bob", "cheat"]
    for player, rest in (("cheat", ["ann", "bob"]), ("ann", ["bob"])):
        target = f"/boards/b/players/{player}/"
        hidden = await served.request("PATCH", target, '{"hidden": true}')
        assert hidden.status == 200
        assert await seen() == rest


@pytest.mark.gen_test
async def test_while_redis_is_away_that_is_said(
    serving: Serve, either_way: Settings, own_redis: RedisServer
) -> None:
    served = served_by(await serving(dataclasses.replace(either_way, redis_url=own_redis.url)))
    assert (await served.request("GET", "/boards/demo/history/")).status == 200
    own_redis.kill()
    for target in ("/boards/demo/?at=1", "/boards/demo/history/"):
        answer = await served.request("GET", target)
        assert answer.status == 503
        assert "replay log is away" in answer.json()["detail"]
        assert "Retry-After" in answer.headers
    now = await served.request("GET", "/boards/demo/?at=9999-12-31")
    assert now.status == 200  # what it is the database says


@pytest.mark.gen_test
async def test_all_processes_answer_alike(
    serving: Serve, settings: Settings, shared_database_url: str, redis_url: str
) -> None:
    shared = dataclasses.replace(settings, database_url=shared_database_url, redis_url=redis_url)
    first, second = [served_by(await serving(shared)) for _ in range(2)]
    assert (await first.request("POST", "/boards/", '{"id": "b"}')).status == 201
    await first.hub.open("b")
    for score in range(3):
        body = f'{{"score": {score}}}'
        answer = await first.request("POST", "/boards/b/players/p/score/", body)
        assert answer.status in (200, 201)
        async with asyncio.timeout(30):
            while f'"score":{score}' not in (await second.hub.open("b")).current.data:
                await asyncio.sleep(0.01)
    current = (await second.hub.open("b")).current.id
    assert current is not None
    await asyncio.sleep(0.002)  # Redis's clock has to be past it
    for target in (
        f"/boards/b/?at={current.ms}",
        f"/boards/b/history/?from={current.ms - 5000}&to={current.ms}&points=500",
    ):
        answers = [await served.request("GET", target) for served in (first, second)]
        assert [answer.status for answer in answers] == [200, 200]
        assert answers[0].body == answers[1].body
        assert b'"score":2' in answers[0].body
