"""What every handler does before a method runs: it has the gate let the request in."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar

import msgspec
import tornado.web

from tornado_board import models
from tornado_board.auth.policy import ALLOWED, Action, Actions, Allowed
from tornado_board.web.attempt import Attempt, attempt_of
from tornado_board.web.gate import Gate


class Entrance(tornado.web.RequestHandler):
    """A handler that the gate lets requests in to."""

    #: What each method is about to do.
    actions: ClassVar[Actions] = Actions()

    #: What the request was let in for.
    admitted = ALLOWED

    @property
    def gate(self) -> Gate:
        raise NotImplementedError

    def enter(self) -> Awaitable[None] | None:
        """Have the gate let the request in, now or when that can be told, and then call `entered`.

        Raises what `Gate.admit` and `Gate.charge` raise.
        """
        attempt = self.attempt()
        allowed = self.gate.at_once(attempt)
        if allowed is not None:
            self._admit(attempt, allowed)
            return None

        async def enter() -> None:
            self._admit(attempt, await self.gate.admit(attempt))

        return enter()

    def entered(self) -> None:
        """The request was let in."""

    def _admit(self, attempt: Attempt, allowed: Allowed) -> None:
        self.admitted = allowed
        self.gate.charge(attempt, allowed)
        self.entered()

    def attempt(self) -> Attempt:
        """What this request is about to do, and what it presents."""
        request = self.request
        ticket = request.query_arguments.get("ticket")
        return attempt_of(
            request.headers,
            self.actions.of(request.method or ""),
            *self.path_args,
            address=request.remote_ip or "",
            # What is no text is no ticket, either.
            ticket=ticket[-1].decode("latin-1") if ticket else None,
        )

    @property
    def caller(self) -> str:
        """Who asks, if a token says it; otherwise empty."""
        token = self.admitted.token
        return "" if token is None else token.subject or token.id

    @property
    def until(self) -> float | None:
        """From when on the caller may not do this any more, in seconds since 1970."""
        return self.admitted.until

    def check(self, board_id: str, *, private: bool = False, action: Action | None = None) -> None:
        """Raise `Problem` unless this request may do to this board, which may be known to be
        `private`, what it does, or `action`. Its path does not name the board; or its body asks for
        more; or, where neither is so, unless the request still may."""
        attempt = msgspec.structs.replace(self.attempt(), board=board_id, several=())
        if action is not None:
            attempt = msgspec.structs.replace(attempt, action=action)
        self.gate.check(self.admitted, attempt, private=private)

    async def may(self, action: Action) -> bool:
        """Whether the caller may do `action`, too."""
        return await self.gate.may(self.attempt(), action)

    async def check_as_private(self) -> None:
        """Raise `Problem` unless this request may do what it does if its board is private, though
        it may not be so now. Raises what `Gate.admit` raises."""
        self.admitted = await self.gate.admit_as_private(self.admitted, self.attempt())

    def may_read(self, board: models.Board) -> bool:
        """Whether the caller may read `board`."""
        return self.gate.may_read(self.admitted, board.id, board.private)

    def charge_more(self, amount: int) -> None:
        """Count so many writes more than the one that each request counts as."""
        self.gate.charge_more(self.attempt(), self.admitted, amount)
