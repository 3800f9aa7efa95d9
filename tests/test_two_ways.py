"""The fast path and Tornado give the same answers, byte for byte, whatever is sent how."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.models import board_json
from tornado_board.settings import Settings
from tornado_board.web.links import Outcome

from .serving import Served, serving
from .tokens import SECRET, token

#: A board that nobody changes, so that its events have the same data on both servers.
QUIET = "quiet"

#: A private one, of lower bounds and two players in its top.
SHUT = "shut"

#: What differs from one server, or second, to another.
_DIFFERENT = re.compile(
    rb'(?<=Date: )[^\r]*|(?<=retry: )\d+|\d{13}-\d+|(?<=Etag: ")[0-9a-f]{40}|[\d-]{10}T[\d:.]{12}Z'
)


#: The connection was closed with something unread, which may cost the client the answer.
RESET = b"reset"


class TwoServers:
    """One with the fast path and one without, with the same content, in a loop that waits."""

    def __init__(self, folder: Path, **changed: Any) -> None:
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        self.outcomes: Counter[Outcome] = Counter()
        own = dataclasses.replace(Settings(), address="localhost", port=0, log_level="error")
        own = dataclasses.replace(own, keepalive=300)  # a comment would come to one of them only
        self._settings = dataclasses.replace(own, **changed)
        self._runner.run(self._open(folder))

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    async def _open(self, folder: Path) -> None:
        self._servers: list[tuple[Served, bytes]] = []
        for fast in (True, False):
            url = f"sqlite:///{folder}/{fast}.sqlite3"
            own = dataclasses.replace(self._settings, database_url=url, fast_path=fast)
            served = await self._stack.enter_async_context(serving(own))
            await served.store.create_board(NewBoard(id=QUIET, name="Quiet"))
            await served.store.create_player(QUIET, NewPlayer(id="p", name="P", score=7))
            await served.store.create_board(NewBoard(id=SHUT, private=True, top=2, max=100))
            for number in range(4):
                player = NewPlayer(id="pqrs"[number], name="P", score=number)
                await served.store.create_player(SHUT, player)
            topic = await served.hub.open(QUIET)
            self._servers.append((served, str(topic.current.id).encode()))
        path = self._servers[0][0].server.fast_path
        assert path is not None
        look = path.look

        def counted(link: Any) -> Outcome:
            outcome = look(link)
            self.outcomes[outcome] += 1
            return outcome

        path.look = counted  # type: ignore[method-assign]

    def compare(self, data: bytes, cuts: Sequence[int] = ()) -> bytes:
        """What both say to `data`, sent in pieces; ``$ID`` in it is the quiet board's event.

        What was written a moment ago shows in the events of one server before it does in those of
        the other: so where they differ, they are asked again.
        """
        for again in (True, True, False):
            self._runner.run(self._settle())
            fast, slow = self._runner.run(self._answers(data, cuts))
            if RESET in (fast, slow):
                return RESET
            alike = _DIFFERENT.sub(b"", fast) == _DIFFERENT.sub(b"", slow)
            assert alike or again, (data, fast, slow)
            if alike:
                break
        return fast

    async def _settle(self) -> None:
        """Return when the live boards show what the stores have."""
        for served, _ in self._servers:
            for board_id in served.hub.board_ids():
                topic = served.hub.live(board_id)
                ranking = await served.store.ranking(board_id, 0)
                shown = board_json(ranking.board, ranking.players[: ranking.board.top])
                async with asyncio.timeout(10):
                    while topic is not None and topic.current.data != shown:
                        await asyncio.sleep(0.005)

    async def _answers(self, data: bytes, cuts: Sequence[int]) -> list[bytes]:
        sending = (self._answer(*server, data, cuts) for server in self._servers)
        return list(await asyncio.gather(*sending))

    async def _answer(
        self, served: Served, event_id: bytes, data: bytes, cuts: Sequence[int]
    ) -> bytes:
        data = data.replace(b"$ID", event_id)
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        try:
            start = 0
            for cut in sorted({cut % (len(data) + 1) for cut in cuts}):
                writer.write(data[start:cut])
                start = cut
                await asyncio.sleep(0.002)
            writer.write(data[start:])
            # So that it comes to an end: a stream, a long-poll, a request that lacks something.
            with contextlib.suppress(OSError):
                writer.write_eof()
            got = await asyncio.wait_for(reader.read(), 10)
        except (OSError, RuntimeError):  # uvloop raises the latter of a closed transport
            got = RESET
        finally:
            writer.close()
        return got


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    servers = TwoServers(tmp_path_factory.mktemp("two"))
    try:
        yield servers
    finally:
        servers.close()


@pytest.fixture(scope="module")
def two_for_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    servers = TwoServers(
        tmp_path_factory.mktemp("two"),
        allowed_origins=("https://shown.example",),
        trust_forwarded=True,
        base_path="/below/",
    )
    try:
        yield servers
    finally:
        servers.close()


def request(
    target: str, *fields: str, method: str = "GET", body: str = "", version: str = "HTTP/1.1"
) -> bytes:
    length = [f"Content-Length: {len(body)}"] if body or method == "POST" else []
    head = [f"{method} {target} {version}", "Host: localhost", *fields, *length, "", ""]
    return ("\r\n".join(head) + body).encode("latin-1")


ADD = "/boards/demo/players/mars/score-add/"
SCORE = "/boards/demo/players/mars/score/"
JSON = "Content-Type: application/json"
STREAM = "Accept: text/event-stream"

#: Requests that the fast path takes.
TAKEN = {
    "a board": request("/boards/demo/"),
    "a board of no cache": request("/boards/demo", "Cache-Control: no-cache"),
    "a board's stream": request(f"/boards/{QUIET}/", STREAM),
    "a stream": request(f"/boards/{QUIET}/events/", STREAM),
    "a stream by its query": request(f"/boards/{QUIET}/events?stream=1"),
    "a stream that goes on": request(f"/boards/{QUIET}/events/", STREAM, "Last-Event-ID: $ID"),
    "a stream that can't go on": request(f"/boards/{QUIET}/events?lastEventId=1-1", STREAM),
    "a stream after nonsense": request(f"/boards/{QUIET}/", STREAM, "Last-Event-ID: nonsense"),
    "a poll": request(f"/boards/{QUIET}/events/"),
    "a poll that waits": request(f"/boards/{QUIET}/events/?since=$ID&wait=20"),
    "a poll that does not": request(f"/boards/{QUIET}/events/?since=$ID&wait=0"),
    "a poll of long ago": request(f"/boards/{QUIET}/events/?since=1-1"),
    "a history": request(f"/boards/{QUIET}/events/?history=3"),
    "a player": request("/boards/demo/players/mars/"),
    "no such player": request("/boards/demo/players/nobody"),
    "no such board": request("/boards/nothing/players/mars"),
    "an addition": request(ADD, method="POST"),
    "an addition of five": request(ADD, JSON, method="POST", body='{"amount": 5}'),
    "an addition to nobody": request("/boards/demo/players/x/score-add", method="POST"),
    "an addition of too much": request(
        ADD, JSON, method="POST", body='{"amount": 9007199254740992}'
    ),
    "an addition of nonsense": request(ADD, JSON, method="POST", body='{"amount": "x"}'),
    "no JSON": request(ADD, JSON, method="POST", body="{"),
    "a page's own addition": request(ADD, "Sec-Fetch-Site: same-origin", method="POST"),
    "a page's token": request("/boards/demo/", "Authorization: Bearer x", "Cookie: a=b"),
    "some players": request("/boards/demo/?limit=3"),
    "no limit": request("/boards/demo/?limit=0"),
    "all of a board": request("/boards/demo/?fields=settings,count,meta,rank"),
    "a board of strange fields": request("/boards/demo/?fields=x"),
    "a board with nothing": request("/boards/demo/?fields="),
    "a board of tomorrow": request(f"/boards/{QUIET}/?at=9999-12-31T23:59:59Z"),
    "a board of long ago": request(f"/boards/{QUIET}/?at=2020-01-01"),
    "a board of no time": request(f"/boards/{QUIET}/?at=yesterday"),
    "what a board was": request(f"/boards/{QUIET}/history/?points=3"),
    "what a board was at no time": request(f"/boards/{QUIET}/history/?from=x"),
    "what no board was": request("/boards/nothing/history"),
    "a player with meta": request("/boards/demo/players/mars?fields=meta"),
    "a player of strange fields": request("/boards/demo/players/mars?fields=rank"),
    "an addition that makes": request(
        "/boards/demo/players/made/score-add/?create=1", method="POST"
    ),
    "an addition that need not": request(f"{ADD}?create", JSON, method="POST", body="{}"),
    "an addition that may not": request(
        "/boards/demo/players/none/score-add/?create=0", method="POST"
    ),
    "an addition that might": request(f"{ADD}?create=x", method="POST"),
    "a score": request(SCORE, JSON, method="POST", body='{"score": 5000}'),
    "a score with all": request(
        SCORE,
        JSON,
        method="POST",
        body='{"score": 2.5, "operator": "add", "name": "Mars", "meta": {"a": [1]}}',
    ),
    "a worse score": request(SCORE, JSON, method="POST", body='{"score": -1}'),
    "a score of somebody": request(
        "/boards/demo/players/new/score", JSON, method="POST", body='{"score": 1.5}'
    ),
    "a score of nowhere": request(
        "/boards/nothing/players/new/score", JSON, method="POST", body='{"score": 1}'
    ),
    "no score": request(SCORE, JSON, method="POST", body="{}"),
    "a score of nothing": request(SCORE, method="POST"),
    "a score out of bounds": request(
        f"/boards/{SHUT}/players/p/score/", JSON, method="POST", body='{"score": 101}'
    ),
    "a score in bounds": request(
        f"/boards/{SHUT}/players/p/score/", JSON, method="POST", body='{"score": 100}'
    ),
    "a private board": request(f"/boards/{SHUT}/"),
    "the last request": request("/boards/demo/", "Connection: close"),
    "the last addition": request(ADD, "connection: CLOSE", method="POST"),
}

#: Requests that it leaves.
LEFT = {
    "a list": request("/boards/"),
    "players": request("/boards/demo/players/?limit=2&around=mars"),
    "many scores": request(
        "/boards/demo/scores/", JSON, method="POST", body='[{"id": "mars", "score": 9}, {}]'
    ),
    "a board's change": request("/boards/demo/", JSON, method="PATCH", body='{"name": "D"}'),
    "a score with a key": request(
        SCORE, JSON, "Idempotency-Key: 2", method="POST", body='{"score": 6000}'
    ),
    "the same key": request(
        SCORE, JSON, "Idempotency-Key: 2", method="POST", body='{"score": 6000}'
    ),
    "its key with another score": request(
        SCORE, JSON, "Idempotency-Key: 2", method="POST", body='{"score": 1}'
    ),
    "no key": request(SCORE, JSON, "Idempotency-Key: ", method="POST", body='{"score": 1}'),
    "an escaped field": request("/boards/demo/?fields=count%2Crank"),
    "nothing there": request("/boards/demo/nothing/"),
    "a bad id": request("/boards/../"),
    "an escape": request("/boards/d%65mo/"),
    "a parameter twice": request("/boards/demo/?limit=1&limit=2"),
    "a strange wait": request(f"/boards/{QUIET}/events/?since=$ID&wait=x"),
    "HEAD": request("/boards/demo/", method="HEAD"),
    "OPTIONS": request(ADD, method="OPTIONS"),
    "PUT": request(ADD, method="PUT"),
    "another host": request("/boards/demo/").replace(b"localhost", b"evil.example"),
    "no host": request("/boards/demo/").replace(b"Host: localhost\r\n", b""),
    "two hosts": request("/boards/demo/", "host: localhost"),
    "HTTP/1.0": request("/boards/demo/", version="HTTP/1.0"),
    "a form": request(
        ADD, "Content-Type: application/x-www-form-urlencoded", method="POST", body="amount=2"
    ),
    "no type": request(ADD, method="POST", body="{}"),
    "another site's page": request(ADD, "Sec-Fetch-Site: cross-site", method="POST"),
    "another origin": request(ADD, "Origin: https://evil.example", method="POST"),
    "a GET with a body": request("/boards/demo/", body="{}"),
    "bare line ends": request("/boards/demo/").replace(b"\r\n", b"\n"),
    "a folded field": request("/boards/demo/", "X: a\r\n b"),
    "a zero byte": request("/boards/demo/", "X: \0"),
    "chunks": request("/boards/demo/", "Transfer-Encoding: chunked", method="POST"),
    "an absolute target": request("http://localhost/boards/demo/"),
    "an expectation": request(ADD, JSON, "Expect: 100-continue", method="POST", body="{}"),
    "a key": request(ADD, JSON, "Idempotency-Key: 1", method="POST", body="{}"),
    "an upgrade": request("/boards/demo/", "Connection: Upgrade", "Upgrade: websocket"),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "no blank before a colon": request("/boards/demo/", "X : y"),
    "an empty name": request("/boards/demo/", ": y"),
    "two blanks": request("/boards/demo/ "),
    "a blank at the end": request("/boards/demo/", version="HTTP/1.1 "),
    "no version": b"GET /boards/demo/\r\n\r\n",
    "a line end before it": b"\r\n" + request("/boards/demo/"),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_is_answered_as_tornado_would(two: TwoServers, name: str) -> None:
    before = two.outcomes[Outcome.TAKEN]
    two.compare(TAKEN[name])
    assert two.outcomes[Outcome.TAKEN] == before + 1


@pytest.mark.parametrize("name", LEFT)
def test_what_is_out_of_the_ordinary_is_left(two: TwoServers, name: str) -> None:
    before = two.outcomes[Outcome.TAKEN]
    two.compare(LEFT[name])
    assert two.outcomes[Outcome.TAKEN] == before


@pytest.mark.parametrize(
    "name", ["a board", "an addition of five", "a poll that waits", "a stream"]
)
def test_cut_at_every_byte(two: TwoServers, name: str) -> None:
    data = TAKEN[name]
    for cut in range(0, len(data) + 1, 1 if len(data) < 200 else 3):
        two.compare(data, [cut])


def test_an_etag_that_is_known(two: TwoServers) -> None:
    got = two.compare(request("/boards/demo/"))
    etag = re.search(rb'Etag: ("[0-9a-f]{40}")', got)
    assert etag is not None
    known = etag[1].decode()
    for given_etag, status in (
        (known, 304),
        (f"W/{known}", 304),
        (known.replace("a", "b"), 200),
        (f'{known}, "x"', 304),
        ("*", 304),
        ('"x"', 200),
        ("W/" + "x" * 42, 200),
        ("x" * 42, 200),
        ('"' + '",' * 13 + '"""', 200),
    ):
        answer = two.compare(request("/boards/demo/", f"If-None-Match: {given_etag}"))
        if "a" in known or given_etag != known.replace("a", "b"):
            assert answer.startswith(b"HTTP/1.1 %d" % status), given_etag
        two.compare(request("/boards/demo/players/mars", f"If-None-Match: {given_etag}"))


@pytest.mark.parametrize(
    "fields",
    [
        ("Origin: https://shown.example",),
        ("Origin: https://other.example",),
        ("Origin: http://[",),
        ("Origin: https://shown.example", "Sec-Fetch-Site: cross-site"),
        ("Sec-Fetch-Site: same-site",),
        ("X-Forwarded-For: 192.0.2.7",),
        ("X-Real-IP: 192.0.2.7", "X-Forwarded-For: nonsense"),
        ("X-Forwarded-Proto: https", "X-Scheme: https"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/below"])
def test_pages_of_other_sites_and_proxies(
    two_for_pages: TwoServers, prefix: str, fields: tuple[str, ...]
) -> None:
    for target in ("/boards/demo/", f"/boards/{QUIET}/events/", "/boards/demo/players/none"):
        two_for_pages.compare(request(prefix + target, *fields))
    for target in (f"/boards/{QUIET}/", f"/boards/{QUIET}/events"):
        two_for_pages.compare(request(prefix + target, STREAM, *fields))
    two_for_pages.compare(request(prefix + ADD, *fields, method="POST"))


@pytest.fixture(scope="module")
def two_guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoServers]:
    servers = TwoServers(tmp_path_factory.mktemp("two"), token_secret=SECRET)
    try:
        yield servers
    finally:
        servers.close()


TOKENS = {
    **{scope: token(scope=scope) for scope in ("read", "submit", "write", "admin")},
    **{f"{scope} elsewhere": token(scope=scope, boards=["x*"]) for scope in ("read", "write")},
    "mars": token(scope="submit", sub="mars"),
    "bob": token(scope="submit", sub="bob"),
    "expired": token(scope="admin", exp=time.time() - 60),
    "forged": token("another secret of at least 32 bytes...", scope="admin"),
    "no token": "admin",
    "empty": "",
}
PAGE = "Sec-Fetch-Site: same-origin"


@pytest.mark.parametrize("presented", [None, *TOKENS])
def test_with_keys_both_ways_let_in_the_same(
    two_guarded: TwoServers, presented: str | None
) -> None:
    ways: list[tuple[str, ...]] = [()]
    if presented is not None:
        field = f"Cookie: tornado_board_token={TOKENS[presented]}"
        ways = [(f"Authorization: Bearer {TOKENS[presented]}",), (field,), (field, PAGE)]
    before = two_guarded.outcomes[Outcome.TAKEN]
    statuses = Counter[int]()
    for data in (*TAKEN.values(), *LEFT.values()):
        # To a board that everybody may read, and to one that is private.
        for sent in (data, re.sub(b"(?<=/boards/)(demo|quiet)", SHUT.encode(), data)):
            line, separator, rest = sent.partition(b" HTTP/1.1\r\n")
            if not separator or b"\r\nAuthorization" in rest:
                continue
            for fields in ways:
                more = "".join(f"{field}\r\n" for field in fields).encode()
                got = two_guarded.compare(line + separator + more + rest)
                if got.startswith(b"HTTP"):
                    statuses[int(got.split()[1])] += 1
    taken = two_guarded.outcomes[Outcome.TAKEN] - before
    assert taken > 20, "of what anybody may read"
    assert statuses[200] > 10
    if presented not in ("write", "admin"):
        assert statuses[401] + statuses[403] > 10


NAMES = st.sampled_from(
    [
        *("Host", "Accept", "Last-Event-ID", "Content-Type", "Content-Length", "Connection"),
        *("Origin", "If-None-Match", "Cache-Control", "Cookie", "X-Forwarded-For", "X-A", "Expect"),
        *("Transfer-Encoding", "Sec-Fetch-Site", "Upgrade", "Idempotency-Key", "Authorization"),
    ]
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *("localhost", "text/event-stream", "*/*", "$ID", "1-1", "application/json", "2", "0"),
            *("close", "keep-alive", "chunked", "same-origin", "no-cache", '"x"', "", "identity"),
            *("application/json; charset=utf-8", "text/event-stream;q=0.5, */*", "localhost:80"),
        ]
    ),
    st.text(st.characters(max_codepoint=0xFF), max_size=12),
)
BLANKS = st.sampled_from(["", " ", "  ", "\t", " \t "])
TARGETS = st.one_of(
    st.sampled_from(
        [
            *("/boards/quiet/", f"/boards/{QUIET}/events/", f"/boards/{QUIET}"),
            *(f"/boards/{QUIET}/events?since=$ID&wait=0.01", f"/boards/{QUIET}/events/?since=$ID"),
            *(f"/boards/{QUIET}/events/?since=1-1", f"/boards/{QUIET}/events?stream"),
            *("/boards/demo/players/mars", "/boards/demo/players/x/", ADD, "/healthz", SCORE),
            *("/boards/shut/?fields=count,rank", "/boards/demo/?limit=2", f"{ADD}?create=1"),
            *("/boards/demo/scores/", "/boards/demo/players/", "/boards/demo/players/?limit=1"),
            *(f"/boards/{QUIET}/?at=99999999999999", f"/boards/{QUIET}/history/?points=2"),
        ]
    ),
    st.builds("/boards/a{}".format, st.text(st.characters(max_codepoint=0x7F), max_size=12)),
    st.builds(
        "/boards/quiet/events/?{}".format,
        st.text(st.sampled_from("since=wait&history123.-;+%#? "), max_size=16),
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is plain, for the most part."""

    def cased(name: str) -> str:
        return draw(st.sampled_from([name, name.lower(), name.upper(), name.swapcase()]))

    method = draw(st.sampled_from(["GET", "GET", "GET", "POST", "POST", "HEAD", "get", "PATCH"]))
    body = draw(
        st.sampled_from(
            ["", "", "{}", '{"amount": 2}', '{"amount":', "amount=1", "[]", '{"score": 3}']
        )
    )
    if method != "POST":
        body = ""
    fields = [("Host", "localhost")]
    if body:
        fields += [("Content-Length", str(len(body))), ("Content-Type", "application/json")]
    if draw(st.booleans()):
        fields += draw(st.lists(st.tuples(NAMES, VALUES), max_size=3))
    fields = draw(st.permutations(fields))
    lines = [f"{cased(n)}:{draw(BLANKS)}{v}{draw(BLANKS)}" for n, v in fields]
    version = draw(st.sampled_from(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "HTTP/1.2"]))
    end = draw(st.sampled_from(["\r\n"] * 12 + ["\n"]))
    head = end.join([f"{method} {draw(TARGETS)} {version}", *lines, "", ""])
    return (head + body).encode("latin-1")


@st.composite
def plain_requests(draw: st.DrawFn) -> bytes:
    """One that the fast path ought to take, in any spelling."""
    name = draw(st.sampled_from(sorted(TAKEN)))
    head, _, body = TAKEN[name].decode("latin-1").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    extra = ["X-A: \xe9", "Accept-Language: de;q=0.5", "Cookie: a=b", 'User-Agent: "x" (y)', "X:"]
    lines = draw(st.permutations(lines + draw(st.lists(st.sampled_from(extra), unique=True))))
    spelled = [first]
    for line in lines:
        field, _, value = line.partition(":")
        field = draw(st.sampled_from([field, field.lower(), field.upper(), field.swapcase()]))
        spelled.append(f"{field}:{draw(BLANKS)}{value.strip()}{draw(BLANKS)}")
    return ("\r\n".join([*spelled, "", ""]) + body).encode("latin-1")


@st.composite
def connections(draw: st.DrawFn) -> bytes:
    """What comes over one connection: requests, perhaps with a byte that should not be there."""
    data = b"".join(draw(st.lists(requests(), min_size=1, max_size=3)))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=2)) + data[at + draw(st.integers(0, 2)) :]
    return data


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=connections(), cuts=st.lists(st.integers(0, 400), max_size=2))
def test_whatever_is_sent_both_ways_say_the_same(
    two: TwoServers, data: bytes, cuts: list[int]
) -> None:
    two.compare(data, cuts)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=st.lists(plain_requests(), min_size=1, max_size=4), cuts=st.lists(st.integers(0, 900)))
def test_what_is_plain_is_answered_alike_in_any_spelling(
    two: TwoServers, sent: list[bytes], cuts: list[int]
) -> None:
    # What stands behind the last request of a connection may cost its answer.
    closing = [data for data in sent if b"close" in data.lower()]
    data = b"".join([*(data for data in sent if data not in closing), *closing[:1]])
    two.compare(data, cuts[:2])


def test_most_of_what_is_plain_was_taken(two: TwoServers) -> None:
    """Or the tests above would have compared Tornado with itself."""
    assert two.outcomes[Outcome.TAKEN] > 250
