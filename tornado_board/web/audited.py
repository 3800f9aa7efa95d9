"""Which requests leave an entry in the audit trail, and what it says of them."""

from __future__ import annotations

from tornado_board.auth.claims import Scope, Token
from tornado_board.auth.policy import Allowed
from tornado_board.settings import Settings
from tornado_board.store.audit import Audited, Who

#: The longest name of who made a change, in characters; what is longer is cut.
_LONGEST_NAME = 200


def audited_of(settings: Settings, allowed: Allowed, method: str, path: str) -> Audited | None:
    """What the store notes of a write that was `allowed`, if it was done with the scope ``admin``
    and there is a trail. `path` is without a query, which may hold a ticket."""
    token = allowed.token
    if not settings.audit or token is None or Scope.ADMIN not in token.scopes:
        return None
    return Audited(_who(token), method, path.rstrip("/") + "/")


def _who(token: Token) -> Who:
    if token.name is not None:
        return {"jti": token.name[:_LONGEST_NAME]}
    if token.subject is not None:
        return {"sub": token.subject[:_LONGEST_NAME]}
    return {"token": token.id}
