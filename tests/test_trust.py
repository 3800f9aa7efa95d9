"""Who is let in: every route and method, by every way in, with whatever may be presented."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import pytest
import ujson

from tornado_board.auth.policy import Action
from tornado_board.inputs import NewBoard
from tornado_board.settings import Settings
from tornado_board.web import boards as boards_module
from tornado_board.web.application import ROUTES

from .serving import PATIENCE, parse, serving
from .tokens import token
from .trust_requests import (
    BAD,
    ENOUGH,
    FOREIGN_BOARD,
    FOREIGN_PLAYER,
    GOOD,
    GUARDED,
    HANDSHAKE,
    LESS,
    OWN_PLAYER,
    PRIVATE_BOARD,
    PUBLIC_BOARD,
    REQUESTS,
    SCOPES,
    Looks,
    Request,
    ask,
    bearer,
    cookie,
    guarded,
    make,
    methods,
    settings,
    shape_of,
    transports,
)

__all__ = ["settings"]  # fixtures


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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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
@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_without_keys_all_is_open(settings: Settings) -> None:
    async with serving(dataclasses.replace(settings, token_secret="")) as served:
        for request in REQUESTS:
            await served.request("POST", "/boards/", '{"id": "shut", "private": true}')
            await served.request("POST", "/boards/shut/players/", '{"id": "ada", "name": "Ada"}')
            for headers in ({}, bearer(BAD["tampered"]), {"Authorization": "Basic eDp5"}):
                status, _ = await ask(served, request, headers)
                assert status not in (401, 403), request


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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
