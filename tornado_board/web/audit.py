"""``/audit/``: the audit trail."""

from __future__ import annotations

import urllib.parse
from typing import ClassVar

import msgspec

from tornado_board.auth.policy import Action, Actions
from tornado_board.web.attempt import Attempt
from tornado_board.web.described import Identifier, Integer, Operation, Text, Told, json_of
from tornado_board.web.handler import Handler
from tornado_board.web.problems import Problem
from tornado_board.web.shapes import AuditTrail

#: How many entries a page has at the most, and unless the request says otherwise.
MOST_ENTRIES = 1000
USUAL_ENTRIES = 100

#: The longest id of an entry, and what it may be made of, whichever the store.
_LONGEST_ID = 64
_ID = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


_BOARD = Identifier(name="board", text="What was done to this board only.")
_LIMIT = Integer(
    name="limit", text="How many entries.", default=USUAL_ENTRIES, low=1, high=MOST_ENTRIES
)
_AFTER = Text(
    name="after",
    text="Behind this entry, which a `Link` has.",
    pattern=f"^[A-Za-z0-9_-]{{0,{_LONGEST_ID}}}$",
)


class AuditHandler(Handler):
    actions = Actions(get=Action.ADMIN)
    operations: ClassVar = {
        "GET": Operation(
            parameters=(_BOARD, _LIMIT, _AFTER),
            answers={200: Told("A page of the trail.", json_of(AuditTrail), ("ETag", "Link"))},
            problems=(404,),
        )
    }

    def attempt(self) -> Attempt:
        return msgspec.structs.replace(super().attempt(), board=_BOARD.of(self) or None)

    async def get(self) -> None:
        """The newest entries, or those behind one."""
        if not self.services.settings.audit:
            raise Problem(404, "This server keeps no audit trail; its setting audit turns one on.")
        board, limit = _BOARD.of(self), _LIMIT.of(self)
        after = self.argument(_AFTER.name) or ""
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
