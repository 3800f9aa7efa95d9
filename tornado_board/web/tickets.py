"""``/tickets/``"""

from __future__ import annotations

import secrets
from typing import ClassVar

from tornado_board.auth.policy import Action, Actions
from tornado_board.auth.tickets import LIFETIME
from tornado_board.web.described import Operation, Told, json_of
from tornado_board.web.handler import Handler
from tornado_board.web.shapes import Ticket


class TicketsHandler(Handler):
    actions = Actions(post=Action.TICKET)
    operations: ClassVar = {
        "POST": Operation(answers={201: Told("The ticket.", json_of(Ticket))}),
    }

    async def post(self) -> None:
        """Give a ticket that stands for the caller's token, once and for half a minute."""
        ticket = await self.gate.issue_ticket(self.admitted)
        self.set_header("Cache-Control", "no-store")
        # Without keys everybody may do everything, and any text will do.
        answer = Ticket(ticket=ticket or secrets.token_urlsafe(24), expires_in=LIFETIME)
        self.send_json(answer, status=201)
