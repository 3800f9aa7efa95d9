"""Every route and method, asked with any credentials by any transport."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import NamedTuple

import pytest
import ujson

from tornado_board.auth.policy import Action
from tornado_board.settings import Settings
from tornado_board.web.application import ROUTES
from tornado_board.web.handler import Handler
from tornado_board.web.links import Link, Outcome

from .serving import PATIENCE, Served, serving
from .tokens import PRIVATE, SECRET, claims, forged, public_pem, tampered, token

#: The path of several boards, which the query names.
SEVERAL = "/events"

#: A private board, and one that everybody may read.
PRIVATE_BOARD, PUBLIC_BOARD = "shut", "demo"

BODIES = {
    "/boards": '{"id": "made"}',
    "/boards/{}": '{"name": "Changed"}',
    "/boards/{}/players": '{"id": "new", "name": "New"}',
    "/boards/{}/players/{}": '{"name": "Changed"}',
    "/boards/{}/players/{}/score": '{"score": 50}',
    "/boards/{}/players/{}/score-add": '{"amount": 2}',
    "/boards/{}/scores": '[{"id": "ada", "score": 60}]',
    "/boards/{}/seasons": "{}",
    "/tickets": "",
}


class Request(NamedTuple):
    """A route's method with everything that it takes."""

    method: str
    shape: str
    action: Action
    query: str = ""
    #: A body, where it is not the usual one.
    asks: str = ""

    def target(self, board: str = PRIVATE_BOARD, player: str = "ada") -> str:
        target = self.shape.replace("{}", board, 1).replace("{}", player, 1) + "/" + self.query
        return f"{target}?board={board}" if self.shape == SEVERAL else target

    @property
    def names_board(self) -> bool:
        return "{}" in self.shape or self.shape == SEVERAL

    @property
    def body(self) -> str | None:
        usual = BODIES[self.shape] if self.method in ("POST", "PATCH") else None
        return self.asks or usual


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def shape_of(pattern: str) -> str:
    """``/boards/{}/players/{}`` of a route's pattern."""
    return pattern.removesuffix("/?").replace("([^/]+)", "{}").replace("(.*)", "x.js")


def methods(handler: type[Handler]) -> list[str]:
    return [method for method in handler.allowed if method != "OPTIONS"]


REQUESTS = [
    Request(method, shape_of(pattern), handler.actions.of(method))
    for pattern, handler in ROUTES
    if pattern != r"\*"
    for method in methods(handler)
] + [
    # What a parameter or a body asks for beyond the action of its method.
    Request("GET", "/boards/{}/players", Action.ADMIN, query="?hidden=true"),
    Request("HEAD", "/boards/{}/players", Action.ADMIN, query="?hidden"),
    Request("PATCH", "/boards/{}/players/{}", Action.ADMIN, asks='{"hidden": true}'),
    Request("PATCH", "/boards/{}/players/{}", Action.ADMIN, asks='{"score": 3, "hidden": false}'),
]
GUARDED = [request for request in REQUESTS if request.action is not Action.OPEN]

#: What may be presented, and the scopes and limits that it stands for; ``None``: none at all.
SCOPES = ("read", "submit", "write", "admin")
GOOD = {scope: token(scope=scope) for scope in SCOPES}
FOREIGN_BOARD = {f"{scope} elsewhere": token(scope=scope, boards=["else*"]) for scope in SCOPES}
OWN_PLAYER = token(scope="submit", boards=["sh*", "demo"], sub="ada")
FOREIGN_PLAYER = token(scope="submit", sub="bob")
LESS = {"no scope": token(), "unknown scope": token(scope="root")}
BAD = {
    "expired": token(scope="admin", exp=time.time() - 60),
    "not yet valid": token(scope="admin", nbf=time.time() + 3600),
    "not yet issued": token(scope="admin", iat=time.time() + 3600),
    "without an end": forged({"alg": "HS256"}, {"scope": "admin"}, SECRET.encode()),
    "wrong key": token("another secret of at least 32 bytes...", scope="admin"),
    "none": forged({"alg": "none"}, claims(scope="admin")),
    "swapped": forged({"alg": "HS256"}, claims(scope="admin"), public_pem(PRIVATE["ES256"])),
    "tampered": tampered(token(scope="read"), scope="admin"),
    "no token": "admin",
    "empty": "",
}

#: Which scopes do for an action on a private board.
ENOUGH = {
    Action.LIST: {*SCOPES},
    Action.READ: {"read", "write", "admin"},
    Action.SUBMIT: {"submit", "write", "admin"},
    Action.WRITE: {"write", "admin"},
    Action.TICKET: {"read", "write", "admin"},
    Action.ADMIN: {"admin"},
}


@pytest.fixture(params=[True, False], ids=["fast", "tornado"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """For a server with the fast path, and for one without."""
    return dataclasses.replace(settings, token_secret=SECRET, fast_path=request.param, audit=100)


class Looks:
    """What became of the looks of a server's fast path."""

    def __init__(self, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        path = served.server.fast_path
        assert path is not None
        look = path.look

        def counted(link: Link) -> Outcome:
            outcome = look(link)
            self.outcomes[outcome] += 1
            return outcome

        monkeypatch.setattr(path, "look", counted)

    def taken(self) -> int:
        """How many requests were taken since this was asked last."""
        return self.outcomes.pop(Outcome.TAKEN, 0)


@contextlib.asynccontextmanager
async def guarded(settings: Settings) -> AsyncIterator[Served]:
    """A server with a private board beside the public one, a player on each."""
    async with serving(settings) as served:
        await make(served)
        yield served


async def make(served: Served) -> None:
    """Make what requests are about, where it is not there (any more)."""
    admin = bearer(GOOD["admin"])
    for board in (PRIVATE_BOARD, PUBLIC_BOARD):
        body = ujson.dumps({"id": board, "private": board == PRIVATE_BOARD})
        await served.request("POST", "/boards/", body, admin)
        await served.request(
            "POST", f"/boards/{board}/players/", '{"id": "ada", "name": "Ada"}', admin
        )


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


def cookie(text: str) -> dict[str, str]:
    """As a page of the server's own sends it."""
    return {"Cookie": f"a=b; tornado_board_token={text}", "Sec-Fetch-Site": "same-origin"}


async def ask(
    served: Served,
    request: Request,
    headers: Mapping[str, str],
    *,
    target: str = "",
    at_once: bool = True,
) -> tuple[int, str]:
    """The status, and the header: of a stream nothing else can be waited for. Unless it is sent
    `at_once`, its head comes in two pieces."""
    body = request.body
    lines = {"Host": "localhost", "Connection": "close", **headers}
    if body is not None:
        lines |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    first = f"{request.method} {target or request.target()} HTTP/1.1"
    fields = [f"{name}: {value}" for name, value in lines.items()]
    data = ("\r\n".join([first, *fields, "", ""]) + (body or "")).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        if not at_once:
            writer.write(data[:9])
            await writer.drain()
            await asyncio.sleep(0.01)
            data = data[9:]
        writer.write(data)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    finally:
        writer.close()
    # Tornado spells names of fields in its own way.
    head = answer.decode().replace("Www-Authenticate", "WWW-Authenticate")
    return int(answer.split()[1]), head


def transports(request: Request) -> Iterator[tuple[dict[str, str], str, bool]]:
    """Each way in which a request may come: more fields of its header, its target, and whether in
    one piece."""
    target = request.target()
    yield {}, target, True
    if request.action is Action.READ and request.method == "GET":
        more = "&" if "?" in target else "?"
        if request.shape == "/boards/{}" or request.shape.endswith("/events"):
            for at_once in (True, False):
                yield {"Accept": "text/event-stream"}, target, at_once
                yield {"Last-Event-ID": "1-1"}, f"{target}{more}stream=1", at_once
            yield HANDSHAKE, target, True
        if request.shape == "/boards/{}":
            yield {}, f"{target}{more}at=9999-12-31", True
            yield {}, f"{target}{more}at=9999-12-31", False
        if request.shape == SEVERAL:
            for others in (PUBLIC_BOARD, "none"):
                for several in (
                    f"{target}&board={others}",
                    f"/events/?board={others}&{target[9:]}",
                ):
                    yield {}, f"{several}&wait=0", True
                    yield {"Accept": "text/event-stream"}, several, True
                    yield HANDSHAKE, several, True
        elif request.shape.endswith("/events"):
            yield {}, f"{target}?since=1-1&wait=0", True
            yield {}, f"{target}?history=5", True
