"""Where credentials may stand, and what each is good for: headers, cookies, tickets."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from tornado_board.auth.policy import Action
from tornado_board.settings import Settings

from .serving import serving
from .tokens import token
from .trust_requests import (
    BAD,
    GOOD,
    HANDSHAKE,
    PRIVATE_BOARD,
    Request,
    ask,
    bearer,
    cookie,
    guarded,
    make,
    settings,
)

__all__ = ["settings"]  # fixtures


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
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


@pytest.mark.gen_test
async def test_without_keys_a_ticket_is_had_and_not_looked_at(settings: Settings) -> None:
    """So that a page need not know whether there are keys."""
    async with serving(dataclasses.replace(settings, token_secret="")) as served:
        answer = await served.request("POST", "/tickets/", "")
        assert answer.status == 201
        target = f"/boards/demo/?ticket={answer.json()['ticket']}"
        for _ in range(2):
            assert (await served.request("GET", target)).status == 200


@pytest.mark.gen_test
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
