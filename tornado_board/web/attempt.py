"""What a request is about to do, as the gate is asked about it."""

from __future__ import annotations

import msgspec
from tornado.httputil import HTTPHeaders

from tornado_board.auth.policy import Action
from tornado_board.web.credentials import cookie_in


class Attempt(msgspec.Struct, frozen=True):
    """What a request is about to do, and what it presents. Fields of its header are ``None`` where
    it has none."""

    action: Action
    board: str | None
    player: str | None
    #: The client's address.
    address: str
    authorization: str | None = None
    cookies: str | None = None
    #: The parameter ``ticket`` of the query.
    ticket: str | None = None
    #: Where it comes from, as a browser says.
    host: str = ""
    origin: str | None = None
    fetch_site: str | None = None
    #: Whether it asks for a connection of another protocol, which pages of any site may do.
    upgrades: bool = False
    #: Whether the board counts as private, whatever it is: it was so once.
    as_private: bool = False
    #: The boards that it concerns, where these are several.
    several: tuple[str, ...] = ()

    @property
    def boards(self) -> tuple[str | None, ...]:
        """All that it concerns."""
        return self.several or (self.board,)


def attempt_of(
    headers: HTTPHeaders,
    action: Action,
    board: str | None = None,
    player: str | None = None,
    *,
    address: str = "",
    ticket: str | None = None,
) -> Attempt:
    """The attempt of a request with these `headers`."""
    return Attempt(
        action,
        board,
        player,
        address,
        headers.get("Authorization"),
        headers.get("Cookie"),
        ticket,
        headers.get("Host", ""),
        headers.get("Origin"),
        headers.get("Sec-Fetch-Site"),
        "Upgrade" in headers,
    )


def presents(attempt: Attempt, cookie: str) -> bool:
    """Whether a request presents anything that says who asks; `cookie` is the name of the one that
    may hold a token."""
    return (
        attempt.authorization is not None
        or attempt.ticket is not None
        or cookie_in(attempt.cookies, cookie) is not None
    )
