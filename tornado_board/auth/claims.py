"""What a token says, once its signature is known to be good."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from tornado_board.auth.board_patterns import BoardPatterns

#: How far clocks may be apart, in seconds: a token is taken for this long past its ``exp``, and
#: before its ``nbf`` and ``iat``.
LEEWAY = 10.0

#: The latest time that a token may end at, in seconds since 1970: whatever is exact as a float.
_LATEST = 2**53


class Scope(StrEnum):
    """What a token allows."""

    #: Read and watch boards, also private ones.
    READ = "read"
    #: Hand in and add scores.
    SUBMIT = "submit"
    #: All that changes boards and players; also what the two above allow.
    WRITE = "write"
    #: Everything.
    ADMIN = "admin"


#: What each scope allows beside itself.
_IMPLIED: Mapping[Scope, frozenset[Scope]] = {
    Scope.READ: frozenset({Scope.READ}),
    Scope.SUBMIT: frozenset({Scope.SUBMIT}),
    Scope.WRITE: frozenset({Scope.READ, Scope.SUBMIT, Scope.WRITE}),
    Scope.ADMIN: frozenset(Scope),
}


class Token(msgspec.Struct, frozen=True):
    """A token whose signature and times were found to be good."""

    #: What it allows, with all that this implies.
    scopes: frozenset[Scope]
    boards: BoardPatterns
    #: Who holds it (``sub``).
    subject: str | None
    #: From when on it is not taken any more, in seconds since 1970: its ``exp`` and `LEEWAY`.
    until: float
    #: What its writes are counted by: a digest.
    id: str
    #: The thumbprint of the key that it was verified with.
    key: str
    #: What its issuer calls it (``jti``).
    name: str | None = None

    @property
    def only_player(self) -> str | None:
        """The only player whose score it may submit; ``None`` where it is not for a player."""
        return None if Scope.WRITE in self.scopes else self.subject

    def __repr__(self) -> str:
        """Without what it is counted by."""
        return f"Token({' '.join(sorted(self.scopes))})"


class Refused(msgspec.Struct, frozen=True):
    """A token that is not taken, and why: a sentence that tells nothing of the token."""

    reason: str


#: A token may be good, but of a key that this server does not have (any more, or yet).
UNKNOWN_KEY = Refused("The token's key is none of this server's.")


def token_of(claims: Mapping[str, Any], text: str, key: str) -> Token | Refused:
    """The token with these `claims`, of which `text` is what was presented.

    `key` is the thumbprint of the key that verified it. Of ``scope`` (a list, or words with spaces
    between them; RFC 8693, section 4.2) what is no scope of this server is passed over. What a
    claim can't be makes the whole token one that is not taken: what was meant to limit it may be
    what can't be read.
    """
    exp = claims.get("exp")
    # Not a number is not within any bounds.
    if isinstance(exp, bool) or not isinstance(exp, int | float) or not 0 <= exp <= _LATEST:
        return Refused("The token's exp is not a number.")
    scopes = _texts(claims.get("scope", ()), " ")
    if scopes is None:
        return Refused("The token's scope is neither a text nor a list of texts.")
    boards = claims.get("boards")
    patterns = None if boards is None else _texts(boards, " ")
    if boards is not None and patterns is None:
        return Refused("The token's boards are neither a text nor a list of texts.")
    try:
        allowed = BoardPatterns(patterns)
    except ValueError as error:
        return Refused(f"The token's {error}.")
    subject = claims.get("sub")
    if subject is not None and not isinstance(subject, str):
        return Refused("The token's sub is not a text.")
    issued = claims.get("jti")
    counted = f"jti {claims.get('iss')} {issued}" if isinstance(issued, str) and issued else text
    return Token(
        scopes=frozenset().union(*(_IMPLIED[Scope(s)] for s in scopes if s in set(Scope))),
        boards=allowed,
        subject=subject,
        until=exp + LEEWAY,
        id=hashlib.sha256(counted.encode("utf-8", "surrogatepass")).hexdigest()[:32],
        key=key,
        name=issued if isinstance(issued, str) and issued else None,
    )


def _texts(value: Any, separator: str) -> list[str] | None:
    """The texts in a list, or in one text with separators; ``None`` for anything else."""
    if isinstance(value, str):
        return [part for part in value.split(separator) if part]
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return list(value)
    return None
