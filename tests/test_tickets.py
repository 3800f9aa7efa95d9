"""Tickets: once, for half a minute, in memory and in Redis."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from tornado_board.auth import tickets as tickets_module
from tornado_board.auth.board_patterns import BoardPatterns
from tornado_board.auth.claims import Scope, Token
from tornado_board.auth.tickets import (
    LIFETIME,
    LocalTickets,
    Tickets,
    TooManyTickets,
    open_tickets,
    read,
    spell,
)
from tornado_board.replay import LogUnavailable
from tornado_board.settings import Settings

from .conftest import IDENTITY, KEYS
from .redis_server import RedisServer

TOKEN = Token(
    scopes=frozenset({Scope.READ}),
    boards=BoardPatterns(["cup-*"]),
    subject="ada",
    until=4e9,
    id="counted",
    key="thumbprint",
)

Open = Callable[[], Awaitable[Tickets]]


@pytest.fixture(params=["memory", "redis"])
def opened(request: pytest.FixtureRequest, settings: Settings, io_loop: Any) -> Iterator[Open]:
    """Opens the tickets of a process of a deployment; those in memory are this process's."""
    made: list[Tickets] = []
    if request.param == "redis":
        settings = dataclasses.replace(settings, redis_url=request.getfixturevalue("redis_url"))

    async def start() -> Tickets:
        made.append(open_tickets(settings, IDENTITY))
        return made[-1]

    yield start
    for tickets in made:
        io_loop.run_sync(tickets.close)


def same(found: Token | None) -> bool:
    return found is not None and spell(found) == spell(TOKEN)


@pytest.mark.gen_test
async def test_a_ticket_is_good_once(opened: Open) -> None:
    tickets = await opened()
    first, second = await tickets.issue(TOKEN), await tickets.issue(TOKEN)
    assert first != second
    assert len(first) == 32
    assert same(await tickets.redeem(first))
    assert await tickets.redeem(first) is None
    assert same(await tickets.redeem(second))


@pytest.mark.gen_test
async def test_of_all_who_come_at_once_one_gets_in(opened: Open) -> None:
    tickets = await opened()
    ticket = await tickets.issue(TOKEN)
    found = await asyncio.gather(*(tickets.redeem(ticket) for _ in range(20)))
    assert len([one for one in found if one is not None]) == 1


@pytest.mark.gen_test
async def test_what_is_no_ticket_is_none(opened: Open) -> None:
    tickets = await opened()
    await tickets.issue(TOKEN)
    for text in ("", "x", "x" * 32, "x" * 100_000, "\r\nDEL", "\ud800", "*", "🎟"):
        assert await tickets.redeem(text) is None


@pytest.mark.gen_test
async def test_in_memory_it_runs_out_and_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tickets_module, "MOST_TICKETS", 3)
    now = 100.0
    tickets = LocalTickets(clock=lambda: now)
    issued = [await tickets.issue(TOKEN) for _ in range(3)]
    with pytest.raises(TooManyTickets):
        await tickets.issue(TOKEN)
    now += LIFETIME - 0.1
    assert await tickets.redeem(issued[0]) == TOKEN
    issued.append(await tickets.issue(TOKEN))
    now += 0.1
    assert await tickets.redeem(issued[1]) is None
    for _ in range(2):
        await tickets.issue(TOKEN)
    assert await tickets.redeem(issued[3]) == TOKEN


@pytest.mark.gen_test
async def test_in_redis_another_process_redeems_it_and_it_runs_out(
    settings: Settings, shared_redis: RedisServer, redis_url: str
) -> None:
    settings = dataclasses.replace(settings, redis_url=redis_url)
    one, other = open_tickets(settings, IDENTITY), open_tickets(settings, IDENTITY)
    stranger = open_tickets(settings, "another-store")
    ticket = await one.issue(TOKEN)
    (key,) = shared_redis.client.keys()
    assert key.startswith(KEYS.ticket(""))
    assert 0 < shared_redis.client.pttl(key) <= LIFETIME * 1000
    assert ticket not in key + shared_redis.client.get(key), "who can list them can't use them"
    assert await stranger.redeem(ticket) is None
    assert same(await other.redeem(ticket))
    assert await one.redeem(ticket) is None
    assert shared_redis.client.keys() == []
    for tickets in (one, other, stranger):
        await tickets.close()


@pytest.mark.gen_test
async def test_what_another_program_put_in_its_place_is_no_ticket(
    settings: Settings, shared_redis: RedisServer, redis_url: str
) -> None:
    tickets = open_tickets(dataclasses.replace(settings, redis_url=redis_url), IDENTITY)
    ticket = await tickets.issue(TOKEN)
    (key,) = shared_redis.client.keys()
    shared_redis.client.set(key, "{}")
    assert await tickets.redeem(ticket) is None
    await tickets.close()


@pytest.mark.gen_test
async def test_while_redis_is_away_there_are_none(
    settings: Settings, own_redis: RedisServer
) -> None:
    tickets = open_tickets(dataclasses.replace(settings, redis_url=own_redis.url), IDENTITY)
    ticket = await tickets.issue(TOKEN)
    own_redis.kill()
    with pytest.raises(LogUnavailable):
        await tickets.issue(TOKEN)
    with pytest.raises(LogUnavailable):
        await tickets.redeem(ticket)
    await tickets.close()


@pytest.mark.gen_test
async def test_many_at_once_wait_for_their_turn(settings: Settings, redis_url: str) -> None:
    tickets = open_tickets(dataclasses.replace(settings, redis_url=redis_url), IDENTITY)
    issued = await asyncio.gather(*(tickets.issue(TOKEN) for _ in range(200)))
    found = await asyncio.gather(*map(tickets.redeem, issued))
    assert all(map(same, found))
    await tickets.close()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"scopes":["root"],"boards":null,"subject":null,"until":1,"id":"","key":""}',
        '{"scopes":["read"],"boards":["/"],"subject":null,"until":1,"id":"","key":""}',
        '{"scopes":["read"],"boards":null,"subject":null,"until":"1","id":"","key":""}',
    ],
)
def test_what_spells_no_token(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize("boards", [None, [], ["a", "b-*"]])
def test_a_token_is_spelled_whole(boards: list[str] | None) -> None:
    token = Token(frozenset(Scope), BoardPatterns(boards), None, 1.5, "i", "k")
    found = read(spell(token).decode())
    assert found is not None
    assert spell(found) == spell(token)
    assert found.scopes == token.scopes
    assert found.boards.every == (boards is None)
