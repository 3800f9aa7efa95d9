"""``/audit/``: the audit trail."""

from __future__ import annotations

import urllib.parse

import msgspec

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.attempt import Attempt
from tornado_board.web.handler import Handler
from tornado_board.web.parameters import identifier, integer
from tornado_board.web.problems import Problem

#: How many entries a page has at the most, and unless the request says otherwise.
MOST_ENTRIES = 1000
USUAL_ENTRIES = 100

#: The longest id of an entry, and what it may be made of, whichever the store.
_LONGEST_ID = 64
_ID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


class AuditHandler(Handler):
    actions = Actions(get=Action.ADMIN)

    def attempt(self) -> Attempt:
        return msgspec.structs.replace(super().attempt(), board=identifier(self, "board") or None)

    async def get(self) -> None:
        """The newest entries, or those behind one."""
        if not self.services.settings.audit:
            raise Problem(404, "This server keeps no audit trail; its setting audit turns one on.")
        board = identifier(self, "board")
        limit = integer(self, "limit", USUAL_ENTRIES, 1, MOST_ENTRIES)
        after = self.argument("after") or ""
        if len(after) > _LONGEST_ID or not _ID.issuperset(after):
            raise Problem(400, "after: is no entry's id; take it from the Link header.")
        token = self.admitted.token
        if not board and token is not None and not token.boards.every:
            raise Problem(403, "The token is not for every board: name one of its own as board.")
        found = await self.store.audit(board or None, after, limit + 1)
        if len(found) > limit:
            rest = {"board": board} if board else {}
            query = urllib.parse.urlencode({"after": found[limit - 1].id, "limit": limit, **rest})
            self.set_header("Link", f'<{self.prefix}/audit/?{query}>; rel="next"')
        self.set_header("Cache-Control", "no-store")
        self.send_json({"entries": [msgspec.to_builtins(entry) for entry in found[:limit]]})
