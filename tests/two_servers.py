"""The same requests to a server with the fast path, and to one without."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tornado_board.inputs import NewBoard, NewPlayer
from tornado_board.models import board_json
from tornado_board.settings import Settings
from tornado_board.web.links import Outcome

from .serving import PATIENCE, Served, serving

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
        self._outcomes: Counter[Outcome] = Counter()
        #: Requests that the fast path took when `compare` sent something last, and in all.
        self.taken = 0
        self.taken_in_all = 0
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
            self._outcomes[outcome] += 1
            return outcome

        path.look = counted  # type: ignore[method-assign]

    def compare(self, data: bytes, cuts: Sequence[int] = ()) -> bytes:
        """What both say to `data`, sent in pieces; ``$ID`` in it is the quiet board's event.

        What was written a moment ago shows in the events of one server before it does in those of
        the other: so where they differ, they are asked again.
        """
        for again in (True, True, False):
            self._runner.run(self._settle())
            before = self._outcomes[Outcome.TAKEN]
            fast, slow = self._runner.run(self._answers(data, cuts))
            self.taken = self._outcomes[Outcome.TAKEN] - before
            self.taken_in_all += self.taken
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
                async with asyncio.timeout(PATIENCE):
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
            got = await asyncio.wait_for(reader.read(), PATIENCE)
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
