"""The Python client against a real server, blocking and on asyncio."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tornado_board.client import (
    AsyncClient,
    Client,
    ClientError,
    NoAnswer,
    Policy,
    Refused,
    Reset,
    Submission,
    Update,
)
from tornado_board.client import calls as calls_module
from tornado_board.client.calls import path_of, submit_many
from tornado_board.client.events import MOST_CHARACTERS, Event, EventParser
from tornado_board.client.retries import Retries, retry_after
from tornado_board.client.watching import BoardWatching

from .server_process import ServerProcess
from .tokens import SECRET, token
from .waiting import PATIENCE

Start = Callable[..., ServerProcess]

#: Patient enough for a server that is started again.
PATIENT = Policy(retries=50, first=0.1, longest=0.5, within=60)


class OnLoop:
    """An `AsyncClient`, called as a `Client` is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._client = AsyncClient(*arguments, **options)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            found = method(*arguments, **options)
            if inspect.iscoroutine(found):
                return self._loop.run_until_complete(found)
            return self._each(found)

        return call

    def _each(self, found: Any) -> Iterator[Any]:
        try:
            while True:
                yield self._loop.run_until_complete(anext(found))
        except StopAsyncIteration:
            return
        finally:
            self._loop.run_until_complete(found.aclose())

    def close(self) -> None:
        self._loop.run_until_complete(self._client.close())
        self._loop.close()


Connect = Callable[..., Any]


@pytest.fixture(params=[Client, OnLoop], ids=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes clients of either kind."""
    made: list[Any] = []

    def connect(server: ServerProcess | str, **options: Any) -> Any:
        url = server if isinstance(server, str) else server.url
        made.append(request.param(url, **{"policy": PATIENT, **options}))
        return made[-1]

    yield connect
    for client in made:
        client.close()


@pytest.fixture
def server(server_process: Start) -> ServerProcess:
    return server_process()


def test_a_score_is_submitted_and_counts_once(server: ServerProcess, connect: Connect) -> None:
    client = connect(server)
    first = client.submit("demo", "me", 50, name="Me", meta={"a": 1})
    assert (first.rank, first.of, first.previous, first.name) == (1, 6, None, "Me")
    for _ in range(2):
        added = client.submit("demo", "me", 5, operator="add", key="only-once")
        assert added.score == 55
        assert added.previous.score == 50
    player = client.player("demo", "me")
    assert (player.score, player.rank, player.meta) == (55, 1, {"a": 1})
    with pytest.raises(Refused) as refused:
        client.submit("demo", "me", 6, operator="add", key="only-once")
    assert refused.value.status == 422
    with pytest.raises(Refused) as refused:
        client.submit("demo", "me", float("1e300"))
    assert refused.value.status == 400
    assert "score" in refused.value.detail


def test_many_are_submitted_in_as_few_requests_as_it_takes(
    server: ServerProcess, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "MOST_SUBMISSIONS", 100)
    client = connect(server)
    many = [Submission(f"p{i:03}", i, "add") for i in range(250)]
    many[7] = Submission("..", 1)
    for _ in range(2):  # the second time nothing is added
        results = client.submit_many("demo", iter(many), key="bulk")
        assert [result.ok for result in results] == [i != 7 for i in range(250)]
        assert results[7].status == 400
        assert "id" in (results[7].detail or "")
        assert [result.score for result in results if result.ok] == [
            i for i in range(250) if i != 7
        ]
    assert client.submit_many("demo", []) == []


def test_boards_and_pages_are_read(server: ServerProcess, connect: Connect) -> None:
    client = connect(server)
    assert [player.id for player in client.board("demo").players][:2] == ["venus", "earth"]
    assert client.page("demo", limit=2).count == 5
    assert [player.rank for player in client.players("demo", limit=2)] == [1, 2, 3, 4, 5]
    pages = list(client.pages("demo", limit=2, from_rank=2))
    assert [len(page.players) for page in pages] == [2, 2]
    assert pages[0].prev is not None
    assert pages[-1].next is None
    around = client.page("demo", around="mars", limit=3)
    assert [player.id for player in around.players] == ["jupiter", "mars", "mercury"]
    friends = client.page("demo", ids=["mars", "pluto"], meta=True)
    assert friends.missing == ("pluto",)
    assert friends.players[0].meta == {}
    with pytest.raises(Refused) as refused:
        client.board("none")
    assert refused.value.status == 404
    for bad in ("", ".", ".."):
        with pytest.raises(ValueError, match="no id"):
            client.board(bad)


@pytest.mark.parametrize("poll", [False, True], ids=["stream", "polls"])
def test_watching_goes_on_after_a_kill(server: ServerProcess, connect: Connect, poll: bool) -> None:
    client = connect(server)
    told = client.watch("demo", poll=poll)
    first = next(told)
    assert first.board.players[0].id == "venus"
    client.submit("demo", "mars", 100)
    assert next(told).board.players[0].id == "mars"
    server.kill()
    restarting = threading.Timer(1, server.restart)
    restarting.start()
    # Sent while nobody is there, and what is told of it after the kill.
    assert client.submit("demo", "earth", 200).previous.score == 27
    last = next(told)
    restarting.join()
    assert isinstance(last, Update)
    assert last.board.players[0].id == "earth"
    counter = [int(update.id.split("-")[1]) for update in (first, last)]
    assert counter[1] - counter[0] == 2
    told.close()
    # Another one that begins where the first one was misses nothing.
    again = client.watch("demo", since=first.id, poll=poll)
    assert [next(again).board.players[0].id for _ in range(2)] == ["mars", "earth"]
    again.close()


@pytest.mark.parametrize("poll", [False, True], ids=["stream", "polls"])
def test_a_reset_is_told_apart(server: ServerProcess, connect: Connect, poll: bool) -> None:
    told = connect(server).watch("demo", since="5-5", poll=poll)
    reset = next(told)
    assert isinstance(reset, Reset)
    assert reset.reason
    assert isinstance(next(told), Update)
    told.close()


def test_a_board_that_is_deleted_ends_it(server: ServerProcess, connect: Connect) -> None:
    told = connect(server).watch("demo")
    next(told)
    httpx.delete(f"{server.url}/boards/demo/", timeout=PATIENCE).raise_for_status()
    with pytest.raises(Refused) as refused:
        next(told)
    assert refused.value.status == 404


@pytest.mark.parametrize("poll", [False, True], ids=["stream", "polls"])
def test_a_place_is_watched_until_the_player_is_gone(
    server: ServerProcess, connect: Connect, poll: bool
) -> None:
    client = connect(server)
    told = client.watch_player("demo", "mars", poll=poll)
    place = next(told)
    assert (place.rank, place.of, place.to_next) == (4, 5, 4)
    client.submit("demo", "mars", 100)
    place = next(told)
    assert (place.score, place.rank, place.to_next) == (100, 1, None)
    httpx.delete(f"{server.url}/boards/demo/players/mars/", timeout=PATIENCE).raise_for_status()
    assert list(told) == []


def test_who_has_no_patience_is_told(server_process: Start, connect: Connect) -> None:
    server = server_process()
    client = connect(server, policy=Policy(retries=1, first=0.05, longest=0.1))
    told = client.watch("demo", patience=0.0)
    next(told)
    server.kill()
    began = time.monotonic()
    with pytest.raises(NoAnswer):
        next(told)
    with pytest.raises(NoAnswer):
        client.board("demo")
    assert time.monotonic() - began < 20


def test_tokens_are_asked_for_and_renewed(server_process: Start, connect: Connect) -> None:
    server = server_process("--private", TORNADO_BOARD_TOKEN_SECRET=SECRET)
    with pytest.raises(Refused) as refused:
        connect(server).board("demo")
    assert refused.value.status == 401
    asked: list[bool] = []

    def get(renew: bool) -> str:
        asked.append(renew)
        return token(scope="read submit") if renew else "nonsense"

    client = connect(server, token=get)
    assert client.board("demo").id == "demo"
    assert asked == [False, True]
    assert client.submit("demo", "me", 1, key="k").score == 1
    for told in (client.watch("demo"), client.watch("demo", poll=True)):
        assert next(told).board.id == "demo"
        told.close()
    bearer = connect(server, token=token(scope="read"))
    assert bearer.player("demo", "mars").rank == 4
    with pytest.raises(Refused) as refused:
        bearer.submit("demo", "mars", 100)
    assert refused.value.status == 403


def test_what_is_no_answer_of_such_a_server_is_an_error(connect: Connect) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, text="<p>hello"))
    kind = httpx.Client if connect("http://a.test").__class__ is Client else httpx.AsyncClient
    client = connect("http://b.test", http=kind(transport=transport))
    with pytest.raises(ClientError, match="not what was asked for"):
        client.board("demo")


def test_without_httpx_it_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['httpx'] = None\n"
        "try:\n    import tornado_board.client\n"
        "except ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "tornado_board[client]" in done.stdout


def test_nothing_of_the_server_is_imported() -> None:
    script = (
        "import sys, tornado_board.client\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('tornado', 'rethinkdb', 'redis')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


# --- without a server ---


def test_pauses_double_and_come_to_an_end() -> None:
    retries = Retries(Policy(retries=4, first=1, longest=4, within=100), now=0)
    pauses = [retries.pause(0, None) for _ in range(5)]
    for pause, most in zip(pauses, [1, 2, 4, 4], strict=False):
        assert pause is not None
        assert most / 2 <= pause <= most
    assert pauses[4] is None


def test_what_passes_and_what_does_not() -> None:
    policy = Policy(within=60)
    for status in (408, 429, 502, 503, 504):
        assert Retries(policy, 0).pause(0, status) is not None
    for status in (400, 401, 403, 404, 409, 422, 500):
        assert Retries(policy, 0).pause(0, status) is None
    retries = Retries(policy, 0)
    assert retries.pause(0, None) is not None
    assert retries.pause(0, 409) is not None, "the first one is under way still"
    assert Retries(policy, 0).pause(0, 503, 30) == 30
    assert Retries(policy, 0).pause(0, 503, 61) is None
    assert Retries(policy, 0).pause(40, 503, 21) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0),
        ("7", 7),
        ("", 0),
        ("-1", 0),
        ("1.5", 0),
        ("99999", 3600),
        ("9" * 500, 0),
        ("²", 0),
    ],
)
def test_retry_after(value: str | None, seconds: float) -> None:
    assert retry_after(value) == seconds


@given(st.integers(1, 30), st.integers(0, 400), st.integers(1, 300))
def test_requests_of_many_hold_all_of_them_in_order(most: int, count: int, size: int) -> None:
    many = [Submission("p" * (i % 60 + 1), i) for i in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls_module, "MOST_SUBMISSIONS", most)
        patch.setattr(calls_module, "MOST_BYTES", size)
        calls = list(submit_many("b", many, "key"))
    bodies = [call.body or b"" for call in calls]
    assert b"".join(bodies).count(b"\n") == count
    for body in bodies:
        assert body.count(b"\n") <= most
        assert len(body) <= size or body.count(b"\n") == 1
    keys = [call.headers["Idempotency-Key"] for call in calls]
    assert len(set(keys)) == len(keys)


def test_ids_are_steps_of_a_path() -> None:
    assert path_of("a/b", "c?d~é") == "boards/a%2Fb/players/c%3Fd~%C3%A9/"


TEXT = (
    ': hello\r\nretry: 5\nevent: update\ndata: {"a": 1}\nid: 5-1\n\n'
    "data\rdata:two\rdata:  three\r\revent: none\n\nid:\ndata: ü🙂\n\nid: a\0b\ndata: cut off\n"
)
EVENTS = [
    Event("update", '{"a": 1}', "5-1"),
    Event("message", "\ntwo\n three", "5-1"),
    Event("message", "ü🙂", ""),
]


@given(st.lists(st.integers(0, len(TEXT)), max_size=20).map(sorted))
def test_events_come_in_pieces_of_any_size(cuts: list[int]) -> None:
    parser = EventParser()
    edges = [0, *cuts, len(TEXT)]
    pieces = [TEXT[a:b] for a, b in itertools.pairwise(edges)]
    assert [event for piece in pieces for event in parser.feed(piece)] == EVENTS


@pytest.mark.parametrize("piece", ["x" * 1000, f"data: {'x' * 1000}\n"])
def test_an_event_without_an_end_is_refused(piece: str) -> None:
    parser = EventParser()
    for _ in range(MOST_CHARACTERS // 1000):
        assert parser.feed(piece) == []
    with pytest.raises(ClientError, match="too long"):
        parser.feed(piece)


def test_an_event_without_an_id_takes_the_last_one_away() -> None:
    watching = BoardWatching("b", since="7-7", poll=False, patience=None)
    assert watching.call().headers["Last-Event-ID"] == "7-7"
    watching.opened()
    board = '{"id":"b","name":"b","players":[]}'
    (update,) = watching.feed(f"event: update\ndata: {board}\nid: 8-8\n\n")
    assert update == Update("8-8", update.board)  # type: ignore[union-attr]
    assert watching.call().headers["Last-Event-ID"] == "8-8"
    watching.feed(f"event: update\ndata: {board}\nid:\n\n")
    assert "Last-Event-ID" not in watching.call().headers
