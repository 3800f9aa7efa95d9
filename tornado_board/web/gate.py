"""Where requests are let in or refused: one place for every way in which they come.

It finds what a request presents (a token in ``Authorization``, a ticket in the address, a cookie),
has `auth.policy.decide` decide, and counts writes.
"""

from __future__ import annotations

import functools
import math
import time
import urllib.parse
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tornado_board.auth.claims import UNKNOWN_KEY, Refused, Token
from tornado_board.auth.policy import ALLOWED, Action, Allowed, Denied, Policy, decide
from tornado_board.auth.rates import Rates
from tornado_board.auth.tickets import LIFETIME, Tickets, TooManyTickets
from tornado_board.settings import Settings
from tornado_board.web.attempt import Attempt
from tornado_board.web.credentials import bearer_in, cookie_in
from tornado_board.web.loopback import is_loopback
from tornado_board.web.privacy import Privacy
from tornado_board.web.problems import Problem
from tornado_board.web.shares import neighbourhood

if TYPE_CHECKING:
    from tornado_board.auth.authority import Authority

_BAD_TICKET = Refused(
    f"The ticket is not good, or not any more: it is for one request within {LIFETIME} s."
)

_FOREIGN_PAGE = (
    "A page may change boards with a cookie only where it is this server's own, or of an origin "
    "that the server's allowed_origins setting names; others send a token."
)


#: Whether the address is one of loopback, or none at all, as of a Unix socket.
_is_own = functools.lru_cache(maxsize=1024)(functools.partial(is_loopback, otherwise=True))


class _Presented(msgspec.Struct, frozen=True):
    token: Token | Refused
    by_cookie: bool = False


class Gate:
    """Lets requests in."""

    def __init__(
        self,
        settings: Settings,
        authority: Authority | None,
        tickets: Tickets,
        privacy: Privacy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`authority` is ``None`` where `settings` name no key."""
        self._keys = authority
        self._tickets = tickets
        self.privacy = privacy
        self._clock = clock
        self._origins = frozenset(settings.allowed_origins) - {"*"}
        self._cookie = settings.token_cookie
        self.policy = Policy(enforced=settings.takes_tokens, private=settings.private)
        self._by_token = Rates(settings.writes_per_token)
        self._by_player = Rates(settings.writes_per_player)
        self._by_address = Rates(settings.writes_per_address)
        self._most = {
            self._by_token: ("with this token", settings.writes_per_token),
            self._by_player: ("for this player", settings.writes_per_player),
            self._by_address: ("from this address", settings.writes_per_address),
        }

    def at_once(self, attempt: Attempt) -> Allowed | None:
        """Let the request in, if that can be told without waiting for anything; otherwise ``None``,
        and `admit` has to be asked.

        Raises `Problem`: what it is refused with, or 503 where no token can be verified.
        """
        if not self.policy.enforced or attempt.action is Action.OPEN:
            return ALLOWED
        private = self._known_to_be_private(attempt)
        if private is None:
            return None
        presented = self._presented(attempt)
        if presented is None and attempt.ticket is not None and _may_have_ticket(attempt):
            freely = decide(self.policy, None, attempt.action, private=bool(private))
            return freely if isinstance(freely, Allowed) else None
        if presented is not None and presented.token is UNKNOWN_KEY:
            return None
        return _allowed(self._decided(attempt, presented, private))

    async def admit(self, attempt: Attempt) -> Allowed:
        """The same, waiting for what has to be waited for.

        Also raises `StoreUnavailable`, and `LogUnavailable` where a ticket can't be looked up.
        """
        allowed = self.at_once(attempt)
        if allowed is None:
            allowed = _allowed(await self._decide_slowly(attempt))
        return allowed

    async def _decide_slowly(self, attempt: Attempt) -> Allowed | Denied:
        private = self._known_to_be_private(attempt)
        if private is None:
            # What was known of the first may be forgotten when the last is found.
            private = frozenset()
            for board in attempt.boards:
                if board is not None:
                    known = self.privacy.known(board)
                    if await self.privacy.find(board) if known is None else known:
                        private |= {board}
        presented = self._presented(attempt)
        if presented is None and attempt.ticket is not None and _may_have_ticket(attempt):
            freely = decide(self.policy, None, attempt.action, private=bool(private))
            if isinstance(freely, Allowed):
                return freely  # and the ticket is still good
            redeemed = await self._tickets.redeem(attempt.ticket)
            good = redeemed is not None and self._authority.still_good(redeemed)
            presented = _Presented(redeemed if redeemed is not None and good else _BAD_TICKET)
        elif presented is not None and presented.token is UNKNOWN_KEY:
            text = self._text(attempt)
            assert text is not None
            presented = _Presented(await self._authority.verify_again(text[0]), text[1])
        return self._decided(attempt, presented, private)

    def may_read(self, allowed: Allowed, board_id: str, private: bool) -> bool:
        """Whether who was `allowed` something may read this board, too."""
        token = allowed.token
        decision = decide(self.policy, token, Action.READ, board_id, private=private)
        return isinstance(decision, Allowed)

    def check(self, allowed: Allowed, attempt: Attempt, *, private: bool = False) -> None:
        """Raise `Problem` unless who was `allowed` something may make this `attempt` now. What it
        presents is not looked at, and the board is not asked of the store; `private` says that it
        is known to be so."""
        if not self.policy.enforced:
            return
        token: Token | Refused | None = allowed.token
        if allowed.token is not None and not self._authority.still_good(allowed.token):
            token = Refused("The token has expired.")
        if attempt.board is not None:
            private = private or self.privacy.last_known(attempt.board)
        _allowed(
            decide(
                self.policy, token, attempt.action, attempt.board, attempt.player, private=private
            )
        )

    async def admit_as_private(self, allowed: Allowed, attempt: Attempt) -> Allowed:
        """Let in, as if the board were private, who was `allowed` to read it as it is. What that
        rests on from now on is the answer: a ticket is good once. Raises what `admit` raises."""
        if allowed.token is None:
            return await self.admit(msgspec.structs.replace(attempt, as_private=True))
        self.check(allowed, attempt, private=True)
        return allowed

    async def may(self, attempt: Attempt, action: Action) -> bool:
        """Whether who makes this `attempt`, and was let in for it, may do `action`, too. Raises
        what `admit` raises, but for a refusal."""
        try:
            await self.admit(msgspec.structs.replace(attempt, action=action))
        except Problem as refusal:
            if refusal.status_code not in (401, 403):
                raise
            return False
        return True

    async def issue_ticket(self, allowed: Allowed) -> str | None:
        """A ticket that stands for the token; ``None`` where nobody needs one.

        Raises `Problem` 503, and `LogUnavailable`.
        """
        if allowed.token is None:
            return None
        try:
            return await self._tickets.issue(allowed.token)
        except TooManyTickets:
            raise Problem(503, "As many tickets are out as there may be; try later.") from None

    # How often

    def charge(self, attempt: Attempt, allowed: Allowed, amount: float = 1.0) -> None:
        """Count a write, or so many of them in one request. Raises `Problem` 429 where there were
        too many before; then it does not count."""
        now = self._clock()
        counted = self._counted(attempt, allowed.token)
        for rates, who in counted:
            if wait := rates.wait(who, now):
                whose, most = self._most[rates]
                seconds = math.ceil(wait)
                raise Problem(
                    429,
                    f"Too many writes {whose}: the most is {most:g} a second; "
                    f"go on in {seconds} s.",
                    {"Retry-After": str(seconds)},
                )
        for rates, who in counted:
            rates.take(who, now, amount)

    @property
    def size(self) -> int:
        """How many tokens, players and addresses are known for that."""
        return sum(map(len, self._most))

    def charge_more(self, attempt: Attempt, allowed: Allowed, amount: float) -> None:
        """Count what has turned out to be more writes than the one that was charged."""
        now = self._clock()
        for rates, who in self._counted(attempt, allowed.token):
            rates.take(who, now, amount)

    def _counted(self, attempt: Attempt, token: Token | None) -> Sequence[tuple[Rates, Hashable]]:
        """What the writes of a request are counted under."""
        if not (attempt.action.changes or attempt.action is Action.TICKET):
            return ()
        counted: list[tuple[Rates, Hashable]] = []
        if token is not None:
            counted.append((self._by_token, token.id))
            if token.only_player is not None:
                counted.append((self._by_player, token.only_player))
        # Programs of this machine's share the address, and so do all who come through a proxy on
        # it that does not tell theirs.
        anybody = token is None or token.only_player is not None
        if anybody and not _is_own(attempt.address):
            counted.append((self._by_address, neighbourhood(attempt.address)))
        return counted

    # What is presented

    @property
    def _authority(self) -> Authority:
        assert self._keys is not None, "without keys no token is looked at"
        return self._keys

    def _known_to_be_private(self, attempt: Attempt) -> frozenset[str | None] | None:
        """Those boards of the attempt that are private, as far as that matters to it; ``None``
        where the store has to be asked."""
        if attempt.action is not Action.READ or self.policy.private:
            return frozenset()
        if attempt.as_private:
            return frozenset(attempt.boards)
        known = {
            board: False if board is None else self.privacy.known(board) for board in attempt.boards
        }
        if None in known.values():
            return None
        return frozenset(board for board, private in known.items() if private)

    def _text(self, attempt: Attempt) -> tuple[str, bool] | None:
        """The token that the request presents, and whether it is a cookie's."""
        bearer = bearer_in(attempt.authorization)
        if bearer is not None:
            return bearer, False
        if attempt.ticket is not None and _may_have_ticket(attempt):
            return None
        cookie = cookie_in(attempt.cookies, self._cookie)
        return None if cookie is None else (cookie, True)

    def _presented(self, attempt: Attempt) -> _Presented | None:
        text = self._text(attempt)
        if text is None:
            return None
        if not self._authority.has_keys:
            raise Problem(503, "The keys that tokens are verified with can't be had; try later.")
        return _Presented(self._authority.verify(text[0]), text[1])

    def _decided(
        self, attempt: Attempt, presented: _Presented | None, private: frozenset[str | None]
    ) -> Allowed | Denied:
        token = None if presented is None else presented.token
        by_cookie = presented is not None and presented.by_cookie
        if by_cookie and isinstance(token, Refused):
            # A browser sends it whatever is asked for, and who may go in without it may.
            freely = decide(self.policy, None, attempt.action, private=bool(private))
            if isinstance(freely, Allowed):
                return freely
        decision = self._decided_of_all(attempt, token, private)
        if (
            by_cookie
            and isinstance(decision, Allowed)
            and decision.token is not None
            and (attempt.action not in (Action.READ, Action.LIST) or attempt.upgrades)
            and not self._is_of_trusted_page(attempt)
        ):
            return Denied(403, _FOREIGN_PAGE)
        return decision

    def _decided_of_all(
        self, attempt: Attempt, token: Token | Refused | None, private: frozenset[str | None]
    ) -> Allowed | Denied:
        """The first refusal of a board that the attempt concerns, if there is one; otherwise what
        rests on the token, if anything does."""
        decision: Allowed | Denied = ALLOWED
        for board in attempt.boards:
            decided = decide(
                self.policy,
                token,
                attempt.action,
                board,
                attempt.player,
                private=board in private,
            )
            if isinstance(decided, Denied):
                return decided
            if decided.token is not None:
                decision = decided
        return decision

    def _is_of_trusted_page(self, attempt: Attempt) -> bool:
        """Whether a browser says that the request comes from a page of this server's own, or of an
        origin that the settings name."""
        if attempt.fetch_site == "same-origin":
            return True
        if attempt.origin is None:
            return False
        if attempt.origin in self._origins:
            return True
        try:
            own = urllib.parse.urlsplit(attempt.origin).netloc.lower() == attempt.host.lower()
        except ValueError:
            return False
        return own and attempt.fetch_site is None


def _may_have_ticket(attempt: Attempt) -> bool:
    return attempt.action in (Action.READ, Action.LIST)


def _allowed(decision: Allowed | Denied) -> Allowed:
    """`decision`, if the request is let in; otherwise raises the `Problem` that it is not."""
    if isinstance(decision, Allowed):
        return decision
    # Where the token is not what is wrong, there is none to ask for.
    told = decision.status == 401 or decision.error
    headers = {"WWW-Authenticate": decision.challenge} if told else {}
    raise Problem(decision.status, decision.detail, headers)
