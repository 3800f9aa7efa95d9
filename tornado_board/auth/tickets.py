"""Tickets: what stands for a token in the address of a stream, where no header can be set.

A ticket is good once, for half a minute, and for reading only. It stands in an address, which
proxies log and browsers show; by the time anybody has read it there, it is worth nothing.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from tornado_board.auth.board_patterns import BoardPatterns
from tornado_board.auth.claims import Scope, Token
from tornado_board.cluster.keys import Keys
from tornado_board.replay import is_shared
from tornado_board.settings import Settings

#: Seconds that a ticket is good for.
LIFETIME = 30

#: Tickets that one process keeps in its memory. More than one token can get in a ticket's lifetime,
#: at the usual rate of writes.
MOST_TICKETS = 65_536

#: The longest text that is looked up.
LONGEST = 64


class TooManyTickets(Exception):
    """As many tickets are out as there may be."""


class Tickets(Protocol):
    """The tickets of a deployment. Each method may raise `LogUnavailable` where they are kept by
    another server."""

    async def issue(self, token: Token) -> str:
        """A new ticket that stands for `token`. Raises `TooManyTickets`."""

    async def redeem(self, ticket: str) -> Token | None:
        """What `ticket` stands for, the first time that this is asked within its lifetime.

        Whether that token is still good is the caller's to know.
        """

    async def close(self) -> None:
        """Release what they are kept in."""


class LocalTickets:
    """Tickets of one process: those of others it does not know."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # In the order in which they were issued, and so run out.
        self._issued: dict[str, tuple[float, Token]] = {}

    async def issue(self, token: Token) -> str:
        now = self._clock()
        while self._issued:
            oldest = next(iter(self._issued))
            if self._issued[oldest][0] > now:
                break
            del self._issued[oldest]
        if len(self._issued) >= MOST_TICKETS:
            raise TooManyTickets
        ticket = new_ticket()
        self._issued[digest_of(ticket)] = (now + LIFETIME, token)
        return ticket

    async def redeem(self, ticket: str) -> Token | None:
        if len(ticket) > LONGEST:
            return None
        until, token = self._issued.pop(digest_of(ticket), (0.0, None))
        return token if until > self._clock() else None

    async def close(self) -> None:
        self._issued.clear()


def open_tickets(settings: Settings, identity: str) -> Tickets:
    """The tickets that all processes share which share the replay log of `settings`, and the store
    with this `identity`; otherwise this process's own."""
    if not is_shared(settings.replay_url):
        return LocalTickets()
    from tornado_board.auth.redis_tickets import RedisTickets

    return RedisTickets(
        settings.replay_url, lambda database: Keys(settings.redis_prefix, identity, database)
    )


class _Stored(msgspec.Struct, frozen=True):
    """A token as another process can read it."""

    scopes: list[str]
    boards: list[str] | None
    subject: str | None
    until: float
    id: str
    key: str


def spell(token: Token) -> bytes:
    """`token` as text. It can't be used as a token."""
    boards = None if token.boards.texts is None else list(token.boards.texts)
    scopes = sorted(token.scopes)
    return msgspec.json.encode(
        _Stored([str(s) for s in scopes], boards, token.subject, token.until, token.id, token.key)
    )


def read(text: str) -> Token | None:
    """What `spell` has spelled; ``None`` for anything else, such as what a newer version has."""
    try:
        stored = msgspec.json.decode(text, type=_Stored)
        return Token(
            scopes=frozenset(map(Scope, stored.scopes)),
            boards=BoardPatterns(stored.boards),
            subject=stored.subject,
            until=stored.until,
            id=stored.id,
            key=stored.key,
        )
    except ValueError:
        return None


def new_ticket() -> str:
    """192 random bits, safe in a URL."""
    return secrets.token_urlsafe(24)


def digest_of(ticket: str) -> str:
    """What a ticket is kept under: who can list those that there are can't use them."""
    return hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()
