"""``/tickets/``"""

from __future__ import annotations

import secrets

from tornado_board.auth.policy import Action, Actions
from tornado_board.auth.tickets import LIFETIME
from tornado_board.web.handler import Handler


class TicketsHandler(Handler):
    actions = Actions(post=Action.TICKET)

    async def post(self) -> None:
        """Give a ticket that stands for the caller's token, once and for half a minute."""
        ticket = await self.gate.issue_ticket(self.admitted)
        self.set_header("Cache-Control", "no-store")
        # Without keys everybody may do everything, and any text will do.
        answer = {"ticket": ticket or secrets.token_urlsafe(24), "expires_in": LIFETIME}
        self.send_json(answer, status=201)
