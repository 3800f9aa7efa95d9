"""Who may do what: the one place that decides it. No I/O, no clock.

What a refusal is told in is RFC 6750's ("OAuth 2.0 Bearer Token Usage").
"""

from __future__ import annotations

from enum import Enum

import msgspec

from tornado_board.auth.claims import Refused, Scope, Token

#: What a client is told to authenticate for (RFC 9110, section 11.5).
REALM = "tornado_board"


class Action(Enum):
    """What a request is about to do. Each route and method names one."""

    #: What everybody may, whatever they present: the page, and whether the server lives.
    OPEN = "open"
    #: List the boards. What is listed depends on the token.
    LIST = "list"
    #: Read or watch a board or a player.
    READ = "read"
    #: Hand in or add a score.
    SUBMIT = "submit"
    #: Change anything else.
    WRITE = "write"
    #: Get a ticket, which stands for a token.
    TICKET = "ticket"
    #: Hide players, see those who are hidden, read the audit trail, and look at the metrics.
    ADMIN = "admin"

    @property
    def changes(self) -> bool:
        """Whether it changes a board."""
        return self in (Action.SUBMIT, Action.WRITE)


#: The scope that each action needs, where it needs a token. A ticket can do no more than its token,
#: and only read.
_NEEDED = {
    Action.LIST: Scope.READ,
    Action.READ: Scope.READ,
    Action.SUBMIT: Scope.SUBMIT,
    Action.WRITE: Scope.WRITE,
    Action.TICKET: Scope.READ,
    Action.ADMIN: Scope.ADMIN,
}


class Actions(msgspec.Struct, frozen=True):
    """What each method of a resource is about to do; ``None`` for those that it does not have."""

    get: Action | None = None
    post: Action | None = None
    patch: Action | None = None
    delete: Action | None = None

    def of(self, method: str) -> Action:
        """The action of a request's `method`. HEAD is as GET. What names none takes the right to
        change everything."""
        name = "get" if method == "HEAD" else method.lower()
        action: Action | None = getattr(self, name, None)
        return action or Action.WRITE


class Policy(msgspec.Struct, frozen=True):
    """What a server asks for."""

    #: Whether tokens are looked at: a key is set. Otherwise everybody may do everything.
    enforced: bool
    #: Whether reading needs a token on every board.
    private: bool = False


class Allowed(msgspec.Struct, frozen=True):
    """The request may go on."""

    #: The token that it rests on; ``None`` where it would have been allowed without one.
    token: Token | None = None

    @property
    def until(self) -> float | None:
        """From when on it may not go on any more, in seconds since 1970; ``None`` for never."""
        return None if self.token is None else self.token.until


class Denied(msgspec.Struct, frozen=True):
    """The request is refused with `status`, 401 or 403. `detail` is fit to be shown to a client."""

    status: int
    detail: str
    #: The error code of RFC 6750, section 3.1; empty where no token was presented.
    error: str = ""
    #: The scope that would have done.
    scope: str = ""

    @property
    def challenge(self) -> str:
        """The value of ``WWW-Authenticate`` (RFC 6750, section 3)."""
        parts = [f'Bearer realm="{REALM}"']
        if self.error:
            parts += [f'error="{self.error}"', f'error_description="{self.detail}"']
        if self.scope:
            parts.append(f'scope="{self.scope}"')
        return ", ".join(parts)


ALLOWED = Allowed()


def decide(
    policy: Policy,
    token: Token | Refused | None,
    action: Action,
    board: str | None = None,
    player: str | None = None,
    *,
    private: bool = False,
) -> Allowed | Denied:
    """Whether who presented `token` (``None``: nothing) may do `action`.

    `board` and `player` are those that it concerns, ``None`` where it concerns none in particular;
    `private` says whether that board is. A token that is for one player does not submit where no
    player is named. That a token has not expired is the caller's to know.
    """
    if not policy.enforced or action is Action.OPEN:
        return ALLOWED
    if isinstance(token, Refused):
        return Denied(401, token.reason, "invalid_token")
    reads = action in (Action.READ, Action.LIST)
    if reads and not (policy.private or (private and action is Action.READ)):
        # The list of a public server still shows its private boards to who may read them.
        return Allowed(token) if action is Action.LIST and token is not None else ALLOWED
    needed = _NEEDED[action]
    if token is None:
        doing = "Reading this" if reads else "This"
        detail = f"{doing} needs a token: send it as Authorization: Bearer."
        return Denied(401, detail, scope=needed)
    if needed not in token.scopes:
        return Denied(403, f"The token lacks the scope {needed}.", "insufficient_scope", needed)
    if board is not None and board not in token.boards:
        return Denied(403, "The token is not for this board.", "insufficient_scope", needed)
    if action is Action.SUBMIT and token.only_player not in (None, player):
        return Denied(403, "The token is for another player.", "insufficient_scope", needed)
    return Allowed(token)


def needed_scope(action: Action) -> Scope:
    """The scope of a token that does for `action`, where it needs one."""
    return _NEEDED[action]
