"""Who is let in: every route and method, by every way in, with whatever may be presented."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, NamedTuple

import pytest
import ujson

from tornado_board.auth.policy import Action
from tornado_board.inputs import NewBoard
from tornado_board.settings import Settings
from tornado_board.web import boards as boards_module
from tornado_board.web.application import ROUTES
from tornado_board.web.handler import Handler
from tornado_board.web.links import Link, Outcome

from .serving import PATIENCE, Served, parse, serving
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


def test_every_method_of_every_route_names_its_action() -> None:
    for pattern, handler in ROUTES:
        if pattern == r"\*":
            continue
        named = {
            method
            for method in ("GET", "POST", "PATCH", "DELETE")
            if getattr(handler.actions, method.lower()) is not None
        }
        assert named == set(methods(handler)) - {"HEAD"}, pattern
    assert {request.action for request in REQUESTS} == set(Action)
    for request in REQUESTS:
        if request.action is not Action.ADMIN:
            changes = request.method not in ("GET", "HEAD")
            assert changes == (request.action.changes or request.action is Action.TICKET), request


@pytest.mark.gen_test(timeout=120)
async def test_who_is_refused_is_refused_everywhere_and_changes_nothing(
    settings: Settings,
) -> None:
    async with guarded(settings) as served:
        before = served.dump()
        refused = 0
        for request in GUARDED:
            enough = ENOUGH[request.action]
            poor = {
                **{scope: GOOD[scope] for scope in SCOPES if scope not in enough},
                **(FOREIGN_BOARD if request.names_board else {}),
                **({} if request.action is Action.LIST else LESS),
            }
            if request.action is not Action.LIST:
                poor["another player's"] = FOREIGN_PLAYER
            if request.action is Action.SUBMIT and request.shape.count("{}") < 2:
                poor["a player's"] = OWN_PLAYER
            for more, target, at_once in transports(request):

                async def status_of(
                    headers: Mapping[str, str],
                    request: Request = request,
                    more: Mapping[str, str] = more,
                    target: str = target,
                    at_once: bool = at_once,
                ) -> tuple[int, str]:
                    return await ask(
                        served, request, {**more, **headers}, target=target, at_once=at_once
                    )

                if request.action is not Action.LIST:
                    status, head = await status_of({})
                    assert (request, status) == (request, 401)
                    assert 'WWW-Authenticate: Bearer realm="tornado_board", scope="' in head
                    assert "error=" not in head
                for name, text in BAD.items():
                    status, head = await status_of(bearer(text))
                    assert (request, name, status) == (request, name, 401)
                    assert 'error="invalid_token"' in head, name
                    if request.action is not Action.LIST and text:
                        status, head = await status_of(cookie(text))
                        assert (request, name, status) == (request, name, 401)
                    refused += 1
                for name, text in poor.items():
                    for headers in (bearer(text), cookie(text)):
                        status, head = await status_of(headers)
                        assert (request, name, status) == (request, name, 403)
                        assert 'error="insufficient_scope"' in head, name
                    refused += 1
        assert refused > 300
        assert served.dump() == before


@pytest.mark.gen_test(timeout=120)
async def test_who_may_is_let_in_everywhere(settings: Settings) -> None:
    async with guarded(settings) as served:
        for request in GUARDED:
            good = {name: text for name, text in GOOD.items() if name in ENOUGH[request.action]}
            if request.action is Action.SUBMIT and request.shape.count("{}") == 2:
                good["a player's"] = OWN_PLAYER
            for more, target, at_once in transports(request):
                for name, text in good.items():
                    for headers in (bearer(text), cookie(text)):
                        await make(served)
                        status, _ = await ask(
                            served, request, {**more, **headers}, target=target, at_once=at_once
                        )
                        assert status < 400 or status == 409, (request, name, status)


@pytest.mark.parametrize("settings", [True], indirect=True)
@pytest.mark.gen_test(timeout=60)
async def test_the_fast_path_takes_what_may_come_in_and_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    handlers = {shape_of(pattern): handler for pattern, handler in ROUTES}
    served_fast = [r for r in GUARDED if r.method in handlers[r.shape].resources]
    assert len(served_fast) >= 5
    async with guarded(settings) as served:
        looks = Looks(served, monkeypatch)
        await served.hub.open(PRIVATE_BOARD)  # so that it is known at once to be private
        for request in served_fast:
            bad = {**BAD, **FOREIGN_BOARD, **LESS, "another player's": FOREIGN_PLAYER}
            bad |= {s: GOOD[s] for s in SCOPES if s not in ENOUGH[request.action]}
            for more, target, at_once in transports(request):
                if not at_once or more == HANDSHAKE:
                    continue
                for headers in ({}, *map(bearer, bad.values()), *map(cookie, bad.values())):
                    await ask(served, request, {**more, **headers}, target=target)
                    assert looks.taken() == 0, (request, headers)
                for scope in ENOUGH[request.action]:
                    for headers in (bearer(GOOD[scope]), cookie(GOOD[scope])):
                        # Now and then the store has to be asked whether the board is private.
                        async with asyncio.timeout(PATIENCE):
                            while not looks.taken():
                                status, _ = await ask(
                                    served, request, {**more, **headers}, target=target
                                )
                                assert status < 300, (request, target)


@pytest.mark.gen_test(timeout=60)
async def test_what_is_public_is_read_by_everybody(settings: Settings) -> None:
    async with guarded(settings) as served:
        for request in REQUESTS:
            if request.action in (Action.READ, Action.LIST, Action.OPEN):
                for more, target, at_once in transports(request):
                    public = target.replace(PRIVATE_BOARD, PUBLIC_BOARD)
                    for headers in ({}, bearer(GOOD["submit"]), cookie(BAD["expired"])):
                        status, _ = await ask(
                            served, request, {**more, **headers}, target=public, at_once=at_once
                        )
                        assert status not in (401, 403), (request, headers, status)


@pytest.mark.gen_test(timeout=60)
async def test_a_private_server_shows_nothing_to_nobody(settings: Settings) -> None:
    async with guarded(dataclasses.replace(settings, private=True)) as served:
        for request in GUARDED:
            for more, target, at_once in transports(request):
                public = target.replace(PRIVATE_BOARD, PUBLIC_BOARD)
                status, _ = await ask(served, request, more, target=public, at_once=at_once)
                assert (request, status) == (request, 401)
                if request.action in (Action.READ, Action.LIST):
                    status, _ = await ask(
                        served,
                        request,
                        {**more, **bearer(GOOD["read"])},
                        target=public,
                        at_once=at_once,
                    )
                    assert status < 400, request


@pytest.mark.gen_test(timeout=60)
async def test_without_keys_all_is_open(settings: Settings) -> None:
    async with serving(dataclasses.replace(settings, token_secret="")) as served:
        for request in REQUESTS:
            await served.request("POST", "/boards/", '{"id": "shut", "private": true}')
            await served.request("POST", "/boards/shut/players/", '{"id": "ada", "name": "Ada"}')
            for headers in ({}, bearer(BAD["tampered"]), {"Authorization": "Basic eDp5"}):
                status, _ = await ask(served, request, headers)
                assert status not in (401, 403), request


@pytest.mark.gen_test(timeout=30)
async def test_a_refusal_looks_at_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not at the body, and the store is asked for nothing."""
    async with guarded(settings) as served:

        async def never(*_: object, **__: object) -> None:
            raise AssertionError("the store was asked")

        for name in dir(type(served.store)):
            if not name.startswith("_") and asyncio.iscoroutinefunction(
                getattr(type(served.store), name)
            ):
                monkeypatch.setattr(served.store, name, never)
        for request in GUARDED:
            if request.action.changes:
                for headers in ({}, bearer(GOOD["read"]), bearer(BAD["wrong key"])):
                    answer = await served.request(
                        request.method, request.target(), b"\xff{", headers
                    )
                    assert answer.status in (401, 403), request
        monkeypatch.undo()


@pytest.mark.gen_test(timeout=30)
async def test_a_large_body_is_not_read_of_who_may_not_send_it(settings: Settings) -> None:
    """Its header is enough."""
    head = (
        "POST /boards/demo/scores/ HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Type: application/json\r\nContent-Length: 4000000\r\n%s\r\n"
    )
    async with guarded(settings) as served:
        for field, status in (
            ("", 401),
            (f"Authorization: Bearer {BAD['wrong key']}\r\n", 401),
            (f"Authorization: Bearer {GOOD['read']}\r\n", 403),
            (f"Authorization: Bearer {OWN_PLAYER}\r\n", 403),
            (f"Cookie: tornado_board_token={GOOD['write']}\r\n", 403),
        ):
            answer = parse(await served.send((head % field).encode()))
            assert answer.status == status
            assert ("WWW-Authenticate" in answer.headers) == ("Cookie" not in field)
            assert served.server.body_room.taken == 0


@pytest.mark.gen_test(timeout=30)
async def test_a_board_is_made_by_who_may_have_it(settings: Settings) -> None:
    """Its id stands in the body, not in the path."""
    async with guarded(settings) as served:
        before = served.dump()
        some = bearer(token(scope="write", boards=["cup-*"]))
        for body in ('{"id": "league"}', "{}", ""):
            assert (await served.request("POST", "/boards/", body, some)).status == 403
        assert served.dump() == before
        made = await served.request("POST", "/boards/", '{"id": "cup-7"}', some)
        assert made.status == 201
        assert (await served.request("POST", "/boards/", "{}", bearer(GOOD["write"]))).status == 201


@pytest.mark.gen_test(timeout=30)
async def test_the_list_shows_what_may_be_read(settings: Settings) -> None:
    async with guarded(settings) as served:

        async def listed(headers: Mapping[str, str], query: str = "") -> list[str]:
            answer = await served.request("GET", f"/boards/{query}", headers=headers)
            return [board["id"] for board in answer.json()["boards"]]

        assert await listed({}) == ["demo"]
        assert await listed(bearer(GOOD["submit"])) == ["demo"]
        assert await listed(bearer(FOREIGN_BOARD["read elsewhere"])) == ["demo"]
        assert await listed(bearer(GOOD["read"])) == ["demo", "shut"]
        assert await listed(bearer(token(scope="read", boards=["s*"]))) == ["demo", "shut"]
        assert await listed(cookie(GOOD["read"])) == ["demo", "shut"]
        assert await listed(cookie(BAD["expired"])) == ["demo"]
        for name in ("a", "b", "c"):
            body = f'{{"id": "{name}", "private": true}}'
            await served.request("POST", "/boards/", body, bearer(GOOD["write"]))
        assert await listed({}, "?limit=1") == ["demo"], "pages are full of what may be seen"


@pytest.mark.gen_test(timeout=30)
async def test_a_list_does_not_look_for_ever_for_what_may_be_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards_module, "_LEAST_READ", 3)
    monkeypatch.setattr(boards_module, "_MOST_READS", 2)
    async with guarded(settings) as served:
        for number in range(20):
            await served.store.create_board(NewBoard(id=f"b{number:02}", private=True))
        reads = 0
        list_boards = served.store.list_boards

        async def counted(limit: int, after: str = "") -> Any:
            nonlocal reads
            reads += 1
            return await list_boards(limit, after)

        monkeypatch.setattr(served.store, "list_boards", counted)
        target, found, pages = "/boards/?limit=1", [], 0
        while target:
            answer = await served.request("GET", target)
            assert reads <= 2
            reads, pages = 0, pages + 1
            found += [board["id"] for board in answer.json()["boards"]]
            link = re.fullmatch(r'<(.*)>; rel="next"', answer.headers.get("Link", ""))
            target = link[1] if link else ""
        assert found == ["demo"]
        assert pages == 4


@pytest.mark.gen_test(timeout=30)
async def test_the_scheme_is_written_in_any_case_and_others_are_no_ones(
    settings: Settings,
) -> None:
    async with guarded(settings) as served:
        for field, status in (
            (f"bearer {GOOD['write']}", 204),
            (f"BEARER   {GOOD['write']} ", 204),
            (f"Bearer {GOOD['write']}, Bearer {GOOD['write']}", 401),
            (f"Bearer {GOOD['write']} more", 401),
            (f"Basic {GOOD['write']}", 401),
            (GOOD["write"], 401),
            ("Bearer", 401),
            ("Bearer " + "x" * 8000, 401),
        ):
            await make(served)
            answer = await served.request(
                "DELETE", "/boards/demo/players/ada/", headers={"Authorization": field}
            )
            assert answer.status == status, field


@pytest.mark.gen_test(timeout=30)
async def test_a_page_of_another_site_does_nothing_with_a_cookie(settings: Settings) -> None:
    settings = dataclasses.replace(settings, allowed_origins=("https://named.example", "*"))
    async with guarded(settings) as served:
        port = served.port
        body = '{"id": "made", "name": "M"}'
        given = {"Cookie": f"tornado_board_token={GOOD['write']}"}
        for more, status in (
            ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, 403),
            ({"Sec-Fetch-Site": "same-site", "Origin": "https://other.example"}, 403),
            ({"Sec-Fetch-Site": "none"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({}, 403),
            ({"Origin": f"http://localhost:{port}", "Host": f"localhost:{port}"}, 201),
            ({"Sec-Fetch-Site": "same-origin"}, 201),
            ({"Sec-Fetch-Site": "cross-site", "Origin": "https://named.example"}, 201),
        ):
            before = served.dump()
            answer = await served.request("POST", "/boards/demo/players/", body, {**given, **more})
            assert answer.status == status, more
            if status == 403:
                assert served.dump() == before
                assert "WWW-Authenticate" not in answer.headers
            await served.request(
                "DELETE", "/boards/demo/players/made/", headers=bearer(GOOD["write"])
            )
        # A page may ask for a connection of another protocol on any host, and read what comes.
        upgrade = {**HANDSHAKE, **given}
        for origin, status in (("https://evil.example", 403), ("https://named.example", 101)):
            got, _ = await ask(
                served,
                Request("GET", "/boards/{}/events", Action.READ),
                {**upgrade, "Origin": origin, "Sec-Fetch-Site": "cross-site"},
            )
            assert got == status
        # A token that the page itself has is no browser's doing.
        page = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
        answer = await served.request(
            "POST", "/boards/demo/players/", body, {**bearer(GOOD["write"]), **page}
        )
        assert answer.status == 201


@pytest.mark.gen_test(timeout=30)
async def test_a_cookie_can_have_another_name_or_none(settings: Settings) -> None:
    target = f"/boards/{PRIVATE_BOARD}/"
    async with guarded(dataclasses.replace(settings, token_cookie="__Host-board")) as served:
        for field, status in (
            (f"__Host-board={GOOD['read']}", 200),
            (f' x=1;__Host-board="{GOOD["read"]}" ;y', 200),
            (f"__Host-board=;__Host-board={GOOD['read']}", 401),
            (f"tornado_board_token={GOOD['read']}", 401),
            (f"x__Host-board={GOOD['read']}", 401),
            ("__Host-board", 401),
            (";" * 5000 + "__Host-board", 401),
        ):
            answer = await served.request("GET", target, headers={"Cookie": field})
            assert answer.status == status, field
    async with guarded(dataclasses.replace(settings, token_cookie="")) as served:
        answer = await served.request("GET", target, headers=cookie(GOOD["read"]))
        assert answer.status == 401


@pytest.mark.gen_test(timeout=30)
async def test_a_ticket_opens_one_stream(settings: Settings) -> None:
    events = f"/boards/{PRIVATE_BOARD}/events/"
    reading = Request("GET", "/boards/{}/events", Action.READ)
    stream = {"Accept": "text/event-stream"}
    async with guarded(settings) as served:

        async def ticket(headers: Mapping[str, str]) -> str:
            answer = await served.request("POST", "/tickets/", "", headers)
            assert answer.status == 201
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.json()["expires_in"] == 30
            text: str = answer.json()["ticket"]
            return text

        for headers in (bearer(GOOD["read"]), cookie(GOOD["read"])):
            target = f"{events}?ticket={await ticket(headers)}"
            assert (await ask(served, reading, stream, target=target))[0] == 200
            assert (await ask(served, reading, stream, target=target))[0] == 401
        target = f"{events}?wait=0&ticket={await ticket(bearer(GOOD['read']))}"
        assert (await served.request("GET", target)).status == 200
        assert (await served.request("GET", target)).status == 401
        # It can do no more than its token, and only read.
        narrow = bearer(token(scope="read", boards=["cup-*"]))
        target = f"{events}?ticket={await ticket(narrow)}"
        assert (await served.request("GET", target)).status == 403
        target = f"/boards/demo/?ticket={await ticket(bearer(GOOD['admin']))}"
        assert (await served.request("DELETE", target)).status == 401
        assert (await served.request("GET", target)).status == 200, "a public board takes none"
        for wrong in ("", "x", "%00", "%ff", "x" * 3000):
            assert (await served.request("GET", f"{events}?ticket={wrong}")).status == 401
        # Whoever asks for one is looked at like anybody else.
        for headers, status in (
            ({}, 401),
            (bearer(BAD["expired"]), 401),
            (bearer(GOOD["submit"]), 403),
            ({"Cookie": f"tornado_board_token={GOOD['read']}"}, 403),
        ):
            assert (await served.request("POST", "/tickets/", "", headers)).status == status


@pytest.mark.gen_test(timeout=30)
async def test_without_keys_a_ticket_is_had_and_not_looked_at(settings: Settings) -> None:
    """So that a page need not know whether there are keys."""
    async with serving(dataclasses.replace(settings, token_secret="")) as served:
        answer = await served.request("POST", "/tickets/", "")
        assert answer.status == 201
        target = f"/boards/demo/?ticket={answer.json()['ticket']}"
        for _ in range(2):
            assert (await served.request("GET", target)).status == 200


@pytest.mark.gen_test(timeout=30)
async def test_a_refusal_can_be_read_by_the_pages_that_may_call(settings: Settings) -> None:
    settings = dataclasses.replace(settings, allowed_origins=("https://game.example",))
    async with guarded(settings) as served:
        answer = await served.request(
            "GET", f"/boards/{PRIVATE_BOARD}/", headers={"Origin": "https://game.example"}
        )
        assert answer.status == 401
        assert answer.headers["Access-Control-Allow-Origin"] == "https://game.example"
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert "WWW-Authenticate" in answer.headers["Access-Control-Expose-Headers"]
        asked = await served.request(
            "OPTIONS", f"/boards/{PRIVATE_BOARD}/", headers={"Origin": "https://game.example"}
        )
        assert asked.status == 204, "a preflight has no token"
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]


@pytest.mark.gen_test(timeout=30)
async def test_a_board_that_becomes_private_is_so_at_once(settings: Settings) -> None:
    async with guarded(settings) as served:
        admin = bearer(GOOD["admin"])
        assert (await served.request("GET", "/boards/demo/")).status == 200
        for private, status in ((True, 401), (False, 200)):
            body = ujson.dumps({"private": private})
            changed = await served.request("PATCH", "/boards/demo/", body, admin)
            assert changed.json()["private"] is private
            for target in ("", "events/?wait=0", "players/", "players/ada/"):
                answer = await served.request("GET", f"/boards/demo/{target}")
                assert answer.status == status, target
