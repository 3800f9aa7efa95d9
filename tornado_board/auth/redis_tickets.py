"""Tickets in Redis: what one process issued, any other redeems."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from redis.exceptions import ResponseError

from tornado_board.auth.claims import Token
from tornado_board.auth.tickets import LIFETIME, LONGEST, digest_of, new_ticket, read, spell
from tornado_board.cluster.keys import Keys
from tornado_board.replay import LogRefused
from tornado_board.replay.redis_link import RedisLink, Script

#: Commands under way at a time; others wait for their turn.
_CONNECTIONS = 4

_REDEEM = Script("redeem", package=__package__)


class RedisTickets:
    """Tickets that all processes of a deployment share. Redis forgets them when they run out, so
    that how many there are has the bounds of their lifetime and of the rate of writes."""

    def __init__(self, url: str, keys: Callable[[int], Keys]) -> None:
        """`keys` gives the names in a database. Raises `ValueError` for a URL that names no
        server; connects when there is something to send."""
        self._link = RedisLink(url, _CONNECTIONS)
        self._keys = keys(self._link.database)
        self._turn = asyncio.Semaphore(_CONNECTIONS)

    async def issue(self, token: Token) -> str:
        ticket = new_ticket()
        key = self._keys.ticket(digest_of(ticket))
        async with self._turn:
            [reply] = await self._link.send(("SET", key, spell(token), "EX", LIFETIME))
        if isinstance(reply, ResponseError):
            raise LogRefused(f"{self._link.description} does not take the ticket")
        return ticket

    async def redeem(self, ticket: str) -> Token | None:
        # Never sent twice: one whose answer is lost is lost, and its client gets another.
        if len(ticket) > LONGEST:
            return None
        async with self._turn:
            found = await self._link.run(_REDEEM, [self._keys.ticket(digest_of(ticket))], [])
        return read(found) if isinstance(found, str) else None

    async def close(self) -> None:
        await self._link.close()
