"""How often who may write, over HTTP."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

import pytest

from tornado_board.settings import Settings

from .serving import Answer, Served, serving
from .tokens import SECRET, token

#: One write a second, ten at once; so that a test is over before one more is free, it is less.
SLOW = 0.001


@pytest.fixture(params=[True, False], ids=["fast", "tornado"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    """Each rate lets one write through at once, and the next after 1,000 s."""
    return dataclasses.replace(
        settings,
        token_secret=SECRET,
        fast_path=request.param,
        writes_per_token=SLOW,
        writes_per_player=0,
        writes_per_address=0,
        trust_forwarded=True,
    )


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}


async def add(served: Served, headers: Mapping[str, str] = {}, player: str = "mars") -> Answer:
    return await served.request(
        "POST", f"/boards/demo/players/{player}/score-add/", '{"amount": 1}', headers
    )


async def refused(served: Served, headers: Mapping[str, str], whose: str) -> None:
    before = served.dump()
    answer = await add(served, headers)
    assert answer.status == 429
    assert 990 <= int(answer.headers["Retry-After"]) <= 1000
    assert whose in answer.json()["detail"]
    assert served.dump() == before


@pytest.mark.gen_test
async def test_by_token(settings: Settings) -> None:
    one, other = bearer(token(scope="write", jti="1")), bearer(token(scope="write", jti="2"))
    again = bearer(token(scope="write", jti="1", exp=time.time() + 90))
    async with serving(settings) as served:
        assert (await add(served, one)).status == 200
        await refused(served, one, "with this token")
        await refused(served, again, "with this token")
        assert (await add(served, other)).status == 200
        assert (await served.request("GET", "/boards/demo/", headers=one)).status == 200
        ticket = await served.request("POST", "/tickets/", "", one)
        assert ticket.status == 429


@pytest.mark.gen_test
async def test_what_is_refused_for_another_reason_does_not_count(settings: Settings) -> None:
    reader = bearer(token(scope="submit", boards=["cup"], jti="1"))
    async with serving(settings) as served:
        for _ in range(3):
            assert (await add(served, reader)).status == 403
        answer = await served.request(
            "POST", "/boards/cup/players/ada/score-add/?create=1", "", reader
        )
        assert answer.status == 404, "the board is not there, but it is not too much"


@pytest.mark.gen_test
async def test_many_in_one_request_count_as_many(settings: Settings) -> None:
    settings = dataclasses.replace(settings, writes_per_token=10.0)
    body = "[" + ",".join(f'{{"id": "p{n}", "score": 1}}' for n in range(1000)) + "]"
    headers = bearer(token(scope="submit"))
    async with serving(settings) as served:
        assert (await served.request("POST", "/boards/demo/scores/", body, headers)).status == 200
        answer = await add(served, headers)
        assert answer.status == 429
        assert 80 < int(answer.headers["Retry-After"]) <= 91


@pytest.mark.gen_test
async def test_by_player_whichever_token_it_has(settings: Settings) -> None:
    settings = dataclasses.replace(settings, writes_per_token=0, writes_per_player=SLOW)
    async with serving(settings) as served:
        first, second = (bearer(token(scope="submit", sub="mars", jti=str(n))) for n in range(2))
        assert (await add(served, first)).status == 200
        await refused(served, second, "for this player")
        other = bearer(token(scope="submit", sub="venus"))
        assert (await add(served, other, "venus")).status == 200
        game = bearer(token(scope="write", sub="mars"))
        for _ in range(3):
            assert (await add(served, game)).status == 200, "a game's server is no player"


@pytest.mark.gen_test
async def test_by_address_where_nobody_vouches(settings: Settings) -> None:
    settings = dataclasses.replace(settings, writes_per_token=0, writes_per_address=SLOW)
    for secret in ("", SECRET):

        def token_of(secret: str = secret) -> dict[str, str]:
            return bearer(token(scope="submit", sub="mars")) if secret else {}

        async with serving(dataclasses.replace(settings, token_secret=secret)) as served:
            here, there = {"X-Real-IP": "192.0.2.1"}, {"X-Real-IP": "192.0.2.2"}
            assert (await add(served, {**here, **token_of()})).status == 200
            await refused(served, {**here, **token_of()}, "from this address")
            assert (await add(served, {**there, **token_of()})).status == 200
            # Of IPv6 one customer has a network.
            assert (await add(served, {"X-Real-IP": "2001:db8::1", **token_of()})).status == 200
            await refused(served, {"X-Real-IP": "2001:db8::2", **token_of()}, "from this address")
            for own in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
                for _ in range(3):
                    assert (await add(served, {"X-Real-IP": own, **token_of()})).status == 200
    async with serving(settings) as served:
        for _ in range(3):
            game = {"X-Real-IP": "192.0.2.1", **bearer(token(scope="write"))}
            assert (await add(served, game)).status == 200, "whoever has such a token is trusted"


@pytest.mark.gen_test
async def test_a_normal_game_meets_no_limit(settings: Settings) -> None:
    usual = Settings()
    settings = dataclasses.replace(
        settings,
        writes_per_token=usual.writes_per_token,
        writes_per_player=usual.writes_per_player,
        writes_per_address=usual.writes_per_address,
    )
    player = {"X-Real-IP": "192.0.2.1", **bearer(token(scope="submit", sub="mars"))}
    async with serving(settings) as served:
        for _ in range(100):
            assert (await add(served, player)).status == 200
